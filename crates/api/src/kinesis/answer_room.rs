//! Memory for answers under way: reserved before a page is read, and given back when the client has
//! taken the last byte.
//!
//! Where there are several accounts, an owner has at most a share of it, so that slow clients of one do
//! not keep those of all others from reading.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use baikonur_stream::StreamOwner;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kinesis::Kinesis;
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_SHARE};
use crate::wire::error::{ApiError, ErrorCode};

/// One permit of room stands for this many bytes.
const ROOM_UNIT: usize = 1024;

/// Room for `bytes`, rounded up as all that is taken of it.
pub(crate) fn room(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits(bytes).min(Semaphore::MAX_PERMITS)))
}

/// The permits that stand for `bytes`.
pub(crate) fn permits(bytes: usize) -> usize {
    bytes.div_ceil(ROOM_UNIT)
}

/// The memory for all answers.
#[derive(Debug)]
pub(crate) struct AnswerRoom {
    whole: Arc<Semaphore>,
    share_bytes: usize,
    /// Of owners that hold some.
    shares: Mutex<HashMap<StreamOwner, Arc<Semaphore>>>,
}

impl AnswerRoom {
    /// Room for `bytes`, at least one answer; shared by several accounts, or of one alone.
    pub(crate) fn new(bytes: usize, is_shared: bool) -> Self {
        let share_bytes = if is_shared { bytes / ANSWER_SHARE } else { bytes };
        let share_bytes = share_bytes.max(ANSWER_BYTES_MAX);
        Self { whole: room(bytes), share_bytes, shares: Mutex::default() }
    }

    /// The share of an owner. Shares that nobody holds a part of are forgotten.
    fn share(&self, owner: &StreamOwner) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(owner) {
            return Arc::clone(share);
        }
        // Whoever holds or waits for a part of it has the semaphore.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = room(self.share_bytes);
        shares.insert(owner.clone(), Arc::clone(&share));
        share
    }

    /// Room for `bytes` of an answer to `owner`, once there is some.
    async fn reserve(&self, owner: &StreamOwner, bytes: usize) -> Option<AnswerPermit> {
        let count = permits(bytes) as u32;
        // Their own first: whoever waits there stands in nobody else's way.
        let share = self.share(owner).acquire_many_owned(count).await.ok()?;
        let whole = Arc::clone(&self.whole).acquire_many_owned(count).await.ok()?;
        Some(AnswerPermit { share, whole })
    }

    /// What is free for all together, in bytes.
    #[cfg(test)]
    pub(crate) fn free_bytes(&self) -> usize {
        self.whole.available_permits() * ROOM_UNIT
    }
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct AnswerPermit {
    share: OwnedSemaphorePermit,
    whole: OwnedSemaphorePermit,
}

impl AnswerPermit {
    /// Gives back what `bytes` do not need.
    fn shrink(&mut self, bytes: usize) {
        for permit in [&mut self.share, &mut self.whole] {
            let needless = permit.num_permits().saturating_sub(permits(bytes));
            drop(permit.split(needless));
        }
    }
}

impl Kinesis {
    /// Room for an answer as large as one of GetRecords may be.
    pub(crate) async fn reserve_answer(&self) -> Result<AnswerPermit, ApiError> {
        self.reserve(ANSWER_BYTES_MAX).await
    }

    /// Room for `bytes` of an answer.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<AnswerPermit, ApiError> {
        let room = self.answer_room.reserve(&self.home.owner, bytes).await;
        room.ok_or_else(|| ApiError::new(ErrorCode::InternalFailure, "the server is shutting down"))
    }
}

/// An answer that gives its room back once the last byte of it is sent.
pub(crate) struct Reserved<T> {
    bytes: T,
    _room: AnswerPermit,
}

impl<T: AsRef<[u8]> + Send + 'static> Reserved<T> {
    /// The bytes, holding as much of the room as they need.
    pub(crate) fn hold(bytes: T, mut room: AnswerPermit) -> Bytes {
        room.shrink(bytes.as_ref().len());
        Bytes::from_owner(Self { bytes, _room: room })
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Reserved<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn one_owner_cannot_hold_all_of_it() {
        let room = AnswerRoom::new(256 * MIB, true);
        let (one, other) =
            (StreamOwner::OWN, StreamOwner::other("111111111111", "eu-west-1").unwrap());
        let soon = async |owner: &StreamOwner| {
            let reserved = room.reserve(owner, ANSWER_BYTES_MAX);
            tokio::time::timeout(Duration::from_secs(1), reserved).await.ok().flatten()
        };
        let mut held = Vec::new();
        while let Some(permit) = soon(&one).await {
            held.push(permit);
        }
        assert_eq!(held.len(), 128 * MIB / ANSWER_BYTES_MAX, "half of it");
        assert!(soon(&other).await.is_some(), "there is room for others");
        let mut bytes: Vec<_> =
            held.into_iter().map(|room| Reserved::hold(vec![0; MIB], room)).collect();
        assert!(soon(&one).await.is_some(), "what was not needed is given back");
        assert_eq!(room.free_bytes(), 256 * MIB - bytes.len() * MIB);
        bytes.clear();
        assert_eq!(room.free_bytes(), 256 * MIB);
        assert!(soon(&other).await.is_some());
        let next = StreamOwner::other("222222222222", "eu-west-1").unwrap();
        assert!(soon(&next).await.is_some());
        assert_eq!(room.shares.lock().unwrap().len(), 1, "only who holds some is remembered");
    }

    #[tokio::test]
    async fn the_smallest_room_has_an_answer_for_anybody() {
        for is_shared in [false, true] {
            let room = AnswerRoom::new(ANSWER_BYTES_MAX, is_shared);
            assert!(room.reserve(&StreamOwner::OWN, ANSWER_BYTES_MAX).await.is_some());
        }
    }
}
