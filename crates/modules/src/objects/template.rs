//! Folders by template: `{log_type}/dt={date}/{region}`.
//!
//! In braces stand `log_type`, the parts of the event's own time (`year`, `month`, `day`, `hour`, `minute`, `date`),
//! `stream`, `shard`, or a field of the record: a key, a dotted path or a JSON pointer. A field of one of those names is
//! reached as a pointer, `{/year}`.
//!
//! What comes out of a record is foreign text: it is percent-encoded and stays within its segment of the key.

use std::borrow::Cow;
use std::ops::Range;

use baikonur_record::scan::unescape;
use baikonur_record::{FieldPath, LogEvent};

use super::layout::{Source, write};
use super::name;

/// Stands for a field that a record does not have, or that is null: what Hive writes there, and what readers of its
/// layout take for NULL.
pub const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The longest file name of the usual file systems, in bytes.
const SEGMENT_BYTES_MAX: usize = 255;
/// Room that each value of a segment has to have: a cut name and its hash.
const VALUE_BYTES_MIN: usize = 40;
/// The longest folder, in bytes: S3 takes keys of 1024, and prefix and file name need their part.
const FOLDER_BYTES_MAX: usize = 640;
/// Folders within each other, each of which is a look-up for a file system.
const SEGMENTS_MAX: usize = 12;

/// A folder with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    fields: Vec<FieldPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Segment {
    parts: Vec<Part>,
    value_bytes_max: usize,
}

impl Segment {
    fn fixed_bytes(&self) -> usize {
        self.parts.iter().filter(|part| !part.is_foreign()).map(Part::bytes).sum()
    }

    fn foreign_parts(&self) -> usize {
        self.parts.iter().filter(|part| part.is_foreign()).count()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    LogType,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Date,
    Stream,
    Shard,
    /// By its place in `fields`.
    Field(usize),
}

impl Part {
    fn is_foreign(&self) -> bool {
        matches!(self, Self::LogType | Self::Stream | Self::Shard | Self::Field(_))
    }

    /// The longest that it becomes, for those that are not foreign.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Year => 4,
            Self::Date => 10,
            _ => 2,
        }
    }
}

