//! From a request to its answer: the checks in the order in which the service makes them.
//!
//! Origin, method, empty body, content type, target, signature; then types, constraints and the
//! action itself, in the operation.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::Streams;
use crate::auth::{Authenticator, Caller};
use crate::kinesis::{Kinesis, Operation, room};
use crate::server::body::{self, BodyError};
use crate::server::meters::Meters;
use crate::server::origin::{self, Origin};
use crate::server::pages::Pages;
use crate::server::settings::ServerSettings;
use crate::wire::content_type::{AMAZON_JSON, ContentType, PLAIN_JSON};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::is_json;
use crate::wire::request_id::RequestIds;

/// Everything that answering takes.
pub(crate) struct Front {
    kinesis: Kinesis,
    authenticator: Authenticator,
    pages: Arc<dyn Pages>,
    request_room: Arc<Semaphore>,
    request_ids: RequestIds,
    meters: Meters,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// No connection is encrypted.
const SECURE: bool = false;
const TARGET: &str = "x-amz-target";
const XML: &str = "text/xml";
const ACCESS_DENIED: &str = "<AccessDeniedException>\n  <Message>Unable to determine \
    service/operation name to be authorized</Message>\n</AccessDeniedException>\n";
const UNKNOWN_OPERATION: &str = "<UnknownOperationException/>\n";

/// What an answer consists of, before the headers that all have.
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Bytes,
    error: Option<ErrorCode>,
    /// The rest of the request was not read: the connection cannot be used again.
    close: bool,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), error: None, close: false }
    }

    fn access_denied() -> Self {
        let reply = Self::new(403, XML, ACCESS_DENIED);
        Self { error: Some(ErrorCode::AccessDenied), ..reply }
    }

    fn error(error: &ApiError) -> Self {
        let reply = Self::new(error.code.status(), AMAZON_JSON, error.body());
        Self { error: Some(error.code), ..reply }
    }

    fn cut_short(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge => ErrorCode::RequestEntityTooLarge,
            BodyError::TimedOut | BodyError::Gone => ErrorCode::RequestTimeout,
        };
        Self { close: true, ..Self::error(&ApiError::new(code, error.to_string())) }
    }

    /// In the words of the service for `application/json`, which is not its protocol.
    fn plain_json(code: ErrorCode, status: u16) -> Self {
        let name = code.name();
        let body = format!(
            "{{\"Output\":{{\"__type\":\"com.amazon.coral.service#{name}\"}},\"Version\":\"1.0\"}}"
        );
        Self { error: Some(code), ..Self::new(status, PLAIN_JSON, body) }
    }
}

impl Front {
    /// The front of `streams`.
    pub(crate) fn new(settings: &ServerSettings, streams: Streams, pages: Arc<dyn Pages>) -> Self {
        let account = settings.account.clone();
        let authenticator = match &settings.credentials {
            Some(credentials) => Authenticator::verified(credentials.clone(), account),
            None => Authenticator::unverified(account, settings.region.clone()),
        };
        Self {
            kinesis: Kinesis::new(settings, streams),
            authenticator,
            pages,
            request_room: room(settings.request_bytes_max),
            request_ids: RequestIds::new(),
            meters: Meters::new(),
        }
    }

