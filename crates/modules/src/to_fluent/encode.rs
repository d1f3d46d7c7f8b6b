//! Log events to messages of the Forward protocol, in its PackedForward mode.
//!
//! A message is `[tag, entries, {"size": n, "chunk": id}]`, and `entries` holds `[time, {"message":
//! text}]` one after the other. One buffer serves all messages: which events go into which message
//! is decided first, without touching their text.

use std::collections::HashMap;

use baikonur_record::{EventTime, LogEvent, LogType};
use baikonur_stream::{SequenceNumber, ShardAddress};
use rmp::encode;
use sha2::{Digest, Sha256};

use super::settings::{Settings, TimePrecision};
use crate::intake::TakenEvent;

/// What an event takes beside its text, at most: two array and map heads, a time, the key, a length.
const ENTRY_OVERHEAD_BYTES: usize = 32;
/// What a message takes beside its tag and entries, at most.
const MESSAGE_OVERHEAD_BYTES: usize = 96;
/// Bytes of the hash that a chunk's id is made from.
const ID_BYTES: usize = 16;
/// MessagePack: an extension of 8 bytes.
const FIXEXT8: u8 = 0xd7;
/// The Forward protocol: the extension type of `EventTime`.
const EVENT_TIME_TYPE: u8 = 0x00;
/// MessagePack: binary data with a length of 32 bits.
const BIN32: u8 = 0xc6;

/// Events of a batch that make one message: of one tag, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The tag.
    pub tag: String,
    /// Places of the events among those of the batch.
    pub events: Vec<usize>,
    /// Names the message in its acknowledgement. A function of the records, so that the same batch
    /// has the same ids again.
    pub id: String,
    /// Bytes that the message takes at most.
    bytes: usize,
}

impl Chunk {
    /// The record that its first event is in.
    pub(super) fn first(&self, events: &[TakenEvent]) -> SequenceNumber {
        events[self.events[0]].sequence_number
    }

    /// The place of its first event.
    pub(super) fn first_event(&self) -> usize {
        self.events[0]
    }

    /// Whether it is one event that is larger than messages should be.
    pub(super) fn is_oversized(&self, settings: &Settings) -> bool {
        self.events.len() == 1 && self.bytes > settings.chunk_bytes
    }

    /// Writes the message behind what `buffer` holds.
    pub fn append(
        &self,
        events: &[TakenEvent],
        time_precision: TimePrecision,
        buffer: &mut Vec<u8>,
    ) {
        buffer.reserve(self.bytes);
        written(encode::write_array_len(buffer, 3));
        written(encode::write_str(buffer, &self.tag));
        let entries_start = begin_binary(buffer);
        for &event in &self.events {
            append_entry(buffer, &events[event].event, time_precision);
        }
        end_binary(buffer, entries_start);
        written(encode::write_map_len(buffer, 2));
        written(encode::write_str(buffer, "size"));
        written(encode::write_uint(buffer, self.events.len() as u64));
        written(encode::write_str(buffer, "chunk"));
        written(encode::write_str(buffer, &self.id));
    }
}

/// The tag of an event.
pub fn tag(fluent_tag: &str, event: &LogEvent) -> String {
    format!("{}.{fluent_tag}", event.log_type.tag_segment())
}

/// Which messages `events` of `shard` make, those with the earliest events first.
pub fn chunks(settings: &Settings, shard: &ShardAddress, events: &[TakenEvent]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open = OpenChunks::default();
    for (place, taken) in events.iter().enumerate() {
        let bytes = taken.event.json.len() + ENTRY_OVERHEAD_BYTES;
        let at = open.of_type(&taken.event);
        if let Some(chunk) = at.map(|at| &mut chunks[at])
            && chunk.bytes + bytes <= settings.chunk_bytes
        {
            chunk.events.push(place);
            chunk.bytes += bytes;
            continue;
        }
        let tag = match at {
            Some(full) => chunks[full].tag.clone(),
            None => tag(&settings.fluent_tag, &taken.event),
        };
        let id = chunk_id(shard, taken, &tag);
        let bytes = bytes + MESSAGE_OVERHEAD_BYTES + tag.len();
        open.begin(&taken.event, chunks.len());
        chunks.push(Chunk { tag, events: vec![place], id, bytes });
    }
    chunks
}

