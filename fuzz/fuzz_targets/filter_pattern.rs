//! Any text that is taken for a pattern can be held against any data, and what matches is a JSON object.
#![no_main]

use baikonur_pattern::{Data, FilterCriteria, Metadata, Pattern};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

const METADATA: Metadata<'static> = Metadata {
    partition_key: b"key",
    sequence_number: &"4959",
    shard_id: "shardId-000000000000",
    arrival_millis: 1_700_000_000_000,
};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, data) = input;
    if let Ok(pattern) = Pattern::parse(text)
        && pattern.matches(data)
    {
        assert!(pattern.matches(data));
        assert!(data.trim_ascii_start().starts_with(b"{"));
        let read = serde_json::from_slice::<IgnoredAny>(data);
        // Serde stops at less nesting than the scanner does.
        let too_deep = read.as_ref().is_err_and(|error| error.to_string().contains("recursion limit"));
        assert!(read.is_ok() || too_deep);
    }
    let below = format!("{{\"data\":{text}}}");
    if let (Ok(criteria), Ok(pattern)) = (FilterCriteria::parse([&below]), Pattern::parse(text)) {
        assert_eq!(criteria.matches(&METADATA, Data::Json(data)), pattern.matches(data));
    }
});
