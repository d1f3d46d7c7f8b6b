//! The contract `Progress` in a folder of this machine, for one process that reads streams which
//! keep no positions themselves: a JSON file for each consumer and shard.
//!
//! A file is replaced whole: written beside, synced, renamed, and the folder synced. With the
//! position stands the number at which the shard began, so that a position in a stream that was
//! deleted is none in its successor of the same name.
//!
//! A write that has begun cannot be called off: it goes on when whoever asked for it is gone. So the
//! next one of the same file, and a read too, waits for its end.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Begun, Clock, ConsumerName, Progress, ProgressError, Read, SequenceNumber, ShardAddress,
    ShardId, ShardProgress, StreamName,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Shards are listed again after this long: a mapping loads the progress of all of them at once.
const LISTING_LIFE: Duration = Duration::from_secs(2);
/// In the folder of a stream: the consumer has begun with it; where its shards began then.
const BEGUN_FILE: &str = "begun.json";
/// No two files are written beside under one name.
static TEMPORARIES: AtomicU64 = AtomicU64::new(0);
/// Held by the process that the folder belongs to.
const LOCK_FILE: &str = "LOCK";

/// Why a folder cannot keep positions.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process keeps its own there: both would read the same shards.
    #[error(
        "another process keeps its positions in {0}: stop it, or give this one a data directory of its own"
    )]
    InUse(PathBuf),
    /// It cannot be made or locked.
    #[error("cannot keep positions in {path}: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Positions in a folder, locked against a second process.
pub struct FolderProgress {
    folder: PathBuf,
    read: Arc<dyn Read>,
    clock: Arc<dyn Clock>,
    starts: Mutex<HashMap<StreamName, Starts>>,
    /// A lock for each file that is in use.
    in_use: Mutex<HashMap<PathBuf, Arc<AsyncMutex<()>>>>,
    /// Locked as long as it is open.
    _lock: File,
}

/// The number at which each shard of a stream begins.
struct Starts {
    listed: Duration,
    starts: Arc<Beginnings>,
}

/// Shard → the number at which it begins.
type Beginnings = HashMap<ShardId, SequenceNumber>;

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    shard_begins: Option<SequenceNumber>,
    #[serde(flatten)]
    progress: ShardProgress,
}

impl FolderProgress {
    /// Makes the folder if need be and locks it. `read` lists the shards.
    ///
    /// # Errors
    /// Another process has it, or it cannot be made.
    pub fn open(
        folder: &Path,
        read: Arc<dyn Read>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FolderError> {
        let path = || folder.to_owned();
        let io_error = |error| FolderError::Io { path: path(), error };
        fs::create_dir_all(folder).map_err(io_error)?;
        let lock = folder.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock);
        let lock = lock.map_err(io_error)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => FolderError::InUse(path()),
            fs::TryLockError::Error(error) => io_error(error),
        })?;
        let (starts, in_use) = (Mutex::default(), Mutex::default());
        Ok(Self { folder: path(), read, clock, starts, in_use, _lock: lock })
    }

    /// Below the folder: a folder for the consumer, in it one for the stream, in it a file for the
    /// shard. The words before the names keep `.` and `..` from being any.
    fn file(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<PathBuf, ProgressError> {
        let stream = self.folder_of(consumer, &shard.stream)?;
        Ok(stream.join(format!("{}.json", shard.shard)))
    }

    fn folder_of(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<PathBuf, ProgressError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !consumer.as_str().bytes().all(legal) {
            let what = format!("{consumer:?} cannot be the name of a folder");
            return Err(ProgressError::Unavailable(what));
        }
        let consumer = self.folder.join(format!("module-{consumer}"));
        Ok(consumer.join(format!("stream-{stream}")))
    }

    /// Where the shard begins; none if it is listed no more.
    async fn start(&self, shard: &ShardAddress) -> Result<Option<SequenceNumber>, ProgressError> {
        Ok(self.starts_of(&shard.stream).await?.get(&shard.shard).copied())
    }

    /// Where each listed shard begins.
    async fn starts_of(&self, stream: &StreamName) -> Result<Arc<Beginnings>, ProgressError> {
        let now = self.clock.monotonic();
        let known = {
            let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            let known = starts.get(stream);
            let fresh = known.filter(|known| now.saturating_sub(known.listed) < LISTING_LIFE);
            fresh.map(|fresh| Arc::clone(&fresh.starts))
        };
        if let Some(starts) = known {
            return Ok(starts);
        }
        let listed = self.read.shards(stream).await;
        let listed = listed.map_err(|error| ProgressError::Unavailable(error.to_string()))?;
        let starts = listed.iter().map(|shard| (shard.id, shard.starting_sequence_number));
        let starts: Arc<Beginnings> = Arc::new(starts.collect());
        let entry = Starts { listed: now, starts: Arc::clone(&starts) };
        let mut all = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(stream.clone(), entry);
        Ok(starts)
    }
}

