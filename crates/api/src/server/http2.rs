//! HTTP/2 on one connection, under the limits that HTTP/1.1 has.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;

use crate::limits::{
    H2_CONNECTION_WINDOW_BYTES, H2_FRAME_BYTES_MAX, H2_HEADERS_BYTES_MAX, H2_PING_INTERVAL,
    H2_RESETS_CAUSED_MAX, H2_RESETS_PENDING_MAX, H2_SEND_BUFFER_BYTES, H2_STREAM_WINDOW_BYTES,
    H2_STREAMS_MAX, HEAD_TIMEOUT, HEADERS_MAX,
};
use crate::server::delivery::{Pieces, Streams};
use crate::server::front::Front;

/// Answers the requests of a connection; once `stopped` changes, no further one.
pub(crate) async fn run(
    stream: impl Read + Write + Unpin + Send,
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let streams = Streams::new();
    let service = service_fn(|mut request| {
        let front = Arc::clone(&front);
        async move {
            if let Some(refused) = refuse(&request) {
                return Ok::<_, Infallible>(refused.map(Either::Left));
            }
            name_host(&mut request);
            let mut answer = front.respond(request).await;
            // Each stream ends by itself here.
            answer.headers_mut().remove(CONNECTION);
            Ok(answer.map(|body| Either::Right(Pieces::new(body))))
        }
    });
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_frame_size(H2_FRAME_BYTES_MAX)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(H2_RESETS_CAUSED_MAX)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_INTERVAL)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut leaving = false;
    // Half a head is no stream yet, so this is the time for a head as well. A client that sends
    // one while others are under way cannot answer a ping between its frames.
    let mut idle = pin!(streams.idle(HEAD_TIMEOUT));
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            _ = stopped.changed(), if !leaving => leaving = true,
            () = &mut idle => {
                if leaving {
                    // It was told, and has not gone.
                    return Ok(());
                }
                leaving = true;
                idle.set(streams.idle(HEAD_TIMEOUT));
            }
            () = streams.given_up() => return Ok(()),
        }
        connection.as_mut().graceful_shutdown();
    }
}

/// The protocol bounds bytes alone.
fn refuse(request: &Request<Incoming>) -> Option<Response<Empty<bytes::Bytes>>> {
    (request.headers().len() > HEADERS_MAX).then(|| {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response
    })
}

/// `:authority` stands for `Host` (RFC 9113, 8.3.1): whoever reads headers finds it as always.
fn name_host(request: &mut Request<Incoming>) {
    if !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}
