//! What a user may say about a `kinesis-forward` module: one target beside the other keys, or a list of them.

use baikonur_pattern::FilterCriteria;
use baikonur_stream::StreamName;
use serde::Deserialize;
use url::Url;

use super::key_template::KeyTemplate;
use crate::intake::Rule;
use crate::settings::is_on_this_machine;

/// The settings of a `kinesis-forward` module, by the names that they have in the configuration. Either
/// `target_stream_name` and what belongs to it stand here, or `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The stream that records are put into.
    pub target_stream_name: Option<StreamName>,
    /// As in [`TargetSettings`], and so are those that follow.
    pub target_region: Option<String>,
    /// Another endpoint.
    pub target_endpoint_url: Option<String>,
    /// Without encryption.
    pub target_allow_http: bool,
    /// Another role.
    pub target_role_arn: Option<String>,
    /// What the role asks for.
    pub target_external_id: Option<String>,
    /// Other keys.
    pub partition_key: Option<KeyTemplate>,
    /// Many records in one.
    pub aggregation_enabled: bool,
    /// How large these get.
    pub aggregation_max_size: Option<usize>,
    /// One record of a key at a time.
    pub strict_order: bool,
    /// Several targets, each with a rule of its own.
    pub targets: Vec<TargetSettings>,
    /// Whether a record goes into the first target alone whose rule takes it, instead of into all of them.
    pub first_target_only: bool,
    /// Accepted because the originals take it. What is not put is tried again by the mapping, whose
    /// `maximum_retry_attempts` decides how often; nothing is dropped in between.
    pub kinesis_max_retries: Option<u32>,
}

/// One target, and what goes there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// The stream that records are put into.
    pub target_stream_name: StreamName,
    /// Log types to take: names, `prefix*`, `*`; a leading `!` excludes. Default empty, which means all.
    #[serde(default, deserialize_with = "crate::settings::list_or_commas")]
    pub log_type_field_whitelist: Vec<String>,
    /// Patterns of which an event has to match one, as in AWS Lambda. Default none, which means all.
    #[serde(default, deserialize_with = "crate::intake::filter_criteria")]
    pub filter_criteria: FilterCriteria,
    /// The region of the stream where it is another one than that of the source. With this key, or one of the two that
    /// follow, the stream is on Amazon Kinesis also where the source is an embedded stream.
    #[serde(default)]
    pub target_region: Option<String>,
    /// The URL of an endpoint that speaks the Kinesis API, in place of Amazon's.
    #[serde(default)]
    pub target_endpoint_url: Option<String>,
    /// Whether `http://` may be spoken to a host other than this machine. Default false.
    #[serde(default)]
    pub target_allow_http: bool,
    /// The role that puts: its ARN, of this account or of another one. Default: whoever runs the module.
    #[serde(default)]
    pub target_role_arn: Option<String>,
    /// The external id that the role asks for. Default none.
    #[serde(default)]
    pub target_external_id: Option<String>,
    /// A template such as `{host}`: records get this key instead of their own. Default none: they keep theirs.
    #[serde(default)]
    pub partition_key: Option<KeyTemplate>,
    /// Whether records of one partition key are put together as the Kinesis Producer Library does. Default false.
    #[serde(default)]
    pub aggregation_enabled: bool,
    /// Bytes of an aggregated record at most, its key with it, 1,024 to 1,048,576. Default 51,200, as in the KPL.
    #[serde(default)]
    pub aggregation_max_size: Option<usize>,
    /// Whether a call of PutRecords has one record of each partition key at most, so that none is ever seen before an
    /// earlier one. Default false. Embedded streams put all of a call or nothing and need no such care.
    #[serde(default)]
    pub strict_order: bool,
}

