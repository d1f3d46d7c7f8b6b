//! PutRecords: the way in that carries nearly all records.
//!
//! Texts are borrowed from the body, payloads decoded into one allocation, the answer written by
//! hand: a record costs no allocation of its own.

use std::io::Write as _;

use baikonur_stream::{Placed, PutEntry, PutError, StreamName};
use bytes::Bytes;

use crate::kinesis::entries::{Entry, decode};
use crate::kinesis::{Home, Kinesis};
use crate::limits::{PUT_BYTES_MAX, PUT_RECORDS_MAX};
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Boolean, List, Text};
use crate::wire::structure::structure;
use crate::wire::writer::write_string;

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

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Bytes, ApiError> {
    let Call { stream, entries, dry_run } = call;
    if dry_run {
        return Err(kinesis.refuse_dry_run(&stream).await);
    }
    let put = kinesis.streams.write.put(&stream, entries, None).await;
    let results = put.map_err(|error| kinesis.home.put_failure(&stream, &error))?;
    Ok(write_answer(&results, &stream, &kinesis.home).into())
}

/// Bytes of an answer's fixed parts, and of one record in it.
const ANSWER_BYTES: usize = 48;
const RESULT_BYTES: usize = 128;

/// The answer. `"FailedRecordCount":0` has no blank, since clients look for just that.
pub(crate) fn write_answer(
    results: &[Result<Placed, PutError>],
    stream: &StreamName,
    home: &Home,
) -> Vec<u8> {
    let failed = results.iter().filter(|result| result.is_err()).count();
    let mut out = Vec::with_capacity(ANSWER_BYTES + RESULT_BYTES * results.len());
    let written = write!(out, "{{\"FailedRecordCount\":{failed},\"Records\":[");
    written.expect("a Vec takes all that is written");
    for (index, result) in results.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match result {
            Ok(Placed { shard, sequence_number }) => {
                let written = write!(
                    out,
                    "{{\"SequenceNumber\":\"{sequence_number}\",\"ShardId\":\"{shard}\"}}"
                );
                written.expect("a Vec takes all that is written");
            }
            Err(error) => {
                let (code, message) = home.put_entry_failure(stream, error);
                out.extend_from_slice(b"{\"ErrorCode\":");
                write_string(&mut out, code.name());
                out.extend_from_slice(b",\"ErrorMessage\":");
                write_string(&mut out, &message);
                out.push(b'}');
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests;
