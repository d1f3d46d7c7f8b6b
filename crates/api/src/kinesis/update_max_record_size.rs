//! UpdateMaxRecordSize: how large a record of a stream may be.

use baikonur_stream::{StreamChange, StreamName, StreamProperties};

use crate::kinesis::Kinesis;
use crate::limits::RECORD_KIB;
use crate::wire::constraint::{ARN_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        kib: Integer = "MaxRecordSizeInKiB" [Required, RECORD_KIB],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    kib: u32,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(None, request.stream_arn.as_ref())?;
    let kib = request.kib.map(|kib| kib.0.unsigned_abs());
    Ok(Call { stream, kib: kib.unwrap_or(*StreamProperties::RECORD_KIB.start()) })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.change(&call.stream, StreamChange::RecordKibMax(call.kib)).await.map(|_| ())
}
