//! The two formats of the API, and what depends on which of them a request came in.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::wire::cbor::CborEncoder;
use crate::wire::content_type::{AMAZON_CBOR, AMAZON_JSON};
use crate::wire::error::ApiError;
use crate::wire::json::JsonEncoder;
use crate::wire::output::{Encoder, Structure};
use crate::wire::{cbor, json};

/// A format of requests and answers. A request is answered in its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON 1.1: blobs are base64, moments are seconds with a fraction.
    Json,
    /// CBOR 1.1, the choice of Java clients: blobs are bytes, moments are milliseconds.
    Cbor,
}

impl Format {
    /// The content type of requests and answers.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => AMAZON_JSON,
            Self::Cbor => AMAZON_CBOR,
        }
    }

    /// Reads a request. A body that is not of this format, or no structure, is refused without a
    /// message, a member of another type with the service's one.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(self, body: &'a [u8]) -> Result<T, ApiError> {
        match self {
            Self::Json => json::parse(body),
            Self::Cbor => cbor::parse(body),
        }
    }

    /// Whether a body is a structure of this format, whatever is in it.
    pub(crate) fn is_structure(self, body: &[u8]) -> bool {
        match self {
            Self::Json => json::parse::<IgnoredAny>(body).is_ok(),
            Self::Cbor => cbor::parse::<IgnoredAny>(body).is_ok(),
        }
    }

    /// Writes an answer.
    pub(crate) fn encode(self, answer: &impl Structure) -> Vec<u8> {
        match self {
            Self::Json => encode::<JsonEncoder>(answer),
            Self::Cbor => encode::<CborEncoder>(answer),
        }
    }
}

fn encode<E: Encoder>(answer: &impl Structure) -> Vec<u8> {
    let mut to = E::with_capacity(answer.capacity::<E>());
    to.structure(answer);
    to.into_bytes()
}
