//! The contracts of `stream` over the store: each method checks, asks the writer or reads, and
//! translates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Administer, AdministerError, Begun, BillingCommitment, Checkpoint, ConsumerName, CreateStream,
    Cursor, HashKey, Placed, ProducerPosition, Progress, ProgressError, PutEntry, PutError, Read,
    ReadError, ReadLimits, ReadPage, SequenceNumber, Shard, ShardAddress, ShardId, ShardProgress,
    ShardUsage, StartingPosition, StreamChange, StreamDescription, StreamName, StreamOwner,
    StreamProperties, StreamStatus, Timestamp, Write,
};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::administer::Change;
use crate::engine::Engine;
use crate::frame::ShardKey;
use crate::group::size;
use crate::lock::read;
use crate::notes;
use crate::read::Reader;
use crate::settings::{RECORD_BYTES_MAX, Throughput};
use crate::store::Store;
use crate::streams::Stream;
use crate::writer::{Put, Request, StoreNote};

/// Queue room of a request beside its payload, so that empty ones are bounded too.
const REQUEST_BYTES: usize = 256;

/// A payload that every stream takes, whatever its limit.
const RECORD_BYTES_LEAST: usize = *StreamProperties::RECORD_KIB.start() as usize * 1024;

/// Names of producers and consumers are parts of keys of notes.
const NAME_BYTES_MAX: usize = 4096;

/// Entries that may be put, their hash keys, and, if any was refused, for each entry as it was given
/// the shard that takes no more now.
type Routed = (Vec<PutEntry>, Vec<HashKey>, Vec<Option<ShardId>>);

impl Engine {
    /// Hashing is most of the work of routing; it is done here, not on the one writer.
    fn route(&self, stream: &StreamName, entries: Vec<PutEntry>, limited: bool) -> Routed {
        // The writer refuses entries without hash keys, also when the stream is made meanwhile.
        let Some(stream) = self.store.stream(stream) else { return (entries, vec![], vec![]) };
        let hashes: Vec<HashKey> = entries.iter().map(|entry| stream.hash_key(entry)).collect();
        if !limited {
            return (entries, hashes, Vec::new());
        }
        let now = self.store.clock.monotonic();
        let refusal = |(entry, hash): (&PutEntry, &HashKey)| {
            let place = stream.route(*hash);
            let admitted = stream.lane(place).budget.take(size([entry]), now);
            (!admitted).then(|| stream.stored.shards[place].id)
        };
        let refused: Vec<_> = entries.iter().zip(&hashes).map(refusal).collect();
        if refused.iter().all(Option::is_none) {
            return (entries, hashes, Vec::new());
        }
        let pairs = entries.into_iter().zip(hashes).zip(&refused);
        let admitted = pairs.filter(|(_, refused)| refused.is_none()).map(|(pair, _)| pair);
        let (entries, hashes) = admitted.unzip();
        (entries, hashes, refused)
    }
}

impl Engine {
    /// Puts the entries of at most `most` bytes, and refuses the others.
    async fn put_what_fits(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
        most: usize,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let lengths: Vec<usize> = entries.iter().map(|entry| entry.data.len()).collect();
        let fitting: Vec<_> =
            entries.into_iter().filter(|entry| entry.data.len() <= most).collect();
        let placed = if fitting.is_empty() {
            Vec::new()
        } else {
            self.put(stream, fitting, remember).await?
        };
        let mut placed = placed.into_iter();
        let result = |bytes: usize| match bytes > most {
            true => Err(PutError::RecordRefused(format!(
                "it has {bytes} bytes, and the stream takes {most} (MaxRecordSizeInKiB)"
            ))),
            false => placed.next().unwrap_or_else(|| Err(ended())),
        };
        Ok(lengths.into_iter().map(result).collect())
    }
}

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
        if largest > RECORD_BYTES_LEAST
            && let Some(most) = self.record_bytes_max(stream)
            && largest > most
        {
            return self.put_what_fits(stream, entries, remember, most).await;
        }
        if largest > RECORD_BYTES_MAX {
            let what = format!("a record of {largest} bytes; {RECORD_BYTES_MAX} is the most");
            return Err(PutError::Unavailable(what));
        }
        if remember.as_ref().is_some_and(|position| position.producer.len() > NAME_BYTES_MAX) {
            let what = format!("a producer's name has {NAME_BYTES_MAX} bytes at most");
            return Err(PutError::Unavailable(what));
        }
        // A producer that remembers its position puts all or none, so it is not limited.
        let limited = remember.is_none() && self.store.throughput == Throughput::Aws;
        let (entries, hashes, refused) = self.route(stream, entries, limited);
        let bytes = size(&entries) + REQUEST_BYTES;
        let (answer, done) = oneshot::channel();
        let put = Put { stream: stream.clone(), entries, hashes, remember, answer };
        self.queue.submit(Request::Put(put), bytes).await.map_err(|_| ended())?;
        let mut placed = done.await.unwrap_or_else(|_| Err(ended()))?.into_iter().map(Ok);
        if refused.is_empty() {
            return Ok(placed.collect());
        }
        let result = |refused: Option<ShardId>| match refused {
            Some(shard) => Err(PutError::ThroughputExceeded(shard)),
            None => placed.next().unwrap_or_else(|| Err(ended())),
        };
        Ok(refused.into_iter().map(result).collect())
    }

    fn record_bytes_max(&self, stream: &StreamName) -> Option<usize> {
        let kib = self.store.stream(stream)?.stored.properties.record_kib_max;
        Some((kib as usize * 1024).min(RECORD_BYTES_MAX))
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
            Some(stream) => Ok(stream.stored.shards.to_vec()),
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
        let start = Cursor { shard: shard.clone(), from, since: None };
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
        let mut tip = known.stream.lane(known.place).subscribe();
        // Held on to, the stream would never tell that it was deleted.
        drop(known);
        let counter = cursor.from.counter().max(1);
        // Time out, news, or a deleted stream: the caller looks for itself.
        let news = tip.wait_for(|tip| tip.newest >= counter || tip.closed);
        let _ = tokio::time::timeout(at_most, news).await;
    }
}

