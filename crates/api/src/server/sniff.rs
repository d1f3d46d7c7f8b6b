//! Which HTTP a client speaks: told by its first bytes, which are then read again.
//!
//! HTTP/2 without TLS begins with a preface that is no request of HTTP/1.1 ("prior knowledge", RFC
//! 9113, 3.3). The asynchronous clients of the AWS SDK for Java speak it to `http://` endpoints.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The HTTP of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Also for HTTP/1.0, and for what is no HTTP at all: it gets the answer to a bad request.
    Http1,
    Http2,
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes were looked at, and come again.
pub(crate) struct Replayed<S> {
    first: [u8; PREFACE.len()],
    /// Of `first`: from the next to be read to the end of what there is.
    left: std::ops::Range<usize>,
    stream: TokioIo<S>,
}

/// Reads no more than it takes to tell. None when the client goes away before that.
pub(crate) async fn sniff<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Protocol, Replayed<S>)>> {
    let mut first = [0; PREFACE.len()];
    let mut count = 0;
    let protocol = loop {
        let read = stream.read(&mut first[count..]).await?;
        count += read;
        if first[..count] != PREFACE[..count] || (read == 0 && count > 0) {
            break Protocol::Http1;
        }
        if count == PREFACE.len() {
            break Protocol::Http2;
        }
        if read == 0 {
            return Ok(None);
        }
    };
    let stream = TokioIo::new(stream);
    Ok(Some((protocol, Replayed { first, left: 0..count, stream })))
}

impl<S> Replayed<S> {
    /// A stream that nothing was read from.
    pub(crate) fn nothing(stream: S) -> Self {
        Self { first: [0; PREFACE.len()], left: 0..0, stream: TokioIo::new(stream) }
    }
}

impl<S: AsyncRead + Unpin> Read for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.left.len().min(buffer.remaining());
        buffer.put_slice(&self.first[self.left.start..][..count]);
        self.left.start += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: tokio::io::AsyncWrite + Unpin> Write for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is told of bytes that come one by one, and what is read again.
    async fn told(bytes: &[u8]) -> Option<(Protocol, Vec<u8>)> {
        let (near, mut far) = tokio::io::duplex(1);
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            // Nobody reads the rest.
            let _ = far.write_all(&bytes).await;
        });
        let (protocol, mut replayed) = sniff(near).await.unwrap()?;
        let mut read = Vec::new();
        TokioIo::new(&mut replayed).read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        Some((protocol, read))
    }

    #[tokio::test]
    async fn the_preface_is_told_from_requests_and_nothing_is_lost() {
        let http2 = [PREFACE.as_slice(), b"frames"].concat();
        for (bytes, protocol) in [
            (http2.as_slice(), Protocol::Http2),
            (b"POST / HTTP/1.1\r\n", Protocol::Http1),
            (b"PRI * HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"P", Protocol::Http1),
            (&PREFACE[..23], Protocol::Http1),
            (b"\x16\x03\x01", Protocol::Http1),
        ] {
            assert_eq!(told(bytes).await, Some((protocol, bytes.to_vec())), "{bytes:?}");
        }
        assert_eq!(told(b"").await, None);
    }
}
