//! What a cluster says to a bulk request, document by document.

use serde::Deserialize;

/// Characters of a server's reason that are kept: it may quote the document.
const REASON_CHARACTERS_MAX: usize = 1000;

/// The answer to a bulk request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Every document is stored.
    AllStored,
    /// One verdict a document, in the order of the request.
    Each(Vec<Verdict>),
}

/// What became of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is stored.
    Stored,
    /// The cluster could not take it now.
    Busy(String),
    /// The cluster stumbled over it, which may be its fault or the document's.
    Broken(String),
    /// The cluster will never take it.
    Refused(String),
}

#[derive(Deserialize)]
struct Envelope {
    errors: bool,
}

#[derive(Deserialize)]
struct Body {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(alias = "create")]
    index: ItemStatus,
}

#[derive(Deserialize)]
struct ItemStatus {
    status: u16,
    error: Option<ServerError>,
}

/// An error as Elasticsearch and OpenSearch describe it.
#[derive(Deserialize)]
struct ServerError {
    #[serde(rename = "type")]
    kind: String,
    reason: Option<String>,
    caused_by: Option<Box<ServerError>>,
}

/// The error of a request that failed as a whole.
#[derive(Deserialize)]
struct WholeError {
    error: ServerError,
}

impl Answer {
    /// Reads the body of an answer with status 200 to a request of `documents`.
    ///
    /// # Errors
    /// What shows that this is not the answer to a bulk request.
    pub(super) fn read(body: &[u8], documents: usize) -> Result<Self, String> {
        // Almost always nothing failed, and the list of documents need not be looked at.
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !envelope.errors {
            return Ok(Self::AllStored);
        }
        let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if body.items.len() != documents {
            return Err(format!("{} answers to {documents} documents", body.items.len()));
        }
        Ok(Self::Each(body.items.into_iter().map(|item| item.index.verdict()).collect()))
    }
}

impl ItemStatus {
    fn verdict(self) -> Verdict {
        let kind = self.error.as_ref().map_or("", |error| &error.kind);
        // A full disk makes indices read-only: 403 in OpenSearch and older Elasticsearch, 429 today.
        let blocked = kind == "cluster_block_exception";
        let rejected = kind.ends_with("rejected_execution_exception");
        // Conditions of the cluster, which its owner mends: any document would be refused now.
        let reason = self.error.as_ref().and_then(|error| error.reason.as_deref());
        let full = reason.is_some_and(|reason| reason.contains("this action would add"));
        let forbidden = self.status == 401 || self.status == 403;
        let missing = kind == "index_not_found_exception";
        match self.status {
            // A conflict means that this very document is there already.
            200..300 | 409 => Verdict::Stored,
            408 | 429 | 502..=504 => Verdict::Busy(self.explained()),
            _ if blocked || rejected || full || forbidden || missing => {
                Verdict::Busy(self.explained())
            }
            500.. => Verdict::Broken(self.explained()),
            _ => Verdict::Refused(self.explained()),
        }
    }

    fn explained(self) -> String {
        let explained = self.error.map_or_else(|| "no reason given".to_owned(), explain);
        format!("{} {explained}", self.status)
    }
}

/// The error in the body of an answer to a request that failed as a whole, if it has one.
pub(super) fn whole_error(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<WholeError>(body).ok().map(|whole| explain(whole.error))
}

/// `type: reason`, down to the innermost cause, on one line.
fn explain(error: ServerError) -> String {
    let mut text = String::new();
    let mut next = Some(Box::new(error));
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
    fn an_answer_without_errors_is_not_read_further() {
        let body = br#"{"took":3,"errors":false,"items":[{"index":{"_index":"a","status":201}}]}"#;
        assert_eq!(Answer::read(body, 1), Ok(Answer::AllStored));
    }

    #[test]
    fn each_document_is_judged_by_status_and_kind() {
        let verdict = |status: u16, kind: &str| {
            let body = format!(
                r#"{{"took":3,"errors":true,"items":[{{"index":{{"_index":"a","_id":"1","status":{status},
                "error":{{"type":"{kind}","reason":"why"}}}}}}]}}"#
            );
            match Answer::read(body.as_bytes(), 1).unwrap() {
                Answer::Each(mut verdicts) => verdicts.remove(0),
                Answer::AllStored => unreachable!(),
            }
        };
        let text = |status: u16, kind: &str| format!("{status} {kind}: why");
        for (status, kind) in [
            (429, "es_rejected_execution_exception"),
            (429, "circuit_breaking_exception"),
            (503, "unavailable_shards_exception"),
            (403, "cluster_block_exception"),
            (500, "rejected_execution_exception"),
            (404, "index_not_found_exception"),
            (403, "security_exception"),
        ] {
            assert_eq!(verdict(status, kind), Verdict::Busy(text(status, kind)));
        }
        for (status, kind) in [
            (400, "mapper_parsing_exception"),
            (400, "document_parsing_exception"),
            (400, "invalid_index_name_exception"),
        ] {
            assert_eq!(verdict(status, kind), Verdict::Refused(text(status, kind)));
        }
        assert_eq!(
            verdict(500, "null_pointer_exception"),
            Verdict::Broken(text(500, "null_pointer_exception"))
        );
        assert_eq!(verdict(409, "version_conflict_engine_exception"), Verdict::Stored);
        assert_eq!(verdict(200, "none"), Verdict::Stored);
    }

    #[test]
    fn the_innermost_cause_is_told() {
        let body = r#"{"errors":true,"items":[{"create":{"status":400,"error":{
            "type":"mapper_parsing_exception","reason":"failed to parse field [n] of type [long]",
            "caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"x\""}}}}]}"#;
        let told = "400 mapper_parsing_exception: failed to parse field [n] of type [long]; \
            caused by illegal_argument_exception: For input string: \"x\"";
        let verdicts = vec![Verdict::Refused(told.to_owned())];
        assert_eq!(Answer::read(body.as_bytes(), 1), Ok(Answer::Each(verdicts)));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let error = ServerError { kind: "é".repeat(2000), reason: None, caused_by: None };
        assert_eq!(explain(error).chars().count(), REASON_CHARACTERS_MAX + 1);
    }

    #[test]
    fn what_is_no_bulk_answer_is_told_apart() {
        for body in ["", "<html>", "{}", r#"{"errors":true}"#, r#"{"errors":true,"items":[]}"#] {
            assert!(Answer::read(body.as_bytes(), 1).is_err(), "{body}");
        }
    }
}
