//! The contract `Write` by PutRecords.
//!
//! A call takes 500 records and 10 MiB (5 MiB where the service takes no more); what does not fit goes in calls of its own, one after the
//! other. The service puts some records of a call and refuses others: those are put again, in their
//! order, before any later one is, and with them what the call had of their keys behind them. So the
//! records of a key stand in their order in the end, and copies of later ones may stand before. A
//! producer in strict order has no record of a key twice in a call, and so none overtakes another.
//! Where the service cannot put them in the time that a producer may be held up, each record has its
//! own answer.
//!
//! A call without an answer may have been carried out. So a put that is tried again may double
//! records, and nothing can be remembered with them: into Amazon Kinesis delivery is at least once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use baikonur_stream::{
    Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, ShardId, StreamName, Write,
};
use tracing::debug;

use crate::administer::AmazonKinesis;
use crate::pause::Pauses;
use crate::refusal::innermost;

/// Records of a call (API reference, `PutRecords`).
const CALL_RECORDS_MAX: usize = 500;
/// Bytes of a call, payloads and keys (API reference, `PutRecords`).
const CALL_BYTES_MAX: usize = 10 << 20;
/// What a call could have before 2025, and can have still where others speak the API.
const OLD_CALL_BYTES_MAX: usize = 5 << 20;
/// Calls in a row for the same records; after that whoever puts decides.
const CALLS_MAX: u32 = 6;
/// Between these calls.
const BETWEEN_CALLS: Pauses =
    Pauses { first: Duration::from_millis(200), longest: Duration::from_secs(3) };

/// Streams of Amazon Kinesis, for producers.
#[derive(Debug, Clone)]
pub struct Producer {
    client: Client,
    call_bytes_max: Arc<AtomicUsize>,
    strict_order: bool,
}

impl Producer {
    /// A producer for the streams of `kinesis`. Nothing is contacted yet.
    pub fn new(kinesis: &AmazonKinesis) -> Self {
        let call_bytes_max = Arc::new(AtomicUsize::new(CALL_BYTES_MAX));
        Self { client: kinesis.single_attempts(), call_bytes_max, strict_order: false }
    }

    /// The same, whose calls have one record of each partition key at most if `strict_order`: none is ever in the stream
    /// before an earlier one of its key. Costs a call for each record of the busiest key.
    pub fn in_strict_order(self, strict_order: bool) -> Self {
        Self { strict_order, ..self }
    }

    /// Puts `entries`, which fit into a call, until all are put or it takes too long.
    async fn put_call(
        &self,
        stream: &StreamName,
        entries: &[PutEntry],
    ) -> Result<Vec<Result<Placed, PutError>>, Refusal> {
        let mut results: Vec<Option<Result<Placed, PutError>>> = vec![None; entries.len()];
        let mut left: Vec<usize> = (0..entries.len()).collect();
        for call in 1.. {
            let answers = self.call(stream, entries, &left).await;
            let answers = match answers {
                Ok(answers) => answers,
                // Some were put by an earlier call: theirs is no failure of the whole.
                Err(Refusal::Failed(error)) if left.len() < entries.len() => {
                    left.iter().for_each(|&at| results[at] = Some(Err(error.clone())));
                    break;
                }
                Err(Refusal::Failed(error @ PutError::ThroughputExceeded(_)))
                    if call >= CALLS_MAX =>
                {
                    return Err(Refusal::Failed(error));
                }
                Err(Refusal::Failed(PutError::ThroughputExceeded(_))) => {
                    tokio::time::sleep(BETWEEN_CALLS.after(call)).await;
                    continue;
                }
                // What an earlier call put is not put again while the record is looked for.
                Err(Refusal::Records(_)) if left.len() < entries.len() => {
                    let rest: Vec<_> = left.iter().map(|&at| entries[at].clone()).collect();
                    let put = self.put(stream, rest, None).await;
                    let put = put.unwrap_or_else(|error| vec![Err(error); left.len()]);
                    left.iter().zip(put).for_each(|(&at, result)| results[at] = Some(result));
                    break;
                }
                Err(refusal) => return Err(refusal),
            };
            let (mut again, mut refused) = (Vec::new(), HashSet::new());
            for (&at, answer) in left.iter().zip(answers) {
                let (result, key) = (placed(answer), &entries[at].partition_key);
                if result.is_err() {
                    refused.insert(key);
                }
                if refused.contains(key) && (result.is_err() || !key.is_absent()) {
                    again.push(at);
                }
                results[at] = Some(result);
            }
            left = again;
            if left.is_empty() || call >= CALLS_MAX {
                break;
            }
            debug!(%stream, records = left.len(), "some were refused: they and what they precede are put again");
            tokio::time::sleep(BETWEEN_CALLS.after(call)).await;
        }
        let missing = || Err(PutError::Unavailable("the service did not answer for it".to_owned()));
        Ok(results.into_iter().map(|result| result.unwrap_or_else(missing)).collect())
    }