/// Where a target is that is not where the source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// `target_region`.
    pub region: Option<String>,
    /// `target_endpoint_url`.
    pub endpoint_url: Option<String>,
    /// `target_role_arn`.
    pub role_arn: Option<String>,
    /// `target_external_id`.
    pub external_id: Option<String>,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Neither one target nor several.
    #[error("target_stream_name is missing: name the stream, or write [[modules.NAME.targets]]")]
    NoTarget,
    /// One target and several.
    #[error("targets are there, and {0} beside them: it belongs into one of the targets")]
    Both(&'static str),
    /// The same stream twice.
    #[error(
        "targets name {0} twice in one place: one target for each stream, whose filter_criteria may have several patterns"
    )]
    Twice(StreamName),
    /// What only makes a difference among several.
    #[error("first_target_only is for several targets")]
    OneTarget,
    /// A number out of its range.
    #[error("aggregation_max_size is {0}: it can be 1024 to 1048576")]
    AggregationSize(usize),
    /// A size of what is not made.
    #[error("aggregation_max_size is for aggregation_enabled = true")]
    NoAggregation,
    /// No ARN of a role.
    #[error("target_role_arn is {0:?}: it must be like arn:aws:iam::123456789012:role/NAME")]
    Role(String),
    /// What only roles ask for.
    #[error("target_external_id is for a target_role_arn alone")]
    NoRole,
    /// No URL.
    #[error("target_endpoint_url is {0:?}: it must be http:// or https:// and a host")]
    Endpoint(String),
    /// Credentials where everyone sees them, which are not used either.
    #[error(
        "target_endpoint_url has an @, as before a host with a user: credentials are found as every AWS SDK finds them"
    )]
    EndpointUser,
    /// Logs that everyone on the way can read.
    #[error(
        "target_endpoint_url is {0:?}, which would send logs unencrypted: use https, or say target_allow_http = true"
    )]
    EndpointHttp(String),
    /// What only makes a difference for an endpoint.
    #[error("target_allow_http is for a target_endpoint_url alone")]
    NoEndpoint,
    /// No region.
    #[error("target_region is {0:?}: it must be like eu-central-1")]
    Region(String),
}

/// Bytes of an aggregate, as the KPL has them (`AggregationMaxSize`).
const AGGREGATION_MAX_SIZE: usize = 51_200;
const AGGREGATION_MAX_SIZE_LEAST: usize = 1024;
/// A record of the default size.
const AGGREGATION_MAX_SIZE_MOST: usize = 1 << 20;

impl Settings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }

    /// One target, where the source is, that takes everything.
    pub fn to_stream(target_stream_name: StreamName) -> Self {
        Self { target_stream_name: Some(target_stream_name), ..Self::default() }
    }

    /// The targets, one at least.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn targets(&self) -> Result<Vec<TargetSettings>, SettingsError> {
        let targets = match (&self.target_stream_name, &*self.targets) {
            (None, []) => return Err(SettingsError::NoTarget),
            (Some(stream), []) => vec![self.only_target(stream)],
            (_, several) => match self.is_beside() {
                Some(key) => return Err(SettingsError::Both(key)),
                None => several.to_vec(),
            },
        };
        if self.first_target_only && targets.len() < 2 {
            return Err(SettingsError::OneTarget);
        }
        for (place, target) in targets.iter().enumerate() {
            target.check()?;
            // A target remembers one position for the stream's name. Those elsewhere remember none.
            let name = &target.target_stream_name;
            let is_same = |before: &TargetSettings| {
                before.target_stream_name == *name && before.elsewhere() == target.elsewhere()
            };
            if targets[..place].iter().any(is_same) {
                return Err(SettingsError::Twice(name.clone()));
            }
        }
        Ok(targets)
    }

    /// The same, where the region of the source is known: a target in it is where the source is, unless an endpoint or a
    /// role says otherwise.
    #[must_use]
    pub fn from_region(mut self, source: &str) -> Self {
        let is_there = |region: &Option<String>, others: [&Option<String>; 2]| {
            region.as_deref() == Some(source) && others.iter().all(|other| other.is_none())
        };
        if is_there(&self.target_region, [&self.target_endpoint_url, &self.target_role_arn]) {
            self.target_region = None;
        }
        for target in &mut self.targets {
            let others = [&target.target_endpoint_url, &target.target_role_arn];
            if is_there(&target.target_region, others) {
                target.target_region = None;
            }
        }
        self
    }

    /// Whether there is a list of targets, each of which has a position of its own.
    pub(super) fn has_list(&self) -> bool {
        !self.targets.is_empty()
    }

    fn only_target(&self, stream: &StreamName) -> TargetSettings {
        TargetSettings {
            target_stream_name: stream.clone(),
            log_type_field_whitelist: Vec::new(),
            filter_criteria: FilterCriteria::default(),
            target_region: self.target_region.clone(),
            target_endpoint_url: self.target_endpoint_url.clone(),
            target_allow_http: self.target_allow_http,
            target_role_arn: self.target_role_arn.clone(),
            target_external_id: self.target_external_id.clone(),
            partition_key: self.partition_key.clone(),
            aggregation_enabled: self.aggregation_enabled,
            aggregation_max_size: self.aggregation_max_size,
            strict_order: self.strict_order,
        }
    }

    /// The first key of a target that stands beside the list.
    fn is_beside(&self) -> Option<&'static str> {
        let keys = [
            ("target_stream_name", self.target_stream_name.is_some()),
            ("target_region", self.target_region.is_some()),
            ("target_endpoint_url", self.target_endpoint_url.is_some()),
            ("target_allow_http", self.target_allow_http),
            ("target_role_arn", self.target_role_arn.is_some()),
            ("target_external_id", self.target_external_id.is_some()),
            ("partition_key", self.partition_key.is_some()),
            ("aggregation_enabled", self.aggregation_enabled),
            ("aggregation_max_size", self.aggregation_max_size.is_some()),
            ("strict_order", self.strict_order),
        ];
        keys.into_iter().find(|(_, is_there)| *is_there).map(|(key, _)| key)
    }
}

