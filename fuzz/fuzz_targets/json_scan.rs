//! The scanner takes exactly the texts that serde_json takes, up to its bound on nesting.
#![no_main]

use baikonur_record::{Limits, Reason, Schema, payloads};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|text: &str| {
    // A leading member keeps the text from being gzip, an aggregate or an envelope, and makes it an object.
    let text = format!("{{\"a\":{text}");
    let data = Bytes::from(text.clone());
    let Some(Ok(payload)) = payloads(&data, &Limits::default()).pop() else {
        return;
    };
    if payload.bytes != data {
        return;
    }
    let valid = match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => true,
        // Serde stops at less than the scanner does.
        Err(error) if error.to_string().contains("recursion limit") => return,
        Err(_) => false,
    };
    match Schema::default().log_type(&payload) {
        Ok(_) => assert!(valid, "{text}"),
        Err(rejected) => assert!(!valid || rejected.reason == Reason::NotAnObject, "{text}"),
    }
});
