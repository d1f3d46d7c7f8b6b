//! The keys of a module that are parameters of its event source mapping, by AWS Lambda's names in the spelling of the
//! Terraform provider (`aws_lambda_event_source_mapping`).

use std::time::Duration;

use baikonur_mapping::{Settings, Start};
use serde::Deserialize;

/// As they stand in the file.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct MappingKeys {
    batch_size: usize,
    maximum_batching_window_in_seconds: u64,
    starting_position: StartKey,
    maximum_retry_attempts: i64,
    maximum_record_age_in_seconds: i64,
    bisect_batch_on_function_error: bool,
}

impl Default for MappingKeys {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            batch_size: settings.batch_size,
            maximum_batching_window_in_seconds: settings.batching_window.as_secs(),
            starting_position: StartKey::TrimHorizon,
            maximum_retry_attempts: -1,
            maximum_record_age_in_seconds: -1,
            bisect_batch_on_function_error: settings.bisect_batch_on_function_error,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StartKey {
    TrimHorizon,
    Latest,
}

impl MappingKeys {
    /// The settings that the keys mean.
    ///
    /// # Errors
    /// Each key that is out of its range, in a sentence.
    pub(super) fn settings(&self) -> Result<Settings, Vec<String>> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, value: i64, legal: bool, range: &str| {
            if !legal {
                wrong.push(format!("{key} is {value}: it can be {range}"));
            }
        };
        let (size, window) = (self.batch_size, self.maximum_batching_window_in_seconds);
        let (attempts, age) = (self.maximum_retry_attempts, self.maximum_record_age_in_seconds);
        check("batch_size", to_i64(size as u64), (1..=10_000).contains(&size), "1 to 10000");
        let legal = window <= 300;
        check("maximum_batching_window_in_seconds", to_i64(window), legal, "0 to 300");
        let legal = (-1..=10_000).contains(&attempts);
        check("maximum_retry_attempts", attempts, legal, "-1 (without end) to 10000");
        let legal = age == -1 || (60..=604_800).contains(&age);
        check("maximum_record_age_in_seconds", age, legal, "-1 (any age), or 60 to 604800");
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Settings {
            batch_size: size,
            batching_window: Duration::from_secs(window),
            starting_position: match self.starting_position {
                StartKey::TrimHorizon => Start::TrimHorizon,
                StartKey::Latest => Start::Latest,
            },
            maximum_retry_attempts: u32::try_from(attempts).ok(),
            maximum_record_age: u64::try_from(age).ok().map(Duration::from_secs),
            bisect_batch_on_function_error: self.bisect_batch_on_function_error,
            ..Settings::default()
        })
    }
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
