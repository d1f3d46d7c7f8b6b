//! From a payload to a log event.

use std::collections::BTreeSet;

use baikonur_record::{
    FieldPath, Limits, LogEvent, Origin, RejectedPayload, Schema, SchemaProblem, Timezone, payloads,
};
use bytes::Bytes;

/// 2023-11-14T22:13:20.123Z
const ARRIVAL: i64 = 1_700_000_000_123;

fn event_with(schema: &Schema, text: &str) -> Result<LogEvent, RejectedPayload> {
    event_of_bytes(schema, text.as_bytes())
}

fn event_of_bytes(schema: &Schema, text: &[u8]) -> Result<LogEvent, RejectedPayload> {
    let origin = Origin {
        stream: "logs",
        shard: "shardId-000000000000",
        sequence_number: &"4959",
        arrival_millis: ARRIVAL,
    };
    let payload = payloads(&Bytes::copy_from_slice(text), &Limits::default()).remove(0)?;
    let from_router =
        schema.log_type(&payload).map(|log_type| log_type.declared().map(str::to_owned));
    let event = schema.event(payload, &origin);
    let from_event = event.as_ref().map(|event| event.log_type.declared().map(str::to_owned));
    assert_eq!(from_router.as_ref(), from_event.as_ref().map_err(|rejected| *rejected));
    event
}

fn event(text: &str) -> LogEvent {
    event_with(&Schema::default(), text).unwrap()
}

#[test]
fn the_three_fields_of_a_record_are_found() {
    let event = event(
        r#"{"log_type":"auth","log_id":"i-1","time":"2015-05-17T10:05:03.000120+09:00","m":{"log_type":"no"}}"#,
    );
    assert_eq!(event.log_type.name(), "auth");
    assert_eq!(event.log_type.problem(), None);
    assert_eq!(event.log_id.as_str(), "i-1");
    assert!(!event.log_id.is_derived());
    assert_eq!(event.time.rfc3339(), "2015-05-17T10:05:03.000120+09:00");
}

