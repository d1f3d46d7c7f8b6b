//! Notes: small durable texts beside the records. They share the log's group commit and are carried
//! from segment to segment by snapshots, so their number must stay bounded: by shards times
//! consumers, by names of streams times consumers, by producers of the last year, and by findings of
//! damage.
//!
//! ```text
//! progress/{incarnation}/{shard}/{consumer}   JSON of a ShardProgress; updatable
//! begun/{incarnation}/{consumer}              the stream's name: the consumer's first shards have
//!                                             checkpoints; gone with the stream when the consumer
//!                                             has begun with a later one of the name
//! producer/{name}                             the text of a sequence number; updatable; gone when
//!                                             no stream can still hold a record of that age
//! damage/{segment}/{from}-{to}                empty; gone with the segment
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use baikonur_stream::{Begun, ConsumerName, RetentionHours, SequenceNumber, StreamName, Timestamp};
use bytes::Bytes;

use crate::frame::ShardKey;

/// The notes by key.
pub(crate) type Notes = BTreeMap<String, Bytes>;

/// The key of a consumer's progress in a shard. It names the incarnation, so that progress in a
/// deleted stream says nothing about a later one of the same name.
pub(crate) fn progress_key(key: ShardKey, consumer: &ConsumerName) -> String {
    format!("progress/{}/{}/{consumer}", key.incarnation, key.shard)
}

/// The key of the note that a consumer has begun with a stream.
pub(crate) fn begun_key(incarnation: u64, consumer: &ConsumerName) -> String {
    format!("begun/{incarnation}/{consumer}")
}

/// Incarnation and consumer of the key of such a note.
fn begun_parts(key: &str) -> Option<(u64, &str)> {
    let (incarnation, consumer) = key.strip_prefix("begun/")?.split_once('/')?;
    Some((incarnation.parse().ok()?, consumer))
}

/// Whether a consumer has begun with a stream, of which this is the incarnation.
pub(crate) fn begun(
    notes: &Notes,
    incarnation: u64,
    consumer: &ConsumerName,
    stream: &StreamName,
) -> Begun {
    if notes.contains_key(&begun_key(incarnation, consumer)) {
        return Begun::ThisStream;
    }
    let earlier = notes.iter().any(|(key, name)| {
        begun_parts(key).is_some_and(|(_, who)| who == consumer.as_str())
            && name.as_ref() == stream.as_str().as_bytes()
    });
    if earlier { Begun::EarlierStream } else { Begun::Never }
}

/// The key of a producer's position.
pub(crate) fn producer_key(producer: &str) -> String {
    format!("producer/{producer}")
}

/// The key of a finding of damage.
pub(crate) fn damage_key(segment: u64, range: &Range<u64>) -> String {
    format!("damage/{segment}/{}-{}", range.start, range.end)
}

/// The findings of damage among the notes: segment and byte range.
pub(crate) fn damages(notes: &Notes) -> Vec<(u64, Range<u64>)> {
    let parse = |key: &String| {
        let (segment, range) = key.strip_prefix("damage/")?.split_once('/')?;
        let (from, to) = range.split_once('-')?;
        Some((segment.parse().ok()?, from.parse().ok()?..to.parse().ok()?))
    };
    notes.keys().filter_map(parse).collect()
}

/// A producer's position is kept for this long behind the last record that it copied. The source may
/// be a stream of this store or not, and a shard that is gone here may still have a batch under way,
/// which is tried again; but no stream anywhere holds records longer than the longest retention
/// period, so after it, and a day for clocks and batches, nothing up to that position comes again.
const PRODUCER_LIFE: Duration =
    RetentionHours::MAX.duration().saturating_add(Duration::from_secs(24 * 3600));

/// Whether a producer's position is of no use at `now`. One without a time is kept.
fn has_expired(position: &[u8], now: Timestamp) -> bool {
    let number = std::str::from_utf8(position).ok().and_then(|text| text.parse().ok());
    let seconds = number.map_or(0, SequenceNumber::time_seconds);
    seconds > 0 && now.since(Timestamp::from_seconds(seconds)) > PRODUCER_LIFE
}

