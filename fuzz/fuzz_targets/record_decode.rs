//! Any Kinesis record can be decoded to its end, twice with the same result.
#![no_main]

use baikonur_record::{Limits, LogEvent, Origin, RejectedPayload, Schema, payloads};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { decompressed_bytes: 1 << 20, payloads: 1000 };

fn decode(data: &Bytes) -> Vec<Result<LogEvent, RejectedPayload>> {
    let origin = Origin {
        stream: "logs",
        shard: "shardId-000000000000",
        sequence_number: &"4959",
        arrival_millis: 1_700_000_000_000,
    };
    let schema = Schema::default();
    let decoded = payloads(data, &LIMITS).into_iter();
    decoded.map(|payload| payload.and_then(|payload| schema.event(payload, &origin))).collect()
}

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    let decoded = decode(&data);
    assert_eq!(decoded, decode(&data));
    for event in decoded.iter().flatten() {
        let segment = event.log_type.key_segment();
        let foreign_parts = if event.log_type.problem().is_some() { 3 } else { 1 };
        assert!(segment.split('/').count() <= foreign_parts);
        assert!(event.log_type.index_segment().len() <= 200);
        assert!(!event.to_one_line().contains(&b'\n'));
        assert!(!event.time.rfc3339().is_empty());
    }
});