#[test]
fn what_is_no_json_object_is_rejected_with_its_bytes() {
    for (text, label) in [
        (&b"plain text"[..], "not_json"),
        (b"  ", "not_json"),
        (b"{\"a\":NaN}", "not_json"),
        (b"{\"a\":1}{", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[{}]", "not_an_object"),
        (b"\"text\"", "not_an_object"),
        (b"{\"a\":\"\xff\"}", "not_utf8"),
    ] {
        let rejected = event_of_bytes(&Schema::default(), text).unwrap_err();
        assert_eq!((rejected.reason.label(), &rejected.bytes[..]), (label, text));
    }
}

#[test]
fn a_missing_or_unusable_type_is_unknown() {
    for value in [
        "",
        r#""log_type":null,"#,
        r#""log_type":true,"#,
        r#""log_type":{},"#,
        r#""log_type":["a"],"#,
    ] {
        let event = event(&format!("{{{value}\"time\":\"2015-05-17\"}}"));
        assert_eq!(event.log_type.name(), "unknown/unknown_type", "{value}");
        assert_eq!(event.time.date_compact(), "20150517", "time is read all the same");
    }
}

#[test]
fn numbers_are_taken_as_their_text() {
    let event = event(r#"{"log_type":4.50,"log_id":12345678901234567890123,"time":0}"#);
    assert_eq!(event.log_type.name(), "4.50");
    assert_eq!(event.log_id.as_str(), "12345678901234567890123");
}

#[test]
fn escaped_text_is_unescaped() {
    let event = event(
        r#"{"log\u005ftype":"a\u00e9\/\ud83d\ude00","log_id":"\ud800x","time":"2015\/05\/17"}"#,
    );
    assert_eq!(event.log_type.name(), "aé/😀");
    assert_eq!(event.log_id.as_str(), "\u{fffd}x");
    assert_eq!(event.time.date_compact(), "20150517");
}

#[test]
fn without_an_id_one_is_derived_from_the_place() {
    for text in [
        r#"{"time":0}"#,
        r#"{"log_id":null}"#,
        r#"{"log_id":""}"#,
        r#"{"log_id":["x"]}"#,
        r#"{"log_id":false}"#,
    ] {
        let event = event(text);
        assert!(event.log_id.is_derived(), "{text}");
        assert_eq!(event.log_id, self::event("{}").log_id, "the same place, the same id");
    }
}

#[test]
fn a_missing_time_is_that_of_arrival_and_shows_in_the_type() {
    let event = event(r#"{"log_type":"auth"}"#);
    assert_eq!(event.log_type.name(), "unknown/auth/no_timestamp");
    assert_eq!(event.time.epoch_millis(), ARRIVAL);
    assert_eq!(self::event("{}").log_type.name(), "unknown/unknown_type/no_timestamp");
}

#[test]
fn a_time_that_cannot_be_understood_is_that_of_arrival_and_shows_in_the_type() {
    for value in ["\"yesterday\"", "\"\"", "null", "true", "[]", "{}", "1e99", "\"2015-02-30\""] {
        let event = event(&format!(r#"{{"log_type":"auth","time":{value}}}"#));
        assert_eq!(event.log_type.name(), "unknown/auth/bad_timestamp", "{value}");
        assert_eq!(event.log_type.problem(), Some(SchemaProblem::BadTimestamp));
        assert_eq!(event.time.epoch_millis(), ARRIVAL);
    }
}

#[test]
fn a_number_is_an_epoch_time() {
    for (value, nanos) in [
        ("1431857103", 1_431_857_103_000_000_000),
        ("1431857103.25", 1_431_857_103_250_000_000),
        ("1431857103250", 1_431_857_103_250_000_000),
        ("-1", -1_000_000_000),
    ] {
        let event = event(&format!(r#"{{"log_type":"auth","time":{value}}}"#));
        assert_eq!((event.time.epoch_nanos(), event.log_type.problem()), (nanos, None), "{value}");
    }
}

#[test]
fn stamps_without_an_offset_are_read_in_the_zone_of_the_schema() {
    let schema = Schema { timezone: Timezone::parse("Asia/Tokyo").unwrap(), ..Schema::default() };
    let time = |value: &str| {
        event_with(&schema, &format!(r#"{{"log_type":"a","time":{value}}}"#))
            .unwrap()
            .time
            .rfc3339()
    };
    assert_eq!(time("\"2016-12-19 16:31:49,733\""), "2016-12-19T16:31:49.733000+09:00");
    assert_eq!(time("\"2016-12-19 16:31:49Z\""), "2016-12-19T16:31:49+00:00");
    assert_eq!(time("0"), "1970-01-01T09:00:00+09:00");
    assert_eq!(time("null"), "2023-11-15T07:13:20.123000+09:00", "arrival");
    assert_eq!(time("\"10:30\""), "2023-11-15T10:30:00+09:00", "the day of arrival, in that zone");
}

#[test]
fn the_last_of_equal_keys_wins() {
    let event = event(r#"{"log_type":"a","log_type":"b","time":0,"time":1}"#);
    assert_eq!((event.log_type.name().as_ref(), event.time.epoch_seconds()), ("b", 1));
}

#[test]
fn fields_may_have_other_names_and_places() {
    let schema = Schema {
        log_type_field: FieldPath::parse("meta.type").unwrap(),
        log_id_field: FieldPath::parse("/meta/ids/1").unwrap(),
        log_timestamp_field: FieldPath::parse("@timestamp").unwrap(),
        log_type_unknown_prefix: "strange".to_owned(),
        ..Schema::default()
    };
    let text = r#"{"meta":{"ids":["x","y"],"type":"app"},"@timestamp":"2015-05-17"}"#;
    let event = event_with(&schema, text).unwrap();
    assert_eq!((event.log_type.name().as_ref(), event.log_id.as_str()), ("app", "y"));
    assert_eq!(
        event_with(&schema, "{}").unwrap().log_type.name(),
        "strange/unknown_type/no_timestamp"
    );
}

#[test]
fn a_record_over_several_lines_can_be_put_on_one() {
    let text = "\n { \"log_type\": \"a\",\r\n  \"m\": \"x\\ny\" }\n";
    let several = event(text);
    assert!(!several.one_line);
    assert_eq!(several.json, text.trim());
    assert_eq!(several.to_one_line(), "{ \"log_type\": \"a\",  \"m\": \"x\\ny\" }");
    let one = event(" {\"m\":\"x\\n\"}\n");
    assert!(one.one_line);
    assert_eq!(one.to_one_line().as_ptr(), one.json.as_ptr());
}

#[test]
fn an_ordinary_event_shares_the_bytes_of_its_record() {
    let data = Bytes::from(br#"{"log_type":"auth","log_id":"i-1","time":"2015-05-17"}"#.to_vec());
    let payload = payloads(&data, &Limits::default()).remove(0).unwrap();
    let origin = Origin { stream: "", shard: "", sequence_number: &"", arrival_millis: 0 };
    let event = Schema::default().event(payload, &origin).unwrap();
    let record = data.as_ptr_range();
    assert_eq!(event.json.as_ptr(), record.start);
    assert!(record.contains(&event.log_type.declared().unwrap().as_ptr()));
    assert!(record.contains(&event.log_id.as_str().as_ptr()));
}

#[test]
fn real_logs_keep_to_the_schema() {
    let sample = include_str!("../data/real-logs.ndjson");
    let mut types = BTreeSet::new();
    for line in sample.lines() {
        let event = event(line);
        assert!(event.log_type.problem().is_none() && !event.log_id.is_derived(), "{line}");
        assert!((2015..=2016).contains(&event.time.year()), "{line}");
        assert_eq!((&event.json[..], event.one_line), (line.as_bytes(), true));
        types.insert(event.log_type.index_segment());
    }
    assert!(types.iter().eq(["apache_access", "auth", "kafka_broker", "nginx_status"]));
}
