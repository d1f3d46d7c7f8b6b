//! Group commit: the queue in front of the writer. Knows sizes and order, and nothing of records.
//!
//! Everything that was queued while the group before was being made durable goes into the next group
//! and shares its fsync; nobody waits for company. Order of submission is order in the group, so
//! waiters are answered in the order in which they asked. What waits is bounded by bytes: a request
//! gets its room before it is queued and gives it back when it was answered.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One permit of room stands for this many bytes.
const ROOM_UNIT: usize = 1024;

/// The end of the queue that requests are put in. Cheap to clone.
pub(crate) struct Queue<R> {
    sender: Sender<Queued<R>>,
    room: Arc<Semaphore>,
    permits: usize,
}

/// The end that the writer takes groups from.
pub(crate) struct Groups<R> {
    receiver: Receiver<Queued<R>>,
    group_bytes: usize,
}

/// A request that waits, with the room that it takes.
pub(crate) struct Queued<R> {
    request: R,
    bytes: usize,
    room: OwnedSemaphorePermit,
}

impl<R> Queued<R> {
    /// The request, and its room, to be dropped when the request was answered.
    pub(crate) fn split(self) -> (R, OwnedSemaphorePermit) {
        (self.request, self.room)
    }
}

/// The writer has ended.
#[derive(Debug)]
pub(crate) struct Ended;

/// What the writer does next.
pub(crate) enum Next<R> {
    /// These, at least one, in this order.
    Group(Vec<Queued<R>>),
    /// Nothing came in time.
    Idle,
    /// Nobody can ask any more.
    Ended,
}

/// A queue of at most `queue_bytes` from which groups of about `group_bytes` are taken.
pub(crate) fn queue<R>(queue_bytes: usize, group_bytes: usize) -> (Queue<R>, Groups<R>) {
    let (sender, receiver) = mpsc::channel();
    let permits = (queue_bytes / ROOM_UNIT).clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(permits));
    (Queue { sender, room, permits }, Groups { receiver, group_bytes })
}

impl<R> Queue<R> {
    /// Queues a request of `bytes` as soon as there is room. One that is larger than the queue waits
    /// until it is alone.
    pub(crate) async fn submit(&self, request: R, bytes: usize) -> Result<(), Ended> {
        let permits = (bytes / ROOM_UNIT + 1).min(self.permits) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Ended)?;
        self.sender.send(Queued { request, bytes, room }).map_err(|_| Ended)
    }
}

impl<R> Groups<R> {
    /// The next group: the first request, waited for up to `at_most`, and all that is queued behind
    /// it, up to the bytes of a group.
    pub(crate) fn next(&self, at_most: Duration) -> Next<R> {
        let first = match self.receiver.recv_timeout(at_most) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return Next::Idle,
            Err(RecvTimeoutError::Disconnected) => return Next::Ended,
        };
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while bytes < self.group_bytes {
            let Ok(request) = self.receiver.try_recv() else { break };
            bytes += request.bytes;
            group.push(request);
        }
        Next::Group(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);

    fn numbers(next: Next<u32>) -> Vec<u32> {
        match next {
            Next::Group(group) => group.into_iter().map(|queued| queued.request).collect(),
            Next::Idle | Next::Ended => Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_was_queued_meanwhile_shares_a_group_up_to_its_bytes() {
        let (queue, groups) = queue(1 << 20, 10_000);
        for number in 0..5 {
            queue.submit(number, 4_000).await.unwrap();
        }
        assert_eq!(numbers(groups.next(SOON)), [0, 1, 2]);
        assert_eq!(numbers(groups.next(SOON)), [3, 4]);
        assert!(matches!(groups.next(SOON), Next::Idle));
        drop(queue);
        assert!(matches!(groups.next(SOON), Next::Ended));
    }

    #[tokio::test]
    async fn a_request_waits_for_room_until_earlier_ones_are_answered() {
        let (queue, groups) = queue(8 * 1024, 1);
        queue.submit(1, 6 * 1024).await.unwrap();
        let larger_than_the_queue = queue.submit(2, 100 * 1024);
        tokio::pin!(larger_than_the_queue);
        assert!(tokio::time::timeout(SOON, &mut larger_than_the_queue).await.is_err());
        let first = groups.next(SOON);
        assert!(tokio::time::timeout(SOON, &mut larger_than_the_queue).await.is_err());
        drop(first);
        larger_than_the_queue.await.unwrap();
        assert_eq!(numbers(groups.next(SOON)), [2]);
    }

    #[tokio::test]
    async fn nothing_is_queued_for_a_writer_that_has_ended() {
        let (queue, groups) = queue(1024, 1);
        drop(groups);
        assert!(queue.submit(1, 1).await.is_err());
    }
}
