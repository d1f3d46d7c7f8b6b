//! No body makes an operation panic or fail: it is answered or refused, in JSON.
//!
//! The first byte chooses the operation; the rest is its body, or, for 255, a shard iterator.
#![no_main]

mod hollow;

use baikonur_api::Format;
use bytes::Bytes;
use hollow::{OPERATIONS, call};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let (operation, body) = match choice {
        255 => {
            let iterator = String::from_utf8_lossy(rest);
            ("GetRecords", serde_json::json!({ "ShardIterator": iterator }).to_string().into())
        }
        choice => {
            (OPERATIONS[usize::from(*choice) % OPERATIONS.len()], Bytes::copy_from_slice(rest))
        }
    };
    let (status, answer) = call(Format::Json, operation, body);
    assert!(matches!(status, 200 | 400), "{operation} answered {status}");
    if status == 400 || !answer.is_empty() {
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(status == 400, answer.get("__type").is_some(), "{operation}: {answer}");
    }
});
