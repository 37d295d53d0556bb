//! One Fetch request and what its answer brings, batch header by batch header.

use protocol::api::ApiKey;
use protocol::batch::{BatchError, BatchView, Batches};
use protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use protocol::wire::{Encoded, Records};

use crate::Error;
use crate::cluster::Topic;
use crate::frames;

/// How requests are written and how closely answers are looked at.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The topic.
    pub topic: Topic,
    /// The version of Fetch.
    pub version: i16,
    /// The most bytes of an answer.
    pub max_bytes: i32,
    /// The most bytes of one partition in an answer.
    pub partition_max_bytes: i32,
    /// How long the broker may wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// What the broker may wait for.
    pub min_bytes: i32,
    /// Whether CRCs are checked.
    pub crc: Crc,
}

/// Whether CRCs are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crc {
    /// Only headers are looked at.
    Ignore,
    /// Every batch must have the CRC that its header says.
    Check,
}

/// Where in a partition a consumer is.
///
/// Invariant: all records below `next` were received, each once.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Which partition.
    pub partition: usize,
    /// The next offset to fetch.
    pub next: i64,
    /// Where to stop.
    pub end: i64,
}

/// A fetch session as KIP-227 has it: what the broker remembers needs not be said again.
#[derive(Clone, Debug)]
pub enum Session {
    /// None: every request names all partitions.
    None,
    /// The broker's id of it (0 before the first answer), the epoch of the next request, and the
    /// partitions it knows of with the offsets it knows.
    Open {
        /// The id.
        id: i32,
        /// The epoch.
        epoch: i32,
        /// (partition, offset) as last said.
        known: Vec<(usize, i64)>,
    },
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought {
    /// Records, as batch headers count them.
    pub records: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of whole batches.
    pub bytes: u64,
    /// A sum over their CRCs and places.
    pub checksum: u64,
}

/// Writes the request for all cursors that are not at their end.
pub fn write(
    wire: &Wire,
    cursors: &[Cursor],
    session: &mut Session,
    correlation: i32,
) -> Result<Encoded, Error> {
    let wanted = cursors.iter().filter(|cursor| cursor.next < cursor.end);
    let (session_id, session_epoch, named, forgotten) = match session {
        Session::None => (0, -1, wanted.copied().collect(), Vec::new()),
        Session::Open { id, epoch, known } => {
            let wanted: Vec<Cursor> = wanted.copied().collect();
            let (named, forgotten) = difference(known, &wanted);
            *known = wanted
                .iter()
                .map(|cursor| (cursor.partition, cursor.next))
                .collect();
            (*id, *epoch, named, forgotten)
        }
    };
    let partitions = named.iter().map(|cursor| FetchPartition {
        partition: cursor.partition as i32,
        fetch_offset: cursor.next,
        partition_max_bytes: wire.partition_max_bytes,
        ..FetchPartition::default()
    });
    let name = || wire.topic.name.as_str().into();
    let fetched = FetchTopic {
        topic: name(),
        topic_id: wire.topic.id,
        partitions: partitions.collect(),
    };
    let forgotten_topic = ForgottenTopic {
        topic: name(),
        topic_id: wire.topic.id,
        partitions: forgotten,
    };
    let request = FetchRequest {
        max_wait_ms: wire.max_wait_ms,
        min_bytes: wire.min_bytes,
        max_bytes: wire.max_bytes,
        session_id,
        session_epoch,
        topics: vec![fetched]
            .into_iter()
            .filter(|topic| !topic.partitions.is_empty())
            .collect(),
        forgotten_topics_data: vec![forgotten_topic]
            .into_iter()
            .filter(|topic| !topic.partitions.is_empty())
            .collect(),
        ..FetchRequest::default()
    };
    let version = wire.version;
    frames::write_request(ApiKey::Fetch, version, correlation, |out| {
        request.encode(out, version)
    })
}

/// Reads the answer to the request `correlation`, moves the cursors on, and shows each batch.
pub fn read_answer(
    frame: &[u8],
    wire: &Wire,
    correlation: i32,
    cursors: &mut [Cursor],
    session: &mut Session,
    mut seen: impl FnMut(&BatchView<'_>) -> Result<(), Error>,
) -> Result<Brought, Error> {
    let version = wire.version;
    let response = frames::read_answer(frame, ApiKey::Fetch, version, correlation, |decoder| {
        FetchResponse::decode(decoder, version)
    })?;
    Error::refused(
        || format!("fetching from {}", wire.topic.name),
        response.error_code,
    )?;
    if let Session::Open { id, epoch, known } = session {
        *id = response.session_id;
        *epoch = (*epoch + 1) & i32::MAX;
        if *id == 0 {
            // The broker keeps no session for us: it has to be told everything again.
            *epoch = 0;
            known.clear();
        }
    }
    let mut brought = Brought::default();
    for data in response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
    {
        let index = data.partition_index;
        let Some(cursor) = cursors.iter_mut().find(|at| at.partition as i32 == index) else {
            return Err(Error::Broken(format!(
                "partition {index} was not asked for"
            )));
        };
        Error::refused(|| format!("fetching partition {index}"), data.error_code)?;
        walk(data, wire, cursor, &mut brought, &mut seen)?;
    }
    Ok(brought)
}

/// Goes over the batches of one partition: offsets must go on where the last batch ended.
fn walk(
    data: &PartitionData<'_>,
    wire: &Wire,
    cursor: &mut Cursor,
    brought: &mut Brought,
    seen: &mut impl FnMut(&BatchView<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(Records::Bytes(bytes)) = &data.records else {
        return Ok(());
    };
    let index = cursor.partition;
    let broken = |said: String| Error::Broken(format!("partition {index}: {said}"));
    for (whole, batch) in Batches::new(bytes).enumerate() {
        let batch = match batch {
            Ok(batch) => batch,
            Err(BatchError::Truncated { .. }) if whole > 0 => break,
            Err(error) => return Err(broken(error.to_string())),
        };
        let header = &batch.header;
        let (base, next) = (header.base_offset.0, header.next_offset().0);
        // The first batch of an answer may begin before the offset that was asked for.
        let goes_on = base == cursor.next || (whole == 0 && base < cursor.next);
        if !goes_on || next <= cursor.next {
            let wanted = cursor.next;
            return Err(broken(format!(
                "offsets {base} to {next} came where {wanted} was next"
            )));
        }
        if wire.crc == Crc::Check {
            batch
                .validate_relaxed()
                .map_err(|error| broken(error.to_string()))?;
        }
        seen(&batch)?;
        cursor.next = next;
        brought.records += header.records_count as u64;
        brought.batches += 1;
        brought.bytes += batch.bytes.len() as u64;
        let place = (index as u64) << 48 ^ base as u64;
        let sum = u64::from(header.crc).wrapping_mul(place | 1);
        brought.checksum = brought.checksum.wrapping_add(sum);
    }
    Ok(())
}

/// What a session has to be told: cursors it does not know as they are, and partitions to forget.
fn difference(known: &[(usize, i64)], wanted: &[Cursor]) -> (Vec<Cursor>, Vec<i32>) {
    let is_known = |cursor: &&Cursor| known.contains(&(cursor.partition, cursor.next));
    let named = wanted
        .iter()
        .filter(|cursor| !is_known(cursor))
        .copied()
        .collect();
    let is_wanted = |partition| wanted.iter().any(|cursor| cursor.partition == partition);
    let forgotten = known.iter().map(|(partition, _)| *partition);
    let forgotten = forgotten.filter(|&partition| !is_wanted(partition));
    (named, forgotten.map(|partition| partition as i32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_only_what_has_changed() {
        let cursor = |partition, next| Cursor {
            partition,
            next,
            end: 100,
        };
        let wanted = [cursor(0, 5), cursor(1, 8), cursor(3, 0)];
        let (named, forgotten) = difference(&[(0, 5), (1, 7), (2, 0)], &wanted);
        let named: Vec<_> = named
            .iter()
            .map(|cursor| (cursor.partition, cursor.next))
            .collect();
        assert_eq!(named, [(1, 8), (3, 0)]);
        assert_eq!(forgotten, [2]);
    }
}
