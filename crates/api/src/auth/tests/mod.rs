//! Requests that botocore signed, what became of them on the way, and what is said to them.

mod properties;
mod refusals;
mod tampering;

use baikonur_stream::Timestamp;
use hyper::Request;
use hyper::http::request::Parts;
use serde::Deserialize;

use super::{Authenticator, Caller, Credential, Credentials, amz_date};

/// A signed request, as `vectors.py` writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Signed {
    name: String,
    method: String,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    region: String,
    access_key_id: String,
    /// For how many seconds; 0 where the signature is in the header.
    presigned: u64,
}

const UNSIGNED_PAYLOAD: &str = "payload not signed";

fn vectors() -> Vec<Signed> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// The one of this name.
fn vector(name: &str) -> Signed {
    vectors().into_iter().find(|vector| vector.name == name).unwrap()
}

/// When all of them were signed.
fn signed_at() -> Timestamp {
    amz_date::parse("20260102T030405Z").unwrap()
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(signed_at().seconds() + seconds)
}

fn earlier(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(signed_at().seconds() - seconds)
}

/// The credentials that `vectors.py` signs with.
fn credentials() -> Credentials {
    let mut credentials = Credentials::default();
    for (id, secret, token, account) in [
        ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None),
        (
            "ASIAEXAMPLE",
            "secret/of+a=session",
            Some("IQoJb3JpZ2luX2VjE==/+token"),
            Some("222222222222"),
        ),
    ] {
        let token = token.map(str::to_owned);
        let account = account.map(str::to_owned);
        credentials
            .add(Credential::new(id.into(), secret.into(), token, account).unwrap())
            .unwrap();
    }
    credentials
}

fn authenticator() -> Authenticator {
    Authenticator::verified(credentials(), "000000000000".into())
}

impl Signed {
    /// The head as a server sees it; none when the change made it no HTTP.
    fn head(&self) -> Option<Parts> {
        let has_host = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let uri = match has_host {
            true => self.target.clone(),
            false => format!("https://{}{}", self.authority, self.target),
        };
        let mut request = Request::builder().method(self.method.as_str()).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_bytes());
        }
        request.body(()).ok().map(|request| request.into_parts().0)
    }

    /// Who sent it, or the error that is answered.
    fn check(&self, authenticator: &Authenticator, now: Timestamp) -> Result<Caller, String> {
        let head = self.head().expect("HTTP");
        let secure = self.name == UNSIGNED_PAYLOAD;
        let checked = authenticator.check(&head, self.body.as_bytes(), now, secure);
        checked.map(|caller| Caller::clone(&caller)).map_err(|error| error.to_string())
    }

    fn with_header(&self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let mut changed = self.clone();
        let header = changed.headers.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let (_, value) = header.expect("the header");
        *value = change(value);
        changed
    }

    fn without_header(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        changed
    }

    fn with_target(&self, change: impl Fn(&str) -> String) -> Self {
        Self { target: change(&self.target), ..self.clone() }
    }
}
