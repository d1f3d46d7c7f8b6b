//! One bulk request over HTTP, and what a failure of all of it means.

use std::error::Error;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::answer::{Answer, whole_error};
use super::settings::{Credentials, InvalidSettings, Settings, without_user};

/// The parts of an answer that are read: one status a document, and why it failed.
const FILTER: &str = "errors,items.*.status,items.*.error";
/// Bytes of an answer at most: 10,000 documents with a long reason each stay far below.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The fastest level: the network is the slower part only where it is much slower.
const GZIP_LEVEL: Compression = Compression::fast();

/// The cluster, as bulk requests reach it. Connections are kept and shared by all shards.
#[derive(Debug)]
pub(super) struct Cluster {
    client: Client,
    bulk: Url,
    /// The URL for messages: without user and query.
    shown: String,
    credentials: Credentials,
    gzip: bool,
}

/// A request failed as a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendError {
    /// The cluster refuses something in it, or its size: parts of it may pass.
    #[error("{0}")]
    Refused(String),
    /// No request would pass now.
    #[error("{0}")]
    Unavailable(String),
}

impl Cluster {
    pub(super) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let url = settings.url()?;
        let credentials = settings.credentials(&url)?;
        let client = Client::builder()
            .default_headers(always_sent(&credentials)?)
            .user_agent(concat!("baikonur/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout())
            .timeout(settings.request_timeout())
            // Below the usual idle time-outs of load balancers: they would cut a request.
            .pool_idle_timeout(std::time::Duration::from_secs(30))
            // A redirected POST becomes a GET: better to say where the cluster really is.
            .redirect(Policy::none())
            .build()
            .map_err(|error| InvalidSettings::Client(chain(&error)))?;
        let gzip = settings.compresses(&url);
        let mut bulk = without_user(&url);
        let path = format!("{}/_bulk", bulk.path().trim_end_matches('/'));
        bulk.set_path(&path);
        let shown = bulk.to_string();
        bulk.query_pairs_mut().append_pair("filter_path", FILTER);
        Ok(Self { client, bulk, shown, credentials, gzip })
    }

    /// The URL for messages.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Sends a bulk of `documents`.
    pub(super) async fn bulk(&self, body: Bytes, documents: usize) -> Result<Answer, SendError> {
        let mut request = self.client.post(self.bulk.clone());
        if let Credentials::Basic { username, password } = &self.credentials {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        if self.gzip {
            let compressed = tokio::task::spawn_blocking(move || compress(&body)).await;
            let compressed = compressed.map_err(|error| self.unavailable(&error.to_string()))?;
            request = request.header(CONTENT_ENCODING, "gzip").body(compressed);
        } else {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let answer = self.read(response).await?;
        if status != StatusCode::OK {
            return Err(self.failed(status, &answer));
        }
        Answer::read(&answer, documents).map_err(|what| {
            self.unavailable(&format!(
                "the answer is not one to a bulk request ({what}); check that `destination` is \
                 Elasticsearch 7 or later, or OpenSearch, and no proxy's own page"
            ))
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, SendError> {
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if answer.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(self.unavailable("the answer has no end"));
            }
            answer.extend_from_slice(&part);
        }
        Ok(answer)
    }

    /// What a status other than 200 means, and what to do about it.
    fn failed(&self, status: StatusCode, answer: &[u8]) -> SendError {
        let told = whole_error(answer);
        let hint = match status.as_u16() {
            300..400 => "it redirects; give the URL behind the redirect as `destination`",
            // A proxy says so as well when it gets plain HTTP at a TLS port.
            400 if told.is_none() => "check scheme and port of `destination`",
            400 => "the request has something in it that the cluster refuses",
            401 => "check `username` and `password`, or `api_key`",
            403 => {
                "the user needs the right to create indices and to index documents under \
                 `index_name_prefix`; and the cluster may be blocked for writes"
            }
            404 | 405 => "check the path of `destination`",
            413 => "it is larger than the cluster takes; lower `bulk_bytes`",
            429 => "the cluster is overloaded; lower `bulk_bytes`, or give it more nodes",
            502..=504 => "the cluster, or a proxy before it, is not ready",
            _ => "look into the cluster's log",
        };
        let told = told.map_or_else(String::new, |told| format!(" ({told})"));
        let message = format!("{} answers {status}{told}: {hint}", self.shown);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => SendError::Refused(message),
            // A setting of the cluster, by which no request that names its indices passes.
            StatusCode::BAD_REQUEST if message.contains("explicit index in bulk") => {
                SendError::Unavailable(message)
            }
            // Only the cluster itself can mean the documents.
            StatusCode::BAD_REQUEST if whole_error(answer).is_some() => SendError::Refused(message),
            _ => SendError::Unavailable(message),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> SendError {
        let hint = if error.is_timeout() {
            "raise `request_seconds` if the cluster is only slow"
        } else {
            "check that it runs, and that `destination` is right"
        };
        self.unavailable(&format!("{}; {hint}", chain(&error.without_url())))
    }

    fn unavailable(&self, what: &str) -> SendError {
        SendError::Unavailable(format!("{}: {what}", self.shown))
    }
}

fn always_sent(credentials: &Credentials) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Credentials::ApiKey(key) = credentials {
        let mut value = HeaderValue::try_from(format!("ApiKey {}", key.reveal()))
            .map_err(|_| InvalidSettings::Credentials("api_key has a character that no key has"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), GZIP_LEVEL);
    encoder.write_all(body).expect("a Vec takes all that is written");
    encoder.finish().expect("a Vec takes all that is written")
}

/// An error with all that caused it: the outer ones of HTTP clients say little.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::doubles::settings;
    use super::*;

    fn cluster(destination: &str) -> Cluster {
        Cluster::new(&Settings { destination: destination.to_owned(), ..settings() }).unwrap()
    }

    #[test]
    fn a_path_stays_before_the_operation_and_a_user_goes_into_a_header() {
        let cluster = cluster("https://me:hush@proxy.example.com/search/");
        assert_eq!(cluster.shown, "https://proxy.example.com/search/_bulk");
        assert!(
            cluster
                .bulk
                .as_str()
                .starts_with("https://proxy.example.com/search/_bulk?filter_path=")
        );
        assert!(!format!("{cluster:?}").contains("hush"));
    }

    #[test]
    fn only_too_large_and_the_clusters_own_400_are_worth_a_smaller_request() {
        let cluster = cluster("http://127.0.0.1:9200");
        let told = br#"{"error":{"root_cause":[],"type":"t","reason":"r"},"status":400}"#;
        let message = |error: SendError| error.to_string();
        assert!(matches!(
            cluster.failed(StatusCode::PAYLOAD_TOO_LARGE, b""),
            SendError::Refused(_)
        ));
        let refused = cluster.failed(StatusCode::BAD_REQUEST, told);
        assert!(matches!(refused, SendError::Refused(_)));
        assert!(
            message(refused)
                .starts_with("http://127.0.0.1:9200/_bulk answers 400 Bad Request (t: r): ")
        );
        let page =
            cluster.failed(StatusCode::BAD_REQUEST, b"<html>plain HTTP at a TLS port</html>");
        assert!(matches!(page, SendError::Unavailable(_)));
        for (status, hint) in [
            (301, "redirects"),
            (401, "`username`"),
            (404, "path"),
            (429, "overloaded"),
            (503, "not ready"),
        ] {
            let error = cluster.failed(StatusCode::from_u16(status).unwrap(), b"");
            assert!(
                matches!(&error, SendError::Unavailable(message) if message.contains(hint)),
                "{error}"
            );
        }
    }

    #[test]
    fn a_compressed_body_is_the_body() {
        let mut body = String::new();
        let compressed = compress(b"{\"index\":{}}\n{}\n");
        flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut body).unwrap();
        assert_eq!(body, "{\"index\":{}}\n{}\n");
    }
}