    async fn call(
        &self,
        stream: &StreamName,
        entries: &[PutEntry],
        which: &[usize],
    ) -> Result<Vec<PutRecordsResultEntry>, Refusal> {
        let mut call = self.client.put_records().stream_name(stream.as_str());
        for &at in which {
            call = call.records(request_entry(&entries[at]).map_err(Refusal::Failed)?);
        }
        let answer = call.send().await.map_err(|error| refusal(stream, &error))?;
        if answer.records.len() != which.len() {
            let what = format!("{} answers for {} records", answer.records.len(), which.len());
            return Err(Refusal::Failed(strange(what)));
        }
        Ok(answer.records)
    }
}

/// Why a call put nothing.
enum Refusal {
    /// It is about the records: all together, or some of them, are not what the service takes.
    Records(String),
    Failed(PutError),
}

fn refusal(stream: &StreamName, error: &SdkError<PutRecordsError>) -> Refusal {
    let Some(code) = error.code() else {
        return Refusal::Failed(PutError::Unavailable(innermost(error)));
    };
    let message = error.message().unwrap_or_default();
    let told = format!("{code}: {message}");
    Refusal::Failed(match code {
        "ResourceNotFoundException" => PutError::StreamNotFound(stream.clone()),
        "ProvisionedThroughputExceededException" => throughput(message),
        "InvalidArgumentException" | "ValidationException" | "SerializationException" => {
            return Refusal::Records(told);
        }
        _ => PutError::Unavailable(told),
    })
}

/// "Records size exceeds 5 MB limit".
fn is_about_the_call(told: &str) -> bool {
    let told = told.to_ascii_lowercase();
    told.contains("records size") || told.contains("mb limit")
}

/// Whether a refusal names something of a record, and not the call that it was in.
fn is_about_a_record(told: &str) -> bool {
    let told = told.to_ascii_lowercase();
    let words = ["record", "data", "partitionkey", "partition key", "hashkey", "hash key"];
    words.iter().any(|word| told.contains(word))
}

/// Why all records were refused, if that is because of the calls that they were in: each of several alone, all with the
/// same words and none about a record; or one, with words about the stream.
fn refusal_of_calls(results: &[Result<Placed, PutError>]) -> Option<PutError> {
    let Some(Err(PutError::RecordRefused(told))) = results.first() else { return None };
    let is_same = |result: &Result<_, PutError>| matches!(result, Err(PutError::RecordRefused(other)) if other == told);
    let is_known = results.len() > 1 || told.to_ascii_lowercase().contains("stream");
    let of_calls = is_known && !is_about_a_record(told) && results.iter().all(is_same);
    of_calls.then(|| PutError::Unavailable(told.clone()))
}

fn strange(what: impl std::fmt::Display) -> PutError {
    PutError::Unavailable(format!("the service gave a strange answer: {what}"))
}

/// "Rate exceeded for shard shardId-000000000001 in stream …".
fn throughput(message: &str) -> PutError {
    let word = message.split_whitespace().find(|word| word.starts_with("shardId-"));
    match word.map(str::parse::<ShardId>) {
        Some(Ok(shard)) => PutError::ThroughputExceeded(shard),
        _ => PutError::Unavailable(format!("ProvisionedThroughputExceededException: {message}")),
    }
}