/// For each log type the chunk that its next event goes into.
#[derive(Default)]
struct OpenChunks {
    places: HashMap<Box<[u8]>, usize>,
    /// Reused for every look-up: whether the name is a record's own, and the name.
    key: Vec<u8>,
    /// The first few types and their chunks: most batches have no more, and comparing is faster than hashing.
    first: Vec<(LogType, usize)>,
}

/// Types that are compared before they are hashed.
const COMPARED_MAX: usize = 8;

impl OpenChunks {
    fn of_type(&mut self, event: &LogEvent) -> Option<usize> {
        let known = self.first.iter().find(|(log_type, _)| *log_type == event.log_type);
        if let Some((_, place)) = known {
            return Some(*place);
        }
        self.set_key(event);
        self.places.get(self.key.as_slice()).copied()
    }

    fn set_key(&mut self, event: &LogEvent) {
        self.key.clear();
        // A record may spell the name that another gets for what it lacks; their tags differ.
        self.key.push(u8::from(event.log_type.problem().is_some()));
        self.key.extend_from_slice(event.log_type.name().as_bytes());
    }

    /// Further events of this event's type go into this chunk.
    fn begin(&mut self, event: &LogEvent, place: usize) {
        if let Some(known) = self.first.iter_mut().find(|known| known.0 == event.log_type) {
            known.1 = place;
            return;
        }
        if self.first.len() < COMPARED_MAX {
            return self.first.push((event.log_type.clone(), place));
        }
        self.set_key(event);
        match self.places.get_mut(self.key.as_slice()) {
            Some(open) => *open = place,
            None => drop(self.places.insert(self.key.as_slice().into(), place)),
        }
    }
}

