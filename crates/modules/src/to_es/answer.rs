//! What a cluster says to a bulk request, document by document.

use serde::Deserialize;

use crate::cluster::ServerError;

/// How reasons of an `illegal_argument_exception` begin that mean the settings of the module or of the cluster: every
/// document would be refused, and is better kept in its stream until they are mended. Further in, a reason may quote the
/// document, which must not pass for one of these.
const CONDITIONS: [&str; 5] = [
    // More shards than the cluster may have, as some versions say it.
    "Validation Failed: 1: this action would add",
    // Elasticsearch's own templates make data streams of names such as logs-*-*.
    "only write ops with an op_type of create are allowed in data streams",
    // Collections for time series of OpenSearch Serverless: `document_id` has to be "none".
    "Document ID is not supported",
    // `pipeline` is missing.
    "pipeline with id [",
    // An alias of several indices stands where the index should be, or of one that is closed for rolling over.
    "no write index is defined for alias",
];
/// Of a `validation_exception`: the index would have more shards than the cluster may have.
const TOO_MANY_SHARDS: &str = "this action would add";

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
    /// Its index is closed to it, whatever the cluster does with others.
    Closed(String),
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
        let reason = self.error.as_ref().and_then(|error| error.reason.as_deref()).unwrap_or("");
        let is_condition = match kind {
            "illegal_argument_exception" => {
                CONDITIONS.iter().any(|words| reason.starts_with(words))
            }
            // The index wants a routing: `routing_field` is not set, or names what the documents do not have.
            "routing_missing_exception" => true,
            "validation_exception" => reason.contains(TOO_MANY_SHARDS),
            _ => false,
        };
        let forbidden = self.status == 401 || self.status == 403;
        // A block that is the index's own, and not that of a full disk (12): read-only (5), no writes (8).
        let is_closed = match kind {
            "cluster_block_exception" => {
                let is_own = reason.contains("[FORBIDDEN/5/") || reason.contains("[FORBIDDEN/8/");
                reason.starts_with("index [") && is_own && !reason.contains("[FORBIDDEN/12/")
            }
            "security_exception" => self.status == 403,
            // It may not be made by itself either.
            "index_not_found_exception" => true,
            _ => false,
        };
        match self.status {
            // A conflict means that this very document is there already.
            200..300 | 409 => Verdict::Stored,
            408 | 429 | 502..=504 => Verdict::Busy(self.explained()),
            _ if is_closed => Verdict::Closed(self.explained()),
            _ if blocked || rejected || is_condition || forbidden => {
                Verdict::Busy(self.explained())
            }
            500.. => Verdict::Broken(self.explained()),
            _ => Verdict::Refused(self.explained()),
        }
    }

    fn explained(self) -> String {
        let explained =
            self.error.map_or_else(|| "no reason given".to_owned(), ServerError::explain);
        format!("{} {explained}", self.status)
    }
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
            (400, "routing_missing_exception"),
            (401, "security_exception"),
        ] {
            assert_eq!(verdict(status, kind), Verdict::Busy(text(status, kind)));
        }
        for (status, kind) in [(404, "index_not_found_exception"), (403, "security_exception")] {
            assert_eq!(verdict(status, kind), Verdict::Closed(text(status, kind)));
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
    fn blocks_of_one_index_are_told_from_those_of_the_cluster_and_of_a_full_disk() {
        for (status, reason, is_closed) in [
            (403, "index [a] blocked by: [FORBIDDEN/8/index write (api)];", true),
            (403, "index [a] blocked by: [FORBIDDEN/5/index read-only (api)];", true),
            (
                403,
                "index [a] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];",
                false,
            ),
            (
                403,
                "index [a] blocked by: [FORBIDDEN/8/index write (api)];[FORBIDDEN/12/disk usage exceeded];",
                false,
            ),
            (429, "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded];", false),
            (403, "blocked by: [FORBIDDEN/6/cluster read-only (api)];", false),
        ] {
            let body = format!(
                r#"{{"errors":true,"items":[{{"index":{{"status":{status},"error":{{"type":"cluster_block_exception","reason":"{reason}"}}}}}}]}}"#
            );
            let Ok(Answer::Each(verdicts)) = Answer::read(body.as_bytes(), 1) else { panic!() };
            match is_closed {
                true => assert!(matches!(verdicts[..], [Verdict::Closed(_)]), "{reason}"),
                false => assert!(matches!(verdicts[..], [Verdict::Busy(_)]), "{reason}"),
            }
        }
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
    fn what_the_settings_are_to_blame_for_refuses_no_document() {
        for reason in [
            "only write ops with an op_type of create are allowed in data streams",
            "Document ID is not supported in create/index operation request",
            "pipeline with id [p] does not exist",
            "no write index is defined for alias [logs-a-20250102]. The write index may be explicitly disabled",
        ] {
            let body = format!(
                r#"{{"errors":true,"items":[{{"index":{{"status":400,"error":{{"type":"illegal_argument_exception","reason":"{reason}"}}}}}}]}}"#
            );
            let Ok(Answer::Each(verdicts)) = Answer::read(body.as_bytes(), 1) else { panic!() };
            assert!(matches!(verdicts[..], [Verdict::Busy(_)]), "{reason}");
            // The same words, quoted from a document that cannot be parsed.
            let body = body.replace("illegal_argument_exception", "mapper_parsing_exception");
            let Ok(Answer::Each(verdicts)) = Answer::read(body.as_bytes(), 1) else { panic!() };
            assert!(matches!(verdicts[..], [Verdict::Refused(_)]), "{reason}");
            let body = body.replace("mapper_parsing_exception", "illegal_argument_exception");
            let body = body.replace(reason, &format!("failed to parse, preview: {reason}"));
            let Ok(Answer::Each(verdicts)) = Answer::read(body.as_bytes(), 1) else { panic!() };
            assert!(matches!(verdicts[..], [Verdict::Refused(_)]), "{reason}");
        }
    }

    #[test]
    fn what_is_no_bulk_answer_is_told_apart() {
        for body in ["", "<html>", "{}", r#"{"errors":true}"#, r#"{"errors":true,"items":[]}"#] {
            assert!(Answer::read(body.as_bytes(), 1).is_err(), "{body}");
        }
    }
}
