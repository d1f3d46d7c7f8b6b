//! Content types of a request body.

/// The content type of a request, as far as the service tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// `application/x-amz-json-1.1`, the protocol.
    AmazonJson,
    /// `application/json`, which the service understands well enough to refuse in its own words.
    PlainJson,
    /// Anything else, or none. The undocumented CBOR encoding is among them.
    Other,
}

impl ContentType {
    /// What a header says: parameters and surrounding blanks do not count.
    pub(crate) fn of(header: Option<&str>) -> Self {
        let essence = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence {
            AMAZON_JSON => Self::AmazonJson,
            PLAIN_JSON => Self::PlainJson,
            _ => Self::Other,
        }
    }
}

/// Name of the protocol's content type.
pub(crate) const AMAZON_JSON: &str = "application/x-amz-json-1.1";
/// Name of ordinary JSON.
pub(crate) const PLAIN_JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_blanks_do_not_count() {
        for header in ["application/x-amz-json-1.1", " application/x-amz-json-1.1 ;charset=utf-8"] {
            assert_eq!(ContentType::of(Some(header)), ContentType::AmazonJson, "{header}");
        }
        assert_eq!(ContentType::of(Some("application/json")), ContentType::PlainJson);
        for header in [None, Some(""), Some("text/plain"), Some("application/x-amz-cbor-1.1")] {
            assert_eq!(ContentType::of(header), ContentType::Other, "{header:?}");
        }
    }
}
