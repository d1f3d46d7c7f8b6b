//! The numbers that AWS Lambda calls `EventCount`, as a metrics recorder sees them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baikonur_mapping::Settings;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use super::lanes::{fill, run};

/// Counters by name and, where they have one, by reason, summed over everything else; and gauges.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn cell(&self, name: String) -> Arc<AtomicU64> {
        self.0.lock().unwrap().entry(name).or_default().clone()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let reason = key.labels().find(|label| label.key() == "reason");
        let reason = reason.map(|label| format!(" {}", label.value())).unwrap_or_default();
        let name = format!("{}{reason}", key.name());
        Counter::from_arc(self.cell(name))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key.name().to_owned()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Ten records; the fifth is poison and is tried twice with all of its batch.
fn counts(parallelization_factor: u32) -> Counts {
    let settings = Settings {
        parallelization_factor,
        batch_size: 10,
        batching_window: Duration::from_secs(5),
        maximum_retry_attempts: Some(1),
        ..Settings::default()
    };
    let counts = Counts::default();
    with_local_recorder(&counts, || {
        // All of one key, so that lanes change nothing.
        run(settings, |world| fill(world, 10, |_| 0, |n| n == 4), Duration::from_secs(60))
    });
    counts
}

#[test]
fn records_are_counted_as_lambda_counts_events() {
    for lanes in [1, 3] {
        let counts = counts(lanes);
        let of = |name: &str| counts.of(&format!("baikonur_{name}_total"));
        assert_eq!(of("polled_records"), 10, "read once, whoever gets them: {lanes} lanes");
        assert_eq!(of("invoked_records"), 20, "a retry counts again");
        assert_eq!(of("failed_invoke_records"), 20);
        assert_eq!(of("delivered_records"), 0);
        assert_eq!(of("retries"), 1);
        let kept = counts.of("baikonur_failed_records_total retry_attempts_exhausted");
        assert_eq!(kept, 10, "nothing is dropped");
    }
}

#[test]
fn the_iterator_age_is_that_of_the_oldest_record_that_waits_and_grows_while_it_is_stuck() {
    let minute = Duration::from_secs(60);
    for lanes in [1, 3] {
        let age = |poison: Option<u64>| {
            let settings = Settings { parallelization_factor: lanes, ..Settings::default() };
            let counts = Counts::default();
            with_local_recorder(&counts, || {
                run(settings, |world| fill(world, 10, |n| n % 7, |n| Some(n) == poison), minute)
            });
            f64::from_bits(counts.of("baikonur_iterator_age_seconds"))
        };
        // All arrived when the story began.
        let stuck = age(Some(4));
        assert!((58.0..=60.0).contains(&stuck), "{stuck} s with {lanes} lanes");
        assert!(age(None) < 1e-9, "at the tip nothing waits");
    }
}
