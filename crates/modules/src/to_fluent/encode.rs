//! Log events to messages of the Forward protocol, in its modes PackedForward and
//! CompressedPackedForward.
//!
//! A message is `[tag, entries, {"size": n, "chunk": id}]`, and `entries` holds `[time, record]` one
//! after the other, as they are or in one gzip member. One set of buffers serves all messages.

use baikonur_record::{EventTime, LogEvent};
use flate2::{Compress, FlushCompress, Status};
use rmp::encode;

use super::chunks::Chunk;
use super::fields::{append_map, append_text};
use super::settings::{Compression, RecordFormat, Settings, TimePrecision};
use crate::intake::TakenEvent;

/// MessagePack: an extension of 8 bytes.
const FIXEXT8: u8 = 0xd7;
/// The Forward protocol: the extension type of `EventTime`.
const EVENT_TIME_TYPE: u8 = 0x00;
/// MessagePack: binary data with a length of 32 bits.
const BIN32: u8 = 0xc6;
/// MessagePack: an array of two, and a map of one with the key of the originals.
const ENTRY: u8 = 0x92;
const MESSAGE_MAP: &[u8] = b"\x81\xa7message";
/// Bytes of entries that are compressed at once: what stays in a processor's cache.
const BLOCK_BYTES: usize = 64 * 1024;
/// zlib: the largest window, that of gzip.
const WINDOW_BITS: u8 = 15;

/// Writes messages, one after the other, into memory that it uses again.
pub struct Encoder {
    time_precision: TimePrecision,
    record_format: RecordFormat,
    /// A third of a MiB.
    compress: Option<Compress>,
    /// Entries on their way into `compress`.
    block: Vec<u8>,
    message: Vec<u8>,
    /// What the buffers keep between messages.
    kept_bytes: usize,
}

impl Encoder {
    /// Writes as `settings` say.
    pub fn new(settings: &Settings) -> Self {
        let level = flate2::Compression::new(settings.compression_level);
        let compress = match settings.compression {
            Compression::None => None,
            Compression::Gzip => Some(Compress::new_gzip(level, WINDOW_BITS)),
        };
        Self {
            time_precision: settings.time_precision,
            record_format: settings.record_format,
            compress,
            block: Vec::new(),
            message: Vec::new(),
            kept_bytes: 2 * settings.chunk_bytes,
        }
    }

    /// The message of `chunk`, whose events are among `events`.
    pub fn message(&mut self, chunk: &Chunk, events: &[TakenEvent]) -> &[u8] {
        // One large message must not hold its memory for ever.
        self.message.clear();
        self.message.shrink_to(self.kept_bytes);
        self.block.shrink_to(2 * BLOCK_BYTES);
        written(encode::write_array_len(&mut self.message, 3));
        append_text(&mut self.message, chunk.tag.as_bytes());
        let entries = begin_binary(&mut self.message);
        let is_compressed = self.compress.is_some();
        if is_compressed {
            self.append_compressed(chunk, events);
        } else {
            self.message.reserve(chunk.bytes);
            for &event in &chunk.events {
                let event = &events[event].event;
                append_entry(&mut self.message, event, self.record_format, self.time_precision);
            }
        }
        end_binary(&mut self.message, entries);
        written(encode::write_map_len(&mut self.message, if is_compressed { 3 } else { 2 }));
        append_text(&mut self.message, b"size");
        written(encode::write_uint(&mut self.message, chunk.events.len() as u64));
        append_text(&mut self.message, b"chunk");
        append_text(&mut self.message, chunk.id.as_bytes());
        if is_compressed {
            append_text(&mut self.message, b"compressed");
            append_text(&mut self.message, b"gzip");
        }
        &self.message
    }

    fn append_compressed(&mut self, chunk: &Chunk, events: &[TakenEvent]) {
        let Some(compress) = &mut self.compress else { return };
        compress.reset();
        self.block.clear();
        for &event in &chunk.events {
            let event = &events[event].event;
            append_entry(&mut self.block, event, self.record_format, self.time_precision);
            if self.block.len() >= BLOCK_BYTES {
                deflate(compress, &self.block, &mut self.message, FlushCompress::None);
                self.block.clear();
            }
        }
        deflate(compress, &self.block, &mut self.message, FlushCompress::Finish);
    }
}

/// Passes all of `input` on, and with `Finish` all that is still held.
fn deflate(compress: &mut Compress, input: &[u8], output: &mut Vec<u8>, flush: FlushCompress) {
    let start = compress.total_in();
    loop {
        let taken = (compress.total_in() - start) as usize;
        let rest = input.get(taken..).unwrap_or_default();
        output.reserve(BLOCK_BYTES / 4);
        let status = compress.compress_vec(rest, output, flush);
        let all_taken = (compress.total_in() - start) as usize == input.len();
        match (status, flush) {
            (Ok(Status::StreamEnd), _) => break,
            (Ok(_), FlushCompress::None) if all_taken => break,
            // There was no room for more.
            (Ok(_), _) => {}
            (Err(_), _) => unreachable!("deflate takes all input in all its states"),
        }
    }
}

