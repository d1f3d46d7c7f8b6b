//! Log events to bulk requests: two lines a document, written into one buffer.

use baikonur_record::{FieldPath, scan};
use baikonur_stream::ShardAddress;
use bytes::Bytes;
use memchr::memmem::Finder;
use sha2::{Digest, Sha256};

use super::index_names::ActionHeads;
use super::settings::{DocumentId, Settings, WriteTo};
use crate::intake::TakenEvent;

/// Bytes that Elasticsearch and OpenSearch allow in an `_id`.
const ID_BYTES_MAX: usize = 512;
/// A guess at an action line, for the size of a buffer.
const ACTION_LINE_BYTES: usize = 128;
/// The field that every document of a data stream has.
const TIMESTAMP: &str = "@timestamp";

/// A bulk request: some events of a batch, in order.
#[derive(Debug, Clone)]
pub struct Bulk {
    body: Bytes,
    documents: Vec<Document>,
}

/// One document of a bulk request.
#[derive(Debug, Clone, Copy)]
struct Document {
    /// Its place among the events of the batch.
    event: usize,
    /// What it takes in the body, action line included.
    bytes: usize,
}

impl Bulk {
    /// The request's body. Cheap to clone.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// How many documents it has.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The place among the batch's events of the document at `position`.
    pub(super) fn event(&self, position: usize) -> usize {
        self.documents[position].event
    }

    /// A bulk of the documents at `positions` (ascending) alone.
    pub(super) fn only(&self, positions: &[usize]) -> Self {
        let bytes = positions.iter().map(|&position| self.documents[position].bytes).sum();
        let mut body = Vec::with_capacity(bytes);
        let mut wanted = positions.iter().copied().peekable();
        let mut start = 0;
        for (position, document) in self.documents.iter().enumerate() {
            if wanted.next_if_eq(&position).is_some() {
                body.extend_from_slice(&self.body[start..start + document.bytes]);
            }
            start += document.bytes;
        }
        let documents = positions.iter().map(|&position| self.documents[position]).collect();
        Self { body: body.into(), documents }
    }

    /// Two bulks of half the documents each; they share the body.
    pub(super) fn halves(&self) -> (Self, Self) {
        let (first, second) = self.documents.split_at(self.documents.len() / 2);
        let cut: usize = first.iter().map(|document| document.bytes).sum();
        (
            Self { body: self.body.slice(..cut), documents: first.to_vec() },
            Self { body: self.body.slice(cut..), documents: second.to_vec() },
        )
    }
}

/// The bulk requests of a batch, one after the other: only one is in memory at a time.
pub struct Bulks<'a> {
    settings: &'a Settings,
    shard: &'a ShardAddress,
    events: &'a [TakenEvent],
    next: usize,
    heads: ActionHeads<'a>,
    routing: Option<FieldPath>,
    /// Finds the name of the timestamp in documents that need one.
    timestamp: Option<Finder<'static>>,
}

impl<'a> Bulks<'a> {
    /// The bulk requests that put `events` of `shard` where `settings` say.
    pub fn new(settings: &'a Settings, shard: &'a ShardAddress, events: &'a [TakenEvent]) -> Self {
        let heads = ActionHeads::new(settings);
        // Checked when the module was set up.
        let routing = settings.routing().unwrap_or_default();
        let timestamp =
            (settings.write_to == WriteTo::DataStreams).then(|| Finder::new("\"@timestamp\""));
        Self { settings, shard, events, next: 0, heads, routing, timestamp }
    }