/// A template that cannot be used, with what is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} {why}; it is \"originals\", \"hive\", or a folder such as \"{{log_type}}/dt={{date}}/{{region}}\""
)]
pub struct InvalidTemplate {
    given: String,
    why: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace that is not closed, a segment that is empty or leads elsewhere, characters that some reader of keys
    /// does not take, or more than fits into a key.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let invalid = |why: String| InvalidTemplate { given: text.to_owned(), why };
        let mut template = Self { segments: Vec::new(), fields: Vec::new() };
        for segment in segments(text).map_err(|why| invalid(why.to_owned()))? {
            let segment = template.segment(segment).map_err(&invalid)?;
            template.segments.push(segment);
        }
        if template.segments.len() > SEGMENTS_MAX {
            let many = template.segments.len();
            return Err(invalid(format!("has {many} folders, more than {SEGMENTS_MAX}")));
        }
        template.share_room().map_err(invalid)?;
        Ok(template)
    }

    /// Values share what the fixed text leaves of the folder's bytes, so that no record makes a key that S3 refuses: it
    /// would be refused again at every try.
    fn share_room(&mut self) -> Result<(), String> {
        let slashes = self.segments.len().saturating_sub(1);
        let fixed = slashes + self.segments.iter().map(Segment::fixed_bytes).sum::<usize>();
        let foreign: usize = self.segments.iter().map(Segment::foreign_parts).sum();
        let share = FOLDER_BYTES_MAX.saturating_sub(fixed) / foreign.max(1);
        if fixed > FOLDER_BYTES_MAX || foreign > 0 && share < VALUE_BYTES_MIN {
            return Err(format!(
                "can become longer than the {FOLDER_BYTES_MAX} bytes that a key has room for: {foreign} values need \
                 {VALUE_BYTES_MIN} each beside {fixed} of fixed text"
            ));
        }
        for segment in &mut self.segments {
            segment.value_bytes_max = segment.value_bytes_max.min(share);
        }
        Ok(())
    }

    /// The bytes of the longest folder that it makes.
    pub fn bytes_max(&self) -> usize {
        let longest = |segment: &Segment| {
            segment.fixed_bytes() + segment.foreign_parts() * segment.value_bytes_max
        };
        self.segments.len().saturating_sub(1) + self.segments.iter().map(longest).sum::<usize>()
    }

    fn segment(&mut self, text: &str) -> Result<Segment, String> {
        let mut segment = Segment::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, behind) = rest.split_once('{').unwrap_or((rest, ""));
            let found = rest.len() > before.len();
            if !before.is_empty() {
                segment.parts.push(Part::Text(legal(before)?.to_owned()));
            }
            rest = behind;
            if found {
                let (inside, behind) = behind.split_once('}').ok_or("has a { without its }")?;
                segment.parts.push(self.part(inside)?);
                rest = behind;
            }
        }
        match segment.parts.as_slice() {
            [] => return Err("has a folder without a name".to_owned()),
            [Part::Text(dots)] if dots.bytes().all(|byte| byte == b'.') => {
                return Err(format!("leads elsewhere with {dots:?}"));
            }
            _ => {
                let (fixed, foreign) = (segment.fixed_bytes(), segment.foreign_parts());
                let room = SEGMENT_BYTES_MAX.saturating_sub(fixed);
                segment.value_bytes_max = room / foreign.max(1);
                if fixed > SEGMENT_BYTES_MAX
                    || foreign > 0 && segment.value_bytes_max < VALUE_BYTES_MIN
                {
                    return Err(format!("has a folder longer than a name can be: {text:?}"));
                }
            }
        }
        Ok(segment)
    }

    fn part(&mut self, inside: &str) -> Result<Part, String> {
        Ok(match inside {
            "log_type" => Part::LogType,
            "year" => Part::Year,
            "month" => Part::Month,
            "day" => Part::Day,
            "hour" => Part::Hour,
            "minute" => Part::Minute,
            "date" => Part::Date,
            "stream" => Part::Stream,
            "shard" => Part::Shard,
            path => {
                let path =
                    FieldPath::parse(path).map_err(|error| format!("has {{{path}}}: {error}"))?;
                let place = self.fields.iter().position(|field| *field == path);
                Part::Field(place.unwrap_or_else(|| {
                    self.fields.push(path);
                    self.fields.len() - 1
                }))
            }
        })
    }

    /// Writes the folder of `event` behind `folder`.
    pub fn render(&self, event: &LogEvent, source: Source<'_>, folder: &mut String) {
        let found = FieldPath::find_all(&self.fields, &event.json);
        for (place, segment) in self.segments.iter().enumerate() {
            if place > 0 {
                folder.push('/');
            }
            for part in &segment.parts {
                let time = &event.time;
                let mut foreign = |text: &str| *folder += &name(text, segment.value_bytes_max);
                match part {
                    Part::LogType => foreign(&event.log_type.name()),
                    Part::Stream => foreign(source.stream),
                    Part::Shard => foreign(source.shard),
                    Part::Field(field) => match text_of(&event.json, found[*field].clone()) {
                        Some(text) => foreign(&text),
                        None => *folder += MISSING,
                    },
                    Part::Text(text) => *folder += text,
                    Part::Year => write(folder, format_args!("{:04}", time.year())),
                    Part::Month => write(folder, format_args!("{:02}", time.month())),
                    Part::Day => write(folder, format_args!("{:02}", time.day())),
                    Part::Hour => write(folder, format_args!("{:02}", time.hour())),
                    Part::Minute => write(folder, format_args!("{:02}", time.minute())),
                    Part::Date => {
                        let (year, month, day) = (time.year(), time.month(), time.day());
                        write(folder, format_args!("{year:04}-{month:02}-{day:02}"));
                    }
                }
            }
        }
    }
}

