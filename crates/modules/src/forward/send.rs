//! A put into the target stream, and what its answer means for the source records.

use baikonur_stream::{Placed, ProducerPosition, PutError, SequenceNumber, StreamName, Write};

use super::encode::Put;

/// Source records from this one on are not in the target stream, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotPut {
    pub(super) from: SequenceNumber,
    pub(super) reason: String,
}

/// An event that the target will never take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) source: SequenceNumber,
    /// In the source record.
    pub(super) place: (u64, u32),
    /// What the target said.
    pub(super) told: String,
}

/// What became of a put.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Those before `failed` count.
    pub(super) refused: Vec<Refused>,
    pub(super) failed: Option<NotPut>,
}

/// Puts all of `put`, and with it how far `producer` has come.
pub(super) async fn send(write: &dyn Write, target: &StreamName, producer: &str, put: Put) -> Sent {
    let first = put.first();
    let position = ProducerPosition { producer: producer.to_owned(), up_to: put.last() };
    match write.put(target, put.entries, Some(position)).await {
        Ok(results) => judge(target, &put.sources, &put.places, results),
        Err(error) => {
            let failed = Some(NotPut { from: first, reason: reason(target, &error) });
            Sent { failed, ..Sent::default() }
        }
    }
}

/// Where some records were not put, all are put again from the first of these on: a later record
/// may have the same key, and must not stay ahead of it. What is refused for good is no such record.
fn judge(
    target: &StreamName,
    sources: &[SequenceNumber],
    places: &[(u64, u32)],
    results: Vec<Result<Placed, PutError>>,
) -> Sent {
    let for_now = |result: &&Result<Placed, PutError>| matches!(result, Err(error) if !matches!(error, PutError::RecordRefused(_)));
    let failures = results.iter().filter(for_now).count();
    let (answers, mut refused) = (results.len(), Vec::new());
    let mut failed = None;
    for ((&source, &place), result) in sources.iter().zip(places).zip(results) {
        match result {
            Ok(_) => {}
            Err(PutError::RecordRefused(told)) => refused.push(Refused { source, place, told }),
            Err(error) => {
                let reason = reason(target, &error);
                let of = sources.len();
                let reason = format!("{failures} of {of} records were not put: {reason}");
                failed = Some(NotPut { from: source, reason });
                break;
            }
        }
    }
    if let (None, Some(&from)) = (&failed, sources.get(answers)) {
        let reason = format!("{target} answered for {answers} of {} records", sources.len());
        failed = Some(NotPut { from, reason });
    }
    if let Some(NotPut { from, .. }) = &failed {
        // They come again with their source record.
        refused.retain(|one| one.source < *from);
    }
    Sent { refused, failed }
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
