//! Requests that a browser sends for a page from elsewhere.
//!
//! The service answers every origin, because it verifies signatures. Here that would open all
//! streams to every page that is visited on this machine, so only pages from this machine are
//! answered.

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
};

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No browser is in play.
    None,
    /// A page from this machine.
    Local,
    /// A page from elsewhere.
    Foreign,
}

impl Origin {
    /// What the `Origin` header says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(ORIGIN) {
            None => Self::None,
            Some(origin) if origin.to_str().is_ok_and(is_local) => Self::Local,
            Some(_) => Self::Foreign,
        }
    }
}

fn is_local(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date",
);

/// Lets a page read the answer.
pub(crate) fn admit(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Lets a page send what it asks to send.
pub(crate) fn admit_preflight(request: &HeaderMap, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = request.get(asked) {
            headers.insert(allowed, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_from_this_machine_are_local() {
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://127.0.0.1:80",
            "http://[::1]:3000",
        ] {
            assert!(is_local(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com:80",
        ] {
            assert!(!is_local(origin), "{origin}");
        }
    }
}