    fn append(&mut self, body: &mut Vec<u8>, taken: &TakenEvent) {
        body.extend_from_slice(self.heads.head(&taken.event).as_bytes());
        match self.settings.document_id {
            DocumentId::LogId => append_id(body, taken.event.log_id.as_str()),
            DocumentId::Origin => append_id(body, &origin(self.shard, taken)),
            DocumentId::None => {}
        }
        if let Some(path) = &self.routing {
            append_routing(body, path, &taken.event.json);
        }
        body.extend_from_slice(b"}}\n");
        let at = body.len();
        if taken.event.one_line {
            body.extend_from_slice(&taken.event.json);
        } else {
            body.extend_from_slice(&taken.event.to_one_line());
        }
        if let Some(finder) = &self.timestamp
            && !has_timestamp(&body[at..], finder)
        {
            // The root is an object with at least the fields that the schema found: a member follows.
            let member = format!(r#"{{"{TIMESTAMP}":"{}","#, taken.event.time.rfc3339());
            body.splice(at..=at, member.into_bytes());
        }
        body.push(b'\n');
    }

    /// Room for the next bulk, so that its buffer need not grow.
    fn capacity(&self) -> usize {
        let end = self.events.len().min(self.next + self.settings.bulk_records);
        let events = &self.events[self.next..end];
        let bytes: usize =
            events.iter().map(|taken| taken.event.json.len() + ACTION_LINE_BYTES).sum();
        // The document that turns out to be too much is written before it is taken back.
        let largest = events.first().map_or(0, |taken| taken.event.json.len());
        bytes.min(self.settings.bulk_bytes.max(largest) + largest) + ACTION_LINE_BYTES
    }
}

impl Iterator for Bulks<'_> {
    type Item = Bulk;

    fn next(&mut self) -> Option<Bulk> {
        let events = self.events;
        if self.next == events.len() {
            return None;
        }
        let mut body = Vec::with_capacity(self.capacity());
        let mut documents = Vec::with_capacity(self.settings.bulk_records.min(events.len()));
        while documents.len() < self.settings.bulk_records && self.next < events.len() {
            let start = body.len();
            self.append(&mut body, &events[self.next]);
            if body.len() > self.settings.bulk_bytes && start > 0 {
                body.truncate(start);
                break;
            }
            documents.push(Document { event: self.next, bytes: body.len() - start });
            self.next += 1;
        }
        Some(Bulk { body: body.into(), documents })
    }
}

/// The `_id` of an event, none when Elasticsearch is to make one up.
pub fn document_id(
    document_id: DocumentId,
    shard: &ShardAddress,
    taken: &TakenEvent,
) -> Option<String> {
    let fitting = |id: &str| {
        if id.len() <= ID_BYTES_MAX { id.to_owned() } else { hashed(id) }
    };
    match document_id {
        DocumentId::LogId => Some(fitting(taken.event.log_id.as_str())),
        DocumentId::Origin => Some(origin(shard, taken)),
        DocumentId::None => None,
    }
}

/// At most 128 + 20 + 56 + 20 + 10 bytes and four separators: always short enough.
fn origin(shard: &ShardAddress, taken: &TakenEvent) -> String {
    let event = &taken.event;
    format!("{shard}/{}/{}/{}", taken.sequence_number, event.sub_sequence, event.event_index)
}

