//! `StreamId`: a third way to name a stream, in every operation.
//!
//! The service reserves the member, and no answer tells it: clients that are told one call the
//! service's own endpoints with it, whatever endpoint they were given. An id is made of what a stream
//! is and stays the same over its life: the MD5 of its name, `:` and its creation second, in 20 digits
//! of base 36 from the lowest on, a hyphen, and three more.

use baikonur_stream::{HashKey, StreamDescription, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{Length, STREAM_ID};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Member<'a> {
        id: Text<'a> = "StreamId" [Length(1, 24), STREAM_ID],
    }
}

/// The id of a stream.
pub(crate) fn stream_id(stream: &StreamDescription) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let text = format!("{}:{}", stream.name.qualified(), stream.created.seconds());
    let mut rest = HashKey::of_partition_key(text.as_bytes()).value();
    let mut digit = || {
        let digit = DIGITS[(rest % 36) as usize];
        rest /= 36;
        char::from(digit)
    };
    let (first, last): (String, String) =
        ((0..20).map(|_| digit()).collect(), (0..3).map(|_| digit()).collect());
    format!("{first}-{last}")
}

/// Whether a body may name a stream by id. The member stands before or behind the records of a put,
/// so it is not looked for among their payloads.
pub(crate) fn may_be_in(body: &[u8]) -> bool {
    const NAME: &[u8] = b"StreamId";
    const ENDS: usize = 4096;
    let has = |part: &[u8]| memchr::memmem::find(part, NAME).is_some();
    has(&body[..body.len().min(ENDS)]) || has(&body[body.len().saturating_sub(ENDS)..])
}

impl Kinesis {
    /// The same view, knowing the stream that `member` names.
    pub(crate) async fn with_stream_id(&self, member: Member<'_>) -> Result<Self, ApiError> {
        let Some(id) = member.id else { return Ok(self.clone()) };
        let named = self.find(id.as_str()).await?;
        let mut kinesis = self.clone();
        kinesis.home.by_id = Some(named);
        Ok(kinesis)
    }

    async fn find(&self, id: &str) -> Result<StreamName, ApiError> {
        let names = self.streams.administer.list_streams(&self.home.owner).await;
        for name in names.map_err(|error| self.home.administer_failure(&error))? {
            // One that is deleted meanwhile is not it.
            if let Ok(stream) = self.streams.administer.describe_stream(&name).await
                && stream_id(&stream) == id
            {
                return Ok(name);
            }
        }
        let account = &self.home.account;
        Err(ApiError::not_found(format!("Stream {id} under account {account} not found.")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn a_stream_can_be_named_by_its_id_alone() {
        let world = World::with_stream("s", 1).await;
        world.create("t", 2).await;
        let name = baikonur_stream::StreamName::new("t").unwrap();
        let id = super::stream_id(&world.kinesis.describe(&name).await.unwrap());
        assert!(world.summary("t").await.get("StreamId").is_none(), "KCL would go elsewhere");
        let records = json!([{ "Data": "", "PartitionKey": "a" }]);
        for body in [
            json!({ "StreamId": id, "Records": records }),
            json!({ "StreamId": id, "StreamName": "t", "Records": records }),
        ] {
            world.call("PutRecords", &body.to_string()).await.unwrap();
        }
        let mut put = 0;
        for shard in 0..2 {
            put += world.records("t", shard).await.len();
        }
        assert_eq!(put, 2);
        let unknown = json!({ "StreamId": "aaaaaaaaaaaaaaaaaaaa-aaa" }).to_string();
        let error = world.call("DescribeStream", &unknown).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceNotFound);
        let error = world.call("DescribeStream", r#"{"StreamId":"x"}"#).await.unwrap_err();
        assert!(message(&error).contains("Value 'x' at 'streamId'"), "{error}");
        let other = json!({ "StreamId": id, "StreamName": "s" }).to_string();
        let error = world.call("DescribeStream", &other).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }
}
