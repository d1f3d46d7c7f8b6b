//! What a request says of its signature, in the `Authorization` header or in a presigned query.

use std::borrow::Cow;
use std::time::Duration;

use baikonur_stream::Timestamp;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, DATE, HOST};

use super::canonical::{AUTHORITY, is_canonical_name, pairs};
use super::signing_key::parse_hex;
use super::{ALGORITHM, SERVICE, TERMINATOR, amz_date, refusal};
use crate::wire::error::ApiError;

/// The longest life of a presigned request, a week:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html>
const EXPIRES_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The parameter of a presigned query that is not signed.
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// What a request says of its signature; nothing of it is proved.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    /// As it stands: access key, day, region, service and terminator.
    pub(crate) credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    /// None when it cannot be one.
    pub(crate) signature: Option<[u8; 32]>,
    pub(crate) at: Timestamp,
    /// The session token.
    pub(crate) token: Option<Cow<'a, str>>,
    pub(crate) form: Form,
}

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Header,
    /// For as long as it says, if it does.
    Query(Option<Duration>),
}

/// The parts of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) region: &'a str,
}

impl<'a> Claim<'a> {
    /// Reads the header if there is one, else the query. Both are refused before.
    pub(crate) fn read(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Self, ApiError> {
        let claim = match headers.contains_key(AUTHORIZATION) {
            true => Self::in_header(headers)?,
            false => Self::in_query(query.unwrap_or_default())?,
        };
        let signed = || claim.signed_headers.split(';');
        if !signed().any(|name| name == HOST.as_str() || name == AUTHORITY) {
            return Err(refusal::host_not_signed());
        }
        if !signed().all(is_canonical_name) {
            return Err(refusal::mismatch());
        }
        Ok(claim)
    }

    fn in_header(headers: &'a HeaderMap) -> Result<Self, ApiError> {
        let header = only(text(headers, AUTHORIZATION.as_str()), AUTHORIZATION.as_str())?;
        let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
        check_algorithm(algorithm)?;
        let parameter = |name: &str| {
            let named = |pair: &'a str| {
                pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value)
            };
            only(parameters.split([',', ' ']).filter_map(named).map(Some), name)
        };
        let date = "x-amz-date";
        let at = match headers.contains_key(date) {
            true => {
                let date = only(text(headers, date), date)?;
                amz_date::parse(date).ok_or_else(|| refusal::date(date))?
            }
            false => {
                let date = only(text(headers, DATE.as_str()), DATE.as_str())?;
                amz_date::parse_http(date).ok_or_else(|| refusal::date(date))?
            }
        };
        let token = "x-amz-security-token";
        let token = match headers.contains_key(token) {
            true => Some(only(text(headers, token), token)?.into()),
            false => None,
        };
        Ok(Self {
            credential: parameter("Credential")?.into(),
            signed_headers: parameter("SignedHeaders")?.into(),
            signature: parse_hex(parameter("Signature")?.as_bytes()),
            at,
            token,
            form: Form::Header,
        })
    }

    fn in_query(query: &'a str) -> Result<Self, ApiError> {
        let values = |name: &'static str| {
            pairs(query).filter(move |(key, _)| **key == *name.as_bytes()).map(|(_, value)| {
                match value {
                    Cow::Borrowed(value) => std::str::from_utf8(value).ok().map(Cow::Borrowed),
                    Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
                }
            })
        };
        let value = |name| only(values(name), name);
        let optional = |name| match values(name).next() {
            Some(_) => value(name).map(Some),
            None => Ok(None),
        };
        check_algorithm(&value("X-Amz-Algorithm")?)?;
        let date = value("X-Amz-Date")?;
        let expires = match optional("X-Amz-Expires")? {
            Some(seconds) => {
                let seconds = seconds.parse().ok().map(Duration::from_secs);
                let legal = |life: &Duration| !life.is_zero() && *life <= EXPIRES_MAX;
                Some(seconds.filter(legal).ok_or_else(|| refusal::expires(EXPIRES_MAX))?)
            }
            None => None,
        };
        Ok(Self {
            credential: value("X-Amz-Credential")?,
            signed_headers: value("X-Amz-SignedHeaders")?,
            signature: parse_hex(value(SIGNATURE_PARAMETER)?.as_bytes()),
            at: amz_date::parse(&date).ok_or_else(|| refusal::date(&date))?,
            token: optional("X-Amz-Security-Token")?,
            form: Form::Query(expires),
        })
    }

    /// The parts of the credential, which must be for this service and for the day of the signature.
    pub(crate) fn scope(&self) -> Result<Scope<'_>, ApiError> {
        let credential = &*self.credential;
        let mut parts = credential.split('/');
        let five = std::array::from_fn(|_| parts.next());
        let ([Some(access_key_id), Some(day), Some(region), Some(service), Some(terminator)], None) =
            (five, parts.next())
        else {
            return Err(refusal::credential(credential));
        };
        if terminator != TERMINATOR {
            return Err(refusal::scope_terminator(terminator));
        }
        if service != SERVICE {
            return Err(refusal::scope_service());
        }
        if !is_region(region) {
            return Err(refusal::scope_region());
        }
        let date = amz_date::format(self.at);
        if !date.starts_with(day) || day.len() != "20260101".len() {
            return Err(refusal::scope_date(day, &date));
        }
        Ok(Scope { access_key_id, region })
    }
}

/// Whether ARNs can have it.
fn is_region(region: &str) -> bool {
    let of_region = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&region.len()) && region.bytes().all(of_region)
}

fn check_algorithm(algorithm: &str) -> Result<(), ApiError> {
    if algorithm == ALGORITHM { Ok(()) } else { Err(refusal::algorithm(algorithm)) }
}

/// The values of a header; none where one is no text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).iter().map(|value| value.to_str().ok())
}

/// The one value of a parameter: of two, client and server could each believe another.
fn only<T>(values: impl IntoIterator<Item = Option<T>>, name: &str) -> Result<T, ApiError> {
    let mut values = values.into_iter();
    match (values.next().flatten(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(refusal::ambiguous(name)),
    }
}