impl TargetSettings {
    /// Where the target is, unless it is where the source is.
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        let elsewhere = Elsewhere {
            region: self.target_region.clone(),
            endpoint_url: self.target_endpoint_url.clone(),
            role_arn: self.target_role_arn.clone(),
            external_id: self.target_external_id.clone(),
        };
        let Elsewhere { region, endpoint_url, role_arn, external_id: _ } = &elsewhere;
        let is_elsewhere = region.is_some() || endpoint_url.is_some() || role_arn.is_some();
        is_elsewhere.then_some(elsewhere)
    }

    /// What the target takes of what the module takes.
    pub(super) fn rule(&self) -> Rule {
        Rule::new(&self.log_type_field_whitelist, self.filter_criteria.clone())
    }

    /// Bytes of an aggregate, if there are to be any.
    pub(super) fn aggregation(&self) -> Option<usize> {
        let size = self.aggregation_max_size.unwrap_or(AGGREGATION_MAX_SIZE);
        self.aggregation_enabled.then_some(size)
    }

    fn check(&self) -> Result<(), SettingsError> {
        if let Some(size) = self.aggregation_max_size {
            if !(AGGREGATION_MAX_SIZE_LEAST..=AGGREGATION_MAX_SIZE_MOST).contains(&size) {
                return Err(SettingsError::AggregationSize(size));
            }
            if !self.aggregation_enabled {
                return Err(SettingsError::NoAggregation);
            }
        }
        match &self.target_role_arn {
            Some(arn) if !is_role(arn) => return Err(SettingsError::Role(arn.clone())),
            None if self.target_external_id.is_some() => return Err(SettingsError::NoRole),
            _ => {}
        }
        match &self.target_endpoint_url {
            Some(url) => self.check_endpoint(url)?,
            None if self.target_allow_http => return Err(SettingsError::NoEndpoint),
            None => {}
        }
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match &self.target_region {
            Some(region) if region.is_empty() || !region.bytes().all(legal) => {
                Err(SettingsError::Region(region.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl TargetSettings {
    fn check_endpoint(&self, given: &str) -> Result<(), SettingsError> {
        // A user may have a password, which is not repeated.
        if given.contains('@') {
            return Err(SettingsError::EndpointUser);
        }
        let url = Url::parse(given).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| SettingsError::Endpoint(given.to_owned()))?;
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.target_allow_http || is_on_this_machine(&url) => Ok(()),
            "http" => Err(SettingsError::EndpointHttp(given.to_owned())),
            _ => Err(SettingsError::Endpoint(given.to_owned())),
        }
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME`.
fn is_role(arn: &str) -> bool {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, role] = &*parts else { return false };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let has_name = role.strip_prefix("role/").is_some_and(|name| !name.is_empty());
    (*scheme, *service, *region) == ("arn", "iam", "")
        && !partition.is_empty()
        && is_account
        && has_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Result<Vec<TargetSettings>, String> {
        let settings: Settings =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        settings.targets().map_err(|error| error.to_string())
    }

    #[test]
    fn the_keys_of_the_originals_are_read() {
        let settings: Settings =
            toml::from_str("target_stream_name = 'b'\nkinesis_max_retries = 3").unwrap();
        let [target] = &*settings.targets().unwrap() else { panic!("{settings:?}") };
        assert_eq!(target.target_stream_name.as_str(), "b");
        assert_eq!((target.elsewhere(), target.aggregation()), (None, None));
        assert_eq!(settings.kinesis_max_retries, Some(3));
        assert!(Settings::keys().starts_with(&["target_stream_name"]));
        assert!(Settings::keys().contains(&"kinesis_max_retries"));
        for wrong in ["target_stream_name = 'a b'", "target_stream_name = 'b'\nx = 1"] {
            assert!(targets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_targets_have_all_that_one_may_have() {
        let text = r#"
            first_target_only = true
            [[targets]]
            target_stream_name = "a"
            log_type_field_whitelist = "auth*, !auth_debug"
            filter_criteria = ['{"data": {"level": ["error"]}}']
            partition_key = "{user.id}"
            aggregation_enabled = true
            strict_order = true
            [[targets]]
            target_stream_name = "b"
            target_region = "eu-west-1"
            target_role_arn = "arn:aws-cn:iam::123456789012:role/path/writer"
            target_external_id = "us"
            aggregation_enabled = true
            aggregation_max_size = 1048576
        "#;
        let [a, b] = &*targets(text).unwrap() else { panic!("two targets") };
        assert_eq!((a.elsewhere(), a.aggregation()), (None, Some(51_200)));
        assert_eq!(a.log_type_field_whitelist, ["auth*", "!auth_debug"]);
        assert_eq!(b.aggregation(), Some(1 << 20));
        assert_eq!(b.elsewhere().unwrap().external_id.as_deref(), Some("us"));
    }

    #[test]
    fn a_stream_name_may_be_there_once_in_each_place() {
        let in_region = |region: &str| {
            format!("[[targets]]\ntarget_stream_name = 'b'\ntarget_region = '{region}'\n")
        };
        let text = format!(
            "[[targets]]\ntarget_stream_name = 'b'\n{}{}{}",
            in_region("eu-west-1"),
            in_region("us-east-1"),
            in_region("us-east-1") + "target_role_arn = 'arn:aws:iam::123456789012:role/x'"
        );
        assert_eq!(targets(&text).unwrap().len(), 4);
        let twice = in_region("eu-west-1").repeat(2);
        assert!(targets(&twice).unwrap_err().contains("targets name b twice in one place"));
    }

    #[test]
    fn a_target_in_the_region_of_the_source_is_where_the_source_is() {
        let one = |more: &str| {
            let text = format!("target_stream_name = 'b'\ntarget_region = 'eu-west-1'\n{more}");
            toml::from_str::<Settings>(&text).unwrap()
        };
        let is_here = |settings: Settings, source: &str| {
            settings.from_region(source).targets().unwrap()[0].elsewhere().is_none()
        };
        assert!(is_here(one(""), "eu-west-1"));
        assert!(!is_here(one(""), "eu-west-2"));
        assert!(!is_here(one("target_endpoint_url = 'https://x'"), "eu-west-1"));
        let role = "target_role_arn = 'arn:aws:iam::123456789012:role/x'";
        assert!(!is_here(one(role), "eu-west-1"));
        let listed = "[[targets]]\ntarget_stream_name = 'b'\ntarget_region = 'eu-west-1'";
        let listed: Settings = toml::from_str(listed).unwrap();
        assert!(is_here(listed.clone(), "eu-west-1") && !is_here(listed, "us-east-1"));
    }

    #[test]
    fn endpoints_are_encrypted_or_here_unless_somebody_says_otherwise() {
        for fine in [
            "'https://kinesis.example'",
            "'http://localhost:4567'",
            "'http://127.0.0.1:4567'",
            "'http://[::1]:4567'",
            "'http://kinesis:4567'\ntarget_allow_http = true",
        ] {
            let text = format!("target_stream_name = 'b'\ntarget_endpoint_url = {fine}");
            assert!(targets(&text).is_ok(), "{fine}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let one = |more: &str| format!("target_stream_name = 'b'\n{more}");
        let several = "[[targets]]\ntarget_stream_name = 'b'\n";
        for (text, told) in [
            (String::new(), "target_stream_name is missing"),
            ("targets = []".to_owned(), "target_stream_name is missing"),
            (format!("target_stream_name = 'b'\n{several}"), "and target_stream_name beside them"),
            (format!("strict_order = true\n{several}"), "and strict_order beside them"),
            (format!("{several}{several}"), "targets name b twice"),
            (format!("first_target_only = true\n{several}"), "for several targets"),
            (one("first_target_only = true"), "for several targets"),
            (one("aggregation_max_size = 2000"), "is for aggregation_enabled"),
            (one("aggregation_enabled = true\naggregation_max_size = 1023"), "1024 to 1048576"),
            (one("target_role_arn = 'writer'"), "arn:aws:iam::123456789012:role/NAME"),
            (one("target_role_arn = 'arn:aws:iam::1234:role/x'"), "target_role_arn"),
            (one("target_role_arn = 'arn:aws:iam::123456789012:user/x'"), "target_role_arn"),
            (one("target_external_id = 'x'"), "for a target_role_arn alone"),
            (one("target_endpoint_url = 'localhost:4567'"), "http:// or https://"),
            (one("target_endpoint_url = 'ftp://x'"), "http:// or https://"),
            (one("target_endpoint_url = 'https://us:secret@x'"), "has an @"),
            (one("target_endpoint_url = 'http://kinesis:4567'"), "target_allow_http = true"),
            (one("target_endpoint_url = 'http://10.0.0.1'"), "unencrypted"),
            (one("target_allow_http = true"), "for a target_endpoint_url alone"),
            (one("target_region = 'Frankfurt'"), "eu-central-1"),
            (one("partition_key = 'host'"), "needs a field in braces"),
            (format!("{several}filter_criteria = ['x']"), "filter_criteria"),
            (format!("{several}log_typ = 'x'"), "unknown field `log_typ`"),
        ] {
            let error = targets(&text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
