//! From an object of a failed store back to records: lines as `encode` writes them, or a document of AWS Lambda.
//!
//! Whatever else lies in the store is foreign, and whatever is broken is told with its place: neither ends the reading
//! of the store. Memory is one object as it is stored, and one line.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use baikonur_stream::Timestamp;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::lambda;
use super::wall::parse_rfc3339;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A longer line is passed over. What a stream takes is far shorter: 10 MiB, as text of JSON at most six times that.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Of a long line no more than this is passed over; a gzip bomb ends its object.
const SKIPPED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a broken line that are shown.
const SHOWN_BYTES: usize = 60;

/// A record in a failed store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its place in its object: the number of its line from 0 on.
    pub place: u64,
    /// The module that gave it up.
    pub module: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// The stream that it was in.
    pub stream: String,
    /// The shard, as `shardId-` and digits.
    pub shard: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// Its place in a KPL aggregate, else 0.
    pub sub_sequence: u64,
    /// Its place in a CloudWatch Logs envelope, else 0.
    pub event_index: u32,
    /// When the stream took it.
    pub arrival: Timestamp,
    /// Its partition key.
    pub partition_key: Bytes,
    /// Its bytes.
    pub data: Bytes,
}

/// What stands at a place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A record.
    Record(Box<Found>),
    /// Something that cannot be read, in a sentence.
    Broken(String),
}

/// Why an object is none of a failed store, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Foreign(pub String);

/// The entries of an object.
pub struct Entries(Kind);

enum Kind {
    Lines(Box<Lines>),
    Records(std::vec::IntoIter<Entry>),
}

/// Opens an object.
///
/// # Errors
/// One that no failed store has written.
pub fn entries(object: &Bytes) -> Result<Entries, Foreign> {
    if let Some(records) = lambda::read(object) {
        return Ok(Entries(Kind::Records(records?.into_iter())));
    }
    let mut lines = Lines::open(object.clone());
    // An object is ours when its first line is; then broken ones among the others are told one by one.
    let first = lines.next();
    match first {
        Some(Ok(Entry::Record(found))) => {
            lines.first = Some(found);
            Ok(Entries(Kind::Lines(Box::new(lines))))
        }
        Some(Ok(Entry::Broken(what)) | Err(what)) => Err(Foreign(what)),
        None => Err(Foreign("it is empty".to_owned())),
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        match &mut self.0 {
            Kind::Records(records) => records.next(),
            Kind::Lines(lines) => match lines.first.take() {
                Some(first) => Some(Entry::Record(first)),
                None => lines.next().map(|entry| entry.unwrap_or_else(Entry::Broken)),
            },
        }
    }
}

struct Lines {
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    place: u64,
    ended: bool,
    first: Option<Box<Found>>,
}

impl Lines {
    fn open(object: Bytes) -> Self {
        let packed = object.starts_with(&GZIP_MAGIC);
        let object = Cursor::new(object);
        let input: Box<dyn BufRead + Send> = if packed {
            Box::new(BufReader::new(MultiGzDecoder::new(object)))
        } else {
            Box::new(object)
        };
        Self { input, line: Vec::new(), place: 0, ended: false, first: None }
    }

    /// The next entry; an error is the last.
    fn next(&mut self) -> Option<Result<Entry, String>> {
        if self.ended {
            return None;
        }
        let place = self.place;
        self.place += 1;
        match self.fill() {
            Ok(0) => {
                self.ended = true;
                None
            }
            Ok(length) if length > LINE_BYTES_MAX => {
                let what = format!("line {} has more than {LINE_BYTES_MAX} bytes", place + 1);
                Some(Ok(Entry::Broken(what)))
            }
            Ok(_) => Some(Ok(match found(place, self.line.trim_ascii_end()) {
                Ok(found) => Entry::Record(Box::new(found)),
                Err(what) => Entry::Broken(format!("line {} {what}", place + 1)),
            })),
            Err(error) => {
                self.ended = true;
                Some(Err(format!(
                    "line {} and what is behind it cannot be read: {error}",
                    place + 1
                )))
            }
        }
    }