/// `[time, record]`
fn append_entry(
    buffer: &mut Vec<u8>,
    event: &LogEvent,
    record_format: RecordFormat,
    time_precision: TimePrecision,
) {
    buffer.push(ENTRY);
    append_time(buffer, &event.time, time_precision);
    let start = buffer.len();
    if record_format == RecordFormat::Fields && append_map(buffer, &event.json).is_ok() {
        return;
    }
    // Only if it were no JSON object, it would have to be its text here.
    buffer.truncate(start);
    buffer.extend_from_slice(MESSAGE_MAP);
    if event.one_line {
        append_text(buffer, &event.json);
    } else {
        append_text(buffer, &event.to_one_line());
    }
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
    use serde_json::{Value, json};

    use super::super::chunks::Chunker;
    use super::super::doubles::{Message, settings};
    use super::*;
    use crate::batches::{shard, taken};

    fn messages(settings: &Settings, events: &[TakenEvent]) -> Vec<Message> {
        let chunker = Chunker::new(settings, settings.tag_template().unwrap());
        let mut encoder = Encoder::new(settings);
        let mut buffer = Vec::new();
        for chunk in chunker.chunks(&shard(), events) {
            let message = encoder.message(&chunk, events);
            if settings.record_format == RecordFormat::Message {
                assert!(message.len() <= chunk.bytes, "{} of {}", message.len(), chunk.bytes);
            }
            buffer.extend_from_slice(message);
        }
        let mut rest = buffer.as_slice();
        std::iter::from_fn(|| Message::read(&mut rest)).collect()
    }

    fn with(record_format: RecordFormat, compression: Compression) -> Settings {
        Settings { record_format, compression, ..settings() }
    }

    #[test]
    fn entries_are_texts_or_fields_packed_or_compressed() {
        let texts: Vec<_> = (0..2000)
            .map(|n| format!(r#"{{"log_type":"a","time":{n},"list":[{n}],"text":"é {}"}}"#, n * n))
            .collect();
        let events: Vec<_> = (0..).zip(&texts).map(|(n, text)| taken(n, text)).collect();
        for compression in [Compression::None, Compression::Gzip] {
            let as_text = messages(&with(RecordFormat::Message, compression), &events);
            let as_fields = messages(&with(RecordFormat::Fields, compression), &events);
            for (messages, is_text) in [(as_text, true), (as_fields, false)] {
                let [message] = &*messages else { panic!("{}", messages.len()) };
                assert_eq!((message.tag.as_str(), message.size), ("a.lambda", 2000));
                assert_eq!(message.is_compressed, compression == Compression::Gzip);
                for ((entry, text), n) in message.entries.iter().zip(&texts).zip(0..) {
                    let expected = match is_text {
                        true => json!({ "message": text }),
                        false => serde_json::from_str::<Value>(text).unwrap(),
                    };
                    assert_eq!((&entry.0, &entry.2), (&n, &expected));
                }
            }
        }
    }

    #[test]
    fn what_does_not_compress_is_whole() {
        // Numbers of a linear congruential generator: no pattern that deflate could find.
        let mut state = 1_u64;
        let mut digits = String::new();
        for _ in 0..40_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            digits.push_str(&format!("{:x}", state >> 20));
        }
        let text = format!(r#"{{"log_type":"a","time":0,"text":"{digits}"}}"#);
        let settings =
            Settings { compression_level: 9, ..with(RecordFormat::Message, Compression::Gzip) };
        for message in messages(&settings, &[taken(0, &text), taken(1, &text)]) {
            assert!(message.entries.iter().all(|entry| entry.2["message"] == text.as_str()));
        }
    }

    #[test]
    fn times_have_nanoseconds_on_request_and_where_the_protocol_can_say_them() {
        let settings = Settings { time_precision: TimePrecision::Nanoseconds, ..settings() };
        for (time, seconds, nanoseconds) in [
            (r#""2025-01-02T02:04:05.5Z""#, 1_735_783_445, Some(500_000_000)),
            ("1735783445500000001", 1_735_783_445, Some(500_000_001)),
            (r#""1970-01-01T00:00:00Z""#, 0, Some(0)),
            (r#""1969-12-31T23:59:59.5Z""#, -1, None),
            (r#""2200-01-01T00:00:00Z""#, 7_258_118_400, None),
        ] {
            let text = format!(r#"{{"log_type":"a","time":{time}}}"#);
            let messages = messages(&settings, &[taken(0, &text)]);
            assert_eq!(messages[0].entries, [(seconds, nanoseconds, json!({ "message": text }))]);
        }
    }

    #[test]
    fn an_event_of_many_lines_is_put_on_one() {
        let events = [taken(0, "{\"log_type\":\n\"a\",\"time\":0}")];
        let text = r#"{"log_type":"a","time":0}"#;
        assert_eq!(messages(&settings(), &events)[0].entries[0].2, json!({ "message": text }));
    }
}
