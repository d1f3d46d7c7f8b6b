//! The canonical request: all that was signed, in one text that both sides write alike.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, as
//! for every service but S3: the path is cleared of dots and encoded a second time.

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::signing_key::sha256;

/// All but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// What some clients sign in HTTP/2 in the place of `host`: the pseudo-header itself.
pub(crate) const AUTHORITY: &str = ":authority";

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    /// As sent: encoded once.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// In HTTP/2 the host that is called; stands in for a missing `Host`.
    pub(crate) authority: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

/// A header that is said to be signed is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderMissing;

/// Parameters of a query, decoded; `+` is a blank, as SDKs send it.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        return Cow::Owned(percent_decode_str(&text.replace('+', " ")).collect());
    }
    percent_decode_str(text).into()
}

/// The hash of the canonical request. `signed_headers` are names with semicolons between, in lower
/// case; `unsigned_parameter` is the one of the query that cannot be signed, the signature itself.
pub(crate) fn hash(
    head: Head<'_>,
    signed_headers: &str,
    unsigned_parameter: Option<&str>,
    payload_hash: &str,
) -> Result<[u8; 32], HeaderMissing> {
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(head.method.as_bytes());
    text.push(b'\n');
    write_path(&mut text, head.path);
    text.push(b'\n');
    write_query(&mut text, head.query.unwrap_or_default(), unsigned_parameter);
    text.push(b'\n');
    for name in signed_headers.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        write_header(&mut text, head, name)?;
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed_headers.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(sha256(&text))
}

/// Without `.`, `..` and empty segments, and encoded once more.
fn write_path(text: &mut Vec<u8>, path: &str) {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        text.push(b'/');
        percent_encode(segment.as_bytes(), PATH).for_each(|part| text.extend(part.as_bytes()));
    }
    if segments.is_empty() || path.ends_with('/') {
        text.push(b'/');
    }
}

/// Sorted by name, then by value, each encoded in the one way.
fn write_query(text: &mut Vec<u8>, query: &str, without: Option<&str>) {
    let mut sorted: Vec<(String, String)> = pairs(query)
        .filter(|(name, _)| without.is_none_or(|without| **name != *without.as_bytes()))
        .map(|(name, value)| {
            let encoded = |bytes: &[u8]| percent_encode(bytes, QUERY).to_string();
            (encoded(&name), encoded(&value))
        })
        .collect();
    sorted.sort_unstable();
    for (place, (name, value)) in sorted.iter().enumerate() {
        if place > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
    }
}

/// The values of a header, trimmed and with single blanks, with commas between.
fn write_header(text: &mut Vec<u8>, head: Head<'_>, name: &str) -> Result<(), HeaderMissing> {
    let mut values = head.headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        let is_host = name == HOST.as_str() || name == AUTHORITY;
        let authority = head.authority.filter(|_| is_host).ok_or(HeaderMissing)?;
        text.extend_from_slice(authority.as_bytes());
        return Ok(());
    }
    for (place, value) in values.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        let words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
        for (place, word) in words.enumerate() {
            if place > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
    Ok(())
}

/// Whether `name` is as header names stand in `SignedHeaders`.
pub(crate) fn is_canonical_name(name: &str) -> bool {
    name == AUTHORITY || HeaderName::from_lowercase(name.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn paths_lose_their_dots_and_are_encoded_twice() {
        for (path, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("/a/", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a%20b/%C3%A9", "/a%2520b/%25C3%25A9"),
            ("/a+b:c~d", "/a%2Bb%3Ac~d"),
        ] {
            assert_eq!(written(|text| write_path(text, path)), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_in_one_way() {
        for (query, canonical) in [
            ("", ""),
            ("b&a=2&a=1&&", "a=1&a=2&b="),
            ("a=%7e%2f%2F/&A=x", "A=x&a=~%2F%2F%2F"),
            ("a=b=c&a%20b=%C3%A9", "a=b%3Dc&a%20b=%C3%A9"),
            ("a=b+c%2B", "a=b%20c%2B"),
            ("s=1&%73=2&t=3", "t=3"),
        ] {
            assert_eq!(written(|text| write_query(text, query, Some("s"))), canonical, "{query}");
        }
    }

    #[test]
    fn header_values_are_trimmed_joined_and_must_be_there() {
        let mut headers = HeaderMap::new();
        headers.append("a", " x  y\t z ".parse().unwrap());
        headers.append("a", "".parse().unwrap());
        headers.append("a", "w".parse().unwrap());
        let head = Head {
            method: "POST",
            path: "/",
            query: None,
            authority: Some("h:1"),
            headers: &headers,
        };
        assert_eq!(written(|text| write_header(text, head, "a").unwrap()), "x y z,,w");
        assert_eq!(written(|text| write_header(text, head, "host").unwrap()), "h:1");
        assert_eq!(written(|text| write_header(text, head, ":authority").unwrap()), "h:1");
        assert_eq!(write_header(&mut Vec::new(), head, "b"), Err(HeaderMissing));
        let none = Head { authority: None, ..head };
        assert_eq!(write_header(&mut Vec::new(), none, "host"), Err(HeaderMissing));
        assert!(is_canonical_name("x-amz-date") && is_canonical_name(":authority"));
        assert!(!is_canonical_name(":path"));
        assert!(!is_canonical_name("X-Amz-Date") && !is_canonical_name("a\nb"));
    }
}
