//! PutRecords: the way in that carries nearly all records.
//!
//! Texts are borrowed from the body, payloads decoded into one allocation, the answer written
//! straight from the results: a record costs no allocation of its own.

use baikonur_stream::{Placed, PutEntry, PutError, StreamName};

use crate::kinesis::entries::{Entry, admit, decode};
use crate::kinesis::shapes::encryption;
use crate::kinesis::{Home, Kinesis};
use crate::limits::{PUT_BYTES_MAX, PUT_RECORDS_MAX};
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Boolean, List, Text};
use crate::wire::output::{Encoder, Members, Structure};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        records: List<Entry<'a>> = "Records" [Required, Length(1, PUT_RECORDS_MAX)],
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        dry_run: Boolean = "DryRun" [],
    }
}

#[derive(Debug)]
pub(crate) struct Call {
    stream: StreamName,
    pub(crate) entries: Vec<PutEntry>,
    dry_run: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let records = request.records.map_or_else(Vec::new, |records| records.elements);
    if records.iter().map(Entry::size).sum::<usize>() > PUT_BYTES_MAX {
        let limit = PUT_BYTES_MAX / (1024 * 1024);
        return Err(ApiError::invalid_argument(format!("Records size exceeds {limit} MB limit")));
    }
    let dry_run = request.dry_run.is_some_and(|dry_run| dry_run.0);
    Ok(Call { stream, entries: decode(&records)?, dry_run })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, entries, dry_run } = call;
    if dry_run {
        return Err(kinesis.refuse_dry_run(&stream).await);
    }
    let properties = kinesis.describe(&stream).await?.properties;
    admit(&properties, &entries, Some("Records"))?;
    let put = kinesis.streams.write.put(&stream, entries, None).await;
    let results = put.map_err(|error| kinesis.home.put_failure(&stream, &error))?;
    let encryption = encryption(&properties);
    Ok(Output { results, stream, home: kinesis.home.clone(), encryption })
}

/// Bytes of an answer's fixed parts, and of one record in it.
const ANSWER_BYTES: usize = 48;
const RESULT_BYTES: usize = 128;

/// What became of the records.
#[derive(Debug)]
pub(crate) struct Output {
    results: Vec<Result<Placed, PutError>>,
    stream: StreamName,
    home: Home,
    encryption: Option<&'static str>,
}

impl Structure for Output {
    fn capacity<E: Encoder>(&self) -> usize {
        ANSWER_BYTES + RESULT_BYTES * self.results.len()
    }

    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("FailedRecordCount", &self.results.iter().filter(|r| r.is_err()).count());
        members.list("Records", self.results.iter().map(|result| ResultEntry { result, of: self }));
        members.member("EncryptionType", &self.encryption);
    }
}

/// `PutRecordsResultEntry`.
struct ResultEntry<'a> {
    result: &'a Result<Placed, PutError>,
    of: &'a Output,
}

impl Structure for ResultEntry<'_> {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        match self.result {
            Ok(Placed { shard, sequence_number }) => {
                members.member("SequenceNumber", sequence_number);
                members.member("ShardId", shard);
            }
            Err(error) => {
                let (code, message) = self.of.home.put_entry_failure(&self.of.stream, error);
                members.member("ErrorCode", code.name());
                members.member("ErrorMessage", &message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
