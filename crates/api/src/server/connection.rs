//! The life of one connection: TLS or none, HTTP/1.1 with keep-alive or HTTP/2, until the client, a
//! timeout or the end of the server closes it.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use crate::limits::{
    CONNECTION_BUFFER_BYTES, HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, HEADERS_MAX, WRITE_STALL_TIMEOUT,
};
use crate::server::front::Front;
use crate::server::http2;
use crate::server::sniff::{Protocol, Replayed, sniff};
use crate::server::stall::StallGuard;
use crate::server::tls::{ALPN_HTTP1, ALPN_HTTP2, Certificates};

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) front: Arc<Front>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Changes when the server is to stop.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Answers the requests of a connection; once the server stops, no further one.
pub(crate) async fn run(stream: TcpStream, shared: Shared) {
    // A lost option costs latency only.
    let _ = stream.set_nodelay(true);
    let ended = match &shared.certificates {
        None => tell_and_serve(stream, &shared).await,
        Some(certificates) => match handshake(stream, certificates, &shared).await {
            Ok(Some(stream)) => match stream.get_ref().1.alpn_protocol() {
                Some(ALPN_HTTP2) => {
                    serve(Protocol::Http2, Replayed::nothing(stream), &shared).await
                }
                Some(ALPN_HTTP1) => {
                    serve(Protocol::Http1, Replayed::nothing(stream), &shared).await
                }
                _ => tell_and_serve(stream, &shared).await,
            },
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = ended {
        // Clients come and go: of interest only to whoever looks for it.
        tracing::debug!(%error, "a connection ended early");
    }
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Waits for something in time, and no longer than the server runs.
async fn before_the_end<T>(
    shared: &Shared,
    patience: Duration,
    something: impl Future<Output = io::Result<Option<T>>>,
) -> io::Result<Option<T>> {
    let mut stopped = shared.stopped.clone();
    tokio::select! {
        happened = tokio::time::timeout(patience, something) => {
            happened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ = stopped.changed() => Ok(None),
    }
}

/// For who speaks HTTP without TLS, which begins with a letter; TLS begins with the byte 22.
const PLAIN_REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 46\r\nConnection: close\r\n\r\nTLS is spoken here: use https instead of http\n";

/// A connection with TLS; none for a client that speaks something else.
async fn handshake(
    mut stream: TcpStream,
    certificates: &Certificates,
    shared: &Shared,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    before_the_end(shared, HANDSHAKE_TIMEOUT, async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            stream.write_all(PLAIN_REFUSED).await?;
            stream.shutdown().await?;
            // Bytes that nobody read would take the answer along when the connection is closed.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Ok(None);
        }
        certificates.acceptor().accept(stream).await.map(Some)
    })
    .await
}

async fn tell_and_serve<S>(stream: S, shared: &Shared) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match before_the_end(shared, HEAD_TIMEOUT, sniff(stream)).await? {
        Some((protocol, stream)) => serve(protocol, stream, shared).await,
        None => Ok(()),
    }
}

async fn serve<S>(protocol: Protocol, stream: Replayed<S>, shared: &Shared) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let stream = StallGuard::new(stream, WRITE_STALL_TIMEOUT);
    let (front, stopped) = (Arc::clone(&shared.front), shared.stopped.clone());
    match protocol {
        Protocol::Http1 => run_http1(stream, front, stopped).await?,
        Protocol::Http2 => http2::run(stream, front, stopped).await?,
    }
    Ok(())
}

async fn run_http1(
    stream: impl Read + Write + Unpin,
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
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
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