impl Engine {
    fn in_use(&self, name: &StreamName) -> Result<Arc<Stream>, AdministerError> {
        self.store.stream(name).ok_or_else(|| AdministerError::StreamNotFound(name.clone()))
    }

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

    async fn delete_stream(
        &self,
        name: &StreamName,
        with_consumers: bool,
    ) -> Result<(), AdministerError> {
        self.change(Change::Delete { name: name.clone(), with_consumers }).await
    }

    async fn list_streams(&self, owner: &StreamOwner) -> Result<Vec<StreamName>, AdministerError> {
        let streams = read(&self.store.streams);
        Ok(streams.keys().filter(|name| name.owner() == *owner).cloned().collect())
    }

    async fn list_owners(&self) -> Result<Vec<StreamOwner>, AdministerError> {
        let owners =
            read(&self.store.streams).keys().map(StreamName::owner).collect::<BTreeSet<_>>();
        Ok(owners.into_iter().collect())
    }

    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        let stream = self.in_use(name)?;
        let stored = &stream.stored;
        Ok(StreamDescription {
            name: name.clone(),
            status: StreamStatus::Active,
            created: Timestamp::from_seconds(stored.incarnation),
            hidden_before: stored.hidden_before,
            newest_arrival: self.store.newest_arrival(),
            properties: Arc::clone(&stored.properties),
            shards: Arc::clone(&stored.shards),
            consumers: Arc::clone(&stored.consumers),
        })
    }

    async fn change_stream(
        &self,
        name: &StreamName,
        change: StreamChange,
    ) -> Result<StreamDescription, AdministerError> {
        self.change(Change::Stream(name.clone(), change)).await?;
        self.describe_stream(name).await
    }

    async fn usage(&self, name: &StreamName) -> Result<Vec<ShardUsage>, AdministerError> {
        Ok(self.in_use(name)?.usage())
    }

    async fn commitment(&self, owner: &StreamOwner) -> Result<BillingCommitment, AdministerError> {
        Ok(read(&self.store.commitments).get(owner).copied().unwrap_or_default())
    }

    async fn commit_to(
        &self,
        owner: &StreamOwner,
        commitment: BillingCommitment,
    ) -> Result<(), AdministerError> {
        self.change(Change::Commit(owner.clone(), commitment)).await
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
        let Ok(known) = Known::find(&self.store, address) else {
            return Err(ProgressError::Gone(address.clone()));
        };
        // A position of an earlier stream of this name means nothing in this one.
        if let Some(
            Checkpoint::At(number) | Checkpoint::After(number) | Checkpoint::Within { number, .. },
        ) = progress.checkpoint
            && number.created_seconds() != known.created_seconds
        {
            return Err(ProgressError::Gone(address.clone()));
        }
        let value = serde_json::to_vec(progress)
            .map_err(|error| ProgressError::Unavailable(error.to_string()))?;
        let key = notes::progress_key(known.key(), consumer);
        self.note(consumer, known.key(), key, value.into()).await
    }

    async fn begun(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<Begun, ProgressError> {
        let Some(stored) = self.store.stream(stream) else { return Ok(Begun::Never) };
        let Some(shard) = newest_shard(&stored) else { return Ok(Begun::Never) };
        Ok(notes::begun(&read(&self.store.notes), shard.incarnation, consumer, stream))
    }

    async fn begin(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<(), ProgressError> {
        let missing = || ProgressError::Unavailable(format!("stream {stream} not found"));
        let stored = self.store.stream(stream).ok_or_else(missing)?;
        let shard = newest_shard(&stored).ok_or_else(missing)?;
        let key = notes::begun_key(shard.incarnation, consumer);
        self.note(consumer, shard, key, stream.as_str().to_owned().into()).await
    }
}

/// A shard that exists as long as its stream does.
fn newest_shard(stream: &Stream) -> Option<ShardKey> {
    let places = stream.stored.shards.len();
    Some(stream.key(places.checked_sub(1)?))
}

impl Engine {
    /// Stores a note of a consumer; a success is durable.
    async fn note(
        &self,
        consumer: &ConsumerName,
        shard: ShardKey,
        key: String,
        value: Bytes,
    ) -> Result<(), ProgressError> {
        let failed = |error: &dyn std::fmt::Display| ProgressError::Unavailable(error.to_string());
        if consumer.as_str().len() > NAME_BYTES_MAX {
            let what = format!("a consumer's name has {NAME_BYTES_MAX} bytes at most");
            return Err(ProgressError::Unavailable(what));
        }
        let (answer, done) = oneshot::channel();
        let note = StoreNote { shard, key, value, answer };
        let bytes = note.key.len() + note.value.len() + REQUEST_BYTES;
        let submitted = self.queue.submit(Request::Store(note), bytes).await;
        submitted.map_err(|_| failed(&ended()))?;
        done.await.unwrap_or_else(|_| Err(ended())).map_err(|error| failed(&error))
    }
}
