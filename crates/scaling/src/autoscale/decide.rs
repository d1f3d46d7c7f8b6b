//! From sums by the minute to up, down or nothing: pure, in integers.

use std::fmt;

use baikonur_stream::Timestamp;
use serde::Serialize;

use super::config::ScaleConfig;
use super::metrics::{MINUTE, Measured, Operation, Volume, minute_from, minute_of};

/// What open shards take together in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes a second.
    pub bytes: u64,
    /// Records a second.
    pub records: u64,
}

impl Capacity {
    /// Of `open` shards (quotas page; 2000 records a second for reading is the original's figure).
    pub fn of(operation: Operation, open: u32) -> Self {
        let (bytes, records) = match operation {
            Operation::Put => (1 << 20, 1000),
            Operation::Get => (2 << 20, 2000),
        };
        Self { bytes: bytes * u64::from(open), records: records * u64::from(open) }
    }
}

/// What the load of an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Vote {
    /// More shards.
    Up,
    /// Fewer shards.
    Down,
    /// Neither.
    None,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::None => "NONE",
        })
    }
}

/// What fills a stream first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Metric {
    /// Bytes.
    Bytes,
    /// Records.
    Records,
}

/// A vote and its grounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The vote.
    pub vote: Vote,
    /// What was looked at: the fuller one on average.
    pub metric: Metric,
    /// Its average use of the capacity in percent, over the minutes looked at.
    pub average_pct: u64,
    /// Minutes above the upper threshold.
    pub high_minutes: u32,
    /// Minutes below the lower threshold.
    pub low_minutes: u32,
    /// Minutes that are known, at most the longer of both `scaleAfterMins`.
    pub minutes: u32,
}

/// The vote of an operation over the last minutes, as many as the longer of both `scaleAfterMins`.
/// A minute without records is a low one if the stream was there and somebody was looking.
pub fn judge(
    capacity: Capacity,
    measured: &Measured,
    created: Timestamp,
    up: Option<&ScaleConfig>,
    down: Option<&ScaleConfig>,
) -> Judgement {
    let window = [up, down].into_iter().flatten().map(|scale| scale.after_minutes).max();
    let window = u64::from(window.unwrap_or(0));
    let end = minute_of(measured.known.end).millis();
    let first = minute_from(measured.known.start.max(created)).millis();
    let first = first.max(end.saturating_sub(window * MINUTE));
    let minutes: Vec<Volume> = (first..end)
        .step_by(MINUTE as usize)
        .map(|minute| {
            let minute = Timestamp::from_millis(minute);
            measured.minutes.get(&minute).copied().unwrap_or_default()
        })
        .collect();
    let bytes = Use::of(minutes.iter().map(|minute| minute.bytes), capacity.bytes, up, down);
    let records = Use::of(minutes.iter().map(|minute| minute.records), capacity.records, up, down);
    let (metric, fuller) = match bytes.is_at_least(&records) {
        true => (Metric::Bytes, bytes),
        false => (Metric::Records, records),
    };
    let vote = if up.is_some_and(|up| fuller.high >= up.after_minutes) {
        Vote::Up
    } else if down.is_some_and(|down| fuller.low >= down.after_minutes) {
        Vote::Down
    } else {
        Vote::None
    };
    Judgement {
        vote,
        metric,
        average_pct: fuller.average_pct(minutes.len() as u64),
        high_minutes: fuller.high,
        low_minutes: fuller.low,
        minutes: minutes.len() as u32,
    }
}

/// How a capacity was used.
struct Use {
    sum: u128,
    capacity: u128,
    high: u32,
    low: u32,
}

impl Use {
    fn of(
        sums: impl Iterator<Item = u64>,
        capacity: u64,
        up: Option<&ScaleConfig>,
        down: Option<&ScaleConfig>,
    ) -> Self {
        let capacity = u128::from(capacity) * 60;
        let mut all = Self { sum: 0, capacity, high: 0, low: 0 };
        for sum in sums {
            let hundredfold = u128::from(sum) * 100;
            let threshold = |scale: &ScaleConfig| capacity * u128::from(scale.threshold_percent);
            all.sum += u128::from(sum);
            if up.is_some_and(|up| hundredfold > threshold(up)) {
                all.high += 1;
            } else if down.is_some_and(|down| hundredfold < threshold(down)) {
                all.low += 1;
            }
        }
        all
    }

    fn is_at_least(&self, other: &Self) -> bool {
        self.sum * other.capacity >= other.sum * self.capacity
    }

    fn average_pct(&self, minutes: u64) -> u64 {
        let whole = (self.capacity * u128::from(minutes)).max(1);
        u64::try_from(self.sum * 100 / whole).unwrap_or(u64::MAX)
    }
}

