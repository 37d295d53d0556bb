//! What lies between a coordinator's decisions and the one who carries them out.
//!
//! One machine decides for one partition of an internal topic, on the shard that owns this
//! partition. It knows no network, no log and no clock: it is told the time, and what it wants
//! done it puts into `out`. Invariants, held by the machine: every [`Token`] it was given is
//! answered exactly once, at the latest by `on_unload`; every `next_deadline` that has passed is
//! dealt with by `on_time`, so that the deadlines always move on. Held by the caller: every
//! [`Append`] is answered by exactly one `on_appended`, and appends reach the log in the order in
//! which they were put out.

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use protocol::wire::DecodeError;

/// A request that waits at the caller. The caller chooses it and does not use it twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// An append that is under way. The machine chooses it and does not use it twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WriteId(pub u64);

/// One record for the internal topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it speaks of; the topic is compacted by it.
    pub key: Vec<u8>,
    /// What holds from now on; none takes back what was said before.
    pub value: Option<Vec<u8>>,
}

/// Who wrote a batch, if not the coordinator on its own account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Producer {
    /// The transactional producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
}

/// One batch for the internal topic: appended for all replicas, all of it or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    /// What `on_appended` calls it.
    pub write: WriteId,
    /// Not empty, in the order in which they are to stand in the log.
    pub records: Vec<Record>,
    /// The producer in whose open transaction the batch stands; none for an ordinary batch.
    pub producer: Option<Producer>,
}

/// What a replayed batch says beside its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOrigin {
    /// The producer in whose transaction the batch stands; none for an ordinary batch.
    pub producer: Option<Producer>,
    /// The batch's largest timestamp.
    pub timestamp: TimestampMs,
}

/// Why a record of an internal topic is passed over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// Key or value end early or say something impossible.
    #[error("it does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// A key or value of a version that is not known here, such as one of Kafka's future.
    #[error("its version {0} is not known")]
    UnknownVersion(i16),
    /// A value that decodes, and cannot be.
    #[error("it says what cannot be: {0}")]
    Impossible(&'static str),
}

/// What a machine wants done.
pub enum Action<M: Machine + ?Sized> {
    /// Answers a request.
    Reply(Token, M::Reply),
    /// Appends a batch; the machine is told the result by `on_appended`.
    Append(Append),
    /// What only this machine asks for.
    Effect(M::Effect),
}

/// The decisions of one partition of an internal topic. The order of calls: `replay` and
/// `replay_marker` for the whole log, `on_loaded` once, then whatever happens, and `on_unload`
/// last.
pub trait Machine {
    /// What is asked of it.
    type Request;
    /// What it answers.
    type Reply;
    /// What it wants done beside appends; `Infallible` if there is nothing.
    type Effect;

    /// Takes in one record of the log, in the log's order. An error leaves the machine as it was.
    fn replay(
        &mut self,
        origin: &BatchOrigin,
        offset: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError>;

    /// Takes in a marker that ends a transaction, from the log or, once loaded, when it has been
    /// appended.
    fn replay_marker(&mut self, producer: Producer, result: TransactionResult, offset: Offset);

    /// The whole log has been replayed: from now on requests come.
    fn on_loaded(&mut self, now: TimestampMs, out: &mut Vec<Action<Self>>);

    /// A request came in.
    fn on_request(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: Self::Request,
        out: &mut Vec<Action<Self>>,
    );

    /// An append has ended: its first record's offset, or why it is not in the log.
    fn on_appended(
        &mut self,
        now: TimestampMs,
        write: WriteId,
        result: Result<Offset, ErrorCode>,
        out: &mut Vec<Action<Self>>,
    );

    /// Time has passed; called at `next_deadline` or some time after.
    fn on_time(&mut self, now: TimestampMs, out: &mut Vec<Action<Self>>);

    /// When `on_time` is to be called next, if ever.
    fn next_deadline(&self) -> Option<TimestampMs>;

    /// The partition goes: every waiting token is answered with NOT_COORDINATOR.
    fn on_unload(&mut self, out: &mut Vec<Action<Self>>);
}