fn request_entry(entry: &PutEntry) -> Result<PutRecordsRequestEntry, PutError> {
    let key = &entry.partition_key;
    PutRecordsRequestEntry::builder()
        .data(Blob::new(entry.data.clone()))
        .set_partition_key((!key.is_absent()).then(|| key.as_str().to_owned()))
        .set_explicit_hash_key(entry.explicit_hash_key.map(|key| key.to_string()))
        .build()
        .map_err(strange)
}

fn placed(answer: PutRecordsResultEntry) -> Result<Placed, PutError> {
    match (answer.error_code(), answer.sequence_number(), answer.shard_id()) {
        (None | Some(""), Some(number), Some(shard)) => Ok(Placed {
            shard: shard.parse().map_err(strange)?,
            sequence_number: number.parse().map_err(strange)?,
        }),
        (Some("ProvisionedThroughputExceededException"), ..) => {
            Err(throughput(answer.error_message().unwrap_or_default()))
        }
        (Some(code), ..) => {
            let message = answer.error_message().unwrap_or_default();
            Err(PutError::Unavailable(format!("{code}: {message}")))
        }
        (None, ..) => Err(strange("a record without a place and without an error")),
    }
}

fn size(entry: &PutEntry) -> usize {
    entry.data.len() + entry.partition_key.bytes().len()
}

/// How many of `entries` a call takes: one at least.
fn call_length<'e>(entries: &'e [PutEntry], bytes_max: usize, strict_order: bool) -> usize {
    let (mut bytes, mut keys) = (0, HashSet::new());
    let fits = |entry: &&'e PutEntry| {
        bytes += size(entry);
        let key = &entry.partition_key;
        let comes_alone = !strict_order || key.is_absent() || keys.insert(key);
        bytes <= bytes_max && comes_alone
    };
    entries.iter().take(CALL_RECORDS_MAX).take_while(fits).count().max(1)
}

#[async_trait]
impl Write for Producer {
    async fn put(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        _remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let mut results: Vec<Result<Placed, PutError>> = Vec::with_capacity(entries.len());
        let mut entries = VecDeque::from(entries);
        // How many of them make a call, while a record that is refused is looked for.
        let mut at_most = CALL_RECORDS_MAX;
        while !entries.is_empty() {
            let rest = entries.make_contiguous();
            let bytes_max = self.call_bytes_max.load(Ordering::Relaxed);
            let length = call_length(rest, bytes_max, self.strict_order).min(at_most);
            let error = match self.put_call(stream, &rest[..length]).await {
                Ok(put) => {
                    let failed = put.iter().find_map(|result| result.as_ref().err().cloned());
                    results.extend(put);
                    entries.drain(..length);
                    at_most = (at_most * 2).min(CALL_RECORDS_MAX);
                    match failed {
                        None => continue,
                        Some(error) => error,
                    }
                }
                // One record keeps no other from being put: the halves tell which it is.
                Err(Refusal::Records(told)) if length > 1 => {
                    let bytes: usize = rest[..length].iter().map(size).sum();
                    if bytes > OLD_CALL_BYTES_MAX && is_about_the_call(&told) {
                        self.call_bytes_max.store(OLD_CALL_BYTES_MAX, Ordering::Relaxed);
                    } else {
                        at_most = length.div_ceil(2);
                    }
                    continue;
                }
                Err(Refusal::Records(told)) => {
                    results.push(Err(PutError::RecordRefused(told)));
                    entries.pop_front();
                    continue;
                }
                Err(Refusal::Failed(error)) => error,
            };
            if results.is_empty() {
                return Err(error);
            }
            // Nothing is put past a record that was not: it may have the same key.
            results.extend(entries.drain(..).map(|_| Err(error.clone())));
        }
        refusal_of_calls(&results).map_or(Ok(results), Err)
    }

    async fn remembered(&self, _producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
