//! The life of one connection: HTTP/1.1 with keep-alive, until the client, a timeout or the end of
//! the server closes it.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::limits::{CONNECTION_BUFFER_BYTES, HEAD_TIMEOUT, HEADERS_MAX, WRITE_STALL_TIMEOUT};
use crate::server::front::Front;
use crate::server::stall::StallGuard;

/// Answers the requests of a connection; once `stopped` changes, no further one.
pub(crate) async fn run(stream: TcpStream, front: Arc<Front>, mut stopped: watch::Receiver<bool>) {
    // A lost option costs latency only.
    let _ = stream.set_nodelay(true);
    let stream = StallGuard::new(TokioIo::new(stream), WRITE_STALL_TIMEOUT);
    let service = service_fn(|request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.respond(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients come and go: of interest only to whoever looks for it.
        tracing::debug!(%error, "a connection ended early");
    }
}
