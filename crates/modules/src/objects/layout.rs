//! Where an object of log events stands: its folder, its file name and its ending. All that is known of layouts is here
//! and in [`template`](super::template): what writes an archive and what reads one agree on it.
//!
//! - The originals' layout: `{log_type}/{YYYY-MM}/{DD}/{YYYY-MM-DD-HH:MM:SS}-{log_id}.gz`.
//! - A [template](super::template) gives the folder, and the file is
//!   `{YYYYMMDD}T{HHMMSS}-{log_id}-{origin}.ndjson.gz`: without colons, which Hadoop's paths do not take.
//!
//! `{origin}` is a hash of where the object is from, so that no other object can want its name. In the originals'
//! layout it is left out of `.gz`, where the header tells the origin.

use std::fmt::Write;

use baikonur_record::{EventTime, LogEvent};

use super::codec::{Codec, Format, LINES_SUFFIX, PARQUET_SUFFIX};
use super::template::{InvalidTemplate, Template};
use super::{hash, name};

/// The setting's value for the originals' layout.
pub const ORIGINALS: &str = "originals";
/// The setting's value for [`HIVE_TEMPLATE`].
pub const HIVE: &str = "hive";
/// The layout that Athena, Hive, Spark, Trino and DuckDB find the partitions of by themselves.
pub const HIVE_TEMPLATE: &str =
    "log_type={log_type}/year={year}/month={month}/day={day}/hour={hour}";

/// Bytes of the log id's part of a key: the rest of the file name is a time, hashes and the ending.
const LOG_ID_BYTES_MAX: usize = 180;
/// As the originals' layout has had it since there are objects of it.
const LOG_ID_BYTES_MAX_ORIGINALS: usize = 200;

/// The longest key that S3 takes, in bytes of UTF-8 ("Naming Amazon S3 objects" of its user guide).
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest file name, in bytes: that of the usual file systems, and more than any of ours.
const FILE_NAME_BYTES_MAX: usize = 255;
/// The longest folder of the originals' layout: a log type, and what is wrong with it, above month and day.
const ORIGINALS_FOLDER_BYTES_MAX: usize =
    255 + "unknown/".len() + "/unknown_type/no_timestamp".len() + "/2015-05/17".len();

/// How keys are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// None: the originals'.
    template: Option<Template>,
    ending: String,
    names_origin: bool,
}

/// The stream and shard that an object is from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// The stream's name.
    pub stream: &'s str,
    /// The shard's id.
    pub shard: &'s str,
}

impl Layout {
    /// Reads `originals`, `hive` or a template, for objects of `format` in `codec`.
    ///
    /// # Errors
    /// What is wrong with a template.
    pub fn parse(text: &str, format: Format, codec: Codec) -> Result<Self, InvalidTemplate> {
        let template = match text {
            ORIGINALS => None,
            HIVE => Some(Template::parse(HIVE_TEMPLATE)?),
            text => Some(Template::parse(text)?),
        };
        let ending = match (format, codec, &template) {
            (Format::Parquet, ..) => PARQUET_SUFFIX.to_owned(),
            (Format::Ndjson, Codec::None, _) => LINES_SUFFIX.to_owned(),
            (Format::Ndjson, codec, None) => codec.suffix().to_owned(),
            (Format::Ndjson, codec, Some(_)) => format!("{LINES_SUFFIX}{}", codec.suffix()),
        };
        let gzip = (format, codec) == (Format::Ndjson, Codec::Gzip);
        let names_origin = template.is_some() || !gzip;
        Ok(Self { template, ending, names_origin })
    }

    /// Whether a key is nobody else's. If not, the object itself says where it is from.
    pub fn names_origin(&self) -> bool {
        self.names_origin
    }

    /// The bytes of the longest key that it makes: what is left of [`KEY_BYTES_MAX`] is for a prefix and its slash.
    pub fn key_bytes_max(&self) -> usize {
        let folder = self.template.as_ref().map_or(ORIGINALS_FOLDER_BYTES_MAX, Template::bytes_max);
        folder + 1 + FILE_NAME_BYTES_MAX
    }

    /// Writes the folder of an event's object behind `folder`. Events with the same folder share an object.
    pub fn folder(&self, event: &LogEvent, source: Source<'_>, folder: &mut String) {
        match &self.template {
            Some(template) => template.render(event, source, folder),
            None => {
                let time = &event.time;
                let (year, month, day) = (time.year(), time.month(), time.day());
                let log_type = event.log_type.key_segment();
                write(folder, format_args!("{log_type}/{year:04}-{month:02}/{day:02}"));
            }
        }
    }

