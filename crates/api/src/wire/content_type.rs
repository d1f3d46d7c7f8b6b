//! Content types of a request body.

use crate::wire::format::Format;

/// The content type of a request, as far as the service tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// `application/x-amz-json-1.1` and `application/x-amz-cbor-1.1`, the protocol.
    Amazon(Format),
    /// `application/json`, which the service understands well enough to refuse in its own words.
    PlainJson,
    /// Anything else, or none.
    Other,
}

impl ContentType {
    /// What a header says: parameters and surrounding blanks do not count.
    pub(crate) fn of(header: Option<&str>) -> Self {
        let essence = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence {
            AMAZON_JSON => Self::Amazon(Format::Json),
            AMAZON_CBOR => Self::Amazon(Format::Cbor),
            PLAIN_JSON => Self::PlainJson,
            _ => Self::Other,
        }
    }

    /// The format of an error that is found before the body is looked at: the service answers CBOR
    /// to everything that does not say JSON.
    pub(crate) const fn of_error(self) -> Format {
        match self {
            Self::Amazon(format) => format,
            Self::PlainJson | Self::Other => Format::Cbor,
        }
    }
}

/// Name of the protocol's content type in JSON.
pub(crate) const AMAZON_JSON: &str = "application/x-amz-json-1.1";
/// The same in CBOR. The model of the service does not know it; Java clients send it.
pub(crate) const AMAZON_CBOR: &str = "application/x-amz-cbor-1.1";
/// Name of event streams, which are answers only.
pub(crate) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// Name of ordinary JSON.
pub(crate) const PLAIN_JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_blanks_do_not_count() {
        for header in ["application/x-amz-json-1.1", " application/x-amz-json-1.1 ;charset=utf-8"] {
            assert_eq!(
                ContentType::of(Some(header)),
                ContentType::Amazon(Format::Json),
                "{header}"
            );
        }
        assert_eq!(ContentType::of(Some("application/json")), ContentType::PlainJson);
        let cbor = ContentType::of(Some("application/x-amz-cbor-1.1"));
        assert_eq!(cbor, ContentType::Amazon(Format::Cbor));
        for header in [None, Some(""), Some("text/plain"), Some("application/cbor")] {
            assert_eq!(ContentType::of(header), ContentType::Other, "{header:?}");
        }
    }
}
