//! DescribeStreamConsumer: one registered consumer.

use crate::kinesis::Kinesis;
use crate::kinesis::consumers::{ConsumerShape, NamedConsumer};
use crate::wire::error::ApiError;
use crate::wire::output::output;

pub(crate) use crate::kinesis::deregister_stream_consumer::{Request, translate};

output! {
    pub(crate) struct Output {
        consumer: ConsumerShape = "ConsumerDescription",
    }
}

pub(crate) async fn answer(consumer: NamedConsumer, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let (stream, name, consumer) = kinesis.consumer(consumer).await?;
    let shape = ConsumerShape::of(&kinesis.home, &stream.name, &name, &consumer);
    let stream_arn = Some(kinesis.home.arn(&stream.name));
    Ok(Output { consumer: ConsumerShape { stream_arn, ..shape } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};
    use crate::wire::error::ErrorCode;

    const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

    #[tokio::test]
    async fn a_consumer_lives_from_its_registration_on_under_an_arn_of_its_own() {
        let world = World::with_stream("s", 1).await;
        let arn = world.register("s", "c").await;
        assert!(arn.starts_with(&format!("{STREAM}/consumer/c:")), "{arn}");
        for body in [
            json!({ "ConsumerARN": arn }),
            json!({ "StreamARN": STREAM, "ConsumerName": "c" }),
            json!({ "StreamARN": STREAM, "ConsumerName": "c", "ConsumerARN": arn }),
        ] {
            let answer = world.call("DescribeStreamConsumer", &body.to_string()).await.unwrap();
            let consumer = &answer["ConsumerDescription"];
            assert_eq!(consumer["ConsumerStatus"], "ACTIVE");
            assert_eq!(consumer["StreamARN"], STREAM);
            assert_eq!(consumer["ConsumerARN"], json!(arn));
        }
        let again = json!({ "StreamARN": STREAM, "ConsumerName": "c" }).to_string();
        let error = world.call("RegisterStreamConsumer", &again).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceInUse);
        assert_eq!(world.summary("s").await["ConsumerCount"], 1);
        let delete = world.call("DeleteStream", r#"{"StreamName":"s"}"#).await.unwrap_err();
        assert!(message(&delete).contains("there are consumers associated"));
        world.clock.advance(5);
        world.call("DeregisterStreamConsumer", &again).await.unwrap();
        let error = world.call("DescribeStreamConsumer", &again).await.unwrap_err();
        assert_eq!(message(&error), "Consumer c, account 000000000000 not found.");
        assert_ne!(world.register("s", "c").await, arn);
        let old = json!({ "ConsumerARN": arn }).to_string();
        assert!(
            world.call("DescribeStreamConsumer", &old).await.is_err(),
            "it names the first one"
        );
        let force = r#"{"StreamName":"s","EnforceConsumerDeletion":true}"#;
        world.call("DeleteStream", force).await.unwrap();
    }

    #[tokio::test]
    async fn a_consumer_is_named_whole_or_not_at_all() {
        let world = World::with_stream("s", 1).await;
        let arn = world.register("s", "c").await;
        for body in [
            json!({}),
            json!({ "StreamARN": STREAM }),
            json!({ "ConsumerName": "c" }),
            json!({ "StreamARN": STREAM, "ConsumerName": "d", "ConsumerARN": arn }),
            json!({ "ConsumerName": "d", "ConsumerARN": arn }),
            json!({ "StreamARN": format!("{STREAM}2"), "ConsumerARN": arn }),
        ] {
            let error = world.call("DescribeStreamConsumer", &body.to_string()).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{body}");
        }
    }
}
