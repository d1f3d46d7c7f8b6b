//! One redrive of a store at a time, and what it had under way when it ended.
//!
//! The claim is an object that its holder replaces before every call, in the state that it knows: who was overtaken
//! notices before it sends anything more. A folder is locked as well, until the process ends; a bucket has no locks, so
//! a holder that has not been heard of for [`LEASE`] counts as dead.

use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{Clock, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::marks::{FOLDER, Places};
use crate::objects::{ObjectError, ObjectSource, PlaceLock, Version};

/// A holder renews its claim more often than this, by the clocks of both.
pub const LEASE: Duration = Duration::from_secs(120);
/// So often, if nothing else does it.
const RENEWAL: Duration = Duration::from_secs(30);
/// A call has 500 records; their keys and places take far less.
const CLAIM_BYTES_MAX: u64 = 16 << 20;
/// More than these are in no call.
const IN_FLIGHT_MAX: u64 = 100_000;

/// Records of an object that are in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFlight {
    /// The object's key.
    pub object: String,
    /// The records.
    pub places: Places,
}

/// As it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    run: String,
    renewed: Timestamp,
    released: bool,
    in_flight: Vec<InFlight>,
}

/// Why a store cannot be claimed, or is claimed no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// In a folder: the holder lives.
    #[error("another redrive of this store is running")]
    Locked,
    /// In a bucket: the holder may live.
    #[error(
        "another redrive of this store is running, and was heard of {heard} s ago; if it died, this can be done in {left} s"
    )]
    Held {
        /// Seconds since it renewed its claim.
        heard: u64,
        /// Seconds until it counts as dead.
        left: u64,
    },
    /// Another redrive took the store over.
    #[error("another redrive took this store over, because this one was not heard of for long")]
    Lost,
    /// The server cannot tell two redrives apart.
    #[error(
        "the server of this store has no conditional writes, so that two redrives could not be kept apart; copy the objects into a folder, and redrive that"
    )]
    NoConditions,
    /// The claim cannot be understood.
    #[error("{url} is no claim of a redrive ({what}); delete it if no redrive is running")]
    Broken {
        /// The object.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// It could not be read or written.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// The right to redrive a store.
pub struct Claim {
    source: Arc<dyn ObjectSource>,
    clock: Arc<dyn Clock>,
    _lock: PlaceLock,
    version: Version,
    stored: Stored,
    /// Monotonic.
    renewed: Duration,
}

impl Claim {
    /// Claims the store for the redrive `run`, which nobody else is called. What an earlier one had in flight stays in
    /// the claim until the first [`renew`](Self::renew).
    ///
    /// # Errors
    /// Another redrive is running, or the store cannot be written.
    pub async fn take(
        source: Arc<dyn ObjectSource>,
        clock: Arc<dyn Clock>,
        run: &str,
    ) -> Result<Self, ClaimError> {
        let lock = source.lock(&lock_key()).await?;
        if matches!(lock, PlaceLock::Taken) {
            return Err(ClaimError::Locked);
        }
        let now = clock.now();
        let (earlier, expected) = match read(&*source).await? {
            None => (Vec::new(), None),
            Some((earlier, version)) => {
                let age = now.since(earlier.renewed);
                if !earlier.released && matches!(lock, PlaceLock::Unknown) && age < LEASE {
                    let (heard, left) = (age.as_secs(), (LEASE - age).as_secs() + 1);
                    return Err(ClaimError::Held { heard, left });
                }
                (earlier.in_flight, Some(version))
            }
        };
        let stored =
            Stored { run: run.to_owned(), renewed: now, released: false, in_flight: earlier };
        let renewed = clock.monotonic();
        let version = expected.unwrap_or_else(|| Version(String::new()));
        let mut claim = Self { source, clock, _lock: lock, version, stored, renewed };
        let is_new = claim.version.0.is_empty();
        claim.write(is_new).await.map_err(|error| match error {
            // Another one was faster.
            ClaimError::Lost => ClaimError::Held { heard: 0, left: LEASE.as_secs() },
            error => error,
        })?;
        Ok(claim)
    }

    /// What is in flight: of an earlier redrive that died, until this one has renewed its claim.
    pub fn in_flight(&self) -> &[InFlight] {
        &self.stored.in_flight
    }

    /// Says what is in flight from now on. To be called before anything is sent.
    ///
    /// # Errors
    /// The claim is lost, or it cannot be written: nothing may be sent.
    pub async fn renew(&mut self, in_flight: Vec<InFlight>) -> Result<(), ClaimError> {
        self.stored.in_flight = in_flight;
        self.write(false).await
    }

    /// Renews the claim as it is, if it has not been renewed for a while.
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    pub async fn stay(&mut self) -> Result<(), ClaimError> {
        match self.clock.monotonic().saturating_sub(self.renewed) > RENEWAL {
            true => self.write(false).await,
            false => Ok(()),
        }
    }

    /// Gives the store back; `in_doubt` may be in a stream, and nobody knows.
    ///
    /// # Errors
    /// The claim is lost or cannot be written; then it ends with its lease.
    pub async fn release(mut self, in_doubt: Vec<InFlight>) -> Result<(), ClaimError> {
        self.stored.in_flight = in_doubt;
        self.stored.released = true;
        self.write(false).await
    }

    async fn write(&mut self, is_new: bool) -> Result<(), ClaimError> {
        self.stored.renewed = self.clock.now();
        let text = serde_json::to_vec(&self.stored).map(Bytes::from);
        let text = text.map_err(|error| ObjectError::Unavailable(error.to_string()))?;
        let expected = (!is_new).then_some(&self.version);
        let version = match self.source.replace(&key(), text, expected).await {
            Ok(version) => version,
            Err(ObjectError::NoCreate) => return Err(ClaimError::NoConditions),
            // Written, perhaps, by an attempt of this very call whose answer was lost.
            Err(ObjectError::Exists) => match read(&*self.source).await? {
                Some((found, version)) if found == self.stored => version,
                _ => return Err(ClaimError::Lost),
            },
            Err(error) => return Err(error.into()),
        };
        self.version = version;
        self.renewed = self.clock.monotonic();
        Ok(())
    }
}

async fn read(source: &dyn ObjectSource) -> Result<Option<(Stored, Version)>, ClaimError> {
    let Some(whole) = source.read(&key(), CLAIM_BYTES_MAX).await? else { return Ok(None) };
    let broken = |what: String| Err(ClaimError::Broken { url: source.url(&key()), what });
    let stored: Stored = match serde_json::from_slice(&whole.bytes) {
        Ok(stored) => stored,
        Err(error) => return broken(error.to_string()),
    };
    let counts = stored.in_flight.iter().map(|object| object.places.count());
    match counts.fold(0, u64::saturating_add) {
        ..=IN_FLIGHT_MAX => Ok(Some((stored, whole.version))),
        count => broken(format!("{count} records are in no call")),
    }
}

fn key() -> String {
    format!("{FOLDER}claim.json")
}

fn lock_key() -> String {
    format!("{FOLDER}lock")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::memory::MemoryBucket;
    use super::*;
    use crate::objects::{Location, PutMode, S3Settings, open_source};

    #[derive(Default)]
    struct SetClock(AtomicU64);

    impl SetClock {
        fn pass(&self, time: Duration) {
            self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn in_flight(place: u64) -> Vec<InFlight> {
        vec![InFlight { object: "a/x.gz".to_owned(), places: [place].into_iter().collect() }]
    }

    async fn take(
        source: &Arc<dyn ObjectSource>,
        clock: &Arc<SetClock>,
        run: &str,
    ) -> Result<Claim, ClaimError> {
        Claim::take(Arc::clone(source), clock.clone(), run).await
    }

    #[tokio::test]
    async fn a_bucket_has_one_holder_until_it_is_silent_for_long() {
        let source: Arc<dyn ObjectSource> = Arc::new(MemoryBucket::default());
        let clock = Arc::new(SetClock::default());
        let mut first = take(&source, &clock, "first").await.unwrap();
        first.renew(in_flight(3)).await.unwrap();
        clock.pass(LEASE - Duration::from_secs(1));
        let Err(ClaimError::Held { heard: 119, left: 2 }) = take(&source, &clock, "second").await
        else {
            panic!("it is held")
        };
        first.stay().await.unwrap();
        clock.pass(LEASE);
        let second = take(&source, &clock, "second").await.unwrap();
        assert_eq!(second.in_flight(), in_flight(3));
        // It comes back to life, and sends nothing.
        assert_eq!(first.renew(in_flight(4)).await, Err(ClaimError::Lost));
        second.release(Vec::new()).await.unwrap();
        let third = take(&source, &clock, "third").await.unwrap();
        assert_eq!(third.in_flight(), []);
    }

    #[tokio::test]
    async fn a_folder_is_free_as_soon_as_its_holder_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let source = open_source(&location, &S3Settings::default()).unwrap();
        let clock = Arc::new(SetClock::default());
        let mut first = take(&source, &clock, "first").await.unwrap();
        first.renew(in_flight(3)).await.unwrap();
        clock.pass(10 * LEASE);
        assert_eq!(take(&source, &clock, "second").await.err(), Some(ClaimError::Locked));
        drop(first);
        let second = take(&source, &clock, "second").await.unwrap();
        assert_eq!(second.in_flight(), in_flight(3));
    }

    #[tokio::test]
    async fn a_lost_answer_does_not_lose_the_claim() {
        let bucket = Arc::new(MemoryBucket::default());
        let source: Arc<dyn ObjectSource> = bucket.clone();
        let clock = Arc::new(SetClock::default());
        let mut claim = take(&source, &clock, "run").await.unwrap();
        bucket.repeat_next_replace();
        claim.renew(in_flight(1)).await.unwrap();
        claim.renew(in_flight(2)).await.unwrap();
        claim.release(in_flight(2)).await.unwrap();
        assert_eq!(take(&source, &clock, "next").await.unwrap().in_flight(), in_flight(2));
    }

    #[tokio::test]
    async fn what_is_no_claim_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let source = open_source(&location, &S3Settings::default()).unwrap();
        let of = |places: &str| {
            let in_flight = format!(r#"[{{"object":"x","places":{places}}}]"#);
            format!(r#"{{"run":"r","renewed":0,"released":true,"in_flight":{in_flight}}}"#)
        };
        for text in ["x", "{}", &of("[[5,3]]"), &of("[[0,18446744073709551614]]")] {
            source.put(&key(), vec![text.to_owned().into()], PutMode::Overwrite).await.unwrap();
            let clock = Arc::new(SetClock::default());
            let error = take(&source, &clock, "run").await.err().unwrap().to_string();
            assert!(error.contains("claim.json") && error.contains("delete it"), "{error}");
        }
        source.put(&key(), vec![of("[[3,5]]").into()], PutMode::Overwrite).await.unwrap();
        let claim = take(&source, &Arc::new(SetClock::default()), "run").await.unwrap();
        assert_eq!(claim.in_flight()[0].places.count(), 3);
    }
}
