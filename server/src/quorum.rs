//! Standalone mode is a KRaft quorum of one on disk: at every start the node takes the lead with
//! an epoch that nobody had before, and says so in `quorum-state` and in the log.
//!
//! Invariants: `quorum-state` has the epoch before the first record of it is written; a log that
//! has other voters is left alone.

use bytes::Bytes;
use controller::Record;
use controller::adopt::{FoundReplica, adopt};
use controller::bootstrap::{self, Registration, Stage};
use controller::directories::{self, Place};
use controller::image::{Image, ReplayError};
use controller::record::AbortTransactionRecord;
use controller::topics::internal::InternalTopics;
use engine::QuorumState;
use engine::append::{Append, AppendError, Origin};
use engine::log::Log;
use protocol::batch::control::ControlType;
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Uuid};
use protocol::records::raft::{LeaderChangeMessage, LeaderChangeMessageVoter, VotersRecord};
use protocol::wire::{Decoder, Encoder};

use crate::clock;
use crate::entropy;
use crate::metadata_batches::in_batches;
use crate::replay::{KraftVersion, Replayed};

/// Records of one start are written in batches of this many.
const BATCH_RECORDS_MAX: usize = 1000;

/// Why the node cannot take the lead.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// There are other voters, who may have gone on without this node.
    #[error(
        "its quorum has the voters {voters:?}, and a standalone node ({node}) is a quorum of one: \
         remove the other voters first"
    )]
    OtherVoters {
        /// Who they are.
        voters: Vec<i32>,
        /// Who we are.
        node: i32,
    },
    /// `quorum-state` cannot be read or written.
    #[error("its quorum state: {0}")]
    State(#[from] std::io::Error),
    /// The log cannot be written.
    #[error("it cannot be written: {0}")]
    Append(#[from] AppendError),
    /// What was decided does not apply, which is our own mistake.
    #[error("a record of this start does not apply: {0}")]
    Apply(#[from] ReplayError),
}

/// The metadata log of a node that leads its quorum.
pub struct LedLog {
    /// The log.
    pub log: Log,
    /// What it says.
    pub replayed: Replayed,
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
}

/// Takes the lead and registers the node. Blocking.
pub fn lead(
    mut log: Log,
    mut replayed: Replayed,
    registration: Registration,
) -> Result<LedLog, QuorumError> {
    let epoch = begin_epoch(&mut log, &mut replayed, registration.id)?;
    let mut led = LedLog {
        log,
        replayed,
        epoch,
    };
    let node = registration.id;
    if led.replayed.loader.in_transaction() {
        let reason = Some("the former leader did not finish it".into());
        led.commit(&[Record::AbortTransaction(AbortTransactionRecord { reason })])?;
    }
    let records = start_records(led.image(), led.log.log_end_offset(), registration);
    led.commit(&records)?;
    let elected = bootstrap::elect(led.image(), node);
    led.commit(&elected)?;
    Ok(led)
}

/// Begins an epoch that is greater than any before.
fn begin_epoch(
    log: &mut Log,
    replayed: &mut Replayed,
    node: BrokerId,
) -> Result<LeaderEpoch, QuorumError> {
    let former = QuorumState::read(log.directory())?;
    check_voters(node, former.as_ref(), &replayed.kraft)?;
    let seen = former.map_or(LeaderEpoch(0), |state| state.leader_epoch);
    let epoch = LeaderEpoch(seen.max(replayed.last_epoch).0 + 1);
    let state = QuorumState {
        version: u8::from(replayed.kraft.level > 0),
        leader: Some(node),
        leader_epoch: epoch,
        voters: vec![node],
    };
    state.write(log.directory())?;
    let change = leader_change(node, epoch);
    append(log, replayed, epoch, change)?;
    tracing::info!("leads the metadata quorum of one with epoch {epoch}");
    Ok(epoch)
}

impl LedLog {
    /// Makes the topics those of the log directories, which a broker keeps whose metadata is in
    /// ZooKeeper. Blocking.
    pub fn adopt(
        &mut self,
        node: BrokerId,
        found: &[FoundReplica],
        internal: &InternalTopics,
    ) -> Result<(), QuorumError> {
        tracing::info!("the log directories are those of a broker with ZooKeeper: adopting topics");
        let draw = &mut entropy::random_u64;
        let adoption = adopt(self.image(), node, found, internal, draw);
        self.commit(&adoption.records)?;
        for note in adoption.notes {
            tracing::warn!("{note}");
        }
        Ok(())
    }

    /// Says where replicas are. Blocking.
    pub fn assign(&mut self, node: BrokerId, places: &[Place]) -> Result<(), QuorumError> {
        let decision = directories::assign(self.image(), node, places);
        self.commit(&decision.records)
    }

    /// The newest image.
    pub fn image(&self) -> &Image {
        self.replayed.loader.image()
    }

    fn commit(&mut self, records: &[Record]) -> Result<(), QuorumError> {
        if records.is_empty() {
            return Ok(());
        }
        let batches = in_batches(records, self.epoch, BATCH_RECORDS_MAX);
        append(&mut self.log, &mut self.replayed, self.epoch, batches)?;
        for record in records {
            self.replayed.loader.apply(record)?;
        }
        Ok(())
    }
}

/// What the node writes about itself.
fn start_records(image: &Image, log_end: Offset, registration: Registration) -> Vec<Record> {
    let mut records = bootstrap::first_records(image);
    let node = registration.id;
    let epoch = BrokerEpoch(log_end.0 + records.len() as i64);
    records.push(bootstrap::register(&Registration {
        epoch,
        ..registration
    }));
    records.push(bootstrap::advance(node, epoch, Stage::Ready));
    records
}

fn check_voters(
    node: BrokerId,
    state: Option<&QuorumState>,
    kraft: &KraftVersion,
) -> Result<(), QuorumError> {
    let in_log = kraft.voters.as_deref().map(|body| {
        let voters = VotersRecord::decode(&mut Decoder::new(body), 0);
        voters.map_or(Vec::new(), |v| {
            v.voters.iter().map(|v| v.voter_id).collect()
        })
    });
    let in_state = state.map(|state| state.voters.iter().map(|voter| voter.0).collect());
    let voters: Vec<i32> = in_log.or(in_state).unwrap_or_default();
    if voters.is_empty() || voters == [node.0] {
        return Ok(());
    }
    Err(QuorumError::OtherVoters {
        voters,
        node: node.0,
    })
}

/// The control batch that begins an epoch. Kafka 3.9 reads version 0 only, whatever kraft.version.
fn leader_change(node: BrokerId, epoch: LeaderEpoch) -> Vec<u8> {
    let voter = LeaderChangeMessageVoter {
        voter_id: node.0,
        voter_directory_id: Uuid::ZERO,
    };
    let message = LeaderChangeMessage {
        version: 0,
        leader_id: node.0,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
    };
    let mut value = Encoder::new();
    message
        .encode(&mut value, 0)
        .expect("the message has only what its version has");
    let mut batch = BatchBuilder::new(BatchOptions {
        leader_epoch: epoch,
        control: true,
        ..Default::default()
    });
    batch.append(&NewRecord {
        timestamp: clock::now_ms(),
        key: Some(&ControlType::LeaderChange.key()),
        value: Some(&value.finish().bytes),
        ..Default::default()
    });
    batch.finish()
}

fn append(
    log: &mut Log,
    replayed: &mut Replayed,
    epoch: LeaderEpoch,
    batches: Vec<u8>,
) -> Result<(), QuorumError> {
    replayed.bytes_since_snapshot += batches.len() as u64;
    replayed.last_timestamp = clock::now_ms();
    replayed.last_epoch = epoch;
    log.append_durably_blocking(
        Append {
            token: 0,
            batches: Bytes::from(batches),
            leader_epoch: epoch,
            origin: Origin::Raft,
        },
        clock::now_ms(),
    )?;
    Ok(())
}
