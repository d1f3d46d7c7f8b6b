//! What holds for any input.

use baikonur_record::{Limits, Origin, Schema, payloads};
use bytes::Bytes;
use proptest::prelude::*;

use crate::encoding::{UserRecord, aggregate, envelope, gzip, seal};

const ORIGIN: Origin<'static> = Origin {
    stream: "logs",
    shard: "shardId-000000000000",
    sequence_number: &"4959",
    arrival_millis: 1_700_000_000_000,
};

fn user_record() -> impl Strategy<Value = UserRecord> {
    // Data that starts with a letter is neither empty nor gzip nor an envelope: it comes back as it is.
    let data =
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|rest| [b"x", rest.as_slice()].concat());
    ("[a-c]{1,2}|.{1,20}", prop::option::of(any::<u128>()), data).prop_map(
        |(partition_key, explicit_hash_key, data)| UserRecord {
            partition_key,
            explicit_hash_key,
            data,
        },
    )
}

/// Decodes all the way, and counts the bytes that came out one way or the other.
fn decode_to_the_end(data: &Bytes) -> usize {
    let limits = Limits { decompressed_bytes: 1 << 16, payloads: 100 };
    let schema = Schema::default();
    let decoded = payloads(data, &limits);
    decoded
        .into_iter()
        .map(|payload| match payload.and_then(|payload| schema.event(payload, &ORIGIN)) {
            Ok(event) => event.json.len().max(event.log_type.key_segment().len()),
            Err(rejected) => rejected.bytes.len(),
        })
        .sum()
}

proptest! {
    #[test]
    fn what_is_aggregated_comes_back(records in prop::collection::vec(user_record(), 1..30)) {
        let decoded = payloads(&aggregate(&records), &Limits::default());
        prop_assert_eq!(decoded.len(), records.len());
        for (index, (payload, record)) in decoded.into_iter().zip(&records).enumerate() {
            let payload = payload.unwrap();
            prop_assert_eq!(&payload.bytes[..], &record.data[..]);
            prop_assert_eq!(payload.partition_key.as_deref(), Some(record.partition_key.as_bytes()));
            prop_assert_eq!(payload.explicit_hash_key, record.explicit_hash_key);
            prop_assert_eq!(payload.sub_sequence, index as u64);
        }
    }

    #[test]
    fn messages_of_an_envelope_come_back(messages in prop::collection::vec(".{1,40}", 0..20), compressed in any::<bool>()) {
        let document = envelope(&messages);
        let data = if compressed { gzip(document.as_bytes()) } else { document.into() };
        let decoded = payloads(&data, &Limits::default());
        prop_assert_eq!(decoded.len(), messages.len());
        for (index, (payload, message)) in decoded.into_iter().zip(&messages).enumerate() {
            let payload = payload.unwrap();
            prop_assert_eq!(&payload.bytes[..], message.as_bytes());
            prop_assert_eq!(payload.event_index as usize, index);
        }
    }

    #[test]
    fn a_plain_record_is_never_lost(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = Bytes::from(data);
        prop_assume!(!data.starts_with(b"\xf3\x89\x9a\xc2"));
        prop_assert_eq!(payloads(&data, &Limits::default()).len(), 1);
        decode_to_the_end(&data);
    }

    #[test]
    fn a_broken_aggregate_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_to_the_end(&seal(&body));
    }

    #[test]
    fn a_changed_aggregate_never_panics(
        records in prop::collection::vec(user_record(), 1..5), index in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let whole = aggregate(&records);
        let mut body = whole[4..whole.len() - 16].to_vec();
        let at = index.index(body.len());
        body[at] = byte;
        decode_to_the_end(&seal(&body));
    }

    #[test]
    fn broken_gzip_never_panics_and_keeps_its_bytes(
        text in ".{0,100}", index in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut data = gzip(text.as_bytes()).to_vec();
        let at = index.index(data.len());
        data[at] = byte;
        let data = Bytes::from(data);
        for rejected in payloads(&data, &Limits::default()).into_iter().filter_map(Result::err) {
            prop_assert!(rejected.bytes == data || rejected.reason.label() == "empty");
        }
        decode_to_the_end(&data);
    }

    #[test]
    fn the_same_record_gives_the_same_events(data in "\\{(\"(log_id|log_type|time|a)\":(\"[a-z0-9 :-]{0,12}\"|[1-9][0-9]{0,12}|null),){0,4}\"z\":1\\}") {
        let schema = Schema::default();
        let events = || {
            let decoded = payloads(&Bytes::from(data.clone()), &Limits::default()).into_iter();
            decoded.map(|payload| schema.event(payload.unwrap(), &ORIGIN)).collect::<Vec<_>>()
        };
        prop_assert_eq!(events(), events());
        prop_assert!(events().iter().all(Result::is_ok));
    }
}