    /// Answers a request. There is always an answer.
    pub(crate) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let from = Origin::of(&head.headers);
        let preflight = head.method == Method::OPTIONS && from == Origin::Local;
        let reply = match head.method {
            _ if from == Origin::Foreign => Reply::access_denied(),
            Method::POST => self.post(&head, body).await,
            Method::GET => match self.pages.get(head.uri.path()) {
                Some(page) => Reply::new(page.status, page.content_type, page.body),
                None => Reply::access_denied(),
            },
            _ if preflight => Reply::new(200, AMAZON_JSON, Bytes::new()),
            _ => Reply::access_denied(),
        };
        let mut response = self.response(reply);
        if from == Origin::Local {
            origin::admit(response.headers_mut());
        }
        if preflight {
            origin::admit_preflight(&head.headers, response.headers_mut());
            response.headers_mut().remove(EXTENDED_REQUEST_ID);
        }
        response
    }

    fn response(&self, reply: Reply) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(reply.body));
        *response.status_mut() =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let id = self.request_ids.next();
        headers.insert(REQUEST_ID, id.id);
        headers.insert(EXTENDED_REQUEST_ID, id.extended);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        if let Some(code) = reply.error {
            headers.insert(ERROR_TYPE, HeaderValue::from_static(code.name()));
        }
        if reply.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A request to the API, counted.
    async fn post(&self, head: &hyper::http::request::Parts, body: Incoming) -> Reply {
        let clock = &self.kinesis.streams.clock;
        let started = clock.monotonic();
        let target = text(&head.headers, TARGET).unwrap_or_default();
        let operation = Operation::of_target(target);
        let reply = match body::read(body, &self.request_room).await {
            Ok(whole) => {
                let reply = self.call(head, operation, target, whole.bytes).await;
                drop(whole.room);
                reply
            }
            Err(error) => Reply::cut_short(error),
        };
        self.meters.count(operation, reply.error, clock.monotonic().saturating_sub(started));
        reply
    }

    async fn call(
        &self,
        head: &hyper::http::request::Parts,
        operation: Option<Operation>,
        target: &str,
        body: Bytes,
    ) -> Reply {
        if body.is_empty() {
            let code = operation.map_or(ErrorCode::UnknownOperation, |_| ErrorCode::Serialization);
            return Reply::error(&ApiError::bare(code));
        }
        match ContentType::of(text(&head.headers, CONTENT_TYPE.as_str())) {
            ContentType::AmazonJson => {}
            ContentType::PlainJson if is_json(&body) => {
                return Reply::plain_json(ErrorCode::UnknownOperation, 404);
            }
            ContentType::PlainJson => return Reply::plain_json(ErrorCode::Serialization, 400),
            ContentType::Other => return refuse_content_type(target),
        }
        let Some(operation) = operation else {
            return refuse(&ApiError::bare(ErrorCode::UnknownOperation), &body);
        };
        let now = self.kinesis.streams.clock.now();
        let caller = match self.authenticator.check(head, &body, now, SECURE) {
            Ok(caller) => caller,
            Err(error) => return refuse(&error, &body),
        };
        match operation.answer(&self.kinesis, body).await {
            Ok(answer) => Reply::new(200, AMAZON_JSON, answer),
            Err(error) => {
                log(operation, &caller, &error);
                Reply::error(&error)
            }
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What the server failed at is its owner's to know; what a client did wrong, the client's.
fn log(operation: Operation, caller: &Caller, error: &ApiError) {
    let operation = operation.name();
    let Caller { account, region, .. } = caller;
    if error.code == ErrorCode::InternalFailure {
        tracing::error!(operation, account, region, %error, "a request failed");
    } else {
        tracing::debug!(operation, account, region, %error, "a request was refused");
    }
}

fn refuse_content_type(target: &str) -> Reply {
    let names_operation = target
        .split_once('.')
        .is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
    if !names_operation {
        return Reply::access_denied();
    }
    tracing::debug!(target, "a request is not JSON 1.1; Java clients need CBOR switched off");
    let reply = Reply::new(404, XML, UNKNOWN_OPERATION);
    Reply { error: Some(ErrorCode::UnknownOperation), ..reply }
}

/// A request that is refused before it is parsed, in the place of the service, which parses first.
fn refuse(error: &ApiError, body: &[u8]) -> Reply {
    let is_object = body.trim_ascii_start().first() == Some(&b'{') && is_json(body);
    if is_object {
        Reply::error(error)
    } else {
        Reply::error(&ApiError::bare(ErrorCode::Serialization))
    }
}
