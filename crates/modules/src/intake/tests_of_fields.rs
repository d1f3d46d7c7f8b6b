//! What a module gets, and what is kept, where its `fields` change events.

use std::io::Write;

use baikonur_stream::{Batch, ConsumerName};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::batches;

fn settings(toml: &str) -> IntakeSettings {
    toml::from_str(toml).unwrap()
}

fn intake(toml: &str) -> Intake {
    Intake::on_host("host-1", &settings(toml), &ConsumerName::new("test")).unwrap()
}

fn batch(texts: &[&str]) -> Batch {
    batches::batch(texts)
}

fn one(toml: &str, text: &str) -> TakenEvent {
    let mut taken = intake(toml).take(&batch(&[text]));
    assert_eq!(taken.rejected, []);
    let [event] = &*taken.events else { panic!("{}", taken.events.len()) };
    let payload = intake(toml).payload_parts(&batch(&[text])).next().unwrap().events.remove(0);
    assert_eq!(payload.payload.bytes.trim_ascii(), &*event.event.json, "however events are taken");
    taken.events.remove(0)
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const PLAIN: &str = r#"{"log_type":"a","log_id":"1","time":"2015-05-17T10:00:00Z","level":"INFO"}"#;

#[test]
fn what_nothing_changes_is_shared_with_its_record() {
    for toml in [
        "",
        "fields = {}",
        "fields.drop = ['none']",
        "fields.add = { level = 'x' }",
        "fields.parse = ['cloudwatch', 'container', 'json']",
        "fields.redact = [{ pattern = 'none' }]",
    ] {
        let batch = batch(&[PLAIN]);
        let event = &intake(toml).take(&batch).events[0];
        assert_eq!(event.event.json.as_ptr(), batch.records[0].data.as_ptr(), "{toml}");
        assert!(event.original.is_none());
        let payload = &intake(toml).payload_parts(&batch).next().unwrap().events[0];
        assert_eq!(payload.payload.bytes.as_ptr(), batch.records[0].data.as_ptr(), "{toml}");
        assert!(payload.original.is_none());
    }
}

#[test]
fn what_decides_stays_that_of_the_event_as_it_came() {
    let plain = one("", PLAIN).event;
    for toml in [
        "fields.drop = ['log_type', 'log_id', 'time']",
        "fields.rename = { log_type = 'type', log_id = 'id', time = 'at' }",
        "fields.add = { log_type = 'x', log_id = 'x', time = 'x' }\nfields.overwrite = true",
    ] {
        let event = one(toml, PLAIN).event;
        assert_ne!(event.json, plain.json, "{toml}");
        assert_eq!(
            (&event.log_type, &event.log_id, event.time),
            (&plain.log_type, &plain.log_id, plain.time)
        );
    }
    let toml = "fields.drop = ['level']\nfilter_criteria = [{ data = { level = ['INFO'] } }]";
    assert!(!text(&one(toml, PLAIN).event.json).contains("INFO"), "filters see the event before");
}

#[test]
fn what_is_refused_is_kept_as_it_came() {
    let toml = "fields.redact = ['level']\nfields.parse = ['container']";
    let docker = r#"{"log":"x\n","stream":"stdout","level":"secret"}"#;
    for came in [PLAIN, docker] {
        let event = one(toml, came);
        assert!(text(&event.event.json).contains("[redacted]"));
        assert_eq!(event.rejected("no", String::new()).data, came);
        let batch = batch(&[came]);
        let payload = intake(toml).payload_parts(&batch).next().unwrap().events.remove(0);
        assert_eq!(payload.rejected("no", String::new()).data, came);
    }
    let taken =
        intake("fields.parse = ['cloudwatch', 'container', 'json']").take(&batch(&["text"]));
    assert_eq!((&*taken.rejected[0].reason, text(&taken.rejected[0].data)), ("not_json", "text"));
}

#[test]
fn a_log_event_that_is_refused_is_kept_with_its_envelope() {
    let envelope = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[
        {"id":"0","timestamp":5,"message":"first"},{"id":"1","timestamp":6,"message":"plain \"text\""}]}"#;
    let toml = "log_type_field = 'cloudwatch.logGroup'\nlog_id_field = 'cloudwatch.id'\nfields.parse = ['cloudwatch']";
    let event = intake(toml).take(&batch(&[envelope])).events.remove(1);
    assert_eq!((&*event.event.log_type.name(), event.event.log_id.as_str()), ("g", "1"));
    let kept = event.rejected("no", String::new());
    assert_eq!(kept.event_index, 1);
    let again = one(toml, text(&kept.data));
    assert_eq!(again.event.json, event.event.json);
    assert_eq!(again.event.time, event.event.time);
}

