//! From events to objects: one for each folder of the layout.

use std::collections::HashMap;
use std::sync::Arc;

use baikonur_record::LogEvent;
use baikonur_stream::{SequenceNumber, ShardAddress};

use super::content::{Content, Packer, Whole};
use crate::objects::layout::{Layout, Source};

/// Objects of a cut: with more, foreign log types would cost a request each and keep the shard waiting.
pub(super) const OBJECTS_OF_A_CUT_MAX: usize = 4096;
/// What an object takes in memory beside its key and what is compressed.
const OBJECT_BYTES: usize = 512;

/// The objects that one shard is filling.
pub(super) struct Objects {
    layout: Arc<Layout>,
    packer: Packer,
    stream: String,
    shard: String,
    objects: Vec<Object>,
    places: HashMap<String, usize>,
    /// The folder of the event at hand.
    folder: String,
    line_bytes: u64,
    line_count: u64,
    held_bytes: usize,
    range: Option<(SequenceNumber, SequenceNumber)>,
}

struct Object {
    folder: String,
    stem: String,
    content: Content,
}

impl Objects {
    pub(super) fn new(layout: &Arc<Layout>, packer: Packer, shard: &ShardAddress) -> Self {
        Self {
            layout: Arc::clone(layout),
            packer,
            stream: shard.stream.to_string(),
            shard: shard.shard.to_string(),
            objects: Vec::new(),
            places: HashMap::new(),
            folder: String::new(),
            line_bytes: 0,
            line_count: 0,
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
        self.folder.clear();
        let source = Source { stream: &self.stream, shard: &self.shard };
        self.layout.folder(event, source, &mut self.folder);
        let place = self.places.get(&self.folder).copied();
        if place.is_none() && self.objects.len() >= OBJECTS_OF_A_CUT_MAX {
            return None;
        }
        let first = self.range.map_or(sequence_number, |(first, _)| first);
        self.range = Some((first, sequence_number));
        let place = place.unwrap_or_else(|| self.begin(event));
        let content = &mut self.objects[place].content;
        let held_before = content.held_bytes();
        let bytes = self.packer.push(content, event);
        self.held_bytes = self.held_bytes + content.held_bytes() - held_before;
        self.line_bytes += bytes as u64 + 1;
        self.line_count += 1;
        Some(bytes)
    }

    fn begin(&mut self, event: &LogEvent) -> usize {
        let (folder, stem) = (self.folder.clone(), self.layout.stem(event));
        self.held_bytes += 2 * folder.len() + stem.len() + OBJECT_BYTES;
        self.places.insert(folder.clone(), self.objects.len());
        self.objects.push(Object { folder, stem, content: self.packer.begin(event) });
        self.objects.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of lines, before compression.
    pub(super) fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    pub(super) fn line_count(&self) -> u64 {
        self.line_count
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The first and the last record with an event in an object; none when there is no object.
    pub(super) fn range(&self) -> Option<(SequenceNumber, SequenceNumber)> {
        self.range
    }

    pub(super) fn key(&self, place: usize, origin: &str) -> String {
        let Object { folder, stem, .. } = &self.objects[place];
        self.layout.key(folder, stem, origin)
    }

    /// The object at `place` as it is to be written.
    pub(super) fn whole(&mut self, place: usize, origin: &Arc<str>) -> Whole {
        self.packer.whole(&self.objects[place].content, origin)
    }

    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.places.clear();
        (self.line_bytes, self.line_count, self.held_bytes, self.range) = (0, 0, 0, None);
    }
}
