//! The account and region that streams seem to be in: ARNs, and finding streams by name or ARN.

use std::sync::Arc;

use baikonur_stream::{ShardId, StreamName, StreamOwner};

use crate::ServerSettings;
use crate::kinesis::resource::Resource;
use crate::wire::constraint::missing;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::Text;

/// The account and region of the streams that a request can see.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) region: Arc<str>,
    pub(crate) account: Arc<str>,
    /// The same, as the store calls it.
    pub(crate) owner: StreamOwner,
    /// The stream that the request names by `StreamId`.
    pub(crate) by_id: Option<StreamName>,
}

impl Home {
    /// The account and region of the settings.
    pub(crate) fn of(settings: &ServerSettings) -> Self {
        Self {
            region: settings.region.as_str().into(),
            account: settings.account.as_str().into(),
            owner: StreamOwner::OWN,
            by_id: None,
        }
    }

    /// The account and region of a caller: this one's, or another that sees its own streams only.
    pub(crate) fn of_caller(&self, account: &str, region: &str) -> Result<Self, ApiError> {
        if *account == *self.account && *region == *self.region {
            return Ok(self.clone());
        }
        let owner = StreamOwner::other(account, region).ok_or_else(|| {
            let message = format!("{region} is not the name of a region.");
            ApiError::new(ErrorCode::InvalidSignature, message)
        })?;
        Ok(Self { region: region.into(), account: account.into(), owner, by_id: None })
    }

    /// The ARN of a stream.
    pub(crate) fn arn(&self, stream: &StreamName) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{stream}", self.region, self.account)
    }

    /// The stream that a request names, by name, by ARN, or by both.
    pub(crate) fn stream(
        &self,
        name: Option<&Text<'_>>,
        arn: Option<&Text<'_>>,
    ) -> Result<StreamName, ApiError> {
        self.optional_stream(name, arn)?.ok_or_else(|| missing("StreamName"))
    }

    /// The stream that a request names, if it names one.
    pub(crate) fn optional_stream(
        &self,
        name: Option<&Text<'_>>,
        arn: Option<&Text<'_>>,
    ) -> Result<Option<StreamName>, ApiError> {
        let by_name = name.map(Text::as_str);
        let by_arn = arn.map(|arn| self.name_in(arn.as_str())).transpose()?;
        if let (Some(name), Some(in_arn)) = (by_name, by_arn)
            && name != in_arn
        {
            let message = format!("StreamName {name} and the stream {in_arn} of StreamARN differ.");
            return Err(ApiError::invalid_argument(message));
        }
        match by_arn.or(by_name) {
            Some(name) => {
                let named = self.checked(name, &self.account)?;
                match &self.by_id {
                    Some(by_id) if *by_id != named => Err(ApiError::invalid_argument(format!(
                        "{name} is not the stream of StreamId."
                    ))),
                    _ => Ok(Some(named)),
                }
            }
            None => Ok(self.by_id.clone()),
        }
    }

    /// The name in an ARN. Streams of other accounts and regions are not here.
    fn name_in<'a>(&self, arn: &'a str) -> Result<&'a str, ApiError> {
        let mut parts = arn.splitn(6, ':').skip(3);
        let (region, account) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = parts.next().and_then(|r| r.strip_prefix("stream/")).unwrap_or_default();
        if *region != *self.region || *account != *self.account {
            return Err(no_stream(name, account));
        }
        Ok(name)
    }

    fn checked(&self, name: &str, account: &str) -> Result<StreamName, ApiError> {
        self.owner.stream(name).map_err(|_| no_stream(name, account))
    }

    /// The stream of an ARN.
    pub(crate) fn stream_of_arn(&self, arn: &str) -> Result<StreamName, ApiError> {
        self.checked(self.name_in(arn)?, &self.account)
    }

    /// The resource of a required ARN.
    pub(crate) fn named_resource(&self, arn: Option<&Text<'_>>) -> Result<Resource, ApiError> {
        self.resource(arn.ok_or_else(|| missing("ResourceARN"))?)
    }

    /// The shard that a required member names.
    pub(crate) fn shard(
        &self,
        id: Option<&Text<'_>>,
        stream: &StreamName,
    ) -> Result<ShardId, ApiError> {
        let id = id.map_or("", Text::as_str);
        id.parse().map_err(|_| self.shard_not_found(id, stream))
    }

    /// What is said of a stream that is not there.
    pub(crate) fn stream_not_found(&self, stream: &StreamName) -> ApiError {
        no_stream(stream.as_str(), &self.account)
    }
}

fn no_stream(name: &str, account: &str) -> ApiError {
    ApiError::not_found(format!("Stream {name} under account {account} not found."))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn find(name: Option<&str>, arn: Option<&str>) -> Result<String, String> {
        let home = Home::of(&ServerSettings::default());
        let text = |text: &'_ str| Text(Cow::Owned(text.to_owned()));
        let found = home.stream(name.map(text).as_ref(), arn.map(text).as_ref());
        found.map(|name| name.to_string()).map_err(|error| error.message.unwrap())
    }

    const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/a";

    #[test]
    fn streams_are_found_by_name_or_arn_or_both() {
        assert_eq!(find(Some("a"), None), Ok("a".into()));
        assert_eq!(find(None, Some(ARN)), Ok("a".into()));
        assert_eq!(find(Some("a"), Some(ARN)), Ok("a".into()));
    }

    #[test]
    fn a_request_that_names_none_or_two_streams_is_refused() {
        let null = "1 validation error detected: Value null at 'streamName' failed to satisfy \
                    constraint: Member must not be null";
        assert_eq!(find(None, None), Err(null.into()));
        assert!(find(Some("b"), Some(ARN)).is_err());
    }

    #[test]
    fn streams_of_others_are_not_here() {
        for (arn, message) in [
            (
                "arn:aws:kinesis:us-east-1:111111111111:stream/a",
                "Stream a under account 111111111111 not found.",
            ),
            (
                "arn:aws:kinesis:eu-west-1:000000000000:stream/a",
                "Stream a under account 000000000000 not found.",
            ),
            (
                "arn:aws:kinesis:us-east-1:000000000000:stream/a/b",
                "Stream a/b under account 000000000000 not found.",
            ),
        ] {
            assert_eq!(find(None, Some(arn)), Err(message.into()));
        }
    }
}
