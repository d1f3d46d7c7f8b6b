//! The keys of a module that are parameters of its event source mapping, by AWS Lambda's names in the spelling of the
//! Terraform provider (`aws_lambda_event_source_mapping`).

use std::time::Duration;

use baikonur_mapping::{Settings, Start};
use baikonur_stream::{Clock, Lane, SystemClock, Timestamp};
use serde::Deserialize;

/// As they stand in the file.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct MappingKeys {
    /// None: as the module wants it.
    batch_size: Option<usize>,
    maximum_batching_window_in_seconds: u64,
    parallelization_factor: u32,
    starting_position: StartKey,
    starting_position_timestamp: Option<MomentKey>,
    maximum_retry_attempts: i64,
    maximum_record_age_in_seconds: i64,
    bisect_batch_on_function_error: bool,
    tumbling_window_in_seconds: u64,
    in_flight_bytes: u64,
}

impl Default for MappingKeys {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            batch_size: None,
            maximum_batching_window_in_seconds: settings.batching_window.as_secs(),
            parallelization_factor: settings.parallelization_factor,
            starting_position: StartKey::TrimHorizon,
            starting_position_timestamp: None,
            maximum_retry_attempts: -1,
            maximum_record_age_in_seconds: -1,
            bisect_batch_on_function_error: settings.bisect_batch_on_function_error,
            tumbling_window_in_seconds: 0,
            in_flight_bytes: settings.in_flight_bytes as u64,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StartKey {
    TrimHorizon,
    Latest,
    AtTimestamp,
}

/// A moment: seconds since the epoch as the API takes them, or RFC 3339 as Terraform does, as a text or as a date of TOML.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected seconds since 1970, or a time such as 2026-01-31T08:00:00Z"
)]
enum MomentKey {
    Seconds(f64),
    Text(String),
    Date(toml::value::Datetime),
}

/// The least that a mapping may be given in memory: a record of the default size.
pub(super) const IN_FLIGHT_BYTES_MIN: u64 = 1024 * 1024;

/// The longest tumbling window (API reference, `TumblingWindowInSeconds`).
const TUMBLING_WINDOW_MAX: u64 = 900;

/// The largest batch (API reference, `BatchSize`).
pub(super) const BATCH_SIZE_MAX: usize = 10_000;

impl MappingKeys {
    /// The settings that the keys mean; `batch_size` is what they are where it is not among them.
    ///
    /// # Errors
    /// Each key that is out of its range, in a sentence.
    pub(super) fn settings(&self, batch_size: usize) -> Result<Settings, Vec<String>> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, value: i64, legal: bool, range: &str| {
            if !legal {
                wrong.push(format!("{key} is {value}: it can be {range}"));
            }
        };
        let size = self.batch_size.unwrap_or(batch_size);
        let window = self.maximum_batching_window_in_seconds;
        let (attempts, age) = (self.maximum_retry_attempts, self.maximum_record_age_in_seconds);
        let legal = (1..=BATCH_SIZE_MAX).contains(&size);
        check("batch_size", to_i64(size as u64), legal, "1 to 10000");
        let legal = window <= 300;
        check("maximum_batching_window_in_seconds", to_i64(window), legal, "0 to 300");
        let factor = self.parallelization_factor;
        let legal = (1..=Lane::MAX).contains(&factor);
        check("parallelization_factor", factor.into(), legal, "1 to 10");
        let legal = (-1..=10_000).contains(&attempts);
        check("maximum_retry_attempts", attempts, legal, "-1 (without end) to 10000");
        let legal = age == -1 || (60..=604_800).contains(&age);
        check("maximum_record_age_in_seconds", age, legal, "-1 (any age), or 60 to 604800");
        let bytes = self.in_flight_bytes;
        let range = "1048576 (1 MiB) or more";
        check("in_flight_bytes", to_i64(bytes), bytes >= IN_FLIGHT_BYTES_MIN, range);
        let tumbling = self.tumbling_window_in_seconds;
        let legal = tumbling <= TUMBLING_WINDOW_MAX;
        check("tumbling_window_in_seconds", to_i64(tumbling), legal, "0 to 900");
        if legal && tumbling > 0 {
            wrong.push(format!(
                "tumbling_window_in_seconds is {tumbling}: none of the modules here adds records up over a window, so it can only be 0"
            ));
        }
        let starting_position = self.start().unwrap_or_else(|what| {
            wrong.push(what);
            Start::TrimHorizon
        });
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Settings {
            batch_size: size,
            batching_window: Duration::from_secs(window),
            parallelization_factor: factor,
            in_flight_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            starting_position,
            maximum_retry_attempts: u32::try_from(attempts).ok(),
            maximum_record_age: u64::try_from(age).ok().map(Duration::from_secs),
            bisect_batch_on_function_error: self.bisect_batch_on_function_error,
            ..Settings::default()
        })
    }

    fn start(&self) -> Result<Start, String> {
        let key = "starting_position_timestamp";
        match (self.starting_position, &self.starting_position_timestamp) {
            (StartKey::TrimHorizon, None) => Ok(Start::TrimHorizon),
            (StartKey::Latest, None) => Ok(Start::Latest),
            (StartKey::AtTimestamp, None) => {
                Err(format!("starting_position = \"AT_TIMESTAMP\" needs {key}"))
            }
            (StartKey::TrimHorizon | StartKey::Latest, Some(_)) => {
                Err(format!("{key} is for starting_position = \"AT_TIMESTAMP\" alone"))
            }
            (StartKey::AtTimestamp, Some(given)) => {
                let moment = given.moment().map_err(|what| format!("{key} {what}"))?;
                if moment > SystemClock::new().now() {
                    return Err(format!("{key} is {given}: it cannot be in the future"));
                }
                Ok(Start::AtTimestamp(moment))
            }
        }
    }
}

