//! `[kinesis]`: where the streams are with `streams = "kinesis"`; and how a module reads there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use baikonur_modules::settings::keys_of;
use serde::Deserialize;
use url::Url;

use super::document::Section;
use super::mistake::Mistake;

/// What `[kinesis]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KinesisConfig {
    /// None: as the AWS SDK finds it.
    pub(crate) region: Option<String>,
    /// A profile of the AWS CLI; none as the AWS SDK finds it.
    pub(crate) profile: Option<String>,
    /// None: Amazon's.
    pub(crate) endpoint_url: Option<String>,
    /// Certificates that the endpoint may be trusted by.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether streams that are missing are made.
    pub(crate) create_streams: bool,
}

impl KinesisConfig {
    /// Where the streams are, as a user would say it.
    pub(crate) fn place(&self) -> String {
        match (&self.endpoint_url, &self.region) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => format!("Amazon Kinesis, {region}"),
            (None, None) => "Amazon Kinesis".to_owned(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KinesisKeys {
    region: Option<String>,
    profile: Option<String>,
    endpoint_url: Option<String>,
    ca_file: Option<PathBuf>,
    create_streams: bool,
}

/// Where AWS's own tools take an endpoint from, the first one first.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL"];

pub(super) fn read(
    mut section: Section<'_>,
    is_used: bool,
    environment: &BTreeMap<String, String>,
    mistakes: &mut Vec<Mistake>,
) -> Option<KinesisConfig> {
    let known = keys_of::<KinesisKeys>();
    let keys: Option<KinesisKeys> = section.take(known, mistakes);
    section.refuse_the_rest(known, mistakes);
    let KinesisKeys { region, profile, endpoint_url, ca_file, create_streams } = keys?;
    let of_environment = || {
        let mut urls = ENDPOINT_VARIABLES.iter().filter_map(|name| environment.get(*name));
        urls.find(|url| is_used && !url.is_empty()).cloned()
    };
    let endpoint_url = endpoint_url.or_else(of_environment);
    if let Some(url) = &endpoint_url {
        let parsed = Url::parse(url).ok().filter(|url| url.has_host());
        if !parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            let what =
                format!("endpoint_url is {url:?}: it must be http:// or https:// and a host");
            mistakes.push(section.mistake(what));
        }
    }
    if ca_file.is_some() && endpoint_url.is_none() {
        mistakes.push(section.mistake("ca_file is for an endpoint_url alone"));
    }
    Some(KinesisConfig { region, profile, endpoint_url, ca_file, create_streams })
}

/// How a module reads its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consumption {
    /// GetRecords, beside all others who poll.
    Polling,
    /// SubscribeToShard, as a consumer with a throughput of its own.
    EnhancedFanOut {
        /// The consumer's name.
        consumer: String,
    },
}

/// The keys of a module that say it. Embedded streams are read in process whatever they say, so
/// that one setting moves a pipeline from the one to the other.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConsumptionKeys {
    consumption: ConsumptionKey,
    consumer_name: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ConsumptionKey {
    #[default]
    Polling,
    EnhancedFanOut,
}

impl ConsumptionKeys {
    /// What they say together; the consumer is called like the module unless it has a name.
    ///
    /// # Errors
    /// What is wrong, with the key that is to blame named first.
    pub(super) fn read(self, module: &str) -> Result<Consumption, String> {
        let Self { consumption, consumer_name } = self;
        match (consumption, consumer_name) {
            (ConsumptionKey::Polling, None) => Ok(Consumption::Polling),
            (ConsumptionKey::Polling, Some(_)) => {
                Err("consumer_name is for consumption = \"enhanced-fan-out\" alone".to_owned())
            }
            (ConsumptionKey::EnhancedFanOut, name) => {
                let consumer = name.unwrap_or_else(|| module.to_owned());
                let legal =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                if !(1..=128).contains(&consumer.len()) || !consumer.bytes().all(legal) {
                    return Err(format!(
                        "consumer_name is {consumer:?}: 1 to 128 of a-z, A-Z, 0-9, '_', '.', '-'"
                    ));
                }
                Ok(Consumption::EnhancedFanOut { consumer })
            }
        }
    }
}
