//! Which events of a batch make which message: those of one tag, in order, up to a bound of bytes.
//!
//! It is decided first, without touching the events' text.

use std::collections::HashMap;

use baikonur_record::{LogEvent, LogType};
use baikonur_stream::{SequenceNumber, ShardAddress};
use sha2::{Digest, Sha256};

use super::settings::Settings;
use super::tag::TagTemplate;
use crate::intake::TakenEvent;

/// What an event takes beside its text, at most: two array and map heads, a time, the key, a length.
const ENTRY_OVERHEAD_BYTES: usize = 32;
/// What a message takes beside its tag and entries, at most.
const MESSAGE_OVERHEAD_BYTES: usize = 112;
/// Bytes of the hash that a chunk's id is made from.
const ID_BYTES: usize = 16;

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
    /// Bytes that the message takes when its records are texts, at most.
    pub(super) bytes: usize,
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
    pub(super) fn is_oversized(&self, chunk_bytes: usize) -> bool {
        self.events.len() == 1 && self.bytes > chunk_bytes
    }
}

/// How events are put together.
#[derive(Debug, Clone)]
pub struct Chunker {
    tag: TagTemplate,
    chunk_bytes: usize,
}

impl Chunker {
    /// As `settings` say, whose template is `tag`.
    pub fn new(settings: &Settings, tag: TagTemplate) -> Self {
        Self { tag, chunk_bytes: settings.chunk_bytes }
    }

    /// Which messages `events` of `shard` make, those with the earliest events first.
    pub fn chunks(&self, shard: &ShardAddress, events: &[TakenEvent]) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut open = OpenChunks::new(&self.tag, shard);
        for (place, taken) in events.iter().enumerate() {
            let bytes = taken.event.json.len() + ENTRY_OVERHEAD_BYTES;
            let at = open.of(&taken.event);
            if let Some(chunk) = at.map(|at| &mut chunks[at])
                && chunk.bytes + bytes <= self.chunk_bytes
            {
                chunk.events.push(place);
                chunk.bytes += bytes;
                continue;
            }
            let tag = match at {
                Some(full) => chunks[full].tag.clone(),
                None => self.tag.tag(shard, &taken.event),
            };
            let id = chunk_id(shard, taken, &tag);
            let bytes = bytes + MESSAGE_OVERHEAD_BYTES + tag.len();
            open.begin(&taken.event, chunks.len());
            chunks.push(Chunk { tag, events: vec![place], id, bytes });
        }
        chunks
    }
}

/// For each tag the chunk that its next event goes into.
struct OpenChunks<'t> {
    tag: &'t TagTemplate,
    shard: &'t ShardAddress,
    keying: Keying,
    places: HashMap<Box<[u8]>, usize>,
    /// Reused for every look-up: the tag, or what it is made from.
    key: String,
    /// The first few types and their chunks: most batches have no more, and comparing is faster than hashing.
    first: Vec<(LogType, usize)>,
}

/// What tells tags apart, so that a tag need not be made for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keying {
    /// All events of a shard have one tag.
    Nothing,
    LogType,
    /// The tag itself.
    Tag,
}

/// Types that are compared before they are hashed.
const COMPARED_MAX: usize = 8;

impl<'t> OpenChunks<'t> {
    fn new(tag: &'t TagTemplate, shard: &'t ShardAddress) -> Self {
        let keying = match (tag.asks_fields(), tag.asks_log_type()) {
            (true, _) => Keying::Tag,
            (false, true) => Keying::LogType,
            (false, false) => Keying::Nothing,
        };
        Self { tag, shard, keying, places: HashMap::new(), key: String::new(), first: Vec::new() }
    }

    fn of(&mut self, event: &LogEvent) -> Option<usize> {
        if self.keying == Keying::LogType {
            let known = self.first.iter().find(|(log_type, _)| *log_type == event.log_type);
            if let Some((_, place)) = known {
                return Some(*place);
            }
        }
        self.set_key(event);
        self.places.get(self.key.as_bytes()).copied()
    }

    fn set_key(&mut self, event: &LogEvent) {
        self.key.clear();
        match self.keying {
            Keying::Nothing => {}
            Keying::LogType => {
                // A record may spell the name that another gets for what it lacks; their tags differ.
                self.key.push(if event.log_type.problem().is_some() { '!' } else { '.' });
                self.key.push_str(&event.log_type.name());
            }
            Keying::Tag => self.tag.append(self.shard, event, &mut self.key),
        }
    }

