//! Metrics of embedded streams: differences of the counters that every shard has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use baikonur_stream::{Administer, Clock, ShardId, ShardUsage, StreamName, Timestamp};

use super::metrics::{MINUTE, Measured, Metrics, MetricsError, Operation, Volume, minute_of};

/// Minutes that are remembered of a stream: the longest window, and one.
const MINUTES_MAX: usize = 1441;

/// Sums over minutes from counters, as often as somebody asks. What went through between two
/// questions is spread evenly over the time between them, and nothing is known of the time before
/// the first one. What went through a shard after the last question before it was closed is lost.
pub struct UsageMetrics {
    administer: Arc<dyn Administer>,
    clock: Arc<dyn Clock>,
    streams: Mutex<BTreeMap<StreamName, Watched>>,
}

struct Watched {
    since: Timestamp,
    last: Timestamp,
    counters: BTreeMap<ShardId, ShardUsage>,
    /// Puts and gets, by the beginning of the minute.
    minutes: BTreeMap<Timestamp, (Volume, Volume)>,
}

impl UsageMetrics {
    /// Figures of the streams of `administer`.
    pub fn new(administer: Arc<dyn Administer>, clock: Arc<dyn Clock>) -> Self {
        Self { administer, clock, streams: Mutex::default() }
    }
}

#[async_trait]
impl Metrics for UsageMetrics {
    async fn measure(
        &self,
        stream: &StreamName,
        operation: Operation,
        minutes: u32,
    ) -> Result<Measured, MetricsError> {
        let usage = self.administer.usage(stream).await;
        let usage = usage.map_err(|error| MetricsError(error.to_string()))?;
        let now = self.clock.now();
        let mut streams = self.streams.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let watched = streams.entry(stream.clone()).or_insert_with(|| Watched {
            since: now,
            last: now,
            counters: usage.iter().map(|usage| (usage.shard, *usage)).collect(),
            minutes: BTreeMap::new(),
        });
        watched.note(now, &usage);
        let from = minute_of(watched.last).millis().saturating_sub(u64::from(minutes) * MINUTE);
        let minutes = watched.minutes.range(Timestamp::from_millis(from)..);
        let volume = |(put, get): &(Volume, Volume)| match operation {
            Operation::Put => *put,
            Operation::Get => *get,
        };
        Ok(Measured {
            known: watched.since..watched.last,
            minutes: minutes.map(|(minute, sums)| (*minute, volume(sums))).collect(),
        })
    }
}

impl Watched {
    fn note(&mut self, now: Timestamp, usage: &[ShardUsage]) {
        // The wall clock may step back.
        let now = now.max(self.last);
        let (mut put, mut get) = (Volume::default(), Volume::default());
        for usage in usage {
            let before = self.counters.get(&usage.shard);
            // Counters that are lower than before began anew.
            let more = |now: u64, field: fn(&ShardUsage) -> u64| {
                let before = before.map_or(0, field);
                now.checked_sub(before).unwrap_or(now)
            };
            put.bytes += more(usage.bytes_in, |usage| usage.bytes_in);
            put.records += more(usage.records_in, |usage| usage.records_in);
            get.bytes += more(usage.bytes_out, |usage| usage.bytes_out);
            get.records += more(usage.records_out, |usage| usage.records_out);
        }
        self.counters = usage.iter().map(|usage| (usage.shard, *usage)).collect();
        self.spread(now, put, get);
        self.last = now;
        while self.minutes.len() > MINUTES_MAX {
            self.minutes.pop_first();
        }
    }

    fn spread(&mut self, now: Timestamp, put: Volume, get: Volume) {
        let (from, to) = (self.last.millis(), now.millis());
        let total = u128::from(to - from);
        // Of a sum, what had come when `time` was reached.
        let until = |sum: u64, time: u64| {
            let part = u128::from(sum) * u128::from(time - from);
            part.checked_div(total).map_or(sum, |part| u64::try_from(part).unwrap_or(sum))
        };
        let mut start = from;
        loop {
            let end = (start / MINUTE * MINUTE + MINUTE).min(to);
            let minute = minute_of(Timestamp::from_millis(start));
            let (puts, gets) = self.minutes.entry(minute).or_default();
            for (sums, whole) in [(puts, put), (gets, get)] {
                // With no time between, all of it came at its end.
                let before = |sum| if total == 0 { 0 } else { until(sum, start) };
                sums.bytes += until(whole.bytes, end) - before(whole.bytes);
                sums.records += until(whole.records, end) - before(whole.records);
            }
            if end >= to {
                return;
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::{PausedClock, Service, name};
    use std::time::Duration;

    fn set(service: &Service, shard: u32, records_in: u64, bytes_out: u64) {
        let shard = ShardId::new(shard);
        let usage =
            ShardUsage { shard, records_in, bytes_in: records_in * 100, records_out: 0, bytes_out };
        service.state.lock().unwrap().usage.insert(shard, usage);
    }

    #[tokio::test(start_paused = true)]
    async fn counters_become_sums_of_minutes() {
        let service = Arc::new(Service::new(2));
        set(&service, 0, 5_000_000, 0);
        let metrics = UsageMetrics::new(service.clone(), Arc::new(PausedClock::new()));
        let router = name();
        let measure = |operation| metrics.measure(&router, operation, 10);
        let first = measure(Operation::Put).await.unwrap();
        assert_eq!(first.known, PausedClock::START..PausedClock::START);
        // 90 seconds: two thirds in the first minute.
        tokio::time::advance(Duration::from_secs(90)).await;
        set(&service, 0, 5_000_900, 0);
        set(&service, 1, 90, 300);
        let put = measure(Operation::Put).await.unwrap();
        let start = PausedClock::START;
        let next = Timestamp::from_millis(start.millis() + MINUTE);
        assert_eq!(put.known, start..Timestamp::from_millis(start.millis() + 90_000));
        assert_eq!(put.minutes[&start], Volume { records: 660, bytes: 66_000 });
        assert_eq!(put.minutes[&next], Volume { records: 330, bytes: 33_000 });
        let get = measure(Operation::Get).await.unwrap();
        assert_eq!(get.minutes[&start], Volume { records: 0, bytes: 200 });
        // After a restart of the store counters begin at zero.
        tokio::time::advance(Duration::from_secs(30)).await;
        set(&service, 0, 70, 0);
        let put = measure(Operation::Put).await.unwrap();
        assert_eq!(put.minutes[&next].records, 400);
    }
}
