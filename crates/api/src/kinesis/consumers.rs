//! Registered consumers in requests and answers.

use baikonur_stream::{RegisteredConsumer, StreamDescription, StreamName};

use crate::kinesis::resource::{ConsumerName, Resource};
use crate::kinesis::{Home, Kinesis};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::{WholeSeconds, output};

output! {
    /// `Consumer`, and, with the stream, `ConsumerDescription`.
    pub(crate) struct ConsumerShape {
        pub(crate) arn: String = "ConsumerARN",
        pub(crate) created: WholeSeconds = "ConsumerCreationTimestamp",
        pub(crate) name: String = "ConsumerName",
        pub(crate) status: &'static str = "ConsumerStatus",
        pub(crate) stream_arn: Option<String> = "StreamARN",
    }
}

impl ConsumerShape {
    /// A consumer in use.
    pub(crate) fn of(
        home: &Home,
        stream: &StreamName,
        name: &str,
        consumer: &RegisteredConsumer,
    ) -> Self {
        Self {
            arn: home.consumer_arn(stream, name, consumer),
            created: WholeSeconds(consumer.created),
            name: name.to_owned(),
            status: "ACTIVE",
            stream_arn: None,
        }
    }
}

/// A consumer as a request names it: by its ARN, by its name and the ARN of its stream, or by all, which
/// must not contradict each other.
pub(crate) struct NamedConsumer {
    stream: StreamName,
    name: String,
    created: Option<u64>,
}

impl NamedConsumer {
    pub(crate) fn of(
        home: &Home,
        stream_arn: Option<&Text<'_>>,
        name: Option<&Text<'_>>,
        arn: Option<&Text<'_>>,
    ) -> Result<Self, ApiError> {
        let of_stream = home.optional_stream(None, stream_arn)?;
        let named = name.map(Text::as_str);
        let by_arn = arn.map(|arn| home.resource(arn)).transpose()?;
        match (of_stream.clone().zip(named), by_arn) {
            (_, Some(Resource { stream, consumer: Some(consumer) })) => {
                let ConsumerName { name, created } = consumer;
                let is_other = of_stream.is_some_and(|of| of != stream);
                if is_other || named.is_some_and(|named| named != name) {
                    let message = "ConsumerARN is not that of ConsumerName and StreamARN.";
                    return Err(ApiError::invalid_argument(message));
                }
                Ok(Self { stream, name, created: Some(created) })
            }
            (Some((stream, name)), _) => Ok(Self { stream, name: name.to_owned(), created: None }),
            _ => Err(ApiError::invalid_argument(
                "Either ConsumerARN or both StreamARN and ConsumerName should be provided.",
            )),
        }
    }
}

impl Kinesis {
    /// The consumer, if it is there: its stream, its name and what is known of it.
    pub(crate) async fn consumer(
        &self,
        consumer: NamedConsumer,
    ) -> Result<(StreamDescription, String, RegisteredConsumer), ApiError> {
        let NamedConsumer { stream, name, created } = consumer;
        let stream = self.describe(&stream).await?;
        let found = stream.consumers.get(&name).cloned();
        let found = found.filter(|c| created.is_none_or(|second| c.created.seconds() == second));
        match found {
            Some(consumer) => Ok((stream, name, consumer)),
            None => Err(self.home.consumer_not_found(&name)),
        }
    }
}
