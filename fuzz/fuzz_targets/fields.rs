//! Whatever settings are taken, every record becomes lines of JSON, the same again, however its events are taken.
#![no_main]

use baikonur_modules::fields::FieldsSettings;
use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_stream::{
    Batch, ConsumerName, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId, StreamName,
    Timestamp,
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fn batch(data: &[u8]) -> Batch {
    let record = Record {
        sequence_number: SequenceNumber::new(1_700_000_000, 0, 1, 1_700_000_000),
        arrival: Timestamp::from_seconds(1_700_000_000),
        partition_key: PartitionKey::new(Bytes::from_static(b"key")).expect("a legal key"),
        data: Bytes::copy_from_slice(data),
    };
    let stream = StreamName::new("logs").expect("a legal name");
    let shard = ShardAddress { stream, shard: ShardId::new(0) };
    Batch { shard, records: vec![record], attempt: 0 }
}

fuzz_target!(|input: (&str, &[u8])| {
    let (settings, data) = input;
    // As the configuration holds them, but in JSON.
    let Ok(fields) = serde_json::from_str::<FieldsSettings>(settings) else { return };
    let unchanged = fields.is_empty();
    let settings = IntakeSettings { fields, ..IntakeSettings::default() };
    let Ok(intake) = Intake::new(&settings, &ConsumerName::new("fuzz")) else { return };
    let batch = batch(data);
    let (taken, again) = (intake.take(&batch), intake.take(&batch));
    assert_eq!(taken.rejected, again.rejected);
    for (event, again) in taken.events.iter().zip(&again.events) {
        let json = &event.event.json;
        assert_eq!(json, &again.event.json);
        assert!(!(unchanged && event.original.is_some()));
        assert!(json.starts_with(b"{"));
        if event.original.is_some() {
            assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
        }
        let read = serde_json::from_slice::<IgnoredAny>(json);
        // Serde stops at less nesting than the scanner does.
        let too_deep = read.as_ref().is_err_and(|error| error.to_string().contains("recursion limit"));
        assert!(read.is_ok() || too_deep);
    }
    let payloads = intake.payload_parts(&batch).flat_map(|part| part.events);
    let payloads: Vec<_> = payloads.map(|taken| taken.payload.bytes).collect();
    assert_eq!(payloads.len(), taken.events.len());
    for (payload, event) in payloads.iter().zip(&taken.events) {
        assert_eq!(payload.trim_ascii(), &*event.event.json);
    }
});
