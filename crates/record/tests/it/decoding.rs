//! From a Kinesis record to its payloads.

use baikonur_record::{Limits, Payload, Reason, RejectedPayload, payloads};
use bytes::Bytes;

use crate::encoding::{UserRecord, aggregate, envelope, gzip, seal};

type Decoded = Vec<Result<Payload, RejectedPayload>>;

fn decode(data: impl Into<Bytes>) -> Decoded {
    payloads(&data.into(), &Limits::default())
}

fn texts(decoded: &Decoded) -> Vec<&[u8]> {
    decoded.iter().map(|payload| &payload.as_ref().unwrap().bytes[..]).collect()
}

fn rejection(decoded: &Decoded) -> &RejectedPayload {
    assert_eq!(decoded.len(), 1);
    decoded[0].as_ref().unwrap_err()
}

fn user_record(data: &[u8]) -> UserRecord {
    UserRecord { partition_key: "key".to_owned(), explicit_hash_key: None, data: data.to_vec() }
}

#[test]
fn a_plain_record_is_its_own_payload_and_is_not_copied() {
    let data = Bytes::from(b"{\"a\":1}".to_vec());
    let decoded = payloads(&data, &Limits::default());
    let payload = decoded[0].as_ref().unwrap();
    assert_eq!(payload.bytes.as_ptr(), data.as_ptr());
    assert_eq!((payload.sub_sequence, payload.event_index, &payload.partition_key), (0, 0, &None));
}

#[test]
fn records_of_no_or_few_bytes_are_no_trouble() {
    assert_eq!(rejection(&decode("")).reason, Reason::Empty);
    let nothing = gzip(b"");
    let decoded = decode(nothing.clone());
    assert_eq!(
        (&rejection(&decoded).reason, &rejection(&decoded).bytes),
        (&Reason::Empty, &nothing)
    );
    for data in ["x", "\u{1f}", "{"] {
        assert_eq!(texts(&decode(data)), [data.as_bytes()]);
    }
    assert_eq!(rejection(&decode(&b"\x1f\x8b"[..])).reason.label(), "bad_gzip");
}

#[test]
fn gzip_is_undone_once() {
    let once = gzip(b"{}");
    assert_eq!(texts(&decode(once.clone())), [b"{}"]);
    assert_eq!(texts(&decode(gzip(&once))), [&once[..]]);
}

#[test]
fn bad_gzip_keeps_its_bytes() {
    let whole = gzip(b"some text");
    for data in [whole.slice(..whole.len() - 1), [&whole[..], b"garbage"].concat().into()] {
        let decoded = decode(data.clone());
        assert_eq!(rejection(&decoded).bytes, data);
        assert_eq!(rejection(&decoded).reason.label(), "bad_gzip");
    }
}

#[test]
fn gzip_and_envelopes_may_stand_within_an_aggregate() {
    let messages = ["one".to_owned(), "two \"quoted\"".to_owned()];
    let data = aggregate(&[
        user_record(&gzip(b"first")),
        user_record(&gzip(envelope(&messages).as_bytes())),
        user_record(b""),
        user_record(&gzip(b"cut")[..8]),
        user_record(b"last"),
    ]);
    let decoded = decode(data);
    let places: Vec<(u64, u32)> = decoded
        .iter()
        .map(|payload| match payload {
            Ok(payload) => (payload.sub_sequence, payload.event_index),
            Err(rejected) => (rejected.sub_sequence, rejected.event_index),
        })
        .collect();
    assert_eq!(places, [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (4, 0)]);
    let labels: Vec<&str> =
        decoded.iter().filter_map(|payload| Some(payload.as_ref().err()?.reason.label())).collect();
    assert_eq!(labels, ["empty", "bad_gzip"]);
    let cut = decoded[4].as_ref().unwrap_err();
    assert_eq!(
        (&cut.bytes[..], cut.partition_key.as_deref()),
        (&gzip(b"cut")[..8], Some(&b"key"[..]))
    );
}