#[test]
fn what_is_read_decides() {
    let docker = r#"{"log":"{\"log_type\":\"b\",\"time\":\"2015-05-17T10:00:00Z\"}\n","stream":"stdout","time":"2016-05-17T10:00:00Z"}"#;
    let toml = "log_type_field_whitelist = ['b']\nfields.parse = ['container', 'json']";
    let event = one(toml, docker).event;
    assert_eq!((&*event.log_type.name(), event.time.year()), ("b", 2015));
    assert_eq!(intake("log_type_field_whitelist = ['b']").take(&batch(&[docker])).filtered, 1);
}

#[test]
fn names_do_not_show_what_is_hidden_everywhere() {
    let came = r#"{"log_type":"t 1234","log_id":"1234","time":0,"x":"1234"}"#;
    let toml = r"fields.redact = [{ pattern = '\d{4}', with = '#' }]";
    let event = one(toml, came).event;
    assert_eq!(event.log_type.name(), "t #");
    assert!(event.log_id.is_derived(), "two ids could have become one");
    assert!(!one(toml, &came.replace("1234", "12")).event.log_id.is_derived());
}

#[test]
fn a_field_that_names_are_made_of_is_not_redacted_by_key() {
    for (toml, words) in [
        ("fields.redact = ['log_id']", "fields: redact hides log_id, but log_id_field says"),
        ("log_type_field = 'a.b'\nfields.redact = ['a']", "redact hides a, but log_type_field"),
        ("log_type_field = '/a/b'\nfields.redact = [{ key = 'a.b', pattern = 'x' }]", "hides a.b"),
        ("log_id_field = '/users/0/email'\nfields.redact = ['users.email']", "hides users.email"),
        ("log_id_field = 'users.0.email'\nfields.redact = ['users.email']", "hides users.email"),
        ("fields.redact = ['id']\nfields.rename = { log_id = 'id' }", "hides id, but log_id_field"),
    ] {
        let error = settings(toml).schema().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    for fine in
        ["fields.redact = ['user']", "fields.redact = ['log_id.x']", "fields.redact = ['log']"]
    {
        assert!(settings(fine).schema().is_ok(), "{fine}");
    }
}

#[test]
fn a_record_that_would_grow_without_end_is_kept_as_it_came() {
    let message = r#"{"message":"{}"},"#.repeat(99_999);
    let envelope =
        format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{message}{{"message":"{{}}"}}]}}"#);
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(envelope.as_bytes()).unwrap();
    let mut batch = batch(&["", PLAIN]);
    batch.records[0].data = packer.finish().unwrap().into();
    let long = "x".repeat(1000);
    let intake = intake(&format!("fields.add = {{ long = '{long}' }}"));
    let parts: Vec<_> = intake.parts(&batch).collect();
    assert_eq!(parts.len(), 2, "what is made counts");
    let bytes: usize = parts[0].events.iter().map(|event| event.event.json.len()).sum();
    assert!((60 << 20..=64 << 20).contains(&bytes), "{bytes}");
    let [rejected] = &*parts[0].rejected else { panic!("{}", parts[0].rejected.len()) };
    assert_eq!(
        (&*rejected.reason, &rejected.data),
        ("too_large_with_fields", &batch.records[0].data)
    );
    assert!(UNDECODABLE.contains(&&*rejected.reason));
    assert_eq!(parts[1].events.len(), 1, "the next has its own room");
}

#[test]
fn the_same_record_becomes_the_same_bytes() {
    let toml = "fields.add = { s = '{stream}', n = '{sequence_number}', at = '{arrival_time}', h = '{host}' }";
    let event = one(toml, PLAIN);
    assert_eq!(event.event.json, one(toml, PLAIN).event.json);
    let added = format!(
        r#","at":"2023-11-14T22:13:21.000Z","h":"host-1","n":"{}","s":"logs"}}"#,
        event.sequence_number
    );
    assert_eq!(text(&event.event.json), PLAIN.replace('}', &added));
}
