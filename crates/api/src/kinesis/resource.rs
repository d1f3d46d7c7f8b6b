//! Resources named by ARN: streams and their registered consumers.

use baikonur_stream::{ConsumerOrStream, RegisteredConsumer, StreamDescription, StreamName};

use crate::kinesis::{Home, Kinesis};
use crate::wire::error::ApiError;
use crate::wire::members::Text;

/// A stream, or a consumer of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) stream: StreamName,
    pub(crate) consumer: Option<ConsumerName>,
}

/// A consumer as its ARN names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConsumerName {
    pub(crate) name: String,
    /// The second of its registration, which tells it from an earlier one of its name.
    pub(crate) created: u64,
}

impl Home {
    /// The ARN of a consumer.
    pub(crate) fn consumer_arn(
        &self,
        stream: &StreamName,
        name: &str,
        consumer: &RegisteredConsumer,
    ) -> String {
        format!("{}/consumer/{name}:{}", self.arn(stream), consumer.created.seconds())
    }

    /// The stream or consumer of an ARN whose pattern was checked.
    pub(crate) fn resource(&self, arn: &Text<'_>) -> Result<Resource, ApiError> {
        let arn = arn.as_str();
        let (stream_arn, consumer) = match arn.split_once("/consumer/") {
            None => (arn, None),
            Some((stream_arn, consumer)) => {
                let parsed = consumer.split_once(':').and_then(|(name, created)| {
                    Some(ConsumerName { name: name.to_owned(), created: created.parse().ok()? })
                });
                let unknown = || self.consumer_not_found(consumer);
                (stream_arn, Some(parsed.ok_or_else(unknown)?))
            }
        };
        Ok(Resource { stream: self.stream_of_arn(stream_arn)?, consumer })
    }

    /// What is said of a consumer that is not there.
    pub(crate) fn consumer_not_found(&self, consumer: &str) -> ApiError {
        ApiError::not_found(format!("Consumer {consumer}, account {} not found.", self.account))
    }
}

impl Kinesis {
    /// The stream of a resource, if the resource is there.
    pub(crate) async fn present(&self, resource: &Resource) -> Result<StreamDescription, ApiError> {
        let stream = self.describe(&resource.stream).await?;
        if let Some(ConsumerName { name, created }) = &resource.consumer {
            let found = stream.consumers.get(name).filter(|c| c.created.seconds() == *created);
            found.ok_or_else(|| self.home.consumer_not_found(name))?;
        }
        Ok(stream)
    }
}

impl Resource {
    /// Which of the two it is, for changes.
    pub(crate) fn of(self) -> ConsumerOrStream {
        self.consumer.map(|consumer| consumer.name)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn arns_name_streams_and_consumers() {
        let home = Home::of(&crate::ServerSettings::default());
        let read = |arn: &'static str| home.resource(&Text(Cow::Borrowed(arn)));
        let stream = StreamName::new("s").unwrap();
        let of_stream = read("arn:aws:kinesis:us-east-1:000000000000:stream/s").unwrap();
        assert_eq!(of_stream, Resource { stream: stream.clone(), consumer: None });
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1700000000";
        let consumer = ConsumerName { name: "c".to_owned(), created: 1_700_000_000 };
        assert_eq!(read(arn).unwrap(), Resource { stream, consumer: Some(consumer) });
        for arn in [
            "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c",
            "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:x",
            "arn:aws:kinesis:us-east-1:111111111111:stream/s",
            "arn:aws:kinesis:us-east-1:000000000000:queue/s",
        ] {
            assert!(read(arn).is_err(), "{arn}");
        }
    }
}