/// Keeps what is still about something: a stream, a shard or a segment that exists, or a record that
/// may.
pub(crate) fn retain(
    notes: &mut Notes,
    now: Timestamp,
    stream_exists: impl Fn(u64) -> bool,
    shard_exists: impl Fn(ShardKey) -> bool,
    segment_exists: impl Fn(u64) -> bool,
) {
    // By consumer and stream's name.
    let mut newest: HashMap<(String, Bytes), u64> = HashMap::new();
    for (key, name) in notes.iter() {
        if let Some((incarnation, consumer)) = begun_parts(key) {
            let newest = newest.entry((consumer.to_owned(), name.clone())).or_default();
            *newest = incarnation.max(*newest);
        }
    }
    let newest: HashSet<(u64, String)> =
        newest.into_iter().map(|((consumer, _), incarnation)| (incarnation, consumer)).collect();
    notes.retain(|key, value| {
        let mut parts = key.split('/');
        let kind = parts.next();
        let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok());
        if kind == Some("producer") {
            return !has_expired(value, now);
        }
        match (kind, number(), number()) {
            (Some("progress"), Some(incarnation), Some(shard)) => u32::try_from(shard)
                .is_ok_and(|shard| shard_exists(ShardKey { incarnation, shard })),
            (Some("begun"), Some(incarnation), _) => {
                // The last of its name tells a later stream that it is no first one.
                stream_exists(incarnation)
                    || begun_parts(key).is_some_and(|(incarnation, consumer)| {
                        newest.contains(&(incarnation, consumer.to_owned()))
                    })
            }
            (Some("damage"), Some(segment), _) => segment_exists(segment),
            _ => true,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_about_streams_and_segments_that_are_gone_are_dropped() {
        let consumer = ConsumerName::new("with/slash");
        let keys = [
            progress_key(ShardKey { incarnation: 1, shard: 0 }, &consumer),
            progress_key(ShardKey { incarnation: 2, shard: 0 }, &consumer),
            progress_key(ShardKey { incarnation: 2, shard: 1 }, &consumer),
            producer_key("7/copy"),
            begun_key(1, &consumer),
            begun_key(2, &consumer),
            damage_key(5, &(10..20)),
            damage_key(6, &(10..20)),
        ];
        let mut notes: Notes = keys.iter().map(|key| (key.clone(), Bytes::new())).collect();
        assert_eq!(damages(&notes), [(5, 10..20), (6, 10..20)]);
        let exists = |key: ShardKey| key.incarnation == 2 && key.shard == 0;
        let now = Timestamp::from_seconds(1);
        retain(&mut notes, now, |stream| stream == 2, exists, |segment| segment == 6);
        let kept: Vec<_> = notes.into_keys().collect();
        assert_eq!(kept, [&keys[5], &keys[7], &keys[3], &keys[1]].map(String::clone));
    }

    #[test]
    fn the_last_stream_of_a_name_is_remembered_for_each_consumer() {
        let (one, two) = (ConsumerName::new("one"), ConsumerName::new("with/slash"));
        let stream = |name: &str| StreamName::new(name).unwrap();
        let note = |key: String, name: &'static str| (key, Bytes::from_static(name.as_bytes()));
        let mut notes = Notes::from([
            note(begun_key(9, &one), "s"),
            note(begun_key(10, &one), "s"),
            note(begun_key(8, &one), "t"),
            note(begun_key(9, &two), "s"),
        ]);
        let now = Timestamp::from_seconds(1);
        retain(&mut notes, now, |_| false, |_| false, |_| false);
        assert!(!notes.contains_key(&begun_key(9, &one)), "followed by another");
        assert_eq!(notes.len(), 3);
        let begun =
            |incarnation, consumer, name| begun(&notes, incarnation, consumer, &stream(name));
        assert_eq!(begun(10, &one, "s"), Begun::ThisStream);
        assert_eq!(begun(11, &one, "s"), Begun::EarlierStream);
        assert_eq!(begun(11, &two, "s"), Begun::EarlierStream);
        assert_eq!(begun(11, &two, "t"), Begun::Never);
    }

    #[test]
    fn a_position_is_kept_for_as_long_as_any_stream_may_hold_its_record() {
        const START: u64 = 1_700_000_000;
        let position = |number: &str| {
            Notes::from([(
                producer_key("copy/s/shardId-000000000000"),
                Bytes::from(number.to_owned()),
            )])
        };
        let kept = |number: &str, days: u64| {
            let mut notes = position(number);
            let now = Timestamp::from_seconds(START + days * 24 * 3600);
            retain(&mut notes, now, |_| false, |_| false, |_| false);
            !notes.is_empty()
        };
        let number = SequenceNumber::new(START - 5, 3, 17, START).to_string();
        assert!(kept(&number, 0) && kept(&number, 366), "its shard may be gone for long");
        assert!(!kept(&number, 367));
        assert!(kept("a position of another layout", 5000));
    }
}
