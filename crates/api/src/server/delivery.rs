//! Answers over HTTP/2 on their way to the client: handed over in pieces, and given up when the
//! client takes none of them, or too few.
//!
//! A client of HTTP/2 may read its connection and yet never open the window of a stream. So a
//! connection that moves says nothing of an answer, and each answer is watched by itself.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::limits::{H2_PIECE_BYTES, WRITE_STALL_TIMEOUT};
use crate::server::patience::Patience;

tokio::task_local! {
    /// The delivery of the stream that this code runs for.
    static DELIVERY: Arc<Delivery>;
}

/// What a client was given and has not taken yet.
#[derive(Debug)]
pub(crate) struct Delivery {
    progress: Mutex<Progress>,
    /// All pieces were taken.
    taken: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Pieces handed over and not sent.
    pieces: usize,
    patience: Patience,
}

impl Delivery {
    fn new() -> Arc<Self> {
        let patience = Patience::new(WRITE_STALL_TIMEOUT);
        let progress = Mutex::new(Progress { pieces: 0, patience });
        Arc::new(Self { progress, taken: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece was handed over, and waits.
    fn hand_over(&self) {
        let mut progress = self.lock();
        progress.pieces += 1;
        progress.patience.waits(Instant::now());
    }

    /// A piece of so many bytes was taken.
    fn take(&self, bytes: usize) {
        let mut progress = self.lock();
        let now = Instant::now();
        progress.pieces -= 1;
        progress.patience.took(bytes, now);
        if progress.pieces > 0 {
            progress.patience.waits(now);
        } else {
            self.taken.notify_one();
        }
    }

    /// Done once the client has let wait for too long what it was given.
    async fn stalled(&self) {
        let mut look = Instant::now() + WRITE_STALL_TIMEOUT;
        loop {
            tokio::time::sleep_until(look).await;
            let (end, now) = (self.lock().patience.end(), Instant::now());
            look = match end {
                None => now + WRITE_STALL_TIMEOUT,
                Some(end) if end <= now => return,
                Some(end) => end,
            };
        }
    }

    /// Done once nothing waits any more.
    async fn finished(&self) {
        loop {
            let taken = self.taken.notified();
            if self.lock().pieces == 0 {
                return;
            }
            taken.await;
        }
    }
}

/// Bytes that were handed over; dropped when they are sent, or never will be.
struct Piece {
    bytes: Bytes,
    delivery: Arc<Delivery>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.delivery.take(self.bytes.len());
    }
}

/// An answer's body in pieces that are watched.
pub(crate) struct Pieces<B> {
    body: B,
    /// Of a frame of `body`, what was not handed over.
    rest: Bytes,
    delivery: Arc<Delivery>,
}

impl<B> Pieces<B> {
    /// The pieces of `body`; to be called where its stream runs, see [`Streams`].
    pub(crate) fn new(body: B) -> Self {
        let delivery = DELIVERY.try_with(Arc::clone).unwrap_or_else(|_| Delivery::new());
        Self { body, rest: Bytes::new(), delivery }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(H2_PIECE_BYTES);
        let bytes = self.rest.split_to(length);
        self.delivery.hand_over();
        let piece = Piece { bytes, delivery: Arc::clone(&self.delivery) };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first piece alone.
        self.body.size_hint()
    }
}

/// Runs the streams of a connection, and counts them.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    under_way: Arc<watch::Sender<usize>>,
    given_up: Arc<Notify>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { under_way: Arc::new(watch::Sender::new(0)), given_up: Arc::new(Notify::new()) }
    }

    /// Done once there was no stream for `patience`.
    pub(crate) async fn idle(&self, patience: Duration) {
        let mut under_way = self.under_way.subscribe();
        loop {
            // The sender is here: it does not go away.
            let _ = under_way.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(patience, under_way.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Done once a client does not take the end of an answer: there is no stream left to reset.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

/// Counts a stream as long as it lives.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let under_way = UnderWay::new(&self.under_way);
        let given_up = Arc::clone(&self.given_up);
        tokio::spawn(async move {
            let _under_way = under_way;
            let delivery = Delivery::new();
            let answered = DELIVERY.scope(Arc::clone(&delivery), stream);
            let answered = tokio::select! {
                _ = answered => ControlFlow::Continue(()),
                // The stream is dropped, which resets it and throws away what waits.
                () = delivery.stalled() => ControlFlow::Break(()),
            };
            if answered.is_break() {
                tracing::debug!("a client takes nothing of an answer: its stream is reset");
                return;
            }
            // All was handed over; what is left is the connection's to send.
            tokio::select! {
                () = delivery.finished() => {}
                () = delivery.stalled() => given_up.notify_one(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::limits::ANSWER_RATE_MIN;

    #[tokio::test]
    async fn a_body_is_handed_over_in_pieces_that_count_until_they_are_dropped() {
        let whole: Bytes = (0..50_000u32).map(|n| n as u8).collect();
        let mut pieces = Pieces::new(Full::new(whole.clone()));
        assert_eq!(pieces.size_hint().exact(), Some(50_000));
        let delivery = Arc::clone(&pieces.delivery);
        let mut taken = Vec::new();
        while let Some(frame) = pieces.frame().await {
            assert_eq!(pieces.is_end_stream(), taken.len() == 3);
            taken.push(frame.unwrap().into_data().unwrap());
        }
        let lengths: Vec<usize> = taken.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [16384, 16384, 16384, 848]);
        assert_eq!(taken.concat(), whole);
        assert_eq!(delivery.lock().pieces, 4);
        drop(taken);
        delivery.finished().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_stalls_when_pieces_wait_and_too_few_go() {
        let minute = Duration::from_secs(60);
        let delivery = Delivery::new();
        let patient = tokio::time::timeout(10 * minute, delivery.stalled()).await;
        assert!(patient.is_err(), "nothing waits");
        (0..100).for_each(|_| delivery.hand_over());
        let started = Instant::now();
        let taking = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                delivery.take(50 * ANSWER_RATE_MIN);
            }
            tokio::time::sleep(Duration::from_secs(50)).await;
            delivery.take(1);
        };
        tokio::join!(delivery.stalled(), taking);
        let waited = started.elapsed().as_secs();
        assert!((559..=561).contains(&waited), "{waited}: ten times for its bytes, and a minute");
    }
}
