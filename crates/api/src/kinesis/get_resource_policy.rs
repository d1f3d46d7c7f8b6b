//! GetResourcePolicy: the policy of a stream or of a consumer, an empty document if there is none.

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::wire::error::ApiError;
use crate::wire::output::output;

pub(crate) use crate::kinesis::list_tags_for_resource::{Request, translate};

output! {
    pub(crate) struct Output {
        policy: String = "Policy",
    }
}

pub(crate) async fn answer(resource: Resource, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let stream = kinesis.present(&resource).await?;
    let consumer = resource.consumer.as_ref().and_then(|c| stream.consumers.get(&c.name));
    let policy = consumer.map_or(&stream.properties.policy, |consumer| &consumer.policy);
    Ok(Output { policy: policy.clone().unwrap_or_else(|| "{}".to_owned()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::World;
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn policies_are_put_told_and_deleted() {
        let world = World::with_stream("s", 1).await;
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s".to_owned();
        for arn in [stream, world.register("s", "c").await] {
            let get = json!({ "ResourceARN": arn }).to_string();
            let policy =
                async || world.call("GetResourcePolicy", &get).await.unwrap()["Policy"].clone();
            assert_eq!(policy().await, "{}");
            let missing = world.call("DeleteResourcePolicy", &get).await.unwrap_err();
            assert_eq!(missing.code, ErrorCode::ResourceNotFound);
            let put = json!({ "ResourceARN": arn, "Policy": "{\"Version\":\"2012-10-17\"}" });
            assert_eq!(world.bytes("PutResourcePolicy", &put.to_string()).await.unwrap(), "");
            assert_eq!(policy().await, "{\"Version\":\"2012-10-17\"}");
            world.call("DeleteResourcePolicy", &get).await.unwrap();
            assert_eq!(policy().await, "{}");
            let broken = json!({ "ResourceARN": arn, "Policy": "no" }).to_string();
            assert!(world.call("PutResourcePolicy", &broken).await.is_err());
        }
    }
}
