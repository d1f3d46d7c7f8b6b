//! The configuration file: a JSON array of monitors, key by key as amazon-kinesis-scaling-utils has it.

use std::time::Duration;

use baikonur_stream::StreamName;
use serde::Deserialize;

use super::metrics::Operation;
use crate::target::{Bounds, Change};

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigMistake {
    /// No JSON, an unknown key, a wrong type: with line and column.
    #[error("{0}")]
    Json(String),
    /// A value that cannot work.
    #[error("monitor {number} ({stream}), {key}: {what}")]
    Value {
        /// Which of the array, from 1.
        number: usize,
        /// Its stream.
        stream: String,
        /// The key.
        key: &'static str,
        /// What is wrong, and what to do.
        what: String,
    },
    /// No monitor.
    #[error("there is no monitor in it: write [{{\"streamName\": …, \"scaleUp\": {{…}}}}]")]
    Empty,
}

/// How `scalePct` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PercentRule {
    /// By so many percent, up to 100. Above, where the original means another thing than one would
    /// think, it is refused.
    #[default]
    Plain,
    /// As amazon-kinesis-scaling-utils computes it.
    Legacy,
}

/// A monitor of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorConfig {
    /// The stream.
    pub stream: StreamName,
    /// Where it is, on Amazon.
    pub region: String,
    /// What its load is judged by.
    pub operations: Vec<Operation>,
    /// The least and the most shards.
    pub bounds: Bounds,
    /// How often it is looked at.
    pub check_interval: Duration,
    /// When and how it gets more shards.
    pub scale_up: Option<ScaleConfig>,
    /// When and how it gets fewer.
    pub scale_down: Option<ScaleConfig>,
}

/// When and how a stream is scaled in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleConfig {
    /// Percent of the capacity above, or below, which a minute counts.
    pub threshold_percent: u32,
    /// Minutes that must count, of those that are looked at.
    pub after_minutes: u32,
    /// By how much.
    change: By,
    /// How long to wait before the next scaling in the same direction.
    pub cool_off: Duration,
    /// The SNS topic that is told.
    pub notification_arn: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Count(u32),
    Percent(u32, PercentRule),
}

impl ScaleConfig {
    /// By how much.
    pub fn change(&self) -> Change {
        match self.change {
            By::Count(count) => Change::Count(count),
            By::Percent(percent, PercentRule::Plain) => Change::Percent(percent),
            By::Percent(percent, PercentRule::Legacy) => Change::LegacyPercent(percent),
        }
    }
}

/// The keys of a monitor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MonitorKeys {
    stream_name: String,
    #[serde(default = "default_region")]
    region: String,
    #[serde(default = "default_operations")]
    scale_on_operation: Vec<Operation>,
    min_shards: Option<u32>,
    max_shards: Option<u32>,
    /// Taken because the original has it: shards are counted anew at each check.
    #[serde(rename = "refreshShardsNumberAfterMin")]
    _refresh_shards_number_after_min: Option<u32>,
    #[serde(default = "default_check_interval")]
    check_interval: u32,
    scale_up: Option<ScaleKeys>,
    scale_down: Option<ScaleKeys>,
}

/// The keys of `scaleUp` and `scaleDown`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScaleKeys {
    scale_threshold_pct: u32,
    scale_after_mins: u32,
    scale_count: Option<u32>,
    scale_pct: Option<u32>,
    #[serde(default)]
    cool_off_mins: u32,
    #[serde(rename = "notificationARN")]
    notification_arn: Option<String>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_operations() -> Vec<Operation> {
    vec![Operation::Put, Operation::Get]
}

fn default_check_interval() -> u32 {
    45
}

/// The longest window: CloudWatch keeps sums of a minute for 15 days and gives 1440 at once.
const AFTER_MINUTES_MAX: u32 = 1440;