/// Cuts at the slashes that stand outside of braces.
fn segments(text: &str) -> Result<Vec<&str>, &'static str> {
    let (mut segments, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, symbol) in text.char_indices() {
        match (symbol, inside) {
            ('{', true) => return Err("has a { within braces"),
            ('}', false) => return Err("has a } without its {"),
            ('{', false) => inside = true,
            ('}', true) => inside = false,
            ('/', false) => {
                segments.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    segments.push(&text[start..]);
    Ok(segments)
}

fn legal(text: &str) -> Result<&str, String> {
    let is_legal =
        |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.' | '=');
    match text.chars().find(|&symbol| !is_legal(symbol)) {
        Some(symbol) => Err(format!(
            "has {symbol:?}, and outside of braces stand only a-z, A-Z, 0-9, '-', '_', '.' and '='"
        )),
        None => Ok(text),
    }
}

/// The text of a JSON value: a string's content, everything else as it is written; none of null and of nothing.
fn text_of(json: &[u8], span: Option<Range<usize>>) -> Option<Cow<'_, str>> {
    let value = &json[span?];
    match value {
        b"null" => None,
        [b'"', content @ .., b'"'] => Some(match unescape(content) {
            Cow::Borrowed(text) => String::from_utf8_lossy(text),
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }),
        value => Some(String::from_utf8_lossy(value)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use baikonur_record::{Origin, Payload, Schema};
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    pub(crate) const SOURCE: Source<'static> =
        Source { stream: "logs", shard: "shardId-000000000001" };

    pub(crate) fn event(json: &str) -> LogEvent {
        let payload = Payload {
            bytes: Bytes::copy_from_slice(json.as_bytes()),
            partition_key: None,
            explicit_hash_key: None,
            sub_sequence: 0,
            event_index: 0,
        };
        let origin = Origin {
            stream: SOURCE.stream,
            shard: SOURCE.shard,
            sequence_number: &1,
            arrival_millis: 1_700_000_000_000,
        };
        Schema::default().event(payload, &origin).unwrap()
    }

    fn folder(template: &str, json: &str) -> String {
        let mut folder = String::new();
        Template::parse(template).unwrap().render(&event(json), SOURCE, &mut folder);
        folder
    }

    #[test]
    fn places_are_filled_in() {
        let line = r#"{"log_type":"web","time":"2015-05-17T23:59:58+09:00","region":"eu/1",
            "host":{"name":"a\u0062"},"year":7,"ok":true,"none":null,"list":[1, 2]}"#;
        for (template, expected) in [
            ("all", "all"),
            ("{log_type}/{year}/{month}/{day}/{hour}/{minute}", "web/2015/05/17/23/59"),
            ("dt={date}/x{region}-{ok}", "dt=2015-05-17/xeu%2F1-true"),
            ("{stream}/{shard}", "logs/shardId-000000000001"),
            ("{host.name}/{/host/name}/{/year}", "ab/ab/7"),
            ("{none}/{absent}/{region.x}", &[MISSING; 3].join("/")),
            ("{list}", "%5B1%2C%202%5D"),
            ("{region}{region}", "eu%2F1eu%2F1"),
        ] {
            assert_eq!(folder(template, line), expected, "{template}");
        }
        assert_eq!(folder("t={log_type}", r#"{"a":1}"#), "t=unknown%2Funknown_type%2Fno_timestamp");
    }

    #[test]
    fn mistakes_are_explained() {
        for (template, word) in [
            ("", "without a name"),
            ("a//b", "without a name"),
            ("/a", "without a name"),
            ("a/", "without a name"),
            ("..", "leads elsewhere"),
            ("a/./b", "leads elsewhere"),
            ("{log_type", "without its }"),
            ("log_type}", "without its {"),
            ("{a{b}}", "within braces"),
            ("a b", "' '"),
            ("a:b", "':'"),
            ("{}", "empty"),
            ("{a..b}", "a..b"),
            (&"x".repeat(256), "longer"),
            (&"{a}".repeat(7), "longer"),
            (&["a"; 13].join("/"), "13 folders"),
            (&["{a}{b}{c}{d}{e}{f}"; 3].join("/"), "18 values"),
            (&["x".repeat(250), "y".repeat(250), "z".repeat(250)].join("/"), "752 of fixed text"),
        ] {
            let message = Template::parse(template).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains("hive"), "{template}: {message}");
        }
    }

    #[test]
    fn a_folder_is_never_longer_than_a_key_has_room_for() {
        for template in [
            "{a}/{b}/{c}/{d}/{e}",
            "{log_type}/{a}/dt={date}/{year}-{month}/{b}",
            &["{a}"; 12].join("/"),
            "{a}{b}{c}{d}{e}{f}/{a}{b}{c}{d}{e}{f}",
        ] {
            let most = Template::parse(template).unwrap().bytes_max();
            for value in ["x".repeat(2000), ".".repeat(2000), "\u{65e5}".repeat(700)] {
                let members = ["a", "b", "c", "d", "e", "f", "log_type"];
                let line: serde_json::Map<_, _> = members
                    .map(|member| (member.to_owned(), value.clone().into()))
                    .into_iter()
                    .collect();
                let folder = folder(template, &serde_json::Value::Object(line).to_string());
                assert!(folder.len() <= most && most <= FOLDER_BYTES_MAX, "{most}: {folder}");
            }
        }
    }

    proptest! {
        #[test]
        fn foreign_text_stays_in_its_segment(value in any::<String>(), log_type in any::<String>()) {
            let line = serde_json::json!({"log_type": log_type, "f": value}).to_string();
            let folder = folder("{f}/a={f}{log_type}/{log_type}", &line);
            let segments: Vec<_> = folder.split('/').collect();
            prop_assert_eq!(segments.len(), 3);
            for segment in segments {
                prop_assert!(!segment.is_empty() && segment.len() <= 255);
                prop_assert!(segment != "." && segment != "..");
                prop_assert!(segment.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
            }
        }

        #[test]
        fn two_values_have_two_folders(one in any::<String>(), two in any::<String>()) {
            let of = |value: &str| folder("{f}", &serde_json::json!({"f": value}).to_string());
            prop_assert_eq!(of(&one) == of(&two), one == two);
        }
    }
}
