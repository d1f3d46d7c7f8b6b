//! A connection that is given up when the client takes nothing, or too little, of what waits for it.
//!
//! An answer of many megabytes holds memory until it is sent: without a limit in time, a few clients
//! that do not read would keep all others from reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep};

use crate::server::patience::Patience;

/// Passes bytes on, and fails a write that stalls too long.
pub(crate) struct StallGuard<S> {
    stream: S,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
}

impl<S> StallGuard<S> {
    /// Guards `stream`: writes may stall for `patience`, and longer as the client takes more.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(patience));
        Self { stream, patience: Patience::new(patience), timer }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = &written {
            self.patience.took(result.as_ref().map_or(0, bytes), Instant::now());
            return written;
        }
        let end = self.patience.waits(Instant::now());
        if self.timer.deadline() != end {
            self.timer.as_mut().reset(end);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let message = "the client takes too little of the answer";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
            }
        }
    }
}

impl<S: Read + Unpin> Read for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written, |bytes| *bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS it writes, too.
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, shut, |()| 0)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, written, |bytes| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::limits::ANSWER_RATE_MIN;

    async fn write(
        guard: &mut StallGuard<TokioIo<tokio::io::DuplexStream>>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = poll_fn(|context| Pin::new(&mut *guard).poll_write(context, rest)).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    const BUFFER: usize = ANSWER_RATE_MIN * 50;

    /// Whether a client is served that takes a buffer every so many seconds.
    async fn is_served(seconds: u64) -> bool {
        let (near, mut far) = tokio::io::duplex(BUFFER);
        let mut guard = StallGuard::new(TokioIo::new(near), Duration::from_secs(60));
        let reader = tokio::spawn(async move {
            let mut taken = vec![0; BUFFER];
            loop {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                if far.read_exact(&mut taken).await.is_err() {
                    return;
                }
            }
        });
        let written = write(&mut guard, &vec![0; 21 * BUFFER]).await;
        drop(guard);
        reader.await.unwrap();
        written.map_err(|error| assert_eq!(error.kind(), io::ErrorKind::TimedOut)).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_served_and_one_that_reads_too_slowly_is_given_up() {
        assert!(is_served(50).await, "it takes what is asked of it");
        assert!(!is_served(58).await, "it takes something each minute, and still too little");
        assert!(!is_served(3600).await);
    }
}
