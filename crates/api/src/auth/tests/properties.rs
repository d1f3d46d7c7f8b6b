//! What our own side signs is accepted, whatever it is; its signature is good for nothing else.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::auth::{Post, Signer};

const REGION: &str = "eu-central-1";

/// All that a signature is for.
#[derive(Debug, Clone, PartialEq)]
struct Content {
    segments: Vec<String>,
    /// Sorted: the order is not signed.
    query: Vec<(String, String)>,
    words: Vec<String>,
    body: Vec<u8>,
    at: u64,
}

fn contents() -> impl Strategy<Value = Content> {
    let segments = proptest::collection::vec("[^/]{1,4}", 0..3)
        .prop_filter("dots are not signed", |all| all.iter().all(|one| one != "." && one != ".."));
    let query = proptest::collection::vec((".{0,3}", ".{0,3}"), 0..4).prop_map(|mut pairs| {
        pairs.retain(|(name, value)| !name.is_empty() || !value.is_empty());
        pairs.sort();
        pairs
    });
    let words = proptest::collection::vec("[!-~]{1,4}", 0..3);
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    (segments, query, words, body, 0..600_u64).prop_map(|(segments, query, words, body, at)| {
        Content { segments, query, words, body, at: signed_at().seconds() + at }
    })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Content {
    fn path(&self) -> String {
        let segments: Vec<_> = self.segments.iter().map(|segment| encoded(segment)).collect();
        format!("/{}", segments.join("/"))
    }

    fn query(&self) -> String {
        let pair =
            |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
        self.query.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    fn sign(&self, access_key_id: &str) -> HeaderMap {
        let credential = credentials().get(access_key_id).unwrap().as_ref().clone();
        let mut headers = HeaderMap::new();
        headers.insert("x-words", HeaderValue::from_str(&self.words.join("  ")).unwrap());
        let (path, query) = (self.path(), self.query());
        let post = Post { authority: "localhost:1", path: &path, query: Some(&query) };
        let at = Timestamp::from_seconds(self.at);
        Signer::new(credential, REGION.into()).sign(post, &mut headers, &self.body, at).unwrap();
        headers
    }

    /// Sent with the signature in `signed`.
    fn check(&self, signed: &HeaderMap, authenticator: &Authenticator) -> Result<Caller, String> {
        let mut headers = signed.clone();
        headers.insert("x-words", HeaderValue::from_str(&self.words.join(" ")).unwrap());
        let date = amz_date::format(Timestamp::from_seconds(self.at));
        headers.insert(HeaderName::from_static("x-amz-date"), date.parse().unwrap());
        let uri = format!("{}?{}", self.path(), self.query());
        let (mut head, ()) = hyper::Request::post(uri).body(()).unwrap().into_parts();
        head.headers = headers;
        let checked = authenticator.check(&head, &self.body, signed_at(), false);
        checked.map(|caller| Caller::clone(&caller)).map_err(|error| error.to_string())
    }
}

proptest! {
    #[test]
    fn a_signature_never_verifies_another_request(
        one in contents(), other in contents(), part in 0..6_usize, session: bool,
    ) {
        let authenticator = authenticator();
        let id = if session { "ASIAEXAMPLE" } else { "AKIDEXAMPLE" };
        let signed = one.sign(id);
        let caller = one.check(&signed, &authenticator).unwrap();
        prop_assert_eq!(caller.access_key_id.as_deref(), Some(id));
        prop_assert_eq!(caller.region, REGION);
        // All of the other request, or one part of it.
        let mut changed = one.clone();
        match part {
            0 => changed = other,
            1 => changed.segments = other.segments,
            2 => changed.query = other.query,
            3 => changed.words = other.words,
            4 => changed.body = other.body,
            _ => changed.at = other.at,
        }
        prop_assume!(changed != one);
        prop_assert!(changed.check(&signed, &authenticator).is_err());
    }
}
