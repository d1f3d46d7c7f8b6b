//! A request in CBOR is answered as the same request in JSON; and no bytes that claim to be CBOR do
//! any harm.
//!
//! The first byte chooses the operation. What follows is taken as JSON if it is that, and is written
//! in CBOR by an independent crate; else it is the CBOR body as it stands.
#![no_main]

mod hollow;

use baikonur_api::Format;
use bytes::Bytes;
use hollow::{OPERATIONS, call};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn tree(format: Format, answer: &[u8]) -> Value {
    match format {
        Format::Json => serde_json::from_slice(answer).expect("JSON"),
        Format::Cbor => {
            let tree: ciborium::Value = ciborium::from_reader(answer).expect("CBOR");
            tree.deserialized().expect("an error has texts only")
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let operation = OPERATIONS[usize::from(*choice) % OPERATIONS.len()];
    let Ok(request @ Value::Object(_)) = serde_json::from_slice::<Value>(rest) else {
        let (status, answer) = call(Format::Cbor, operation, Bytes::copy_from_slice(rest));
        assert!(matches!(status, 200 | 400), "{operation} answered {status}");
        if status == 400 {
            assert!(tree(Format::Cbor, &answer).get("__type").is_some());
        }
        return;
    };
    let json = request.to_string();
    // Moments have another unit in each format.
    if json.contains("Timestamp") {
        return;
    }
    let mut cbor = Vec::new();
    ciborium::into_writer(&request, &mut cbor).expect("written to memory");
    let (status, in_json) = call(Format::Json, operation, json.into());
    let (status_of_cbor, in_cbor) = call(Format::Cbor, operation, cbor.into());
    assert_eq!(status, status_of_cbor, "{operation} {request}");
    // Successes hold tokens, which are never the same twice.
    if status == 400 {
        assert_eq!(tree(Format::Json, &in_json), tree(Format::Cbor, &in_cbor));
    }
});