impl FolderProgress {
    /// Waits until nobody else has the file under work.
    async fn turn(&self, file: &Path) -> OwnedMutexGuard<()> {
        let lock = {
            let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            in_use.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(in_use.entry(file.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// Runs `work` on a file where it may block, after what is under way there.
    async fn blocking<T: Send + 'static>(
        &self,
        file: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ProgressError> {
        let turn = self.turn(&file).await;
        let done = tokio::task::spawn_blocking(move || {
            // To the end of the work, whoever still waits for it.
            let _turn = turn;
            work(&file)
                .map_err(|error| ProgressError::Unavailable(format!("{}: {error}", file.display())))
        });
        done.await.unwrap_or_else(|error| Err(ProgressError::Unavailable(error.to_string())))
    }
}

/// What is stored in a file; none if there is no such file.
fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let stored = serde_json::from_slice(&bytes).map_err(|error| {
        let what = format!("no position can be read ({error}); delete the file to start over");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    Ok(Some(stored))
}

/// Replaces a file; returns when it is durable. `below` is the folder that exists.
#[expect(clippy::disallowed_methods, reason = "a position that was stored must outlive power loss")]
fn replace(file: &Path, below: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(below);
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        // The names of the new folders are in those above them.
        for made in folder.ancestors().skip(1).take_while(|above| above.starts_with(below)) {
            File::open(made)?.sync_all()?;
        }
    }
    let number = TEMPORARIES.fetch_add(1, Ordering::Relaxed);
    let temporary = file.with_extension(format!("json.new-{number}"));
    let mut new = File::create(&temporary)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, file)) {
        // On a full disk a part of it would take the space that is needed.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

#[async_trait]
impl Progress for FolderProgress {
    async fn load(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        let file = self.file(consumer, shard)?;
        let Some(stored) = self.blocking(file, read::<Stored>).await? else {
            return Ok(ShardProgress::default());
        };
        let begins = self.start(shard).await?;
        // One that is not listed cannot be compared; whoever reads it finds out that it is gone.
        let other = are_of_others(begins, stored.shard_begins);
        Ok(if other { ShardProgress::default() } else { stored.progress })
    }

    async fn store(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let file = self.file(consumer, shard)?;
        let shard_begins = match self.known_start(shard) {
            Some(start) => Some(start),
            None => self.start(shard).await?,
        };
        let stored = Stored { shard_begins, progress: progress.clone() };
        let bytes = serde_json::to_vec(&stored)
            .map_err(|error| ProgressError::Unavailable(error.to_string()))?;
        let below = self.folder.clone();
        self.blocking(file, move |file| replace(file, &below, &bytes)).await
    }

    async fn begun(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<Begun, ProgressError> {
        let file = self.folder_of(consumer, stream)?.join(BEGUN_FILE);
        let Some(begun) = self.blocking(file, read::<Beginnings>).await? else {
            return Ok(Begun::Never);
        };
        let listed = self.starts_of(stream).await?;
        let is_other = |(id, begins): (&ShardId, &SequenceNumber)| {
            are_of_others(Some(*begins), begun.get(id).copied())
        };
        Ok(if listed.iter().any(is_other) { Begun::EarlierStream } else { Begun::ThisStream })
    }

    async fn begin(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<(), ProgressError> {
        let file = self.folder_of(consumer, stream)?.join(BEGUN_FILE);
        let listed = self.starts_of(stream).await?;
        let bytes = serde_json::to_vec(&*listed)
            .map_err(|error| ProgressError::Unavailable(error.to_string()))?;
        let below = self.folder.clone();
        self.blocking(file, move |file| replace(file, &below, &bytes)).await
    }
}

/// Whether these are the beginnings of two shards of the same name, of a stream and of its
/// successor. Numbers that do not tell when their shard was made cannot be compared.
fn are_of_others(one: Option<SequenceNumber>, other: Option<SequenceNumber>) -> bool {
    let made = |number: Option<SequenceNumber>| {
        number.filter(|number| number.is_version_2()).map(SequenceNumber::created_seconds)
    };
    let (one, other) = (made(one), made(other));
    one.is_some() && other.is_some() && one != other
}

impl FolderProgress {
    /// As listed when the shard's progress was loaded, however long ago: that is the shard which
    /// was read.
    fn known_start(&self, shard: &ShardAddress) -> Option<SequenceNumber> {
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.get(&shard.stream)?.starts.get(&shard.shard).copied()
    }
}

#[cfg(test)]
mod tests;
