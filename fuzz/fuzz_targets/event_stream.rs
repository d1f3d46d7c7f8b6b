//! Any headers and payload make a message that a plain decoder takes apart into the same.
#![no_main]

use baikonur_api::event_stream_message;
use libfuzzer_sys::fuzz_target;

fn crc_fits(message: &[u8]) -> &[u8] {
    let (before, crc) = message.split_last_chunk().expect("at least four bytes");
    assert_eq!(crc32fast::hash(before), u32::from_be_bytes(*crc));
    before
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fuzz_target!(|input: (Vec<(&str, &str)>, &[u8])| {
    let (headers, payload) = input;
    if headers.iter().any(|(name, value)| name.len() > 255 || value.len() > 65_535) {
        return;
    }
    let message = event_stream_message(&headers, payload);
    let before = crc_fits(&message);
    crc_fits(&before[..12]);
    assert_eq!(number(&before[..4]), message.len());
    let (mut rest, rest_payload) = before[12..].split_at(number(&before[4..8]));
    assert_eq!(rest_payload, payload);
    for (name, value) in headers {
        let (head, after) = rest[1..].split_at(number(&rest[..1]));
        assert_eq!((head, after[0]), (name.as_bytes(), 7));
        let (text, after) = after[3..].split_at(number(&after[1..3]));
        assert_eq!(text, value.as_bytes());
        rest = after;
    }
    assert!(rest.is_empty());
});
