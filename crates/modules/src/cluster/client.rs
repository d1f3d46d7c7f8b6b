//! One call to a cluster: on a node that answers, as the user that the settings name.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::Clock;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response, StatusCode};
use url::Url;

use super::amazon::AwsService;
use super::nodes::Nodes;
use super::refusal::whole_error;
use super::settings::{Credentials, InvalidSettings, Settings, without_user};
use super::signing::{Amazon, Signer, Unsigned};

/// Bytes of an answer at most: 10,000 documents with a long reason each stay far below.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The fastest level: the network is the slower part only where it is much slower.
const GZIP_LEVEL: Compression = Compression::fast();
/// Below the usual idle time-outs of load balancers: they would cut a request.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A cluster, as calls reach it. Connections are kept and shared by all who call.
pub(crate) struct Client {
    http: reqwest::Client,
    nodes: Nodes,
    basic: Option<(String, crate::Secret)>,
    signer: Option<Signer>,
    gzip: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) method: &'c Method,
    /// Behind the path of the node's URL, without a slash before it. What is foreign in it is percent-encoded.
    pub(crate) path: &'c str,
    /// Without the `?`; empty for none.
    pub(crate) query: &'c str,
    pub(crate) content: Content<'c>,
}

/// The body of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'c> {
    Nothing,
    Json(&'c Bytes),
    /// Compressed if the settings say so.
    Lines(&'c Bytes),
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// What was called, for messages: without user and query.
    pub(crate) shown: String,
}

/// No node gave an answer; says which, why, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

impl Client {
    /// A client of the cluster of `settings`. Nothing is called yet.
    ///
    /// # Errors
    /// The first setting that cannot work; also that requests have to be signed and there is no `amazon`.
    pub(crate) fn new(
        settings: &Settings,
        amazon: Option<Arc<dyn Amazon>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let urls = settings.urls()?;
        let credentials = settings.credentials(&urls)?;
        let mut builder = reqwest::Client::builder()
            .default_headers(always_sent(&credentials)?)
            .user_agent(concat!("baikonur/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout())
            .timeout(settings.request_timeout())
            .pool_idle_timeout(POOL_IDLE)
            // A redirected POST becomes a GET: better to say where the cluster really is.
            .redirect(Policy::none());
        if let Some(trusted) = trusted(settings)? {
            builder = builder.tls_certs_only(trusted);
        }
        let http = builder.build().map_err(|error| InvalidSettings::Client(chain(&error)))?;
        let gzip = urls.iter().any(|url| settings.compresses(url));
        let (mut basic, mut signer) = (None, None);
        match credentials {
            Credentials::Anonymous | Credentials::ApiKey(_) => {}
            Credentials::Basic { username, password } => basic = Some((username, password)),
            Credentials::Signed { service, region } => {
                let amazon = amazon.ok_or(InvalidSettings::Credentials(
                    "requests have to be signed for Amazon, and there is nobody to ask for credentials",
                ))?;
                signer = Some(Signer::new(service, region, amazon, Arc::clone(&clock)));
            }
        }
        let nodes = Nodes::new(urls.iter().map(without_user).collect(), clock);
        Ok(Self { http, nodes, basic, signer, gzip })
    }

    /// Whether it is a collection of OpenSearch Serverless.
    pub(crate) fn is_serverless(&self) -> bool {
        self.signer.as_ref().is_some_and(|signer| signer.service() == AwsService::Aoss)
    }

    /// Makes a call: on the next node, and where that does not answer or says that it cannot (502, 503, 504), on the
    /// others, each once.
    ///
    /// # Errors
    /// No node gave an answer.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answered, Unreachable> {
        let body = self.body(call.content).await?;
        let mut last = Err(Unreachable(String::new()));
        for place in self.nodes.in_turn() {
            last = self.call_node(place, call, &body).await;
            match &last {
                Ok(answered) if !is_down(answered.status) => {
                    self.nodes.answered(place);
                    return last;
                }
                _ => self.nodes.failed(place),
            }
        }
        match last {
            Err(Unreachable(why)) if self.nodes.len() > 1 => {
                let count = self.nodes.len();
                Err(Unreachable(format!("none of the {count} nodes answers; the last one: {why}")))
            }
            last => last,
        }
    }

    async fn call_node(
        &self,
        place: usize,
        call: Call<'_>,
        body: &Bytes,
    ) -> Result<Answered, Unreachable> {
        let mut url = self.nodes.url(place).clone();
        let path = format!("{}/{}", url.path().trim_end_matches('/'), call.path);
        url.set_path(&path);
        let shown = url.to_string();
        if !call.query.is_empty() {
            url.set_query(Some(call.query));
        }
        let mut headers = HeaderMap::new();
        match call.content {
            Content::Nothing => {}
            Content::Json(_) => _ = headers.insert(CONTENT_TYPE, JSON),
            Content::Lines(_) => {
                headers.insert(CONTENT_TYPE, LINES);
                if self.gzip {
                    headers.insert(CONTENT_ENCODING, GZIP);
                }
            }
        }
        let Some(signer) = &self.signer else {
            return self.send(call.method, url, headers, body, &shown).await;
        };
        let (answered, key) = self.send_signed(signer, call, &url, &headers, body, &shown).await?;
        let is_refused = matches!(answered.status.as_u16(), 401 | 403);
        // An expired token is told like any other that is not taken.
        if is_refused && signer.renew(&key).await {
            let again = self.send_signed(signer, call, &url, &headers, body, &shown).await?;
            return Ok(again.0);
        }
        Ok(answered)
    }

    /// The answer, and who signed.
    async fn send_signed(
        &self,
        signer: &Signer,
        call: Call<'_>,
        url: &Url,
        headers: &HeaderMap,
        body: &Bytes,
        shown: &str,
    ) -> Result<(Answered, aws_credential_types::Credentials), Unreachable> {
        let (method, address) = (call.method.as_str(), url.as_str());
        let unsigned = Unsigned { method, url: address, headers, body };
        let signed = signer.sign(&unsigned).await;
        let (signature, key) = signed.map_err(|why| Unreachable(format!("{shown}: {why}")))?;
        let mut headers = headers.clone();
        headers.extend(signature);
        Ok((self.send(call.method, url.clone(), headers, body, shown).await?, key))
    }

    async fn send(
        &self,
        method: &Method,
        url: Url,
        headers: HeaderMap,
        body: &Bytes,
        shown: &str,
    ) -> Result<Answered, Unreachable> {
        let mut request = self.http.request(method.clone(), url).headers(headers);
        if let Some((username, password)) = &self.basic {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        if !body.is_empty() {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| unreachable(shown, error))?;
        let status = response.status();
        Ok(Answered { status, body: read(response, shown).await?, shown: shown.to_owned() })
    }

    async fn body(&self, content: Content<'_>) -> Result<Bytes, Unreachable> {
        match content {
            Content::Nothing => Ok(Bytes::new()),
            Content::Lines(lines) if self.gzip => {
                let lines = lines.clone();
                let compressed = tokio::task::spawn_blocking(move || gzip(&lines)).await;
                let compressed = compressed.map_err(|error| Unreachable(error.to_string()))?;
                Ok(compressed.into())
            }
            Content::Json(body) | Content::Lines(body) => Ok(body.clone()),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Said by a node, or a proxy before it, that another node may be asked instead of.
fn is_down(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

fn always_sent(credentials: &Credentials) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    if let Credentials::ApiKey(key) = credentials {
        let mut value = HeaderValue::try_from(format!("ApiKey {}", key.reveal()))
            .map_err(|_| InvalidSettings::Credentials("api_key has a character that no key has"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn trusted(settings: &Settings) -> Result<Option<Vec<Certificate>>, InvalidSettings> {
    let Some(file) = &settings.ca_file else { return Ok(None) };
    let invalid =
        |why: String| InvalidSettings::Certificates { file: file.display().to_string(), why };
    let pem = std::fs::read(file).map_err(|error| invalid(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(Some(certificates)),
        _ => Err(invalid("there are no certificates in PEM".to_owned())),
    }
}

async fn read(mut response: Response, shown: &str) -> Result<Vec<u8>, Unreachable> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(shown, error))? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(Unreachable(format!("{shown}: the answer has no end")));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn unreachable(shown: &str, error: reqwest::Error) -> Unreachable {
    let is_timeout = error.is_timeout();
    let what = chain(&error.without_url());
    let hint = if is_timeout {
        "raise `request_seconds` if the cluster is only slow"
    } else if what.contains("certificate") {
        "name the certificate of its authority as `ca_file`"
    } else {
        "check that it runs, and that `destination` is right"
    };
    Unreachable(format!("{shown}: {what}; {hint}"))
}

/// A foreign text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, &SEGMENT).to_string()
}

/// A query, encoded as Signature Version 4 canonicalises it: then it does not matter who encodes it once more.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", segment(name), segment(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `lines` as they are sent where requests are compressed.
pub fn gzip(lines: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), GZIP_LEVEL);
    encoder.write_all(lines).expect("a Vec takes all that is written");
    encoder.finish().expect("a Vec takes all that is written")
}

/// An error with all that caused it: the outer ones of HTTP clients say little.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

impl Answered {
    /// What was said and where, with the server's own words; `hint` says what to do about it.
    pub(crate) fn explained(&self, hint: &str) -> String {
        let told = whole_error(&self.body).map_or_else(String::new, |told| format!(" ({told})"));
        format!("{} answers {}{told}: {hint}", self.shown, self.status)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_compressed_body_is_the_body() {
        let mut body = String::new();
        let compressed = gzip(b"{\"index\":{}}\n{}\n");
        flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut body).unwrap();
        assert_eq!(body, "{\"index\":{}}\n{}\n");
    }
}