    /// Further events of this event's tag go into this chunk.
    fn begin(&mut self, event: &LogEvent, place: usize) {
        if self.keying == Keying::LogType {
            if let Some(known) = self.first.iter_mut().find(|known| known.0 == event.log_type) {
                known.1 = place;
                return;
            }
            if self.first.len() < COMPARED_MAX {
                return self.first.push((event.log_type.clone(), place));
            }
        }
        // The key is that of the look-up just before.
        match self.places.get_mut(self.key.as_bytes()) {
            Some(open) => *open = place,
            None => drop(self.places.insert(self.key.as_bytes().into(), place)),
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

#[cfg(test)]
mod tests {
    use super::super::doubles::settings;
    use super::*;
    use crate::batches::{shard, taken};

    fn line(log_type: &str, number: usize) -> String {
        format!(r#"{{"log_type":"{log_type}","n":{number},"time":"2025-01-02T03:04:05.5+01:00"}}"#)
    }

    fn events<T: AsRef<str>>(texts: &[T]) -> Vec<TakenEvent> {
        (0..).zip(texts).map(|(n, text)| taken(n, text.as_ref())).collect()
    }

    fn chunks(settings: &Settings, events: &[TakenEvent]) -> Vec<Chunk> {
        let tag = settings.tag_template().unwrap();
        Chunker::new(settings, tag).chunks(&shard(), events)
    }

    fn tagged(settings: &Settings, events: &[TakenEvent]) -> Vec<(String, Vec<usize>)> {
        chunks(settings, events).into_iter().map(|chunk| (chunk.tag, chunk.events)).collect()
    }

    #[test]
    fn events_of_one_tag_make_one_chunk_in_their_order() {
        let events = events(&[line("a", 0), line("b", 1), line("a", 2), line("b", 3)]);
        let expected = [("a.lambda", vec![0, 2]), ("b.lambda", vec![1, 3])];
        assert_eq!(tagged(&settings(), &events), expected.map(|(tag, at)| (tag.to_owned(), at)));
    }

    #[test]
    fn tags_of_fields_tell_events_of_one_type_apart() {
        let tag = Some("{field:n}.{log_type}".to_owned());
        let settings = Settings { tag, fluent_tag: String::new(), ..settings() };
        let events = events(&[line("a", 0), line("a", 1), line("b", 0), line("a", 1)]);
        let expected = [("0.a", vec![0]), ("1.a", vec![1, 3]), ("0.b", vec![2])];
        assert_eq!(tagged(&settings, &events), expected.map(|(tag, at)| (tag.to_owned(), at)));
    }

    #[test]
    fn a_template_without_the_type_keeps_the_order_over_all_types() {
        let settings =
            Settings { tag: Some("{shard}".to_owned()), fluent_tag: String::new(), ..settings() };
        let lines: Vec<_> = (0..40).map(|n| line(&format!("type{}", n % 20), n)).collect();
        let expected = ("shardId-000000000003".to_owned(), (0..40).collect());
        assert_eq!(tagged(&settings, &events(&lines)), [expected]);
    }

    #[test]
    fn types_that_are_not_compared_are_hashed() {
        let lines: Vec<_> = (0..60).map(|n| line(&format!("type{}", n % 20), n)).collect();
        let chunks = tagged(&settings(), &events(&lines));
        assert_eq!(chunks.len(), 20);
        assert_eq!(chunks[19], ("type19.lambda".to_owned(), vec![19, 39, 59]));
    }

    #[test]
    fn foreign_types_are_encoded_and_problems_have_tags_of_their_own() {
        let events = events(&[
            r#"{"log_type":"unknown/a/no_timestamp","time":0}"#,
            r#"{"log_type":"a"}"#,
            r#"{"log_type":"a b","time":0}"#,
        ]);
        let tags: Vec<_> = chunks(&settings(), &events).into_iter().map(|c| c.tag).collect();
        assert_eq!(
            tags,
            ["unknown%2Fa%2Fno_timestamp.lambda", "unknown/a/no_timestamp.lambda", "a%20b.lambda"]
        );
    }

    #[test]
    fn chunks_end_at_the_bound_of_bytes_and_a_larger_event_goes_alone() {
        let large = format!(r#"{{"log_type":"a","time":0,"text":"{}"}}"#, "x".repeat(70_000));
        let small = line("a", 1);
        let events = events(&[&small, &small, &large, &small, &small, &small]);
        let settings = Settings { chunk_bytes: 320, ..settings() };
        let chunks = chunks(&settings, &events);
        let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.events.len()).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
        let oversized: Vec<_> = chunks.iter().map(|chunk| chunk.is_oversized(320)).collect();
        assert_eq!(oversized, [false, true, false, false]);
    }

    #[test]
    fn ids_are_the_same_for_the_same_batch_and_differ_within_it() {
        let lines: Vec<_> = (0..40).map(|n| line(["a", "b"][n % 2], n)).collect();
        let events = events(&lines);
        let settings = Settings { chunk_bytes: 400, ..settings() };
        let ids = || -> Vec<String> {
            chunks(&settings, &events).into_iter().map(|chunk| chunk.id).collect()
        };
        let mut once = ids();
        assert_eq!(once, ids());
        assert!(once.len() > 10 && once.iter().all(|id| id.len() == 24 && id.ends_with("==")));
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ids().len());
    }
}
