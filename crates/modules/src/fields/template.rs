//! The values of added fields: texts with places for what is known of a record, numbers and truth values.

use baikonur_stream::{SequenceNumber, Timestamp};

use super::json_text::{self, Bounded};
use crate::failed_store::wall::rfc3339;

/// The longest text that may be added.
const TEXT_BYTES_MAX: usize = 1024;

/// Where an event is from. All of it is a function of the record: the time of processing is not among it, so that the same
/// record becomes the same bytes again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'r> {
    pub(crate) stream: &'r str,
    pub(crate) shard: &'r str,
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) arrival: Timestamp,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Stream,
    Shard,
    SequenceNumber,
    ArrivalTime,
    Host,
}

const NAMES: [(&str, Piece); 5] = [
    ("stream", Piece::Stream),
    ("shard", Piece::Shard),
    ("sequence_number", Piece::SequenceNumber),
    ("arrival_time", Piece::ArrivalTime),
    ("host", Piece::Host),
];

/// What is put into a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Template {
    /// JSON as it stands.
    Json(String),
    Text(Vec<Piece>),
}

impl Template {
    /// Reads `text {name} text`; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// What is wrong, and what may stand there.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("{} bytes are more than {TEXT_BYTES_MAX}", text.len()));
        }
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let name = rest.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = name else {
                return Err(format!(
                    "{text:?} has a single {brace}; a brace is written {brace}{brace}"
                ));
            };
            let Some((_, piece)) = NAMES.iter().find(|(known, _)| *known == name) else {
                return Err(format!(
                    "{text:?}: there is no {{{name}}}; what is known of a record is {}",
                    NAMES.each_ref().map(|(name, _)| format!("{{{name}}}")).join(", ")
                ));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece.clone());
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self::Text(pieces))
    }

    /// Whether the value depends on who works.
    pub(super) fn names_the_host(&self) -> bool {
        matches!(self, Self::Text(pieces) if pieces.contains(&Piece::Host))
    }

    /// The same with all filled in that is known before there is a record.
    pub(super) fn on_host(&self, host: &str) -> Prepared {
        match self {
            Self::Json(json) => Prepared(vec![Part::Json(json.clone().into_bytes())]),
            Self::Text(pieces) => {
                let mut parts = vec![Part::Json(vec![b'"'])];
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => append_content(&mut parts, text),
                        Piece::Host => append_content(&mut parts, host),
                        Piece::Stream => parts.push(Part::Stream),
                        Piece::Shard => parts.push(Part::Shard),
                        Piece::SequenceNumber => parts.push(Part::SequenceNumber),
                        Piece::ArrivalTime => parts.push(Part::ArrivalTime),
                    }
                }
                append(&mut parts, b"\"");
                Prepared(parts)
            }
        }
    }
}

/// A value, ready to be written for each record.
#[derive(Debug)]
pub(super) struct Prepared(Vec<Part>);

#[derive(Debug)]
enum Part {
    Json(Vec<u8>),
    Stream,
    Shard,
    SequenceNumber,
    ArrivalTime,
}

fn append(parts: &mut Vec<Part>, json: &[u8]) {
    match parts.last_mut() {
        Some(Part::Json(before)) => before.extend_from_slice(json),
        _ => parts.push(Part::Json(json.to_vec())),
    }
}

fn append_content(parts: &mut Vec<Part>, text: &str) {
    let quoted = json_text::string(text);
    append(parts, &quoted[1..quoted.len() - 1]);
}

/// What a name, a number or a time takes, about.
const KNOWN_BYTES: usize = 40;

impl Prepared {
    /// What the value takes, about.
    pub(super) fn expected_bytes(&self) -> usize {
        let bytes = |part: &Part| match part {
            Part::Json(json) => json.len(),
            _ => KNOWN_BYTES,
        };
        self.0.iter().map(bytes).sum()
    }

    pub(super) fn write(&self, place: &Place<'_>, out: &mut Bounded) {
        for part in &self.0 {
            match part {
                Part::Json(json) => out.push(json),
                // Names of streams and shards, numbers and times have nothing to escape.
                Part::Stream => out.push(place.stream.as_bytes()),
                Part::Shard => out.push(place.shard.as_bytes()),
                Part::SequenceNumber => out.push(place.sequence_number.to_string().as_bytes()),
                Part::ArrivalTime => out.push(rfc3339(place.arrival).as_bytes()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let place = Place {
            stream: "router",
            shard: "shardId-000000000002",
            sequence_number: SequenceNumber::new(1_700_000_000, 2, 7, 1_700_000_000),
            arrival: Timestamp::from_millis(1_700_000_000_045),
        };
        let mut out = Bounded::new(0, 1000);
        Template::parse(text).unwrap().on_host("h\"1").write(&place, &mut out);
        serde_json::from_slice(&out.finish().unwrap()).unwrap()
    }

    #[test]
    fn what_is_known_of_a_record_takes_its_place() {
        let number = SequenceNumber::new(1_700_000_000, 2, 7, 1_700_000_000).to_string();
        for (text, value) in [
            ("", ""),
            ("prod", "prod"),
            ("{stream}/{shard}", "router/shardId-000000000002"),
            ("{sequence_number}", &*number),
            ("at {arrival_time}", "at 2023-11-14T22:13:20.045Z"),
            ("{host}\n\"", "h\"1\n\""),
            ("{{stream}} {{{stream}}}", "{stream} {router}"),
        ] {
            assert_eq!(written(text), value, "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_may_stand_there() {
        let wrong = |text: &str| Template::parse(text).unwrap_err();
        assert!(
            wrong("{now}").contains("there is no {now}; what is known of a record is {stream}")
        );
        assert!(wrong("{stream").contains("a single {"));
        assert!(wrong("a}").contains("a brace is written }}"));
        assert!(wrong(&"x".repeat(1025)).contains("1025 bytes"));
    }

    #[test]
    fn only_the_host_depends_on_who_works() {
        assert!(Template::parse("a {host}").unwrap().names_the_host());
        assert!(!Template::parse("a {stream} {{host}}").unwrap().names_the_host());
    }
}
