//! Where an on-failure destination is, as the configuration says it.

use std::fmt;

use url::Url;

use crate::objects::{InvalidDestination, Location};
use crate::settings::is_on_this_machine;

/// The setting.
const KEY: &str = "on_failure_destination";

/// A queue, a topic, or a place for objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailurePlace {
    /// A queue of Amazon SQS.
    Queue(QueueUrl),
    /// A topic of Amazon SNS.
    Topic {
        /// Its ARN.
        arn: String,
        /// Its region.
        region: String,
    },
    /// A bucket or a folder, for documents with the records.
    Objects(Location),
}

/// A queue and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    /// As the API takes it.
    pub url: String,
    /// Its region; none where the URL does not tell.
    pub region: Option<String>,
    /// Where the API is, unless it is Amazon's.
    pub endpoint: Option<String>,
}

impl OnFailurePlace {
    /// Reads an ARN of a queue, of a topic or of a bucket, a queue's URL, `sqs://region/account/queue`,
    /// `s3://bucket/prefix` or `file:///folder`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(given: &str) -> Result<Self, InvalidDestination> {
        let invalid = |why: &str| {
            InvalidDestination::Choice(format!(
                "{KEY} {given:?} {why}; examples: \"arn:aws:sqs:eu-west-1:123456789012:failed\", \
                 \"https://sqs.eu-west-1.amazonaws.com/123456789012/failed\", \"sqs://eu-west-1/123456789012/failed\", \
                 \"arn:aws:sns:eu-west-1:123456789012:failed\", \"s3://bucket/prefix\", \"file:///folder\""
            ))
        };
        if given.starts_with("s3://") || given.starts_with("file://") {
            return Location::parse(KEY, given).map(Self::Objects);
        }
        if let Some(rest) = given.strip_prefix("sqs://") {
            return match &*rest.split('/').collect::<Vec<_>>() {
                [region, account, queue] if is_account(account) && is_name(region) => {
                    Ok(Self::Queue(QueueUrl::on_amazon("aws", region, account, queue)))
                }
                _ => Err(invalid("is not sqs://region/account/queue")),
            };
        }
        if given.starts_with("arn:") {
            let parts: Vec<_> = given.splitn(6, ':').collect();
            let ["arn", partition, service, region, account, name] = &*parts else {
                return Err(invalid("is no ARN of a queue, a topic or a bucket"));
            };
            let placed = is_name(region) && is_account(account) && !name.is_empty();
            return match *service {
                "sqs" if placed => {
                    Ok(Self::Queue(QueueUrl::on_amazon(partition, region, account, name)))
                }
                "sns" if placed && !name.contains(':') => {
                    Ok(Self::Topic { arn: given.to_owned(), region: (*region).to_owned() })
                }
                "s3" if region.is_empty() && account.is_empty() => {
                    Location::parse(KEY, &format!("s3://{name}")).map(Self::Objects)
                }
                _ => Err(invalid("is no ARN of a queue, a topic or a bucket")),
            };
        }
        match Url::parse(given) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                QueueUrl::parse(given, &url).map(Self::Queue).map_err(invalid)
            }
            _ => Err(invalid("is no queue, no topic, no bucket and no folder")),
        }
    }
}

impl QueueUrl {
    fn on_amazon(partition: &str, region: &str, account: &str, queue: &str) -> Self {
        let domain = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = format!("https://sqs.{region}.{domain}/{account}/{queue}");
        Self { url, region: Some(region.to_owned()), endpoint: None }
    }

    fn parse(given: &str, url: &Url) -> Result<Self, &'static str> {
        let path = url.path_segments().map(|parts| parts.filter(|part| !part.is_empty()).count());
        if path.unwrap_or(0) < 2 {
            return Err("has no account and queue: …/123456789012/failed");
        }
        let host = url.host_str().unwrap_or_default();
        if let Some(region) =
            host.strip_prefix("sqs.").and_then(|rest| rest.split_once(".amazonaws"))
        {
            let region = Some(region.0.to_owned());
            return Ok(Self { url: given.to_owned(), region, endpoint: None });
        }
        if url.scheme() == "http" && !is_on_this_machine(url) {
            return Err("would speak unencrypted to another machine: use https");
        }
        let endpoint = Some(url[..url::Position::BeforePath].to_owned());
        Ok(Self { url: given.to_owned(), region: None, endpoint })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for OnFailurePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(queue) => f.write_str(&queue.url),
            Self::Topic { arn, .. } => f.write_str(arn),
            Self::Objects(location) => location.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_in_three_ways() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/failed";
        let queue = OnFailurePlace::Queue(QueueUrl {
            url: url.to_owned(),
            region: Some("eu-west-1".to_owned()),
            endpoint: None,
        });
        for given in [
            url,
            "arn:aws:sqs:eu-west-1:123456789012:failed",
            "sqs://eu-west-1/123456789012/failed",
        ] {
            assert_eq!(OnFailurePlace::parse(given).as_ref(), Ok(&queue), "{given}");
        }
        let given = "http://127.0.0.1:5000/123456789012/failed";
        let OnFailurePlace::Queue(queue) = OnFailurePlace::parse(given).unwrap() else {
            panic!("it is a queue")
        };
        assert_eq!(
            (&*queue.url, queue.endpoint.as_deref()),
            (given, Some("http://127.0.0.1:5000"))
        );
    }

    #[test]
    fn topics_and_buckets_are_named_by_arns() {
        let topic = "arn:aws:sns:eu-west-1:123456789012:failed";
        let region = "eu-west-1".to_owned();
        let parsed = OnFailurePlace::parse(topic);
        assert_eq!(parsed, Ok(OnFailurePlace::Topic { arn: topic.to_owned(), region }));
        for given in ["arn:aws:s3:::logs", "s3://logs"] {
            assert_eq!(OnFailurePlace::parse(given).unwrap().to_string(), "s3://logs");
        }
        assert_eq!(OnFailurePlace::parse("file:///f").unwrap().to_string(), "file:///f");
    }

    #[test]
    fn mistakes_are_explained_with_examples() {
        for given in [
            "",
            "failed",
            "sqs://failed",
            "arn:aws:sqs:eu-west-1:1:failed",
            "arn:aws:lambda:eu-west-1:123456789012:function:f",
            "arn:aws:sns:eu-west-1:123456789012:topic:subscription",
            "https://sqs.eu-west-1.amazonaws.com/",
            "http://sqs.example.com/123456789012/failed",
            "s3://",
        ] {
            let error = OnFailurePlace::parse(given).unwrap_err().to_string();
            assert!(error.starts_with("on_failure_destination \""), "{error}");
            assert!(error.contains("examples"), "{error}");
        }
    }
}
