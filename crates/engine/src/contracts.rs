//! The contracts of `stream` over the store: each method checks, asks the writer or reads, and
//! translates.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Administer, AdministerError, Checkpoint, ConsumerName, CreateStream, Cursor, Placed,
    ProducerPosition, Progress, ProgressError, PutEntry, PutError, Read, ReadError, ReadLimits,
    ReadPage, RetentionHours, SequenceNumber, Shard, ShardAddress, ShardProgress, StartingPosition,
    StreamDescription, StreamName, StreamStatus, Timestamp, Write,
};
use tokio::sync::oneshot;

use crate::administer::Change;
use crate::engine::Engine;
use crate::frame::ShardKey;
use crate::group::size;
use crate::lock::read;
use crate::notes;
use crate::read::Reader;
use crate::settings::RECORD_BYTES_MAX;
use crate::store::Store;
use crate::streams::Stream;
use crate::writer::{Put, Request, StoreNote};

/// Queue room of a request beside its payload, so that empty ones are bounded too.
const REQUEST_BYTES: usize = 256;

/// Names of producers and consumers are parts of keys of notes.
const NAME_BYTES_MAX: usize = 4096;

fn ended() -> PutError {
    PutError::Unavailable("the store is closed".to_owned())
}

#[async_trait]
impl Write for Engine {
    async fn put(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let largest = entries.iter().map(|entry| entry.data.len()).max().unwrap_or(0);
        if largest > RECORD_BYTES_MAX {
            let what = format!("a record of {largest} bytes; {RECORD_BYTES_MAX} is the most");
            return Err(PutError::Unavailable(what));
        }
        if remember.as_ref().is_some_and(|position| position.producer.len() > NAME_BYTES_MAX) {
            let what = format!("a producer's name has {NAME_BYTES_MAX} bytes at most");
            return Err(PutError::Unavailable(what));
        }
        // Hashing is most of the work of routing; it is done here, not on the one writer.
        let hashes = entries.iter().map(PutEntry::hash_key).collect();
        let bytes = size(&entries) + REQUEST_BYTES;
        let (answer, done) = oneshot::channel();
        let put = Put { stream: stream.clone(), entries, hashes, remember, answer };
        self.queue.submit(Request::Put(put), bytes).await.map_err(|_| ended())?;
        let placed = done.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(placed.into_iter().map(Ok).collect())
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        let notes = read(&self.store.notes);
        let Some(value) = notes.get(&notes::producer_key(producer)) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| {
            PutError::Unavailable(format!("the position of producer {producer} is not readable"))
        })
    }
}

/// A shard of a stream in use.
struct Known {
    stream: Arc<Stream>,
    place: usize,
    created_seconds: u64,
}

impl Known {
    fn find(store: &Store, address: &ShardAddress) -> Result<Self, ReadError> {
        let stream = store
            .stream(&address.stream)
            .ok_or_else(|| ReadError::StreamNotFound(address.stream.clone()))?;
        let Some((place, shard)) = stream.shard(address.shard) else {
            return Err(ReadError::ShardNotFound(address.clone()));
        };
        let created_seconds = shard.starting_sequence_number.created_seconds();
        Ok(Self { stream, place, created_seconds })
    }

    fn key(&self) -> ShardKey {
        self.stream.key(self.place)
    }

    fn reader<'a>(&'a self, store: &'a Store) -> Reader<'a> {
        Reader {
            store,
            stream: &self.stream,
            key: self.key(),
            created_seconds: self.created_seconds,
            horizon: self.stream.stored.horizon(store.clock.now()),
        }
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ReadError::Unavailable(error.to_string())))
}