#[test]
fn a_control_message_has_no_payload() {
    let control = br#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1438485463442,"message":"CWL CONTROL MESSAGE"}]}"#;
    assert_eq!(decode(gzip(control)), []);
}

#[test]
fn an_event_without_a_message_costs_no_other() {
    let data = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"a"},{"id":"7"},{"message":"b"}]}"#;
    let decoded = decode(data);
    assert_eq!(decoded[0].as_ref().unwrap().bytes, "a");
    let rejected = decoded[1].as_ref().unwrap_err();
    assert_eq!(
        (&rejected.bytes[..], rejected.event_index, rejected.reason.label()),
        (&b"{\"id\":\"7\"}"[..], 1, "bad_envelope")
    );
    assert_eq!(decoded[2].as_ref().unwrap().event_index, 2);
}

#[test]
fn an_index_outside_of_the_tables_rejects_the_aggregate_beside_its_good_records() {
    let data = seal(
        b"\x0a\x01k\x1a\x05\x08\x00\x1a\x01a\x1a\x05\x08\x09\x1a\x01b\x1a\x05\x08\x00\x1a\x01c",
    );
    let decoded = decode(data.clone());
    assert_eq!(decoded[0].as_ref().unwrap().bytes, "a");
    let rejected = decoded[1].as_ref().unwrap_err();
    assert_eq!(
        (&rejected.bytes, rejected.sub_sequence, rejected.reason.label()),
        (&data, 1, "bad_aggregate")
    );
    assert_eq!(decoded[2].as_ref().unwrap().bytes, "c");
}

#[test]
fn what_grows_above_the_limit_is_rejected_as_it_came() {
    let limits = Limits { decompressed_bytes: 1000, ..Limits::default() };
    let bomb = gzip(&[b' '; 1001]);
    let decoded = payloads(&bomb, &limits);
    assert_eq!(rejection(&decoded).bytes, bomb);
    assert_eq!(rejection(&decoded).reason, Reason::TooLarge { limit: 1000 });

    let half = gzip(&[b' '; 600]);
    let decoded =
        payloads(&aggregate(&[user_record(&half), user_record(&half), user_record(b"x")]), &limits);
    assert_eq!(decoded[0].as_ref().unwrap().bytes.len(), 600);
    assert_eq!(decoded[1].as_ref().unwrap_err().bytes, half);
    assert_eq!(decoded[2].as_ref().unwrap().bytes, "x");
}

#[test]
fn more_payloads_than_the_limit_are_rejected_as_one() {
    let limits = Limits { payloads: 2, ..Limits::default() };
    let three = [user_record(b"a"), user_record(b"b"), user_record(b"c")];
    let messages = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    for data in
        [aggregate(&three), envelope(&messages).into(), gzip(envelope(&messages).as_bytes())]
    {
        let decoded = payloads(&data, &limits);
        assert_eq!(decoded.len(), 3);
        let rejected = decoded[2].as_ref().unwrap_err();
        assert_eq!(
            (&rejected.bytes, &rejected.reason),
            (&data, &Reason::TooManyPayloads { limit: 2 })
        );
    }
    assert_eq!(payloads(&aggregate(&three[..2]), &limits).len(), 2);
    assert!(payloads(&aggregate(&three[..2]), &limits).iter().all(Result::is_ok));
}

#[test]
fn user_records_without_a_payload_do_not_hide_those_above_the_limit() {
    let limits = Limits { payloads: 2, ..Limits::default() };
    let control = user_record(br#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#);
    let data = aggregate(&[
        control.clone(),
        control.clone(),
        control,
        user_record(b"a"),
        user_record(b"b"),
    ]);
    let decoded = payloads(&data, &limits);
    assert_eq!(rejection(&decoded).bytes, data);
    assert_eq!(rejection(&decoded).reason, Reason::TooManyPayloads { limit: 2 });
}
