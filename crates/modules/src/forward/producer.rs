//! The name under which a target remembers how far a forwarding module has come, made and taken apart in one place.
//!
//! ```text
//! CONSUMER/STREAM/SHARD                   a whole shard
//! CONSUMER/STREAM/SHARD/0-of-4            a lane of it
//! CONSUMER/STREAM/SHARD/to/TARGET         for one of several targets of the module; the lane stands behind it
//! CONSUMER/STREAM/SHARD…#2                after the position in the shard was reset twice
//! ```
//!
//! Names are stored, so their form never changes.

use std::fmt;

use baikonur_stream::{ConsumerName, Lane, ShardAddress, StreamName};

/// Between the shard and one of several targets.
const TO: &str = "to";
/// Before the number of resets.
const RESETS: char = '#';

/// Who puts: a module's delivery of a shard, or of a lane of it, into one of its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    consumer: ConsumerName,
    shard: ShardAddress,
    target: Option<StreamName>,
    lane: Lane,
    resets: u64,
}

impl Producer {
    /// Of a whole shard, into the one target of the module `consumer`.
    pub fn new(consumer: &ConsumerName, shard: &ShardAddress) -> Self {
        let (consumer, shard) = (consumer.clone(), shard.clone());
        Self { consumer, shard, target: None, lane: Lane::WHOLE, resets: 0 }
    }

    /// The same into one of several targets, each of which has a position of its own.
    pub fn to(self, target: StreamName) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The same, of a lane.
    pub fn of_lane(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
    }

    /// The same after the position in the shard was reset so often: nothing is remembered of it yet.
    pub fn after_resets(self, resets: u64) -> Self {
        Self { resets, ..self }
    }

    /// Takes a name apart; none if it is no name of a forwarding module's.
    pub fn parse(name: &str) -> Option<Self> {
        let (name, resets) = match name.rsplit_once(RESETS) {
            Some((name, resets)) => (name, resets.parse().ok().filter(|resets| *resets > 0)?),
            None => (name, 0),
        };
        let mut parts = name.split('/');
        let consumer = ConsumerName::new(parts.next()?);
        let stream = StreamName::new(parts.next()?).ok()?;
        let shard = ShardAddress { stream, shard: parts.next()?.parse().ok()? };
        let mut producer = Self::new(&consumer, &shard).after_resets(resets);
        let mut next = parts.next();
        if next == Some(TO) {
            producer.target = Some(StreamName::new(parts.next()?).ok()?);
            next = parts.next();
        }
        if let Some(lane) = next {
            producer.lane = lane_of(lane)?;
        }
        parts.next().is_none().then_some(producer)
    }

    /// The shard that it copies from.
    pub fn shard(&self) -> &ShardAddress {
        &self.shard
    }
}

/// The lane that is written so.
fn lane_of(text: &str) -> Option<Lane> {
    let (index, of) = text.split_once("-of-")?;
    let of = of.parse().ok().filter(|of| (2..=Lane::MAX).contains(of))?;
    Lane::all(of).nth(index.parse().ok()?)
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer, shard, target, lane, resets } = self;
        write!(f, "{consumer}/{shard}")?;
        if let Some(target) = target {
            write!(f, "/{TO}/{target}")?;
        }
        if *lane != Lane::WHOLE {
            write!(f, "/{lane}")?;
        }
        if *resets > 0 {
            write!(f, "{RESETS}{resets}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::ShardId;

    use super::*;

    fn producer() -> Producer {
        let stream = StreamName::new("router").unwrap();
        let shard = ShardAddress { stream, shard: ShardId::new(7) };
        Producer::new(&ConsumerName::new("to-b"), &shard)
    }

    #[test]
    fn names_are_stored_and_never_change() {
        let lane = Lane::all(4).nth(2).unwrap();
        let to = StreamName::new("of-4").unwrap();
        for (producer, name) in [
            (producer(), "to-b/router/shardId-000000000007"),
            (producer().of_lane(lane), "to-b/router/shardId-000000000007/2-of-4"),
            (producer().after_resets(3), "to-b/router/shardId-000000000007#3"),
            (
                producer().of_lane(lane).after_resets(12),
                "to-b/router/shardId-000000000007/2-of-4#12",
            ),
            (producer().to(to.clone()), "to-b/router/shardId-000000000007/to/of-4"),
            (
                producer().to(to).of_lane(lane).after_resets(1),
                "to-b/router/shardId-000000000007/to/of-4/2-of-4#1",
            ),
        ] {
            assert_eq!(producer.to_string(), name);
            assert_eq!(Producer::parse(name), Some(producer), "{name}");
        }
    }

    #[test]
    fn all_lanes_of_all_factors_are_told_apart() {
        let mut names = std::collections::BTreeSet::new();
        for lane in (1..=Lane::MAX).flat_map(Lane::all) {
            let producer = producer().of_lane(lane);
            let name = producer.to_string();
            assert_eq!(Producer::parse(&name), Some(producer));
            assert!(names.insert(name));
        }
        assert_eq!(names.len(), 55);
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            "to-b",
            "to-b/router",
            "to-b/router/7x",
            "to-b/router/shardId-000000000007/",
            "to-b/router/shardId-000000000007/4-of-4",
            "to-b/router/shardId-000000000007/0-of-1",
            "to-b/router/shardId-000000000007/0-of-11",
            "to-b/router/shardId-000000000007/0-of-2/x",
            "to-b/router/shardId-000000000007/to",
            "to-b/router/shardId-000000000007#",
            "to-b/router/shardId-000000000007#0",
            "to-b/a b/shardId-000000000007",
        ] {
            assert_eq!(Producer::parse(name), None, "{name}");
        }
    }
}
