//! From events to objects: one for each log type and date, under the originals' key.

use std::collections::HashMap;

use baikonur_record::{EventTime, LogEvent};
use baikonur_stream::SequenceNumber;
use bytes::Bytes;

use crate::objects::gzip::{Deflate, Gzip};
use crate::objects::name;

/// Bytes of the log id's part of a key: the rest of the file name is a time, a hash and `.gz`.
const LOG_ID_BYTES_MAX: usize = 200;

/// Objects of a cut: with more, foreign log types would cost a request each and keep the shard waiting.
pub(super) const OBJECTS_OF_A_CUT_MAX: usize = 4096;
/// What an object takes in memory beside its key and what is compressed.
const OBJECT_BYTES: usize = 512;

/// The key of an object whose first event is `event`:
/// `{log_type}/{YYYY-MM}/{DD}/{YYYY-MM-DD-HH:MM:SS}-{log_id}.gz`, by the event's own wall clock.
pub fn object_key(event: &LogEvent) -> String {
    format!("{}/{}.gz", folder_of(event), file_stem(event))
}

fn folder_of(event: &LogEvent) -> String {
    let time = &event.time;
    let (year, month, day) = (time.year(), time.month(), time.day());
    format!("{}/{year:04}-{month:02}/{day:02}", event.log_type.key_segment())
}

fn file_stem(event: &LogEvent) -> String {
    let log_id = name(event.log_id.as_str(), LOG_ID_BYTES_MAX);
    format!("{}-{log_id}", seconds(&event.time))
}

fn seconds(time: &EventTime) -> String {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}-{hour:02}:{minute:02}:{second:02}")
}

/// The objects that one shard is filling.
pub(super) struct Objects {
    deflate: Deflate,
    objects: Vec<Object>,
    /// By folder, which is the log type and the date.
    places: HashMap<String, usize>,
    line_bytes: u64,
    held_bytes: usize,
    range: Option<(SequenceNumber, SequenceNumber)>,
}

struct Object {
    key: String,
    gzip: Gzip,
}

impl Objects {
    pub(super) fn new(compression_level: u32) -> Self {
        Self {
            deflate: Deflate::new(compression_level),
            objects: Vec::new(),
            places: HashMap::new(),
            line_bytes: 0,
            held_bytes: 0,
            range: None,
        }
    }

    /// Appends an event of the record with this number; gives the bytes of its line. None when it would need an object
    /// more than a cut may have.
    pub(super) fn add(
        &mut self,
        sequence_number: SequenceNumber,
        event: &LogEvent,
    ) -> Option<usize> {
        let folder = folder_of(event);
        let place = self.places.get(&folder).copied();
        if place.is_none() && self.objects.len() >= OBJECTS_OF_A_CUT_MAX {
            return None;
        }
        let first = self.range.map_or(sequence_number, |(first, _)| first);
        self.range = Some((first, sequence_number));
        let place = match place {
            Some(place) => place,
            None => {
                let key = format!("{folder}/{}.gz", file_stem(event));
                self.held_bytes += 2 * key.len() + OBJECT_BYTES;
                self.objects.push(Object { key, gzip: Gzip::new() });
                self.places.insert(folder, self.objects.len() - 1);
                self.objects.len() - 1
            }
        };
        let line = event.to_one_line();
        let gzip = &mut self.objects[place].gzip;
        let held_before = gzip.held_bytes();
        gzip.push_line(&line, &mut self.deflate);
        self.held_bytes = self.held_bytes + gzip.held_bytes() - held_before;
        self.line_bytes += line.len() as u64 + 1;
        Some(line.len())
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of lines, before compression.
    pub(super) fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The first and the last record with an event in an object; none when there is no object.
    pub(super) fn range(&self) -> Option<(SequenceNumber, SequenceNumber)> {
        self.range
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(|object| object.key.as_str())
    }

    /// The object at `place` as it is to be written.
    pub(super) fn whole(&mut self, place: usize, origin: &str) -> (String, Vec<Bytes>) {
        let Object { key, gzip } = &self.objects[place];
        (key.clone(), gzip.whole(origin, &mut self.deflate))
    }

    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.places.clear();
        (self.line_bytes, self.held_bytes, self.range) = (0, 0, None);
    }
}
