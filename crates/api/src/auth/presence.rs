//! Whether a request looks signed at all: what every request must have, whether signatures are
//! verified or not.
//!
//! An SDK that lost its credentials learns it here and not in production.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, DATE, HeaderName};

use crate::wire::error::{ApiError, ErrorCode};

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const ALGORITHM: &str = "X-Amz-Algorithm";
const QUERY_PARAMETERS: [&str; 5] =
    [ALGORITHM, "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// Whether the request carries a signature in the header or in the query, and a complete one.
pub(crate) fn check_presence(headers: &HeaderMap, query: Option<&str>) -> Result<(), ApiError> {
    let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let query = query.unwrap_or_default();
    let in_query = |name: &str| {
        query.split('&').any(|pair| pair.split('=').next().is_some_and(|key| key == name))
    };
    match (header, in_query(ALGORITHM)) {
        (None, false) => Err(ApiError::new(
            ErrorCode::MissingAuthenticationToken,
            "Missing Authentication Token",
        )),
        (Some(_), true) => Err(ApiError::new(
            ErrorCode::InvalidSignature,
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        )),
        (Some(header), false) => check_header(header, headers),
        (None, true) => check_query(in_query),
    }
}

fn check_header(header: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let parameters = header.split([',', ' ']).skip(1);
    let has = |name: &str| {
        let pair = |parameter: &str| {
            parameter.split_once('=').is_some_and(|(key, value)| key == name && !value.is_empty())
        };
        parameters.clone().any(pair)
    };
    let mut faults = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if !has(name) {
            faults += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if !headers.contains_key(AMZ_DATE) && !headers.contains_key(DATE) {
        faults +=
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
    }
    if faults.is_empty() {
        return Ok(());
    }
    let message = format!("{faults}Authorization={header}");
    Err(ApiError::new(ErrorCode::IncompleteSignature, message))
}

fn check_query(has: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    let mut faults = String::new();
    for name in QUERY_PARAMETERS {
        if !has(name) {
            faults += &format!("AWS query-string parameters must include '{name}'. ");
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let message = format!("{faults}Re-examine the query-string parameters.");
    Err(ApiError::new(ErrorCode::IncompleteSignature, message))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn check(headers: &[(HeaderName, &'static str)], query: Option<&str>) -> Result<(), String> {
        let headers =
            headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect();
        check_presence(&headers, query).map_err(|error| error.to_string())
    }

    const WHOLE: &str = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c";

    #[test]
    fn a_request_that_looks_signed_passes() {
        assert_eq!(check(&[(AUTHORIZATION, WHOLE), (AMZ_DATE, "x")], None), Ok(()));
        assert_eq!(check(&[(AUTHORIZATION, WHOLE), (DATE, "x")], Some("a=b")), Ok(()));
        let query = "X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-SignedHeaders=d&X-Amz-Date=e";
        assert_eq!(check(&[], Some(query)), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = "MissingAuthenticationTokenException: Missing Authentication Token";
        assert_eq!(check(&[], None), Err(missing.into()));
        let both = "InvalidSignatureException: Found both 'X-Amz-Algorithm' as a query-string param \
                    and 'Authorization' as HTTP header.";
        assert_eq!(check(&[(AUTHORIZATION, "x")], Some("X-Amz-Algorithm")), Err(both.into()));
        let incomplete = "IncompleteSignatureException: Authorization header requires 'Signature' \
                          parameter. Authorization header requires 'SignedHeaders' parameter. \
                          Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                          header. Authorization=AWS4-HMAC-SHA256 Credential=a";
        let header = "AWS4-HMAC-SHA256 Credential=a";
        assert_eq!(check(&[(AUTHORIZATION, header)], None), Err(incomplete.into()));
        let query = check(&[], Some("X-Amz-Algorithm=a&X-Amz-Date=b")).unwrap_err();
        assert!(query.contains("must include 'X-Amz-Credential'. AWS query-string"), "{query}");
        assert!(query.ends_with("Re-examine the query-string parameters."), "{query}");
    }
}