/// Reads a configuration.
///
/// # Errors
/// The first mistake.
pub fn read(text: &str, rule: PercentRule) -> Result<Vec<MonitorConfig>, ConfigMistake> {
    let monitors: Vec<MonitorKeys> =
        serde_json::from_str(text).map_err(|error| ConfigMistake::Json(error.to_string()))?;
    if monitors.is_empty() {
        return Err(ConfigMistake::Empty);
    }
    monitors.into_iter().enumerate().map(|(place, keys)| monitor(keys, place + 1, rule)).collect()
}

fn monitor(
    keys: MonitorKeys,
    number: usize,
    rule: PercentRule,
) -> Result<MonitorConfig, ConfigMistake> {
    let name = keys.stream_name.clone();
    let wrong =
        |key, what: String| ConfigMistake::Value { number, stream: name.clone(), key, what };
    let stream = StreamName::new(&keys.stream_name)
        .map_err(|error| wrong("streamName", error.to_string()))?;
    let bounds = Bounds::new(keys.min_shards, keys.max_shards)
        .map_err(|error| wrong("minShards", error.to_string()))?;
    if keys.check_interval == 0 {
        return Err(wrong("checkInterval", "at least 1 second".to_owned()));
    }
    let mut operations = keys.scale_on_operation;
    operations.sort();
    operations.dedup();
    if operations.is_empty() {
        return Err(wrong("scaleOnOperation", "name PUT, GET or both".to_owned()));
    }
    let direction = |section: &'static str, keys: Option<ScaleKeys>| {
        let Some(keys) = keys else { return Ok(None) };
        scale(keys, rule, section).map(Some).map_err(|what| wrong(section, what))
    };
    let scale_up = direction("scaleUp", keys.scale_up)?;
    let scale_down = direction("scaleDown", keys.scale_down)?;
    match (&scale_up, &scale_down) {
        (None, None) => {
            return Err(wrong("scaleUp", "there must be scaleUp, scaleDown or both".to_owned()));
        }
        (Some(up), Some(down)) if down.threshold_percent > up.threshold_percent => {
            let what = "its scaleThresholdPct is above that of scaleUp: both would hold at once";
            return Err(wrong("scaleDown", what.to_owned()));
        }
        _ => {}
    }
    Ok(MonitorConfig {
        stream,
        region: keys.region,
        operations,
        bounds,
        check_interval: Duration::from_secs(keys.check_interval.into()),
        scale_up,
        scale_down,
    })
}