/// Stands for an id that is too long. Part of the stored format: a retry must give the same.
fn hashed(id: &str) -> String {
    use std::fmt::Write;

    let mut text = String::from("sha256-");
    for byte in Sha256::digest(id) {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}

/// Whether a document has a timestamp of its own.
fn has_timestamp(document: &[u8], finder: &Finder<'_>) -> bool {
    // Hardly any document mentions the name at all.
    if finder.find(document).is_none() {
        return false;
    }
    let mut found = false;
    let read = scan::root(document, |cursor, key| {
        found |= key.is(TIMESTAMP.as_bytes());
        cursor.value().map(|_| ())
    });
    found && read.is_ok()
}

/// Ends the string of an `_id` that stands open.
fn append_id(body: &mut Vec<u8>, id: &str) {
    if id.len() > ID_BYTES_MAX {
        body.extend_from_slice(hashed(id).as_bytes());
    } else {
        append_text(body, id);
    }
    body.push(b'"');
}

/// The routing of a document that has a text or a number there.
fn append_routing(body: &mut Vec<u8>, path: &FieldPath, document: &[u8]) {
    let Some(span) = path.find(document) else { return };
    let value = &document[span];
    let text = match value {
        [b'"', text @ .., b'"'] if !text.is_empty() => scan::unescape(text),
        [b'-' | b'0'..=b'9', ..] => value.into(),
        _ => return,
    };
    if let Ok(text) = std::str::from_utf8(&text) {
        body.extend_from_slice(br#","routing":""#);
        append_text(body, text);
        body.push(b'"');
    }
}

/// A text as it stands in a string of JSON.
fn append_text(body: &mut Vec<u8>, text: &str) {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().any(needs_escape) {
        append_escaped(body, text);
    } else {
        body.extend_from_slice(text.as_bytes());
    }
}

#[cold]
fn append_escaped(body: &mut Vec<u8>, id: &str) {
    for byte in id.bytes() {
        match byte {
            b'"' | b'\\' => body.extend_from_slice(&[b'\\', byte]),
            0..0x20 => body.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => body.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubles::settings;
    use super::*;
    use crate::batches::{shard, taken};

    const PLAIN: &str = r#"{"log_type":"auth","log_id":"one","time":"2025-01-02T03:04:05Z"}"#;

    fn bodies(settings: &Settings, events: &[TakenEvent]) -> Vec<String> {
        let shard = shard();
        let bulks = Bulks::new(settings, &shard, events);
        bulks.map(|bulk| String::from_utf8(bulk.body().to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_document_is_the_record_as_it_came_under_its_own_id() {
        assert_eq!(
            bodies(&settings(), &[taken(0, PLAIN)]),
            [format!(
                "{{\"index\":{{\"_index\":\"logs-auth-20250102\",\"_id\":\"one\"}}}}\n{PLAIN}\n"
            )]
        );
    }

    #[test]
    fn a_document_of_many_lines_is_put_on_one() {
        let body = &bodies(&settings(), &[taken(0, "{\"log_type\":\n \"a\",\r\n\"time\":0}")])[0];
        assert!(body.ends_with("{\"log_type\": \"a\",\"time\":0}\n"), "{body}");
        assert_eq!(body.lines().count(), 2);
    }

    #[test]
    fn ids_are_made_as_the_settings_say() {
        let mut settings = settings();
        let event = taken(7, PLAIN);
        for (kind, id) in [
            (DocumentId::LogId, Some("one".to_owned())),
            (
                DocumentId::Origin,
                Some(format!("logs/shardId-000000000003/{}/0/0", event.sequence_number)),
            ),
            (DocumentId::None, None),
        ] {
            settings.document_id = kind;
            assert_eq!(document_id(kind, &shard(), &event), id);
            let body = &bodies(&settings, std::slice::from_ref(&event))[0];
            let action: serde_json::Value =
                serde_json::from_str(body.lines().next().unwrap()).unwrap();
            assert_eq!(action["index"]["_id"].as_str().map(str::to_owned), id);
            assert_eq!(action["index"]["_index"], "logs-auth-20250102");
        }
    }

    #[test]
    fn a_document_of_a_data_stream_gets_a_timestamp_unless_it_has_one() {
        let settings = Settings { write_to: WriteTo::DataStreams, ..settings() };
        let document = |text: &str| {
            let body = bodies(&settings, &[taken(0, text)]).remove(0);
            let (action, document) = body.trim_end().split_once('\n').unwrap();
            assert_eq!(action, r#"{"create":{"_index":"logs-auth","_id":"one"}}"#);
            document.to_owned()
        };
        let stamped = PLAIN.replacen('{', r#"{"@timestamp":"2025-01-02T03:04:05+00:00","#, 1);
        assert_eq!(document(PLAIN), stamped);
        assert_eq!(document(&stamped), stamped);
        // Deeper down it is none of the document.
        let deep = PLAIN.replacen('{', r#"{"a":{"@timestamp":1},"#, 1);
        assert!(
            document(&deep)
                .starts_with(r#"{"@timestamp":"2025-01-02T03:04:05+00:00","a":{"@timestamp":1},"#)
        );
        let spaced = PLAIN.replacen('{', "{ \n ", 1);
        assert!(
            document(&spaced)
                .starts_with(r#"{"@timestamp":"2025-01-02T03:04:05+00:00",  "log_type""#)
        );
    }

    #[test]
    fn a_document_is_routed_by_a_text_or_a_number() {
        let settings = Settings { routing_field: Some("who.tenant".to_owned()), ..settings() };
        for (value, routing) in [
            (r#""a\u0022b""#, Some("a\"b")),
            ("7", Some("7")),
            (r#""""#, None),
            ("null", None),
            ("[1]", None),
        ] {
            let text = PLAIN.replacen('{', &format!(r#"{{"who":{{"tenant":{value}}},"#), 1);
            let body = &bodies(&settings, &[taken(0, &text)])[0];
            let action: serde_json::Value =
                serde_json::from_str(body.lines().next().unwrap()).unwrap();
            assert_eq!(action["index"]["routing"].as_str(), routing, "{value}");
            assert_eq!(action["index"]["_id"], "one");
        }
    }

    #[test]
    fn any_id_comes_out_as_it_went_in() {
        for id in ["a\"b", "\\", "\u{1}\n\t", "日本", "\u{2028}", "{}", &"x".repeat(512)] {
            let text = serde_json::json!({"log_type": "a", "log_id": id, "time": 0}).to_string();
            let body = &bodies(&settings(), &[taken(0, &text)])[0];
            let action: serde_json::Value =
                serde_json::from_str(body.lines().next().unwrap()).unwrap();
            assert_eq!(action["index"]["_id"], id);
        }
    }

    #[test]
    fn an_id_of_more_than_512_bytes_is_replaced_by_its_hash() {
        let long = "é".repeat(257);
        let text = serde_json::json!({"log_type": "a", "log_id": long, "time": 0}).to_string();
        let event = taken(0, &text);
        let id = document_id(DocumentId::LogId, &shard(), &event).unwrap();
        assert!(id.starts_with("sha256-") && id.len() == 71, "{id}");
        assert!(bodies(&settings(), &[event])[0].contains(&format!("\"_id\":\"{id}\"}}}}\n")));
    }

    #[test]
    fn bulks_end_at_the_bound_of_records() {
        let events: Vec<_> = (0..5).map(|number| taken(number, PLAIN)).collect();
        let settings = Settings { bulk_records: 2, ..settings() };
        let bulks: Vec<Bulk> = Bulks::new(&settings, &shard(), &events).collect();
        assert_eq!(bulks.iter().map(Bulk::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(bulks[2].event(0), 4);
    }

    #[test]
    fn bulks_end_at_the_bound_of_bytes_and_a_larger_document_goes_alone() {
        let large = PLAIN.replace("one", &"x".repeat(400));
        let events =
            [taken(0, PLAIN), taken(1, PLAIN), taken(2, &large), taken(3, PLAIN), taken(4, PLAIN)];
        let one = bodies(&settings(), &events[..1])[0].len();
        let settings = Settings { bulk_bytes: 2 * one, ..settings() };
        let bulks: Vec<Bulk> = Bulks::new(&settings, &shard(), &events).collect();
        assert_eq!(bulks.iter().map(Bulk::len).collect::<Vec<_>>(), [2, 1, 2]);
        assert!(bulks[1].body().len() > settings.bulk_bytes);
    }

    #[test]
    fn parts_of_a_bulk_keep_documents_whole() {
        let texts: Vec<String> =
            (0..5).map(|number| PLAIN.replace("one", &"x".repeat(number + 1))).collect();
        let events: Vec<_> = (0..).zip(&texts).map(|(number, text)| taken(number, text)).collect();
        let alone = |numbers: &[usize]| -> String {
            numbers.iter().map(|&n| bodies(&settings(), &events[n..=n]).remove(0)).collect()
        };
        let whole = Bulks::new(&settings(), &shard(), &events).next().unwrap();
        let some = whole.only(&[0, 2, 4]);
        assert_eq!(some.body(), &alone(&[0, 2, 4]));
        assert_eq!((some.event(1), some.len()), (2, 3));
        assert_eq!(some.only(&[1]).body(), &alone(&[2]));
        let (first, second) = whole.halves();
        assert_eq!(first.body(), &alone(&[0, 1]));
        assert_eq!(second.body(), &alone(&[2, 3, 4]));
        assert_eq!(second.only(&[1]).body(), &alone(&[3]));
    }
}
