//! A put into a target stream, and what its answer means for the source records.

use std::collections::HashSet;

use baikonur_stream::{
    HashKey, PartitionKey, Placed, ProducerPosition, PutEntry, PutError, SequenceNumber,
    StreamName, Write,
};

use super::REFUSED_BY_STREAM;
use super::encode::{Origin, Put};

/// Source records from this one on are not in the target stream, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotPut {
    pub(super) from: SequenceNumber,
    pub(super) reason: String,
}

/// An event that the target will never take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) origin: Origin,
    /// As the failed store has it.
    pub(super) reason: &'static str,
    /// What the target said.
    pub(super) told: String,
}

/// What became of a put.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Source records up to here are done.
    pub(super) up_to: Option<SequenceNumber>,
    /// Events behind `up_to` that were put and need not be put again.
    pub(super) ahead: HashSet<Origin>,
    /// Those before `failed` count.
    pub(super) refused: Vec<Refused>,
    pub(super) failed: Option<NotPut>,
}

/// Puts all of `put`, and with it how far `producer` has come, if one is to be remembered.
pub(super) async fn send(
    write: &dyn Write,
    target: &StreamName,
    producer: Option<&str>,
    put: Put,
) -> Sent {
    let (first, last) = (put.first(), put.last());
    let position = |producer: &str| ProducerPosition { producer: producer.to_owned(), up_to: last };
    let Put { entries, origins, packed, .. } = put;
    let places = Places { keys: entries.iter().map(key).collect(), origins, packed };
    match write.put(target, entries, producer.map(position)).await {
        Ok(results) => judge(target, &places, results),
        Err(error) => {
            let failed = Some(NotPut { from: first, reason: reason(target, &error) });
            Sent { failed, ..Sent::default() }
        }
    }
}

/// What makes records stay in order.
type Key = (PartitionKey, Option<HashKey>);

fn key(entry: &PutEntry) -> Key {
    (entry.partition_key.clone(), entry.explicit_hash_key)
}

/// The events of a put.
struct Places {
    keys: Vec<Key>,
    origins: Vec<Origin>,
    packed: Option<Vec<Vec<usize>>>,
}

impl Places {
    /// The events of an entry.
    fn of(&self, entry: usize) -> impl Iterator<Item = Origin> {
        let alone = entry..entry + 1;
        let (alone, several) = match &self.packed {
            None => (alone, &[][..]),
            Some(packed) => (0..0, &*packed[entry]),
        };
        alone.chain(several.iter().copied()).map(|place| self.origins[place])
    }
}

/// Where some records were not put, those are put again, and with them all of their keys behind them:
/// a later record of a key must not stay ahead of an earlier one. What is refused for good is no such
/// record.
fn judge(target: &StreamName, places: &Places, results: Vec<Result<Placed, PutError>>) -> Sent {
    let (of, answers) = (places.keys.len(), results.len());
    let last = places.origins.last().map(|(last, ..)| *last);
    if answers == of && results.iter().all(Result::is_ok) {
        return Sent { up_to: last, ..Sent::default() };
    }
    let mut results: Vec<_> = results.into_iter().map(Some).collect();
    results.resize_with(of, || None);
    let mut first_error = None;
    let mut failures = 0;
    let mut from: Option<SequenceNumber> = None;
    let mut behind: HashSet<&Key> = HashSet::new();
    let mut sent = Sent::default();
    for (entry, result) in results.into_iter().enumerate() {
        match result {
            Some(Ok(_)) => {
                // Absent keys have no order.
                let key = &places.keys[entry];
                if key.0.is_absent() || !behind.contains(key) {
                    sent.ahead.extend(places.of(entry));
                }
            }
            Some(Err(PutError::RecordRefused(told))) => {
                let reason = REFUSED_BY_STREAM;
                let refused = |origin| Refused { origin, reason, told: told.clone() };
                sent.refused.extend(places.of(entry).map(refused));
            }
            not_now => {
                failures += 1;
                first_error.get_or_insert_with(|| not_now.and_then(Result::err));
                let first = places.of(entry).map(|(source, ..)| source).min();
                from = [from, first].into_iter().flatten().min();
                behind.insert(&places.keys[entry]);
            }
        }
    }
    let Some(from) = from else {
        return Sent { up_to: last, ahead: HashSet::new(), ..sent };
    };
    let reason = match first_error.flatten() {
        Some(error) => {
            format!("{failures} of {of} records were not put: {}", reason(target, &error))
        }
        None => format!("{target} answered for {answers} of {of} records"),
    };
    sent.failed = Some(NotPut { from, reason });
    // What was refused comes again with its source record; what was put before it is done.
    sent.refused.retain(|one| one.origin.0 < from);
    sent.ahead.retain(|(source, ..)| *source >= from);
    let done = places.origins.iter().map(|(source, ..)| *source);
    sent.up_to = done.filter(|source| *source < from).max();
    sent
}

fn reason(target: &StreamName, error: &PutError) -> String {
    match error {
        PutError::StreamNotFound(_) => {
            format!("target stream {target} not found: create it, or correct target_stream_name")
        }
        PutError::ThroughputExceeded(_) => {
            format!("target stream {target}: {error}; it needs more shards if this goes on")
        }
        PutError::StorageFull(_) | PutError::RecordRefused(_) | PutError::Unavailable(_) => {
            format!("target stream {target}: {error}")
        }
    }
}
