//! What a module gets of good, bad and hostile records.

use std::io::Write;

use baikonur_pattern::FilterCriteria;
use baikonur_stream::{
    Batch, ConsumerName, PartitionKey, Record, ShardAddress, ShardId, StreamName,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::Digest;

use super::*;

fn intake(whitelist: &str) -> Intake {
    let settings = IntakeSettings {
        log_type_field_whitelist: whitelist.split(',').map(str::to_owned).collect(),
        ..IntakeSettings::default()
    };
    Intake::new(&settings, &ConsumerName::new("test")).unwrap()
}

/// An intake with these filters, after a whitelist.
fn filtering(whitelist: &[&str], patterns: &[&str]) -> Intake {
    let settings = IntakeSettings {
        log_type_field_whitelist: whitelist.iter().map(|&name| name.to_owned()).collect(),
        filter_criteria: FilterCriteria::parse(patterns).unwrap(),
        ..IntakeSettings::default()
    };
    Intake::new(&settings, &ConsumerName::new("test")).unwrap()
}

fn batch(payloads: &[&[u8]]) -> Batch {
    let stream = StreamName::new("a").unwrap();
    let records = (1..).zip(payloads).map(|(counter, payload)| Record {
        sequence_number: SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000),
        arrival: Timestamp::from_seconds(1_700_000_000),
        partition_key: PartitionKey::new(Bytes::from_static(b"key")).unwrap(),
        data: Bytes::copy_from_slice(payload),
    });
    let shard = ShardAddress { stream, shard: ShardId::new(0) };
    Batch { shard, records: records.collect(), attempt: 0 }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn names(taken: &Taken) -> Vec<String> {
    taken.events.iter().map(|taken| taken.event.log_type.name().into_owned()).collect()
}

#[test]
fn what_cannot_be_decoded_is_rejected_with_its_reason_and_its_bytes() {
    let mut truncated = packed(b"{}");
    truncated.truncate(15);
    let bomb = packed(&vec![b' '; (32 << 20) + 1]);
    for (payload, reason) in [
        (&b""[..], "empty"),
        (b"x", "not_json"),
        (b"plain text", "not_json"),
        (b"{\"log_type\":\"a\"} trailing", "not_json"),
        (b"[1]", "not_an_object"),
        (b"{\"log_type\":\"\xff\"}", "not_utf8"),
        (&truncated, "bad_gzip"),
        (b"\x1f\x8b", "bad_gzip"),
        (&bomb, "too_large"),
        (&vec![b'x'; 1 << 20], "not_json"),
        // The checksum of an aggregate is wrong: a plain record, as for the KCL.
        (b"\xf3\x89\x9a\xc2\x0a\x01k0123456789abcdef", "not_utf8"),
    ] {
        let batch = batch(&[b"{}", payload, b"{}"]);
        let taken = intake("").take(&batch);
        assert_eq!(taken.events.len(), 2, "{reason}: the others are not touched");
        let [rejected] = &*taken.rejected else { panic!("{reason}: {}", taken.rejected.len()) };
        assert_eq!(rejected.reason, reason, "{}", rejected.detail);
        assert!(UNDECODABLE.contains(&&*rejected.reason));
        assert_eq!(rejected.sequence_number, batch.records[1].sequence_number);
        assert_eq!((&*rejected.data, &*rejected.partition_key), (payload, &b"key"[..]));
        assert_eq!(intake("").payload_parts(&batch).next().unwrap().rejected, taken.rejected);
    }
}

#[test]
fn what_lacks_a_field_is_an_event_of_an_unknown_type() {
    let taken = intake("").take(&batch(&[
        br#"{"time":"2015-05-17"}"#,
        br#"{"log_type":"a"}"#,
        br#"{"log_type":"a","time":"soon"}"#,
        br#"{"log_type":"a","time":{}}"#,
        br#"{"log_type":"../../etc","time":"2015-05-17"}"#,
    ]));
    assert!(taken.rejected.is_empty());
    assert_eq!(
        names(&taken),
        [
            "unknown/unknown_type",
            "unknown/a/no_timestamp",
            "unknown/a/bad_timestamp",
            "unknown/a/bad_timestamp",
            "../../etc"
        ]
    );
}

#[test]
fn the_whitelist_looks_at_the_type_that_a_record_declares() {
    let batch = batch(&[
        br#"{"log_type":"a"}"#,
        br#"{"log_type":"b"}"#,
        br#"{}"#,
        br#"no json"#,
        br#"{"x":1}"#,
    ]);
    let taken = intake("a").take(&batch);
    assert_eq!(names(&taken), ["unknown/a/no_timestamp"]);
    assert_eq!((taken.filtered, taken.rejected.len()), (3, 1));
    assert_eq!(names(&intake("unknown/unknown_type").take(&batch)).len(), 2);
    assert_eq!(names(&intake("!a,!unknown*").take(&batch)), ["unknown/b/no_timestamp"]);
    assert_eq!(intake("").take(&batch).filtered, 0);
}

#[test]
fn log_events_of_an_envelope_come_one_by_one() {
    let envelope = br#"{"messageType":"DATA_MESSAGE","logEvents":[
        {"id":"1","message":"{\"log_type\":\"a\"}"},{"id":"2","message":"plain"},{"id":"3"}]}"#;
    let taken = intake("").take(&batch(&[&packed(envelope)]));
    assert_eq!(names(&taken), ["unknown/a/no_timestamp"]);
    let rejected: Vec<_> =
        taken.rejected.iter().map(|r| (&*r.reason, r.event_index, &*r.data)).collect();
    assert_eq!(
        rejected,
        [("not_json", 1, &b"plain"[..]), ("bad_envelope", 2, &br#"{"id":"3"}"#[..])]
    );
}

#[test]
fn rejections_that_outgrow_their_record_become_one() {
    let event = r#"{"message":"plain text"},"#.repeat(20_000);
    let envelope =
        format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{event}{{"message":"{{}}"}}]}}"#);
    let packed_envelope = packed(envelope.as_bytes());
    let packed_text = packed(&vec![b'x'; 1 << 20]);
    let taken = intake("").take(&batch(&[&packed_envelope, &packed_text]));
    assert_eq!(taken.events.len(), 1);
    let [first, second] = &*taken.rejected else { panic!("{}", taken.rejected.len()) };
    assert_eq!(*first.data, *packed_envelope, "whole, and as it came");
    assert_eq!((&*first.reason, first.event_index), ("not_json", 0));
    assert_eq!(*second.data, *packed_text);
}