    /// Reads a line; gives its length with the line end, of which no more than the limit is kept.
    fn fill(&mut self) -> io::Result<u64> {
        self.line.clear();
        self.line.shrink_to(1 << 20);
        let mut part = (&mut self.input).take(LINE_BYTES_MAX + 1);
        let mut length = part.read_until(b'\n', &mut self.line)? as u64;
        while length > LINE_BYTES_MAX && self.line.last() != Some(&b'\n') {
            self.line.clear();
            let mut part = (&mut self.input).take(LINE_BYTES_MAX);
            let read = part.read_until(b'\n', &mut self.line)? as u64;
            length += read;
            if read == 0 {
                break;
            }
            if length > SKIPPED_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "a line of more than {SKIPPED_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(length)
    }
}

#[derive(Deserialize)]
struct Line {
    reason: String,
    #[serde(default)]
    detail: String,
    consumer: String,
    stream: String,
    shard: String,
    sequence_number: String,
    #[serde(default)]
    sub_sequence: u64,
    #[serde(default)]
    event_index: u32,
    arrival: String,
    partition_key: Option<String>,
    partition_key_base64: Option<String>,
    data: Option<String>,
    data_base64: Option<String>,
}

fn found(place: u64, text: &[u8]) -> Result<Found, String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| {
        let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES)]).into_owned();
        format!("is no record of a failed store: {error}; it begins {shown:?}")
    })?;
    let arrival = parse_rfc3339(&line.arrival)
        .ok_or_else(|| format!("has an arrival that is no time: {:?}", line.arrival))?;
    Ok(Found {
        place,
        module: line.consumer,
        reason: line.reason,
        detail: line.detail,
        stream: line.stream,
        shard: line.shard,
        sequence_number: line.sequence_number,
        sub_sequence: line.sub_sequence,
        event_index: line.event_index,
        arrival,
        partition_key: bytes("partition_key", line.partition_key, line.partition_key_base64)?,
        data: bytes("data", line.data, line.data_base64)?,
    })
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => {
            let decoded = base64_simd::STANDARD.decode_to_vec(base64);
            decoded.map(Bytes::from).map_err(|_| format!("has a {name}_base64 that is no base64"))
        }
        (None, None) => Err(format!("has neither {name} nor {name}_base64")),
        (Some(_), Some(_)) => Err(format!("has both {name} and {name}_base64")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use baikonur_stream::{
        ConsumerName, FailedBatch, FailedRecord, SequenceNumber, ShardAddress, ShardId, StreamName,
    };

    use proptest::prelude::*;

    use super::super::encode;
    use super::*;

    proptest! {
        #[test]
        fn no_object_does_harm(
            mut object in prop_oneof![
                Just(line().into_bytes()),
                Just(packed(line().as_bytes()).to_vec()),
                Just(lambda::tests::document(|event| event.to_string().into()).to_vec()),
            ],
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            for (place, byte) in changes {
                let place = place.index(object.len());
                object[place] = byte;
            }
            object.truncate(cut.index(object.len() + 1));
            if let Ok(entries) = entries(&object.into()) {
                prop_assert!(entries.count() <= 10);
            }
        }
    }

    const LINE: &str = r#"{"reason":"not_json","consumer":"m","stream":"s","shard":"shardId-000000000001",
        "sequence_number":"7","arrival":"2020-09-13T12:26:40.123Z","partition_key":"k","data":"x"}"#;

    fn line() -> String {
        LINE.replace('\n', " ")
    }

    fn packed(text: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    fn read(object: &Bytes) -> Vec<Entry> {
        entries(object).unwrap().collect()
    }

    fn broken(entry: &Entry) -> &str {
        match entry {
            Entry::Broken(what) => what,
            Entry::Record(found) => panic!("{found:?}"),
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_found() {
        let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(1) };
        let record = |counter, key: &'static [u8], data: &'static [u8]| FailedRecord {
            sequence_number: SequenceNumber::new(1_600_000_000, 1, counter, 1_600_000_000),
            sub_sequence: 0,
            event_index: 0,
            arrival: Timestamp::from_millis(1_600_000_000_123),
            partition_key: Bytes::from_static(key),
            reason: "not_json".to_owned(),
            detail: "a sentence".to_owned(),
            data: Bytes::from_static(data),
            given_up: None,
        };
        let records = vec![record(1, b"k", b"text \"\n\""), record(2, b"\xff", b"\x1f\x8b\x00")];
        let batch = FailedBatch { consumer: ConsumerName::new("m"), shard, records };
        let group = &encode::groups(&batch)[0];
        let object = Bytes::from(group.content().await.unwrap().concat());
        for (place, (entry, record)) in read(&object).iter().zip(&batch.records).enumerate() {
            let Entry::Record(found) = entry else { panic!("{entry:?}") };
            assert_eq!(found.place, place as u64);
            assert_eq!((&found.data, &found.partition_key), (&record.data, &record.partition_key));
            assert_eq!(found.sequence_number, record.sequence_number.to_string());
            let place = (record.sub_sequence, record.event_index);
            assert_eq!((found.sub_sequence, found.event_index), place);
            assert_eq!((found.arrival, &*found.shard), (record.arrival, "shardId-000000000001"));
            assert_eq!((&*found.module, &*found.stream), ("m", "s"));
        }
        assert_eq!(read(&object).len(), 2);
        let key = group.key("unknown/deep");
        assert_eq!(encode::key_folders(&key), Some(("not_json", "m")));
    }

    #[test]
    fn broken_lines_are_told_with_their_number_and_keep_their_place() {
        let text = format!("{0}\nno json\n{0}\n{{}}\n", line());
        for object in [Bytes::from(text.clone()), packed(text.as_bytes())] {
            let entries = read(&object);
            assert_eq!(entries.len(), 4);
            assert!(matches!(&entries[2], Entry::Record(found) if found.place == 2));
            assert!(broken(&entries[1]).starts_with("line 2 is no record"), "{entries:?}");
            assert!(broken(&entries[3]).starts_with("line 4 "), "{entries:?}");
        }
        for (wrong, told) in [
            (line().replace("2020-09", "2020-19"), "no time"),
            (line().replace("\"data\"", "\"data_base64\""), "no base64"),
            (line().replace("\"data\"", "\"other\""), "neither data nor"),
        ] {
            let entries = read(&Bytes::from(format!("{}\n{wrong}", line())));
            assert!(broken(&entries[1]).contains(told), "{entries:?}");
        }
    }

    #[test]
    fn an_object_cut_short_gives_what_it_has() {
        let many = format!("{}\n", line()).repeat(5000);
        let whole = packed(many.as_bytes());
        let entries = read(&whole.slice(..whole.len() - 20));
        assert!(entries.len() > 1000);
        assert!(broken(entries.last().unwrap()).contains("cannot be read"));
    }

    #[test]
    fn foreign_objects_are_told_apart() {
        for (object, told) in [
            (Bytes::new(), "empty"),
            (Bytes::from_static(b"# a page\n"), "no record"),
            (Bytes::from_static(&[0x1f, 0x8b, 8, 0, 1]), "cannot be read"),
            (packed(b"{\"log_type\":\"auth\"}\n"), "no record"),
            (packed(b""), "empty"),
        ] {
            let error = entries(&object).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_bomb_ends_its_object_and_nothing_else() {
        let mut bomb = format!("{}\n", line()).into_bytes();
        bomb.resize(bomb.len() + (LINE_BYTES_MAX as usize) + 10, b' ');
        bomb.push(b'\n');
        bomb.extend(line().into_bytes());
        let entries = read(&packed(&bomb));
        assert_eq!(entries.len(), 3);
        assert!(broken(&entries[1]).contains("more than"), "{}", broken(&entries[1]));
        assert!(matches!(&entries[2], Entry::Record(_)));
    }

    #[test]
    fn keys_of_others_tell_nothing() {
        for key in [
            "not_json/m/2020-09/13/x.json",
            "m/2020-09/13/x.gz",
            "aws/lambda/uuid/shardId-000000000000/2020/09/13/x.gz",
            "x.gz",
        ] {
            assert_eq!(encode::key_folders(key), None, "{key}");
        }
    }
}
