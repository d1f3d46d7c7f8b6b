//! A put into the target stream, and what its answer means for the source records.

use baikonur_stream::{Placed, ProducerPosition, PutError, SequenceNumber, StreamName, Write};

use super::encode::Put;

/// Source records from this one on are not in the target stream, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotPut {
    pub(super) from: SequenceNumber,
    pub(super) reason: String,
}

/// Puts all of `put`, and with it how far `producer` has come.
pub(super) async fn send(
    write: &dyn Write,
    target: &StreamName,
    producer: &str,
    put: Put,
) -> Result<(), NotPut> {
    let first = put.first();
    let position = ProducerPosition { producer: producer.to_owned(), up_to: put.last() };
    match write.put(target, put.entries, Some(position)).await {
        Ok(results) => judge(target, &put.sources, results),
        Err(error) => Err(NotPut { from: first, reason: reason(target, &error) }),
    }
}

/// Where some records were not put, all are put again from the first of these on: a later record
/// may have the same key, and must not stay ahead of it.
fn judge(
    target: &StreamName,
    sources: &[SequenceNumber],
    results: Vec<Result<Placed, PutError>>,
) -> Result<(), NotPut> {
    let failures = results.iter().filter(|result| result.is_err()).count();
    let answers = results.len();
    for (&source, result) in sources.iter().zip(results) {
        if let Err(error) = result {
            let reason = reason(target, &error);
            let reason = format!("{failures} of {} records were not put: {reason}", sources.len());
            return Err(NotPut { from: source, reason });
        }
    }
    match sources.get(answers) {
        None => Ok(()),
        Some(&from) => {
            let reason = format!("{target} answered for {answers} of {} records", sources.len());
            Err(NotPut { from, reason })
        }
    }
}

fn reason(target: &StreamName, error: &PutError) -> String {
    match error {
        PutError::StreamNotFound(_) => {
            format!("target stream {target} not found: create it, or correct target_stream_name")
        }
        PutError::ThroughputExceeded(_) => {
            format!("target stream {target}: {error}; it needs more shards if this goes on")
        }
        PutError::StorageFull(_) | PutError::Unavailable(_) => {
            format!("target stream {target}: {error}")
        }
    }
}
