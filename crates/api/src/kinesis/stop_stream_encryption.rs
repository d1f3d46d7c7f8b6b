//! StopStreamEncryption: no key is told any more.

use baikonur_stream::{StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::must_be_kms;
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, OneOf, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        encryption: Text<'a> = "EncryptionType" [Required, OneOf(&["NONE", "KMS"])],
        key: Text<'a> = "KeyId" [Required, Length(1, 2048)],
    }
}

pub(crate) struct Call {
    stream: StreamName,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    must_be_kms(request.encryption.as_ref())?;
    Ok(Call { stream })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let change = StreamChange::EncryptionKey(None);
    kinesis.change(&call.stream, change).await.map(|_| ())
}