impl MomentKey {
    fn moment(&self) -> Result<Timestamp, String> {
        let text = match self {
            Self::Seconds(seconds) if *seconds >= 0.0 => {
                // Beyond the range of times the conversion stops at its end, which is in the future.
                return Ok(Timestamp::from_millis((seconds * 1000.0) as u64));
            }
            other => other.to_string(),
        };
        let parsed = text.parse::<jiff::Timestamp>();
        let millis = parsed.ok().and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        millis.map(Timestamp::from_millis).ok_or_else(|| {
            format!("is {text:?}: it can be seconds since 1970, or a time with its offset such as 2026-01-31T08:00:00Z")
        })
    }
}

impl std::fmt::Display for MomentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seconds(seconds) => seconds.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Date(date) => date.fmt(f),
        }
    }
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        toml::from_str::<MappingKeys>(text)
            .map_err(|error| vec![error.message().to_owned()])?
            .settings(Settings::default().batch_size)
    }

    #[test]
    fn the_defaults_are_those_of_the_room() {
        assert_eq!(settings(""), Ok(Settings::default()));
        let of_the_module = MappingKeys::default().settings(BATCH_SIZE_MAX).unwrap();
        assert_eq!(of_the_module.batch_size, BATCH_SIZE_MAX);
        let of_the_file = toml::from_str::<MappingKeys>("batch_size = 7").unwrap();
        assert_eq!(of_the_file.settings(BATCH_SIZE_MAX).unwrap().batch_size, 7);
    }

    #[test]
    fn both_ends_of_each_range_are_taken_and_what_is_beyond_is_refused() {
        for (key, taken, refused, range) in [
            ("batch_size", &[1_i64, 10_000][..], &[0_i64, 10_001][..], "1 to 10000"),
            ("maximum_batching_window_in_seconds", &[0, 300], &[301], "0 to 300"),
            ("parallelization_factor", &[1, 10], &[0, 11], "1 to 10"),
            (
                "maximum_retry_attempts",
                &[-1, 0, 10_000],
                &[-2, 10_001],
                "-1 (without end) to 10000",
            ),
            (
                "maximum_record_age_in_seconds",
                &[-1, 60, 604_800],
                &[-2, 0, 59, 604_801],
                "-1 (any age), or 60 to 604800",
            ),
            ("tumbling_window_in_seconds", &[0], &[901], "0 to 900"),
            ("in_flight_bytes", &[1 << 20, 1 << 40], &[(1 << 20) - 1], "1048576 (1 MiB) or more"),
        ] {
            for value in taken {
                assert!(settings(&format!("{key} = {value}")).is_ok(), "{key} {value}");
            }
            for value in refused {
                let expected = format!("{key} is {value}: it can be {range}");
                assert_eq!(settings(&format!("{key} = {value}")), Err(vec![expected]));
            }
        }
    }

    #[test]
    fn a_tumbling_window_is_refused_since_no_module_has_a_use_for_it() {
        let wrong = settings("tumbling_window_in_seconds = 60").unwrap_err();
        assert!(wrong[0].contains("it can only be 0"), "{wrong:?}");
    }

    #[test]
    fn a_moment_is_seconds_or_a_time_and_is_not_in_the_future() {
        let expected = Ok(Start::AtTimestamp(Timestamp::from_millis(1_700_000_000_500)));
        for moment in [
            "1700000000.5",
            "2023-11-14T22:13:20.5Z",
            "\"2023-11-14T22:13:20.5Z\"",
            "\"2023-11-14T23:13:20.5+01:00\"",
        ] {
            let text = format!(
                "starting_position = \"AT_TIMESTAMP\"\nstarting_position_timestamp = {moment}"
            );
            assert_eq!(
                settings(&text).map(|settings| settings.starting_position),
                expected,
                "{moment}"
            );
        }
        for (moment, what) in [
            ("4102444800", "cannot be in the future"),
            ("\"2099-01-01T00:00:00Z\"", "cannot be in the future"),
            ("\"yesterday\"", "seconds since 1970"),
            ("2023-11-14T22:13:20", "with its offset"),
            ("-5", "seconds since 1970"),
            ("true", "expected seconds since 1970"),
        ] {
            let text = format!(
                "starting_position = \"AT_TIMESTAMP\"\nstarting_position_timestamp = {moment}"
            );
            let wrong = settings(&text).unwrap_err();
            assert!(wrong[0].contains(what), "{moment}: {wrong:?}");
        }
    }

    #[test]
    fn a_moment_and_the_position_that_needs_it_come_together() {
        let wrong = settings("starting_position = \"AT_TIMESTAMP\"").unwrap_err();
        assert_eq!(
            wrong,
            ["starting_position = \"AT_TIMESTAMP\" needs starting_position_timestamp"]
        );
        let wrong = settings("starting_position_timestamp = 1").unwrap_err();
        assert!(wrong[0].contains("for starting_position = \"AT_TIMESTAMP\" alone"), "{wrong:?}");
        let text = "starting_position = \"LATEST\"\nstarting_position_timestamp = 1";
        assert!(settings(text).is_err());
    }
}
