//! StartStreamEncryption: the key is kept and told; the data lie as they did before, and are as safe
//! as the disk they are on.

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
    pub(super) stream: StreamName,
    key: String,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    must_be_kms(request.encryption.as_ref())?;
    Ok(Call { stream, key: request.key.map(|key| key.as_str().to_owned()).unwrap_or_default() })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let change = StreamChange::EncryptionKey(Some(call.key));
    kinesis.change(&call.stream, change).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::World;

    #[tokio::test]
    async fn encryption_is_told_wherever_the_service_tells_it() {
        let world = World::with_stream("s", 1).await;
        let body = r#"{"StreamName":"s","EncryptionType":"KMS","KeyId":"alias/aws/kinesis"}"#;
        assert_eq!(world.bytes("StartStreamEncryption", body).await.unwrap(), "");
        let summary = world.summary("s").await;
        assert_eq!(
            (&summary["EncryptionType"], &summary["KeyId"]),
            (&json!("KMS"), &json!("alias/aws/kinesis"))
        );
        let put = r#"{"StreamName":"s","Data":"","PartitionKey":"a"}"#;
        assert_eq!(world.call("PutRecord", put).await.unwrap()["EncryptionType"], "KMS");
        let put = r#"{"StreamName":"s","Records":[{"Data":"","PartitionKey":"a"}]}"#;
        assert_eq!(world.call("PutRecords", put).await.unwrap()["EncryptionType"], "KMS");
        assert_eq!(world.records("s", 0).await[0]["EncryptionType"], "KMS");
        world.call("StopStreamEncryption", body).await.unwrap();
        let summary = world.summary("s").await;
        assert_eq!((&summary["EncryptionType"], summary.get("KeyId")), (&json!("NONE"), None));
        world.put("s", "b").await;
        let records = world.records("s", 0).await;
        let types: Vec<_> = records.iter().map(|record| record.get("EncryptionType")).collect();
        assert_eq!(types, [Some(&json!("KMS")), Some(&json!("KMS")), None]);
        let none = r#"{"StreamName":"s","EncryptionType":"NONE","KeyId":"k"}"#;
        assert!(world.call("StartStreamEncryption", none).await.is_err());
    }
}
