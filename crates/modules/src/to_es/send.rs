//! One bulk request, and what a failure of all of it means.

use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::encode::Bulk;
use super::settings::Settings;
use crate::cluster::{Answered, Call, Client, Content, is_explained, query, whole_error};

/// The parts of an answer that are read: one status a document, and why it failed.
const FILTER: &str = "errors,items.*.status,items.*.error";

/// How errors of a whole request begin that mean the settings of the module or of the cluster, and no document.
const CONDITIONS: [&str; 2] = [
    // A setting of the cluster, by which no request that names its indices passes.
    "illegal_argument_exception: explicit index in bulk",
    // `pipeline` is missing.
    "illegal_argument_exception: pipeline with id [",
];

/// The bulk API of a cluster.
pub(super) struct BulkApi {
    query: String,
}

/// A request failed as a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendError {
    /// The cluster refuses something in it, or its size: parts of it may pass.
    #[error("{0}")]
    Refused(String),
    /// The cluster was too busy for it, or stumbled: it may pass in a moment, or without one of its documents.
    #[error("{0}")]
    Busy(String),
    /// Nobody looked at it: it may pass in a moment.
    #[error("{0}")]
    NotReady(String),
    /// No request would pass now.
    #[error("{0}")]
    Unavailable(String),
}

impl BulkApi {
    pub(super) fn new(settings: &Settings, client: &Client) -> Self {
        let mut pairs = Vec::new();
        // OpenSearch Serverless documents no filters; its answers are read whole.
        if !client.is_serverless() {
            pairs.push(("filter_path", FILTER));
        }
        if let Some(pipeline) = &settings.pipeline {
            pairs.push(("pipeline", pipeline.as_str()));
        }
        Self { query: query(&pairs) }
    }

    /// Sends a bulk.
    pub(super) async fn send(&self, client: &Client, bulk: &Bulk) -> Result<Answer, SendError> {
        let content = Content::Lines(bulk.body());
        let call = Call { method: &Method::POST, path: "_bulk", query: &self.query, content };
        let answered =
            client.call(call).await.map_err(|error| SendError::Unavailable(error.to_string()))?;
        if answered.status != StatusCode::OK {
            return Err(failed(&answered));
        }
        Answer::read(&answered.body, bulk.len()).map_err(|what| {
            SendError::Unavailable(format!(
                "{}: the answer is not one to a bulk request ({what}); check that `destination` is \
                 Elasticsearch 7 or later, or OpenSearch, and no proxy's own page",
                answered.shown
            ))
        })
    }
}

/// What a status other than 200 means, and what to do about it.
fn failed(answered: &Answered) -> SendError {
    let told = whole_error(&answered.body);
    let is_told = is_explained(&answered.body);
    let is_condition =
        told.is_some_and(|told| CONDITIONS.iter().any(|words| told.starts_with(words)));
    let hint = match answered.status.as_u16() {
        300..400 => "it redirects; give the URL behind the redirect as `destination`",
        // A proxy says so as well when it gets plain HTTP at a TLS port, and the cluster of a path that it does not have.
        400 if !is_told => "check scheme, port and path of `destination`",
        400 => "the request has something in it that the cluster refuses",
        401 => "check `username` and `password`, or `api_key`",
        403 => {
            "who calls needs the right to create indices and to index documents under \
             `index_name_prefix`; and the cluster may be blocked for writes"
        }
        404 | 405 => "check the path of `destination`",
        413 => "it is larger than the cluster takes; lower `bulk_bytes`",
        429 => "the cluster is overloaded; lower `bulk_bytes`, or give it more nodes",
        502..=504 => "the cluster, or a proxy before it, is not ready",
        _ => "look into the cluster's log",
    };
    let message = answered.explained(hint);
    match answered.status.as_u16() {
        413 => SendError::Refused(message),
        400 if is_condition => SendError::Unavailable(message),
        // Only the cluster itself can mean the documents, and then it gives type and reason.
        400 if is_told => SendError::Refused(message),
        429 | 500 => SendError::Busy(message),
        501.. => SendError::NotReady(message),
        _ => SendError::Unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &[u8]) -> Answered {
        let status = StatusCode::from_u16(status).unwrap();
        let shown = "http://127.0.0.1:9200/_bulk".to_owned();
        Answered { status, body: body.to_vec(), shown }
    }

    #[test]
    fn only_too_large_and_the_clusters_own_400_are_worth_a_smaller_request() {
        let told = br#"{"error":{"root_cause":[],"type":"t","reason":"r"},"status":400}"#;
        assert!(matches!(failed(&answered(413, b"")), SendError::Refused(_)));
        let SendError::Refused(message) = failed(&answered(400, told)) else { panic!() };
        assert!(
            message.starts_with("http://127.0.0.1:9200/_bulk answers 400 Bad Request (t: r): ")
        );
        for body in [
            &b"<html>plain HTTP at a TLS port</html>"[..],
            br#"{"error":"no handler found for uri [/x/_bulk] and method [POST]"}"#,
            br#"{"message":"Bad Request"}"#,
            br#"{"Message":"Your request is not valid"}"#,
        ] {
            let SendError::Unavailable(message) = failed(&answered(400, body)) else { panic!() };
            assert!(message.contains("path of `destination`"), "{message}");
        }
        for (status, hint) in [(301, "redirects"), (401, "`username`"), (404, "path")] {
            let error = failed(&answered(status, b""));
            assert!(
                matches!(&error, SendError::Unavailable(message) if message.contains(hint)),
                "{error}"
            );
        }
    }

    #[test]
    fn overload_and_errors_of_the_server_may_pass() {
        for (status, hint) in [(429, "overloaded"), (500, "log")] {
            let error = failed(&answered(status, b""));
            assert!(
                matches!(&error, SendError::Busy(message) if message.contains(hint)),
                "{error}"
            );
        }
        let error = failed(&answered(503, b""));
        assert!(
            matches!(&error, SendError::NotReady(message) if message.contains("not ready")),
            "{error}"
        );
    }

    #[test]
    fn conditions_of_the_cluster_are_no_fault_of_the_documents() {
        for reason in
            ["explicit index in bulk is not allowed", "pipeline with id [p] does not exist"]
        {
            let body = format!(
                r#"{{"error":{{"type":"illegal_argument_exception","reason":"{reason}"}}}}"#
            );
            let error = failed(&answered(400, body.as_bytes()));
            assert!(matches!(error, SendError::Unavailable(_)), "{error}");
        }
    }
}