#[async_trait]
impl Read for Engine {
    async fn shards(&self, stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        match self.store.stream(stream) {
            Some(stream) => Ok(stream.stored.shards.clone()),
            None => Err(ReadError::StreamNotFound(stream.clone())),
        }
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        let known = Known::find(&self.store, shard)?;
        let index = shard.shard.index();
        let created = known.created_seconds;
        let from = SequenceNumber::new(created, index, 0, created);
        let start = Cursor { shard: shard.clone(), from };
        if !matches!(position, StartingPosition::AtTimestamp(_)) {
            return known.reader(&self.store).seek(start, position);
        }
        let store = Arc::clone(&self.store);
        blocking(move || known.reader(&store).seek(start, position)).await
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let known = Known::find(&self.store, &cursor.shard)?;
        let reader = known.reader(&self.store);
        reader.own(cursor, cursor.from)?;
        let (counter, horizon) = (cursor.from.counter(), reader.horizon);
        if !read(&self.store.index).is_cold(reader.key, counter, horizon) {
            return reader.page(cursor, limits);
        }
        let (store, cursor) = (Arc::clone(&self.store), cursor.clone());
        blocking(move || known.reader(&store).page(&cursor, limits)).await
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        // A read would give something new at once: an error.
        let Ok(known) = Known::find(&self.store, &cursor.shard) else { return };
        if known.reader(&self.store).own(cursor, cursor.from).is_err() {
            return;
        }
        let mut newest = known.stream.subscribe(known.place);
        // Held on to, the stream would never tell that it was deleted.
        drop(known);
        let counter = cursor.from.counter().max(1);
        // Time out, news, or a deleted stream: the caller looks for itself.
        let _ = tokio::time::timeout(at_most, newest.wait_for(|newest| *newest >= counter)).await;
    }
}

impl Engine {
    async fn change(&self, change: Change) -> Result<(), AdministerError> {
        let ended = || AdministerError::Unavailable("the store is closed".to_owned());
        let (answer, done) = oneshot::channel();
        let request = Request::Change(change, answer);
        self.queue.submit(request, REQUEST_BYTES).await.map_err(|_| ended())?;
        done.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[async_trait]
impl Administer for Engine {
    async fn create_stream(&self, request: CreateStream) -> Result<(), AdministerError> {
        self.change(Change::Create(request)).await
    }

    async fn delete_stream(&self, name: &StreamName) -> Result<(), AdministerError> {
        self.change(Change::Delete(name.clone())).await
    }

    async fn list_streams(&self) -> Result<Vec<StreamName>, AdministerError> {
        Ok(read(&self.store.streams).keys().cloned().collect())
    }

    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        let stream =
            self.store.stream(name).ok_or_else(|| AdministerError::StreamNotFound(name.clone()))?;
        Ok(StreamDescription {
            name: name.clone(),
            status: StreamStatus::Active,
            created: Timestamp::from_seconds(stream.stored.incarnation),
            retention: stream.stored.retention,
            shards: stream.stored.shards.clone(),
        })
    }

    async fn increase_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError> {
        self.change(Change::IncreaseRetention(name.clone(), to)).await
    }

    async fn decrease_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError> {
        self.change(Change::DecreaseRetention(name.clone(), to)).await
    }
}

#[async_trait]
impl Progress for Engine {
    async fn load(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        // A shard that does not exist was not started either.
        let Ok(known) = Known::find(&self.store, shard) else {
            return Ok(ShardProgress::default());
        };
        let key = notes::progress_key(known.key(), consumer);
        let notes = read(&self.store.notes);
        let Some(value) = notes.get(&key) else { return Ok(ShardProgress::default()) };
        serde_json::from_slice(value)
            .map_err(|error| ProgressError::Unavailable(format!("{key}: {error}")))
    }

    async fn store(
        &self,
        consumer: &ConsumerName,
        address: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let failed = |error: &dyn std::fmt::Display| ProgressError::Unavailable(error.to_string());
        let Ok(known) = Known::find(&self.store, address) else {
            return Err(ProgressError::Gone(address.clone()));
        };
        // A position of an earlier stream of this name means nothing in this one.
        if let Some(Checkpoint::At(number) | Checkpoint::After(number)) = progress.checkpoint
            && number.created_seconds() != known.created_seconds
        {
            return Err(ProgressError::Gone(address.clone()));
        }
        let shard = known.key();
        let key = notes::progress_key(shard, consumer);
        if consumer.as_str().len() > NAME_BYTES_MAX {
            let what = format!("a consumer's name has {NAME_BYTES_MAX} bytes at most");
            return Err(ProgressError::Unavailable(what));
        }
        let value = serde_json::to_vec(progress).map_err(|error| failed(&error))?.into();
        let (answer, done) = oneshot::channel();
        let note = StoreNote { shard, key, value, answer };
        let bytes = note.key.len() + note.value.len() + REQUEST_BYTES;
        let submitted = self.queue.submit(Request::Store(note), bytes).await;
        submitted.map_err(|_| failed(&ended()))?;
        done.await.unwrap_or_else(|_| Err(ended())).map_err(|error| failed(&error))
    }
}