    /// How the name of an object begins that has `event` as its first.
    pub fn stem(&self, event: &LogEvent) -> String {
        let id = event.log_id.as_str();
        let EventParts { year, month, day, hour, minute, second } = EventParts::of(&event.time);
        if self.template.is_some() {
            let id = name(id, LOG_ID_BYTES_MAX);
            format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}-{id}")
        } else {
            let long =
                if self.names_origin { LOG_ID_BYTES_MAX } else { LOG_ID_BYTES_MAX_ORIGINALS };
            let id = name(id, long);
            format!("{year:04}-{month:02}-{day:02}-{hour:02}:{minute:02}:{second:02}-{id}")
        }
    }

    /// The key of an object from `origin`.
    pub fn key(&self, folder: &str, stem: &str, origin: &str) -> String {
        let ending = &self.ending;
        if self.names_origin {
            format!("{folder}/{stem}-{}{ending}", hash(origin))
        } else {
            format!("{folder}/{stem}{ending}")
        }
    }

    /// The key of an object whose first event is `event`, with `*` where the hash of its origin stands.
    pub fn shown_key(&self, event: &LogEvent, source: Source<'_>) -> String {
        let (mut folder, stem, ending) = (String::new(), self.stem(event), &self.ending);
        self.folder(event, source, &mut folder);
        let origin = if self.names_origin { "-*" } else { "" };
        format!("{folder}/{stem}{origin}{ending}")
    }
}

/// A time, as numbers.
struct EventParts {
    year: i16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl EventParts {
    fn of(time: &EventTime) -> Self {
        Self {
            year: time.year(),
            month: time.month(),
            day: time.day(),
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
        }
    }
}

pub(super) fn write(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a String takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::super::template::tests::{SOURCE, event};
    use super::*;

    const LINE: &str =
        r#"{"log_type":"web/1","log_id":"a b:1","time":"2015-05-17T23:59:58.5+09:00"}"#;

    fn key(layout: &str, format: Format, codec: Codec) -> String {
        let layout = Layout::parse(layout, format, codec).unwrap();
        let (event, mut folder) = (event(LINE), String::new());
        layout.folder(&event, SOURCE, &mut folder);
        let key = layout.key(&folder, &layout.stem(&event), "here");
        let shown = layout.shown_key(&event, SOURCE);
        assert_eq!(shown, key.replace(&hash("here"), "*"));
        shown
    }

    #[test]
    fn keys_end_as_readers_expect() {
        use Codec::{Gzip, HadoopSnappy, None, Snappy, Zstd};
        let stem = "web%2F1/2015-05/17/2015-05-17-23:59:58-a%20b%3A1";
        for (codec, end) in [
            (Gzip, ".gz"),
            (Zstd, "-*.zst"),
            (Snappy, "-*.sz"),
            (HadoopSnappy, "-*.snappy"),
            (None, "-*.ndjson"),
        ] {
            assert_eq!(key("originals", Format::Ndjson, codec), format!("{stem}{end}"));
        }
        let stem = "log_type=web%2F1/year=2015/month=05/day=17/hour=23/20150517T235958-a%20b%3A1-*";
        for (codec, end) in [(Gzip, ".ndjson.gz"), (Zstd, ".ndjson.zst"), (None, ".ndjson")] {
            assert_eq!(key("hive", Format::Ndjson, codec), format!("{stem}{end}"));
        }
        assert_eq!(key("hive", Format::Parquet, Zstd), format!("{stem}.parquet"));
        assert_eq!(
            key("{stream}/{date}", Format::Parquet, None),
            "logs/2015-05-17/20150517T235958-a%20b%3A1-*.parquet"
        );
    }

    #[test]
    fn keys_of_all_records_fit_into_s3() {
        for long in ["x".repeat(2000), ".".repeat(2000), "\u{65e5}".repeat(700)] {
            let line = format!(r#"{{"log_type":"{long}","log_id":"{long}","a":"{long}"}}"#);
            for layout in ["originals", "hive", "{log_type}/{a}/{a}", &["{a}"; 12].join("/")] {
                for codec in [Codec::Gzip, Codec::HadoopSnappy] {
                    let layout = Layout::parse(layout, Format::Ndjson, codec).unwrap();
                    let (event, mut folder) = (event(&line), String::new());
                    layout.folder(&event, SOURCE, &mut folder);
                    let key = layout.key(&folder, &layout.stem(&event), "here");
                    let most = layout.key_bytes_max();
                    assert!(key.len() + 17 <= most && most + 128 <= KEY_BYTES_MAX, "{most}: {key}");
                }
            }
        }
    }

    #[test]
    fn names_fit_into_a_file_system() {
        let line = format!(r#"{{"log_type":"t","log_id":"{}"}}"#, "x".repeat(1000));
        for layout in ["originals", "hive"] {
            for codec in [Codec::Gzip, Codec::HadoopSnappy] {
                let layout = Layout::parse(layout, Format::Ndjson, codec).unwrap();
                // An object beside another one's gets a hash more.
                let key = layout.key("", &layout.stem(&event(&line)), "here");
                assert!(key.len() + 17 <= 255, "{key}");
            }
        }
    }
}