/// A chunk begins with this event, and with no other: the place of the event and the tag say it all.
fn chunk_id(shard: &ShardAddress, first: &TakenEvent, tag: &str) -> String {
    let stream = shard.stream.as_str();
    let mut hash = Sha256::new();
    for text in [stream, tag] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.update(shard.shard.index().to_be_bytes());
    hash.update(first.sequence_number.to_string());
    hash.update(first.event.sub_sequence.to_be_bytes());
    hash.update(first.event.event_index.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    base64_simd::STANDARD.encode_to_string(&hash[..ID_BYTES])
}

/// `[time, {"message": text}]`
fn append_entry(buffer: &mut Vec<u8>, event: &LogEvent, time_precision: TimePrecision) {
    written(encode::write_array_len(buffer, 2));
    append_time(buffer, &event.time, time_precision);
    written(encode::write_map_len(buffer, 1));
    written(encode::write_str(buffer, "message"));
    let several_lines;
    let text: &[u8] = if event.one_line {
        &event.json
    } else {
        several_lines = event.to_one_line();
        &several_lines
    };
    let length = u32::try_from(text.len()).expect("an event is far smaller than 4 GiB");
    written(encode::write_str_len(buffer, length));
    buffer.extend_from_slice(text);
}

fn append_time(buffer: &mut Vec<u8>, time: &EventTime, time_precision: TimePrecision) {
    let seconds = time.epoch_seconds();
    match (time_precision, u32::try_from(seconds)) {
        (TimePrecision::Nanoseconds, Ok(seconds)) => {
            buffer.extend_from_slice(&[FIXEXT8, EVENT_TIME_TYPE]);
            buffer.extend_from_slice(&seconds.to_be_bytes());
            buffer.extend_from_slice(&time.nanosecond().to_be_bytes());
        }
        // `EventTime` ends in 2106 and begins in 1970: what lies outside keeps its seconds.
        _ => written(encode::write_sint(buffer, seconds)),
    }
}

/// Begins binary data whose length is not known yet; gives the place for [`end_binary`].
fn begin_binary(buffer: &mut Vec<u8>) -> usize {
    buffer.extend_from_slice(&[BIN32, 0, 0, 0, 0]);
    buffer.len()
}

fn end_binary(buffer: &mut [u8], start: usize) {
    let length = u32::try_from(buffer.len() - start).expect("a chunk is far smaller than 4 GiB");
    buffer[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

fn written<T, E: std::fmt::Debug>(result: Result<T, E>) {
    result.expect("a Vec takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::super::doubles::{Message, settings};
    use super::*;
    use crate::batches::{shard, taken};

    fn line(log_type: &str, number: usize) -> String {
        format!(r#"{{"log_type":"{log_type}","n":{number},"time":"2025-01-02T03:04:05.5+01:00"}}"#)
    }

    fn messages(settings: &Settings, events: &[TakenEvent]) -> Vec<Message> {
        let mut buffer = Vec::new();
        for chunk in chunks(settings, &shard(), events) {
            let start = buffer.len();
            chunk.append(events, settings.time_precision, &mut buffer);
            assert!(
                buffer.len() - start <= chunk.bytes,
                "{} of {}",
                buffer.len() - start,
                chunk.bytes
            );
        }
        let mut rest = buffer.as_slice();
        std::iter::from_fn(|| Message::read(&mut rest)).collect()
    }

    #[test]
    fn events_of_one_tag_make_one_message_in_their_order() {
        let lines = [line("a", 0), line("b", 1), line("a", 2), line("b", 3)];
        let events: Vec<_> = (0..).zip(&lines).map(|(n, text)| taken(n, text)).collect();
        let messages = messages(&settings(), &events);
        let expected: Vec<_> = [("a.lambda", [0, 2]), ("b.lambda", [1, 3])]
            .map(|(tag, numbers)| {
                let entry = |n: usize| (1_735_783_445, None, lines[n].clone());
                (tag.to_owned(), numbers.map(entry).to_vec(), 2)
            })
            .into();
        let got: Vec<_> = messages.into_iter().map(|m| (m.tag, m.entries, m.size)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn times_have_nanoseconds_on_request_and_where_the_protocol_can_say_them() {
        let settings = Settings { time_precision: TimePrecision::Nanoseconds, ..settings() };
        for (time, seconds, nanoseconds) in [
            ("2025-01-02T02:04:05.5Z", 1_735_783_445, Some(500_000_000)),
            ("1970-01-01T00:00:00Z", 0, Some(0)),
            ("1969-12-31T23:59:59.5Z", -1, None),
            ("2200-01-01T00:00:00Z", 7_258_118_400, None),
        ] {
            let text = format!(r#"{{"log_type":"a","time":"{time}"}}"#);
            let messages = messages(&settings, &[taken(0, &text)]);
            assert_eq!(messages[0].entries, [(seconds, nanoseconds, text)]);
        }
    }

    #[test]
    fn foreign_types_are_encoded_and_problems_have_tags_of_their_own() {
        let events = [
            taken(0, r#"{"log_type":"unknown/a/no_timestamp","time":0}"#),
            taken(1, r#"{"log_type":"a"}"#),
            taken(2, r#"{"log_type":"a b","time":0}"#),
        ];
        let tags: Vec<_> = messages(&settings(), &events).into_iter().map(|m| m.tag).collect();
        assert_eq!(
            tags,
            ["unknown%2Fa%2Fno_timestamp.lambda", "unknown/a/no_timestamp.lambda", "a%20b.lambda"]
        );
    }

    #[test]
    fn messages_end_at_the_bound_of_bytes_and_a_larger_event_goes_alone() {
        let large = format!(r#"{{"log_type":"a","time":0,"text":"{}"}}"#, "x".repeat(70_000));
        let small = line("a", 1);
        let texts = [&small, &small, &large, &small, &small, &small];
        let events: Vec<_> = (0..).zip(texts).map(|(n, text)| taken(n, text)).collect();
        let settings = Settings { chunk_bytes: 300, ..settings() };
        let sizes: Vec<_> = messages(&settings, &events).iter().map(|m| m.size).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
        let chunks = chunks(&settings, &shard(), &events);
        let oversized: Vec<_> = chunks.iter().map(|chunk| chunk.is_oversized(&settings)).collect();
        assert_eq!(oversized, [false, true, false, false]);
    }

    #[test]
    fn an_event_of_many_lines_is_put_on_one() {
        let events = [taken(0, "{\"log_type\":\n\"a\",\"time\":0}")];
        assert_eq!(messages(&settings(), &events)[0].entries[0].2, r#"{"log_type":"a","time":0}"#);
    }

    #[test]
    fn ids_are_the_same_for_the_same_batch_and_differ_within_it() {
        let lines: Vec<_> = (0..40).map(|n| line(["a", "b"][n % 2], n)).collect();
        let events: Vec<_> = (0..).zip(&lines).map(|(n, text)| taken(n, text)).collect();
        let settings = Settings { chunk_bytes: 400, ..settings() };
        let ids = || -> Vec<String> {
            messages(&settings, &events).into_iter().map(|message| message.chunk).collect()
        };
        let mut once = ids();
        assert_eq!(once, ids());
        assert!(once.len() > 10 && once.iter().all(|id| id.len() == 24 && id.ends_with("==")));
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ids().len());
    }
}
