//! A commit group on its way into frames: records get their shard, counter and arrival.
//!
//! One block per shard, cut at [`BLOCK_BYTES`]: many small puts make few blocks. Payloads are copied
//! once, from the request into the buffer that is written.

use std::collections::HashMap;
use std::sync::Arc;

use baikonur_stream::{HashKey, Placed, PutEntry, SequenceNumber, Timestamp};
use bytes::Bytes;

use crate::frame::{BlockHead, Frames, Kind, ShardKey, write_note, write_record};
use crate::segment::BlockPlace;
use crate::settings::BLOCK_BYTES;
use crate::snapshot::Tips;
use crate::streams::Stream;

/// Records and notes of one commit.
pub(crate) struct Group<'a> {
    tips: &'a Tips,
    arrival: Timestamp,
    slots: HashMap<ShardKey, usize>,
    shards: Vec<ShardRecords<'a>>,
    notes: Vec<(String, Option<Bytes>)>,
}

struct ShardRecords<'a> {
    key: ShardKey,
    stream: &'a Arc<Stream>,
    /// In the stream's list of shards.
    place: usize,
    first_counter: u64,
    created_seconds: u64,
    entries: Vec<&'a PutEntry>,
}

/// What a group wrote, to be shown once it is durable.
pub(crate) struct Written {
    pub(crate) blocks: Vec<(ShardKey, BlockPlace)>,
    pub(crate) grown: Vec<Grown>,
    pub(crate) notes: Vec<(String, Option<Bytes>)>,
}

/// A shard that got records.
pub(crate) struct Grown {
    pub(crate) stream: Arc<Stream>,
    /// In the stream's list of shards.
    pub(crate) place: usize,
    /// The counter of its newest record.
    pub(crate) newest: u64,
    pub(crate) records: u64,
    /// Of payloads and partition keys.
    pub(crate) bytes: u64,
}

impl<'a> Group<'a> {
    /// A group whose records arrive at `arrival`, behind what `tips` say.
    pub(crate) fn new(tips: &'a Tips, arrival: Timestamp) -> Self {
        Self { tips, arrival, slots: HashMap::new(), shards: Vec::new(), notes: Vec::new() }
    }

    /// Adds the records of one put; `hashes` are those of `entries`.
    pub(crate) fn put(
        &mut self,
        stream: &'a Arc<Stream>,
        entries: &'a [PutEntry],
        hashes: &[HashKey],
    ) -> Vec<Placed> {
        let place = |(entry, hash): (&'a PutEntry, &HashKey)| {
            let place = stream.route(*hash);
            let slot = self.slot(stream, place);
            let records = &mut self.shards[slot];
            let counter = records.first_counter + records.entries.len() as u64;
            records.entries.push(entry);
            let (created, seconds) = (records.created_seconds, self.arrival.seconds());
            let number = SequenceNumber::new(created, records.key.shard, counter, seconds);
            Placed { shard: stream.stored.shards[place].id, sequence_number: number }
        };
        entries.iter().zip(hashes).map(place).collect()
    }

    fn slot(&mut self, stream: &'a Arc<Stream>, place: usize) -> usize {
        let key = stream.key(place);
        if let Some(slot) = self.slots.get(&key) {
            return *slot;
        }
        let first_counter = self.tips.get(&key).copied().unwrap_or_default().next_counter;
        let start = stream.stored.shards[place].starting_sequence_number;
        let (created_seconds, entries) = (start.created_seconds(), Vec::new());
        self.shards.push(ShardRecords {
            key,
            stream,
            place,
            first_counter,
            created_seconds,
            entries,
        });
        self.slots.insert(key, self.shards.len() - 1);
        self.shards.len() - 1
    }

    /// Sets a note.
    pub(crate) fn note(&mut self, key: String, value: Bytes) {
        self.notes.push((key, Some(value)));
    }

    /// Writes everything into frames.
    pub(crate) fn encode(self, frames: &mut Frames) -> Written {
        let (mut blocks, mut grown) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let mut first_counter = shard.first_counter;
            for entries in pieces(&shard.entries) {
                let (key, count) = (shard.key, entries.len() as u32);
                let head = BlockHead { key, first_counter, arrival: self.arrival, count };
                let (offset, length) = frames.add(Kind::Block, |body| {
                    head.write(body);
                    for entry in entries {
                        write_record(body, &entry.partition_key, &entry.data);
                    }
                });
                let arrival = self.arrival;
                blocks.push((key, BlockPlace { first_counter, offset, arrival, length, count }));
                first_counter += u64::from(count);
            }
            grown.push(Grown {
                stream: Arc::clone(shard.stream),
                place: shard.place,
                newest: first_counter - 1,
                records: shard.entries.len() as u64,
                bytes: size(shard.entries.iter().copied()) as u64,
            });
        }
        for (key, value) in &self.notes {
            frames.add(Kind::Note, |body| write_note(body, key, value.as_deref()));
        }
        Written { blocks, grown, notes: self.notes }
    }
}

/// Bytes of payloads and partition keys.
pub(crate) fn size<'e>(entries: impl IntoIterator<Item = &'e PutEntry>) -> usize {
    entries.into_iter().map(|entry| entry.data.len() + entry.partition_key.bytes().len()).sum()
}

/// Cuts entries into pieces of at most [`BLOCK_BYTES`], one entry at least.
fn pieces<'s, 'a>(entries: &'s [&'a PutEntry]) -> impl Iterator<Item = &'s [&'a PutEntry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&&PutEntry| {
            bytes += entry.data.len() + entry.partition_key.bytes().len() + BlockHead::RECORD;
            bytes <= BLOCK_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (piece, after) = rest.split_at(count);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