/// What is done, from the votes of the operations that are looked at: more where one of them asks
/// for it, fewer only where all do.
pub fn decide(votes: &[Vote]) -> Vote {
    if votes.contains(&Vote::Up) {
        Vote::Up
    } else if !votes.is_empty() && votes.iter().all(|vote| *vote == Vote::Down) {
        Vote::Down
    } else {
        Vote::None
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{PercentRule, read};
    use super::*;
    use std::collections::BTreeMap;

    /// Up above 70 % for 2 minutes, down below 30 % for 4.
    fn scales() -> (Option<ScaleConfig>, Option<ScaleConfig>) {
        let text = r#"[{"streamName": "s",
            "scaleUp": {"scaleThresholdPct": 70, "scaleAfterMins": 2, "scaleCount": 1},
            "scaleDown": {"scaleThresholdPct": 30, "scaleAfterMins": 4, "scaleCount": 1}}]"#;
        let [monitor] = read(text, PercentRule::Plain).unwrap().try_into().unwrap();
        (monitor.scale_up, monitor.scale_down)
    }

    fn minute(number: u64) -> Timestamp {
        Timestamp::from_millis(number * MINUTE)
    }

    /// Known from minute 0 to 100; the last minutes have these percent of one shard's bytes.
    fn bytes(percent: &[u64]) -> Measured {
        let first = 100 - percent.len() as u64;
        let volume = |(place, percent): (usize, &u64)| {
            let volume = Volume { bytes: (60 << 20) * percent / 100, records: 1 };
            (minute(first + place as u64), volume)
        };
        let minutes = percent.iter().enumerate().map(volume).collect();
        Measured { known: minute(0)..minute(100), minutes }
    }

    fn vote(measured: &Measured, created: Timestamp) -> Judgement {
        let (up, down) = scales();
        judge(Capacity::of(Operation::Put, 1), measured, created, up.as_ref(), down.as_ref())
    }

    #[test]
    fn minutes_are_counted_against_strict_thresholds() {
        for (percent, expected) in [
            (&[71, 71, 0, 0][..], Vote::Up),
            (&[0, 71, 0, 71], Vote::Up),
            (&[70, 70, 70, 70], Vote::None),
            (&[29, 29, 29, 29], Vote::Down),
            (&[30, 29, 29, 29], Vote::None),
            (&[99, 99, 29, 29, 29, 29], Vote::Down),
            (&[50, 50, 50, 71], Vote::None),
            (&[], Vote::Down),
        ] {
            assert_eq!(vote(&bytes(percent), minute(0)).vote, expected, "{percent:?}");
        }
        let judgement = vote(&bytes(&[71, 71, 0, 0]), minute(0));
        assert_eq!((judgement.high_minutes, judgement.low_minutes, judgement.minutes), (2, 2, 4));
        assert_eq!((judgement.metric, judgement.average_pct), (Metric::Bytes, 35));
    }

    #[test]
    fn a_minute_without_records_is_low_only_if_the_stream_was_there_and_watched() {
        let idle = bytes(&[]);
        assert_eq!(vote(&idle, minute(96)).vote, Vote::Down);
        // The fourth minute back is not whole.
        let late = Timestamp::from_millis(minute(96).millis() + 1);
        let judgement = vote(&idle, late);
        assert_eq!((judgement.vote, judgement.minutes), (Vote::None, 3));
        let watched = Measured { known: late..minute(100), ..bytes(&[]) };
        assert_eq!(vote(&watched, minute(0)).vote, Vote::None);
        let unfinished = Timestamp::from_millis(minute(101).millis() - 1);
        let watched = Measured { known: minute(96)..unfinished, ..bytes(&[]) };
        assert_eq!(vote(&watched, minute(0)).vote, Vote::Down);
        let nothing = Measured { known: minute(100)..minute(100), minutes: BTreeMap::new() };
        assert_eq!(vote(&nothing, minute(0)).minutes, 0);
    }

    #[test]
    fn the_fuller_of_bytes_and_records_decides() {
        let mut measured = bytes(&[40, 40, 40, 40]);
        for volume in measured.minutes.values_mut() {
            volume.records = 60_000 * 80 / 100;
        }
        let judgement = vote(&measured, minute(0));
        assert_eq!((judgement.vote, judgement.metric), (Vote::Up, Metric::Records));
        assert_eq!(judgement.average_pct, 80);
    }

    #[test]
    fn one_direction_alone_votes_alone() {
        let (up, down) = scales();
        let put = Capacity::of(Operation::Put, 1);
        let (low, high) = (bytes(&[0; 4]), bytes(&[99; 4]));
        assert_eq!(judge(put, &low, minute(0), up.as_ref(), None).vote, Vote::None);
        assert_eq!(judge(put, &high, minute(0), up.as_ref(), None).vote, Vote::Up);
        assert_eq!(judge(put, &high, minute(0), None, down.as_ref()).vote, Vote::None);
        assert_eq!(judge(put, &low, minute(0), None, down.as_ref()).vote, Vote::Down);
    }

    #[test]
    fn capacity_of_many_shards_does_not_overflow() {
        let capacity = Capacity::of(Operation::Get, 10_000);
        assert_eq!((capacity.bytes, capacity.records), (10_000 << 21, 20_000_000));
    }

    #[test]
    fn votes_of_put_and_get_are_weighed() {
        use Vote::{Down, None, Up};
        for (get, put, decision) in [
            (Down, Down, Down),
            (Down, None, None),
            (Down, Up, Up),
            (None, Down, None),
            (None, None, None),
            (None, Up, Up),
            (Up, Down, Up),
            (Up, None, Up),
            (Up, Up, Up),
        ] {
            assert_eq!(decide(&[put, get]), decision, "get {get} put {put}");
        }
        for alone in [Up, Down, None] {
            assert_eq!(decide(&[alone]), alone);
        }
        assert_eq!(decide(&[]), None);
    }
}
