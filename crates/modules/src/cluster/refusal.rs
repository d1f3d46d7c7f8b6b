//! How Elasticsearch, OpenSearch and Amazon's front before them say no, on one line.

use serde::Deserialize;

/// Characters of a server's reason that are kept: it may quote the document.
const REASON_CHARACTERS_MAX: usize = 1000;

/// An error as Elasticsearch and OpenSearch describe it.
#[derive(Debug, Deserialize)]
pub(crate) struct ServerError {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    pub(crate) caused_by: Option<Box<ServerError>>,
}

/// The body of a request that failed as a whole.
#[derive(Deserialize)]
#[serde(untagged)]
enum Whole {
    Explained {
        error: ServerError,
    },
    Said {
        error: String,
    },
    Amazon {
        message: String,
    },
    Gateway {
        #[serde(rename = "Message")]
        message: String,
    },
}

/// Whether the body of an answer to a request that failed as a whole says so as Elasticsearch and OpenSearch do of what is
/// in a request: with type and reason. A text alone comes from their router, of a wrong URL, or from a front before them.
pub(crate) fn is_explained(body: &[u8]) -> bool {
    matches!(serde_json::from_slice(body), Ok(Whole::Explained { .. }))
}

/// The server's own words in the body of an answer to a request that failed as a whole, if it has any.
pub(crate) fn whole_error(body: &[u8]) -> Option<String> {
    Some(match serde_json::from_slice::<Whole>(body).ok()? {
        Whole::Explained { error } => error.explain(),
        Whole::Said { error: text }
        | Whole::Amazon { message: text }
        | Whole::Gateway { message: text } => on_one_line(text),
    })
}

impl ServerError {
    /// `type: reason`, down to the innermost cause, on one line.
    pub(crate) fn explain(self) -> String {
        let mut text = String::new();
        let mut next = Some(Box::new(self));
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str("; caused by ");
            }
            text.push_str(&error.kind);
            if let Some(reason) = error.reason {
                text.push_str(": ");
                text.push_str(&reason);
            }
            next = error.caused_by;
        }
        on_one_line(text)
    }
}

fn on_one_line(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(REASON_CHARACTERS_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    // The servers' JSON parser explains itself on two lines.
    text.replace('\n', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let error = ServerError { kind: "é".repeat(2000), reason: None, caused_by: None };
        assert_eq!(error.explain().chars().count(), REASON_CHARACTERS_MAX + 1);
    }

    #[test]
    fn each_way_of_saying_no_is_understood() {
        for (body, said) in [
            (r#"{"error":{"root_cause":[],"type":"t","reason":"r"},"status":400}"#, Some("t: r")),
            (
                r#"{"error":"no handler found for uri [/_ilm/policy/x]"}"#,
                Some("no handler found for uri [/_ilm/policy/x]"),
            ),
            (
                r#"{"message":"The security token included in the request is expired"}"#,
                Some("The security token included in the request is expired"),
            ),
            (
                r#"{"Message":"User: anonymous is not authorized"}"#,
                Some("User: anonymous is not authorized"),
            ),
            ("<html>", None),
            ("", None),
            ("{}", None),
        ] {
            assert_eq!(whole_error(body.as_bytes()).as_deref(), said, "{body}");
            assert_eq!(is_explained(body.as_bytes()), said == Some("t: r"), "{body}");
        }
    }
}
