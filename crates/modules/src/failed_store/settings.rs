//! Where a module's failed records go, as the configuration says it.

use serde::Deserialize;

use super::on_failure::OnFailurePlace;
use crate::objects::{InvalidDestination, Location};

/// The failed store's settings, by the names that they have in a module's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `s3://bucket/prefix` or `file:///folder`. Default: a folder beside the streams' data.
    pub failed_store: Option<String>,
    /// Instead of `failed_store`, as the originals: the bucket.
    pub failed_log_s3_bucket: Option<String>,
    /// With `failed_log_s3_bucket`: stands before every key.
    pub failed_log_s3_prefix: Option<String>,
    /// Lambda's `DestinationConfig.OnFailure`: who is told of batches that were given up. An SQS queue, an SNS topic, or
    /// a bucket or folder.
    pub on_failure_destination: Option<String>,
}

impl Settings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }

    /// Where failed records go; none when nothing is said.
    ///
    /// # Errors
    /// Two places, or one that cannot be.
    pub fn location(&self) -> Result<Option<Location>, InvalidDestination> {
        let choice = |why: &str| Err(InvalidDestination::Choice(why.to_owned()));
        match (&self.failed_store, &self.failed_log_s3_bucket) {
            (Some(_), Some(_)) => choice("give failed_store or failed_log_s3_bucket, not both"),
            (_, None) if self.failed_log_s3_prefix.is_some() => {
                choice("failed_log_s3_prefix goes with failed_log_s3_bucket")
            }
            (None, None) => Ok(None),
            (Some(url), None) => Location::parse("failed_store", url).map(Some),
            (None, Some(bucket)) => {
                let prefix = self.failed_log_s3_prefix.as_deref().unwrap_or_default();
                let location = Location::bucket(bucket, prefix);
                location.map(Some).map_err(|why| InvalidDestination::Url {
                    key: "failed_log_s3_bucket",
                    given: bucket.clone(),
                    why,
                })
            }
        }
    }

    /// Who is told of batches that were given up; none when nothing is said.
    ///
    /// # Errors
    /// One that cannot be, or that is the failed store itself.
    pub fn on_failure(&self) -> Result<Option<OnFailurePlace>, InvalidDestination> {
        let Some(given) = &self.on_failure_destination else { return Ok(None) };
        let place = OnFailurePlace::parse(given)?;
        match (&place, self.location()) {
            (OnFailurePlace::Objects(place), Ok(Some(store))) if *place == store => {
                Err(InvalidDestination::Choice(format!(
                    "on_failure_destination is the failed store {store}, which has the records already: a redrive would \
                     replay them twice"
                )))
            }
            _ => Ok(Some(place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_as_url_or_as_the_originals_do_or_not_at_all() {
        let shown = |text: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            settings.location().map(|place| place.map(|place| place.to_string()))
        };
        assert_eq!(shown(""), Ok(None));
        assert_eq!(shown("failed_store = 'file:///f'"), Ok(Some("file:///f".to_owned())));
        assert_eq!(
            shown("failed_log_s3_bucket = 'b'\nfailed_log_s3_prefix = 'p'"),
            Ok(Some("s3://b/p".to_owned()))
        );
        for wrong in [
            "failed_log_s3_prefix = 'p'",
            "failed_store = 's3://b'\nfailed_log_s3_bucket = 'b'",
            "failed_log_s3_bucket = ''",
        ] {
            assert!(shown(wrong).unwrap_err().to_string().contains("failed_"), "{wrong}");
        }
    }

    #[test]
    fn an_on_failure_destination_is_another_place() {
        let shown = |text: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            settings.on_failure().map(|place| place.map(|place| place.to_string()))
        };
        assert_eq!(shown(""), Ok(None));
        let url = "on_failure_destination = 's3://b/p'";
        assert_eq!(shown(url), Ok(Some("s3://b/p".to_owned())));
        let error = shown(&format!("{url}\nfailed_store = 's3://b/p/'")).unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
        assert!(shown("on_failure_destination = 'x'").is_err());
    }
}