#[test]
fn parts_are_bounded_and_follow_each_other() {
    let text = format!(r#"{{"log_type":"a","text":"{}"}}"#, "x".repeat(1 << 20));
    let batch = batch(&[text.as_bytes(); 10]);
    let intake = intake("");
    let parts: Vec<_> = intake.parts(&batch).collect();
    assert_eq!(parts.iter().map(|part| part.events.len()).collect::<Vec<_>>(), [4, 4, 2]);
    let numbers = parts.iter().flat_map(|part| &part.events).map(|taken| taken.sequence_number);
    assert!(numbers.eq(batch.records.iter().map(|record| record.sequence_number)));
}

#[test]
fn many_small_events_of_an_envelope_make_a_part_of_their_own() {
    let event = r#"{"message":"{}"},"#.repeat(19_999);
    let envelope =
        format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{event}{{"message":"{{}}"}}]}}"#);
    let packed_envelope = packed(envelope.as_bytes());
    let batch = batch(&[&*packed_envelope; 4]);
    let intake = intake("");
    let parts: Vec<_> = intake.parts(&batch).map(|part| part.events.len()).collect();
    assert_eq!(parts, [20_000; 4]);
}

#[test]
fn what_a_destination_refuses_stays_in_proportion_to_its_record() {
    let text = format!(r#"{{"log_type":"a","text":"{}"}}"#, "x".repeat(2 << 20));
    let packed_text = packed(text.as_bytes());
    let batch = batch(&[br#"{"log_type":"b"}"#, &packed_text]);
    let taken = intake("").take(&batch);
    let refused = taken.events.iter().rev().map(|event| event.rejected("refused", "no".to_owned()));
    let kept = intake("").in_proportion(&batch, refused.collect());
    let [small, large] = &*kept else { panic!("{}", kept.len()) };
    assert_eq!((&*small.data, &*small.detail), (&br#"{"log_type":"b"}"#[..], "no"));
    assert_eq!(*large.data, *packed_text, "whole, and as it came");
    assert!(large.detail.starts_with("no; kept as the record came"), "{}", large.detail);
}

/// A record of the Kinesis Producer Library with these user records, all of one key.
fn aggregated(user_records: &[&[u8]]) -> Vec<u8> {
    let field = |tag: u8, data: &[u8]| [&[tag, data.len() as u8], data].concat();
    let mut message = field(0x0a, b"k");
    for data in user_records {
        let record = [&[0x08, 0x00][..], &field(0x1a, data)].concat();
        message.extend(field(0x1a, &record));
    }
    let checksum = md5::Md5::digest(&message);
    [&b"\xf3\x89\x9a\xc2"[..], &message, &checksum].concat()
}

#[test]
fn what_another_worker_has_done_of_a_record_is_left_out() {
    let event = |kind: &str| format!(r#"{{"log_type":"{kind}","log_id":"1","time":"2015-05-17"}}"#);
    let events = ["a", "b", "c"].map(event);
    let events = events.each_ref().map(|event| event.as_bytes());
    let record = aggregated(&events);
    let batch = batch(&[&record, events[0], b"x"]);
    let number = |place: usize| batch.records[place].sequence_number;
    assert_eq!(names(&intake("").take(&batch)), ["a", "b", "c", "a"]);
    for (place, done, left) in [
        (0, 0, &["b", "c", "a"][..]),
        (0, 1, &["c", "a"]),
        (0, 2, &["a"]),
        (1, 0, &["a", "b", "c"]),
    ] {
        let intake = intake("");
        intake.resume_within(&batch.shard, number(place), done);
        let taken = intake.take(&batch);
        assert_eq!(names(&taken), left, "record {place} up to {done}");
        assert_eq!(taken.rejected.len(), 1);
        let payloads: usize = intake.payload_parts(&batch).map(|part| part.events.len()).sum();
        assert_eq!(payloads, left.len(), "payloads of record {place} up to {done}");
    }
    let intake = intake("");
    intake.resume_within(&batch.shard, number(2), 0);
    assert_eq!(intake.take(&batch).rejected, [], "nor is it rejected twice");
    let shard = ShardAddress { shard: ShardId::new(1), ..batch.shard.clone() };
    let intake = self::intake("");
    intake.resume_within(&shard, number(0), 2);
    assert_eq!(names(&intake.take(&batch)), ["a", "b", "c", "a"], "another shard");
}

/// What became of the events and of all rejections: their data, and how many were left out.
fn outcome(intake: &Intake, batch: &Batch) -> (Vec<Bytes>, Vec<Bytes>, u64) {
    let taken = intake.take(batch);
    let events: Vec<_> = taken.events.iter().map(|taken| taken.event.json.clone()).collect();
    let rejected: Vec<_> = taken.rejected.iter().map(|one| one.data.clone()).collect();
    let mut parts = intake.payload_parts(batch);
    let passed_on = parts.next().unwrap();
    let payloads = passed_on.events.iter().map(|taken| &taken.payload.bytes);
    assert!(payloads.eq(&events), "one choice, however events are taken");
    assert_eq!((passed_on.rejected, passed_on.filtered), (taken.rejected, taken.filtered));
    (events, rejected, taken.filtered)
}

const ERRORS: &str = r#"{"data":{"level":["ERROR"]}}"#;
const ERROR: &[u8] = br#"{"log_type":"a","level":"ERROR"}"#;
const INFO: &[u8] = br#"{"log_type":"a","level":"INFO"}"#;

#[test]
fn filters_act_on_what_is_decoded() {
    let envelope = br#"{"messageType":"DATA_MESSAGE","logEvents":[
        {"id":"1","message":"{\"level\":\"ERROR\"}"},{"id":"2","message":"{\"level\":\"INFO\"}"},{"id":"3","message":"plain"}]}"#;
    let batch = batch(&[ERROR, INFO, &packed(ERROR), &packed(INFO), &packed(envelope)]);
    let (events, rejected, filtered) = outcome(&filtering(&[], &[ERRORS]), &batch);
    assert_eq!(events, [ERROR, ERROR, br#"{"level":"ERROR"}"#]);
    assert!(rejected.is_empty(), "what is left out goes to no failed store");
    assert_eq!(filtered, 4);
}

#[test]
fn the_whitelist_and_the_filters_both_have_to_admit_an_event() {
    let other = br#"{"log_type":"b","level":"ERROR"}"#;
    let batch = batch(&[ERROR, INFO, other]);
    let (events, _, filtered) = outcome(&filtering(&["b"], &[ERRORS]), &batch);
    assert_eq!((events, filtered), (vec![Bytes::from_static(other)], 2));
    let either = [ERRORS, r#"{"data":{"log_type":["a"]}}"#];
    assert_eq!(outcome(&filtering(&[], &either), &batch).0.len(), 3);
}

#[test]
fn data_that_is_no_json_object_is_left_out_where_a_filter_speaks_of_data() {
    let broken = packed(ERROR);
    let broken = &broken[..broken.len() - 9];
    let plain: [&[u8]; 5] = [b"plain", b"[1]", b"", b"{\"level\":\"\xff\"}", broken];
    let batch = batch(&plain);
    let (events, rejected, filtered) = outcome(&filtering(&[], &[ERRORS]), &batch);
    assert!(events.is_empty());
    assert_eq!(rejected, [broken], "nobody knows what is in it");
    assert_eq!(filtered, 4);
    let (_, rejected, filtered) =
        outcome(&filtering(&[], &[r#"{"partitionKey":["key"]}"#]), &batch);
    assert_eq!((rejected.len(), filtered), (5, 0));
    let (_, rejected, filtered) = outcome(&filtering(&[], &[r#"{"partitionKey":["no"]}"#]), &batch);
    assert_eq!((rejected.len(), filtered), (0, 5));
}

#[test]
fn metadata_are_those_of_the_kinesis_record() {
    let batch = batch(&[ERROR, INFO]);
    let second = batch.records[1].sequence_number;
    for (pattern, count) in [
        (r#"{"partitionKey":["key"]}"#.to_owned(), 2),
        (format!(r#"{{"sequenceNumber":["{second}"]}}"#), 1),
        (format!(r#"{{"eventID":["shardId-000000000000:{second}"]}}"#), 1),
        (r#"{"approximateArrivalTimestamp":[1700000000]}"#.to_owned(), 2),
        (r#"{"approximateArrivalTimestamp":[{"numeric":["<",1700000000]}]}"#.to_owned(), 0),
        (r#"{"eventName":["aws:kinesis:record"]}"#.to_owned(), 2),
    ] {
        assert_eq!(outcome(&filtering(&[], &[&pattern]), &batch).0.len(), count, "{pattern}");
    }
}
