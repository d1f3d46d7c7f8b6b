//! A client of the Kinesis API (JSON 1.1), for `put`, `tail` and `redrive`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use baikonur_api::{Post, Signer};
use baikonur_stream::{Clock, SystemClock};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Position;

use crate::signing::signer_of_environment;

/// The flag of all commands that talk to a server.
#[derive(Debug, clap::Args)]
pub(crate) struct Endpoint {
    /// The Kinesis API.
    #[arg(
        long,
        env = "AWS_ENDPOINT_URL_KINESIS",
        default_value = "http://127.0.0.1:4567",
        value_name = "URL"
    )]
    endpoint: Url,
    /// Certificates in PEM that an https endpoint may be trusted by, instead of those of this machine.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.endpoint.as_str().trim_end_matches('/').to_owned()
    }

    /// A client of it.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::new(self.endpoint.clone(), self.ca_file(), signer_of_environment()?)
    }

    /// Without TLS nobody needs it, also where it stands in the environment for other programs.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref().filter(|_| self.endpoint.scheme() == "https")
    }
}

/// An endpoint that speaks the Kinesis API.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    /// None for a server that does not verify signatures, as `baikonur up` is without credentials.
    signer: Option<Signer>,
    clock: SystemClock,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody listens.
    #[error("no answer from {endpoint}: {what}; is `baikonur up` running there?")]
    NotThere {
        /// Where.
        endpoint: Url,
        /// What went wrong.
        what: String,
    },
    /// Its certificate is not trusted.
    #[error(
        "{endpoint} is not trusted: {what}; name the certificate of its authority with --ca-file"
    )]
    Untrusted {
        /// Where.
        endpoint: Url,
        /// What is wrong.
        what: String,
    },
    /// A connection broke, or there was no answer in time.
    #[error("no answer from {endpoint}: {what}")]
    Unreachable {
        /// Where.
        endpoint: Url,
        /// What went wrong.
        what: String,
    },
    /// What was to be sent has characters that no header can have.
    #[error("{operation}: the call cannot be signed: {what}")]
    Unsignable {
        /// What was asked.
        operation: &'static str,
        /// What is wrong.
        what: header::InvalidHeaderValue,
    },
    /// The service verifies signatures, and there was nothing to sign with.
    #[error(
        "{operation}: {endpoint} verifies signatures: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Unsigned {
        /// What was asked.
        operation: &'static str,
        /// Where.
        endpoint: Url,
    },
    /// The service said no.
    #[error("{operation}: {code}: {message}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The exception's name.
        code: String,
        /// Its message.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("{operation}: {endpoint} does not speak the Kinesis API ({what})")]
    Strange {
        /// What was asked.
        operation: &'static str,
        /// Where.
        endpoint: Url,
        /// What is strange.
        what: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotThere { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "ProvisionedThroughputExceededException"
                    | "LimitExceededException"
                    | "InternalFailure"
                    | "ServiceUnavailable"
                    | "RequestTimeoutException"
            ),
            Self::Strange { .. }
            | Self::Untrusted { .. }
            | Self::Unsignable { .. }
            | Self::Unsigned { .. } => false,
        }
    }

    /// Whether the call may have been carried out all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Strange { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "InternalFailure" | "ServiceUnavailable" | "RequestTimeoutException"
            ),
            Self::NotThere { .. }
            | Self::Untrusted { .. }
            | Self::Unsignable { .. }
            | Self::Unsigned { .. } => false,
        }
    }

    /// Whether it is about what was sent, and not about who asks or whom.
    pub(crate) fn is_about_the_records(&self) -> bool {
        let of_records =
            ["ValidationException", "InvalidArgumentException", "SerializationException"];
        of_records.iter().any(|exception| self.is(exception))
    }

    /// Whether it is the exception of this name.
    pub(crate) fn is(&self, exception: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == exception)
    }
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How rustls begins to say that a certificate is wrong or of somebody unknown.
const BAD_CERTIFICATE: &str = "invalid peer certificate";
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// A server wants to see a signature even when it does not verify it.
const UNSIGNED: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, \
                        SignedHeaders=host;x-amz-date, Signature=none";

impl Client {
    /// A client of `endpoint`.
    fn new(endpoint: Url, ca_file: Option<&Path>, signer: Option<Signer>) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .no_proxy();
        if let Some(file) = ca_file {
            let shown = file.display();
            let text = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
            let certificates = Certificate::from_pem_bundle(&text)
                .with_context(|| format!("{shown} has no certificates in PEM"))?;
            anyhow::ensure!(!certificates.is_empty(), "{shown} has no certificates in PEM");
            http = http.tls_certs_only(certificates);
        }
        let http = http.build()?;
        Ok(Self { http, endpoint, signer, clock: SystemClock::new() })
    }

    /// One call, not repeated.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<T, CallError> {
        let unreachable = |error: reqwest::Error| {
            let (endpoint, what) = (self.endpoint.clone(), innermost(&error));
            match error.is_connect() {
                true if what.starts_with(BAD_CERTIFICATE) => {
                    CallError::Untrusted { endpoint, what }
                }
                true => CallError::NotThere { endpoint, what },
                false => CallError::Unreachable { endpoint, what },
            }
        };
        let body = body.into();
        let headers = self
            .headers(operation, &body)
            .map_err(|what| CallError::Unsignable { operation, what })?;
        let answer = self
            .http
            .post(self.endpoint.clone())
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        let strange = |what: String| self.strange(operation, what);
        if status.is_success() {
            let body = if body.is_empty() { b"null" } else { &*body };
            return serde_json::from_slice(body).map_err(|error| strange(error.to_string()));
        }
        let Ok(exception) = serde_json::from_slice::<Exception>(&body) else {
            return Err(strange(format!("HTTP {status}")));
        };
        let code = exception.kind.rsplit('#').next().unwrap_or_default().to_owned();
        if self.signer.is_none()
            && matches!(&*code, "InvalidSignatureException" | "UnrecognizedClientException")
        {
            return Err(CallError::Unsigned { operation, endpoint: self.endpoint.clone() });
        }
        Err(CallError::Refused { operation, code, message: exception.message })
    }

    /// An answer to `operation` that makes no sense.
    pub(crate) fn strange(&self, operation: &'static str, what: String) -> CallError {
        CallError::Strange { operation, endpoint: self.endpoint.clone(), what }
    }

    fn headers(
        &self,
        operation: &str,
        body: &[u8],
    ) -> Result<HeaderMap, header::InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let target = format!("Kinesis_20131202.{operation}");
        headers.insert(AMZ_TARGET, HeaderValue::from_str(&target)?);
        match &self.signer {
            Some(signer) => {
                let post = Post {
                    authority: &self.endpoint[Position::BeforeHost..Position::AfterPort],
                    path: self.endpoint.path(),
                    query: self.endpoint.query(),
                };
                signer.sign(post, &mut headers, body, self.clock.now())?;
            }
            None => {
                headers.insert(AMZ_DATE, HeaderValue::from_static("20260101T000000Z"));
                headers.insert(AUTHORIZATION, HeaderValue::from_static(UNSIGNED));
            }
        }
        Ok(headers)
    }
}

/// The last of an error's causes, which says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
