//! StopStreamEncryption: no key is told any more. The request names the one in force, as that of
//! StartStreamEncryption does.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::wire::error::ApiError;

pub(crate) use crate::kinesis::start_stream_encryption::{Call, Request, translate};

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.change(&call.stream, StreamChange::EncryptionKey(None)).await.map(|_| ())
}
