//! From a request to its answer: the checks in the order in which the service makes them.
//!
//! Origin, method, empty body, content type, target, signature; then types, constraints and the
//! action itself, in the operation.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::Streams;
use crate::auth::{Authenticator, Caller};
use crate::kinesis::{Home, Kinesis, Operation, Shared, room};
use crate::server::body;
use crate::server::meters::Meters;
use crate::server::origin::{self, Origin};
use crate::server::pages::Pages;
use crate::server::reply::{Reply, ReplyBody};
use crate::server::settings::ServerSettings;
use crate::wire::content_type::{AMAZON_JSON, ContentType};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::format::Format;
use crate::wire::json::is_json;
use crate::wire::request_id::RequestIds;

/// Everything that answering takes.
pub(crate) struct Front {
    /// None where there are pages and no streams.
    shared: Option<Arc<Shared>>,
    home: Home,
    authenticator: Authenticator,
    /// All connections are encrypted.
    secure: bool,
    pages: Arc<dyn Pages>,
    request_room: Arc<Semaphore>,
    request_ids: RequestIds,
    meters: Meters,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const TARGET: &str = "x-amz-target";
const NO_STREAMS: &str = "no streams are served here; they are where this process reads them";

impl Front {
    /// The front of `streams`, or of pages alone.
    pub(crate) fn new(
        settings: &ServerSettings,
        secure: bool,
        streams: Option<Streams>,
        pages: Arc<dyn Pages>,
    ) -> Self {
        let account = settings.account.clone();
        let authenticator = match &settings.credentials {
            Some(credentials) => Authenticator::verified(credentials.clone(), account),
            None => Authenticator::unverified(account, settings.region.clone()),
        };
        Self {
            shared: streams.map(|streams| Shared::new(settings, streams)),
            home: Home::of(settings),
            authenticator,
            secure,
            pages,
            request_room: room(settings.request_bytes_max),
            request_ids: RequestIds::new(),
            meters: Meters::new(),
        }
    }

    /// Ends what would go on by itself.
    pub(crate) fn stop(&self) {
        if let Some(shared) = &self.shared {
            shared.subscriptions.stop();
        }
    }

    /// Answers a request. There is always an answer.
    pub(crate) async fn respond(&self, request: Request<Incoming>) -> Response<ReplyBody> {
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

    fn response(&self, reply: Reply) -> Response<ReplyBody> {
        let mut response = Response::new(reply.body);
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
        let content_type = ContentType::of(text(&head.headers, CONTENT_TYPE.as_str()));
        let Some(shared) = &self.shared else {
            let error = ApiError::new(ErrorCode::UnknownOperation, NO_STREAMS);
            return Reply::error(&error, content_type.of_error());
        };
        let clock = &shared.streams.clock;
        let started = clock.monotonic();
        let target = text(&head.headers, TARGET).unwrap_or_default();
        let operation = Operation::of_target(target);
        let waits = head.headers.contains_key(EXPECT);
        let reply = match body::read(body, waits, &self.request_room).await {
            Ok(whole) => {
                let called = (operation, target);
                let reply = self.call(shared, head, content_type, called, whole.bytes).await;
                drop(whole.room);
                reply
            }
            Err(error) => Reply::cut_short(error, content_type.of_error()),
        };
        self.meters.count(operation, reply.error, clock.monotonic().saturating_sub(started));
        reply
    }

    async fn call(
        &self,
        shared: &Arc<Shared>,
        head: &hyper::http::request::Parts,
        content_type: ContentType,
        (operation, target): (Option<Operation>, &str),
        body: Bytes,
    ) -> Reply {
        if body.is_empty() {
            let code = operation.map_or(ErrorCode::UnknownOperation, |_| ErrorCode::Serialization);
            return Reply::error(&ApiError::bare(code), content_type.of_error());
        }
        let format = match content_type {
            ContentType::Amazon(format) => format,
            ContentType::PlainJson if is_json(&body) => {
                return Reply::plain_json(ErrorCode::UnknownOperation, 404);
            }
            ContentType::PlainJson => return Reply::plain_json(ErrorCode::Serialization, 400),
            ContentType::Other => return refuse_content_type(target),
        };
        let Some(operation) = operation else {
            return refuse(&ApiError::bare(ErrorCode::UnknownOperation), format, &body);
        };
        let now = shared.streams.clock.now();
        let caller = match self.authenticator.check(head, &body, now, self.secure) {
            Ok(caller) => caller,
            Err(error) => return refuse(&error, format, &body),
        };
        let home = match self.home.of_caller(&caller.account, &caller.region) {
            Ok(home) => home,
            Err(error) => return Reply::error(&error, format),
        };
        let kinesis = Kinesis { shared: Arc::clone(shared), home, format };
        match operation.answer(&kinesis, body).await {
            Ok(answer) => Reply::success(answer, format),
            Err(error) => {
                log(operation, &caller, &error);
                Reply::error(&error, format)
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
    tracing::debug!(target, "a request is neither JSON 1.1 nor CBOR 1.1");
    Reply::unknown_content_type()
}

/// A request that is refused before it is parsed, in the place of the service, which parses first.
fn refuse(error: &ApiError, format: Format, body: &[u8]) -> Reply {
    if format.is_structure(body) {
        Reply::error(error, format)
    } else {
        Reply::error(&ApiError::bare(ErrorCode::Serialization), format)
    }
}
