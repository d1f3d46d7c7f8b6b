//! No header and no query makes the verification of signatures panic, or let in who has no secret.
//!
//! The input is lines: the address, then headers with a colon. A signature in them cannot be right,
//! so every request is refused, in JSON; signed by us it is let in, until something is changed.
#![no_main]

use std::sync::LazyLock;

use baikonur_api::{Authenticator, Credential, Credentials, Post, Signer};
use baikonur_stream::Timestamp;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::{Parts, Request};
use libfuzzer_sys::fuzz_target;

const AUTHORITY: &str = "localhost:4567";
const BODY: &[u8] = b"{}";
/// 2026-01-02T03:04:05Z, a moment that inputs can guess.
const NOW: Timestamp = Timestamp::from_seconds(1_767_323_045);

fn credential() -> Credential {
    let secret = "a secret that no input knows".replace(' ', "-");
    Credential::new("AKID".into(), secret, None, None).expect("a credential")
}

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    let mut credentials = Credentials::default();
    credentials.add(credential()).expect("the only one");
    Authenticator::verified(credentials, "000000000000".into())
});

fn head(uri: &str, headers: HeaderMap) -> Option<Parts> {
    let (mut head, ()) = Request::post(uri).body(()).ok()?.into_parts();
    head.headers = headers;
    Some(head)
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(uri)) = lines.next().map(std::str::from_utf8) else { return };
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    let Some(foreign) = head(uri, headers.clone()) else { return };
    for secure in [false, true] {
        let (status, body) =
            AUTHENTICATOR.caller(&foreign, BODY, NOW, secure).expect_err("nobody signed it");
        assert_eq!(status, 400);
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON");
    }

    let mut own = HeaderMap::new();
    // Repeated headers are not for the signer.
    for (name, value) in &headers {
        if name.as_str() != "x-amz-content-sha256" && name.as_str() != "x-amz-security-token" {
            own.insert(name.clone(), value.clone());
        }
    }
    let (path, query) = (foreign.uri.path(), foreign.uri.query());
    if path.starts_with('/') && !query.is_some_and(|query| query.contains("X-Amz-Algorithm")) {
        let post = Post { authority: AUTHORITY, path, query };
        let signer = Signer::new(credential(), "us-east-1".into());
        signer.sign(post, &mut own, BODY, NOW).expect("nothing that headers cannot have");
        let mut signed = head(uri, own).expect("it was one before");
        let caller = AUTHENTICATOR.caller(&signed, BODY, NOW, false).expect("it was signed");
        assert_eq!(caller.access_key_id.as_deref(), Some("AKID"));
        assert!(AUTHENTICATOR.caller(&signed, b"[]", NOW, false).is_err());
        signed.headers.append("host", HeaderValue::from_static("x"));
        assert!(AUTHENTICATOR.caller(&signed, BODY, NOW, false).is_err());
    }
});