fn scale(keys: ScaleKeys, rule: PercentRule, section: &str) -> Result<ScaleConfig, String> {
    let change = match (keys.scale_count, keys.scale_pct) {
        (Some(0), _) => return Err("scaleCount is 0, which changes nothing".to_owned()),
        (Some(count), _) => By::Count(count),
        (None, None) => return Err("there must be scaleCount or scalePct".to_owned()),
        (None, Some(0)) => return Err("scalePct is 0, which changes nothing".to_owned()),
        (None, Some(percent)) if rule == PercentRule::Plain && percent > 100 => {
            let legacy = match section {
                "scaleUp" => "to so many percent of the shards",
                _ => "divided by it",
            };
            return Err(format!(
                "scalePct is {percent}: amazon-kinesis-scaling-utils reads that as {legacy}; ask for its rule \
                 (compat), or use 1 to 100, by so many percent, or scaleCount"
            ));
        }
        (None, Some(percent)) => By::Percent(percent, rule),
    };
    if !(1..=AFTER_MINUTES_MAX).contains(&keys.scale_after_mins) {
        let given = keys.scale_after_mins;
        return Err(format!("scaleAfterMins is {given}: it can be 1 to {AFTER_MINUTES_MAX}"));
    }
    Ok(ScaleConfig {
        threshold_percent: keys.scale_threshold_pct,
        after_minutes: keys.scale_after_mins,
        change,
        cool_off: Duration::from_secs(60 * u64::from(keys.cool_off_mins)),
        notification_arn: keys.notification_arn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        read(text, PercentRule::Plain).unwrap_err().to_string()
    }

    #[test]
    fn the_whole_format_is_read() {
        let text = r#"[{
            "streamName": "router", "region": "eu-west-1", "scaleOnOperation": ["GET", "PUT"],
            "minShards": 2, "maxShards": 16, "refreshShardsNumberAfterMin": 5, "checkInterval": 300,
            "scaleUp": {"scaleThresholdPct": 75, "scaleAfterMins": 5, "scaleCount": 1, "scalePct": 50,
                        "coolOffMins": 15, "notificationARN": "arn:aws:sns:eu-west-1:1:t"},
            "scaleDown": {"scaleThresholdPct": 25, "scaleAfterMins": 60, "scalePct": 20}
        }]"#;
        let [monitor] = read(text, PercentRule::Plain).unwrap().try_into().unwrap();
        let up = monitor.scale_up.unwrap();
        assert_eq!((up.change(), up.cool_off), (Change::Count(1), Duration::from_secs(900)));
        assert_eq!(up.notification_arn.as_deref(), Some("arn:aws:sns:eu-west-1:1:t"));
        let down = monitor.scale_down.unwrap();
        assert_eq!((down.change(), down.cool_off), (Change::Percent(20), Duration::ZERO));
        assert_eq!(monitor.operations, [Operation::Put, Operation::Get]);
        assert_eq!(monitor.bounds, Bounds::new(Some(2), Some(16)).unwrap());
        assert_eq!(monitor.check_interval, Duration::from_secs(300));
    }

    #[test]
    fn one_direction_is_enough_and_the_rest_has_defaults() {
        let text = r#"[{"streamName": "s", "scaleUp": {"scaleThresholdPct": 80, "scaleAfterMins": 1, "scaleCount": 1}}]"#;
        let [monitor] = read(text, PercentRule::Plain).unwrap().try_into().unwrap();
        assert!(monitor.scale_down.is_none());
        assert_eq!((monitor.region.as_str(), monitor.check_interval.as_secs()), ("us-east-1", 45));
        assert_eq!(monitor.operations.len(), 2);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let unknown = mistake("[{\"streamName\": \"s\",\n  \"scaleUpp\": {}}]");
        assert!(
            unknown.contains("unknown field `scaleUpp`") && unknown.contains("line 2"),
            "{unknown}"
        );
        let up = |up: &str| format!(r#"[{{"streamName": "s", "scaleUp": {{{up}}}}}]"#);
        for (text, words) in [
            ("{}".to_owned(), "line 1"),
            ("[]".to_owned(), "no monitor"),
            (
                up(r#""scaleThresholdPct": 1, "scaleAfterMins": 1, "scaleAfterMins": 2"#),
                "duplicate field",
            ),
            (up(r#""scaleThresholdPct": 1, "scaleAfterMins": 1"#), "scaleCount or scalePct"),
            (up(r#""scaleThresholdPct": 1, "scaleAfterMins": 0, "scaleCount": 1"#), "1 to 1440"),
            (up(r#""scaleThresholdPct": 1, "scaleAfterMins": 1, "scalePct": 200"#), "compat"),
            (up(r#""scaleAfterMins": 1, "scalePct": 20"#), "missing field `scaleThresholdPct`"),
            (r#"[{"streamName": "s"}]"#.to_owned(), "monitor 1 (s), scaleUp: there must be"),
            (r#"[{"streamName": "a b"}]"#.to_owned(), "streamName"),
            (
                r#"[{"streamName": "s", "minShards": 3, "maxShards": 2}]"#.to_owned(),
                "above the maximum",
            ),
            (r#"[{"streamName": "s", "scaleOnOperation": ["put"]}]"#.to_owned(), "unknown variant"),
        ] {
            let told = mistake(&text);
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn the_original_rule_is_kept_behind_compat() {
        let text = r#"[{"streamName": "s", "scaleDown": {"scaleThresholdPct": 25, "scaleAfterMins": 1, "scalePct": 200}}]"#;
        assert!(read(text, PercentRule::Plain).is_err());
        let [monitor] = read(text, PercentRule::Legacy).unwrap().try_into().unwrap();
        assert_eq!(monitor.scale_down.unwrap().change(), Change::LegacyPercent(200));
    }
}
