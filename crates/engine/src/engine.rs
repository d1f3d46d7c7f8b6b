//! The store as the other rooms see it: the contracts of `stream` over log, catalog and reader.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Administer, AdministerError, Clock, ConsumerName, CreateStream, Cursor, Placed,
    ProducerPosition, Progress, ProgressError, PutEntry, PutError, Read, ReadError, ReadLimits,
    ReadPage, RetentionHours, SequenceNumber, Shard, ShardAddress, ShardProgress, StartingPosition,
    StreamDescription, StreamName, StreamStatus, Write,
};
use bytes::Bytes;
use metrics::{Counter, counter};
use tokio::sync::{Semaphore, oneshot};

use crate::catalog::{Catalog, Stream, Streams};
use crate::commit::{Meters, Note, Put, Request, Writer};
use crate::disk::{Disk, Folder};
use crate::index::FIRST_COUNTER;
use crate::log::Log;
use crate::notes::{self, Notes};
use crate::read::Reader;
use crate::recovery::{self, RecoveryReport};
use crate::settings::{Durability, EngineSettings};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Reading or writing failed.
    #[error("the data directory {} cannot be opened", directory.display())]
    Io {
        /// The store's directory.
        directory: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The directory was written by another version.
    #[error(
        "the data directory {} has the format {found:?}, this version reads {FORMAT:?}",
        directory.display()
    )]
    Format {
        /// The store's directory.
        directory: PathBuf,
        /// What its FORMAT file says.
        found: String,
    },
}

/// What the FORMAT file says.
const FORMAT: &str = "baikonur streams, format 1";
const FORMAT_FILE: &str = "FORMAT";

/// How the store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why no record is taken any more; none while all is well.
    pub writes_closed: Option<String>,
    /// Stretches of the log that recovery found damaged.
    pub damaged: Vec<String>,
}

/// Embedded streams in a directory. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    settings: EngineSettings,
    /// Changed one at a time, under this lock, and stored before anybody sees it.
    catalog: Mutex<Catalog>,
    streams: Arc<RwLock<Streams>>,
    reader: Reader,
    notes: Arc<RwLock<Notes>>,
    requests: Sender<Request>,
    room: Arc<Semaphore>,
    closed: Arc<RwLock<Option<String>>>,
    damaged: Vec<String>,
    meters: Mutex<BTreeMap<StreamName, Arc<StreamMeters>>>,
}

struct StreamMeters {
    records_in: Counter,
    bytes_in: Counter,
    records_out: Counter,
    bytes_out: Counter,
}

/// One permit of queue room stands for this many bytes.
const ROOM_UNIT: usize = 1024;

impl Engine {
    /// Opens the store, recovers what a crash left, and starts its writer.
    pub fn open(
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let directory = settings.directory.clone();
        let wrap = |source| OpenError::Io { directory: directory.clone(), source };
        let disk = Arc::new(Folder::open(&settings.directory).map_err(wrap)?);
        Self::open_on(disk, settings, clock)
    }

    /// Opens a store on a given disk.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let directory = settings.directory.clone();
        let wrap = |source| OpenError::Io { directory: directory.clone(), source };
        check_format(&*disk, &directory)?;
        let catalog = Catalog::load(&*disk).map_err(wrap)?;
        let may_lose = settings.durability == Durability::OsBuffer;
        let recovered = recovery::recover(&*disk, may_lose).map_err(wrap)?;
        let streams = catalog.streams(&Streams::new());
        for stream in streams.values() {
            for shard in &stream.shards {
                let next = recovered.index.tip(stream.key(shard.id));
                if let Some(tip) = stream.tip(shard.id) {
                    tip.send_replace(next);
                }
            }
        }
        let report = recovered.report;
        let index = Arc::new(RwLock::new(recovered.index));
        let notes = Arc::new(RwLock::new(recovered.notes));
        let (requests, queue) = mpsc::channel();
        let closed = Arc::new(RwLock::new(None));
        let streams = Arc::new(RwLock::new(streams));
        let log = {
            let known = index.read().unwrap_or_else(PoisonError::into_inner);
            Log {
                disk: Arc::clone(&disk),
                durability: settings.durability,
                segment_bytes: settings.segment_bytes,
                index: Arc::clone(&index),
                notes: Arc::clone(&notes),
                file: Arc::clone(&known.active.file),
                number: known.active.number,
                offset: recovered.offset,
                group: recovered.group,
                used_since: (!known.active.blocks.is_empty()).then_some(recovered.last_arrival),
                last_arrival: recovered.last_arrival,
            }
        };
        let writer = Writer {
            log,
            clock: Arc::clone(&clock),
            streams: Arc::clone(&streams),
            closed: Arc::clone(&closed),
            meters: Meters::new(),
        };
        std::thread::Builder::new()
            .name("baikonur-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(wrap)?;
        let room = Arc::new(Semaphore::new((settings.queue_bytes / ROOM_UNIT).max(1)));
        let engine = Self(Arc::new(Shared {
            reader: Reader { disk: Arc::clone(&disk), index, cache: Arc::default() },
            disk,
            clock,
            settings,
            catalog: Mutex::new(catalog),
            streams,
            notes,
            requests,
            room,
            closed,
            damaged: report.damaged.clone(),
            meters: Mutex::default(),
        }));
        Ok((engine, report))
    }

    /// Makes everything durable and ends the writer; later writes are refused.
    pub async fn close(&self) {
        let (answer, done) = oneshot::channel();
        if self.0.requests.send(Request::Close(answer)).is_ok() {
            // An error means that the writer has ended already.
            let _ = done.await;
        }
    }

    /// How the store does.
    pub fn health(&self) -> Health {
        let writes_closed = self.0.closed.read().unwrap_or_else(PoisonError::into_inner).clone();
        Health { writes_closed, damaged: self.0.damaged.clone() }
    }

    fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.0.streams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn readable(&self, address: &ShardAddress) -> Result<Arc<Stream>, ReadError> {
        let stream = self
            .stream(&address.stream)
            .ok_or_else(|| ReadError::StreamNotFound(address.stream.clone()))?;
        match stream.shard(address.shard) {
            Some(_) => Ok(stream),
            None => Err(ReadError::ShardNotFound(address.clone())),
        }
    }

    /// The stream that a cursor was made for, not a later one of its name.
    fn readable_at(&self, cursor: &Cursor) -> Result<Arc<Stream>, ReadError> {
        let stream = self.readable(&cursor.shard)?;
        if cursor.from.created_seconds() != stream.incarnation {
            return Err(ReadError::ShardNotFound(cursor.shard.clone()));
        }
        Ok(stream)
    }

    fn meters(&self, name: &StreamName) -> Arc<StreamMeters> {
        let mut meters = self.0.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meters) = meters.get(name) {
            return Arc::clone(meters);
        }
        let stream = [("stream", name.to_string())];
        let of_stream = Arc::new(StreamMeters {
            records_in: counter!("baikonur_stream_records_in_total", &stream),
            bytes_in: counter!("baikonur_stream_bytes_in_total", &stream),
            records_out: counter!("baikonur_stream_records_out_total", &stream),
            bytes_out: counter!("baikonur_stream_bytes_out_total", &stream),
        });
        meters.insert(name.clone(), Arc::clone(&of_stream));
        of_stream
    }

    async fn note(&self, key: String, value: Option<Bytes>) -> Result<(), PutError> {
        let (answer, done) = oneshot::channel();
        let request = Request::Note(Note { key, value, answer });
        self.0.requests.send(request).map_err(|_| ended())?;
        done.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Changes the catalog: stored first, seen after.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Catalog, &Shared) -> Result<T, AdministerError> + Send + 'static,
    ) -> Result<T, AdministerError> {
        let shared = Arc::clone(&self.0);
        let work = move || {
            let mut catalog = shared.catalog.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = catalog.clone();
            let result = change(&mut changed, &shared)?;
            changed
                .store(&*shared.disk)
                .map_err(|error| AdministerError::Unavailable(error.to_string()))?;
            let mut streams = shared.streams.write().unwrap_or_else(PoisonError::into_inner);
            *streams = changed.streams(&streams);
            *catalog = changed;
            Ok(result)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(AdministerError::Unavailable(error.to_string())))
    }
}

fn ended() -> PutError {
    PutError::Unavailable("the store is closed".to_owned())
}

fn check_format(disk: &dyn Disk, directory: &std::path::Path) -> Result<(), OpenError> {
    let wrap = |source| OpenError::Io { directory: directory.to_owned(), source };
    let file = match disk.open(FORMAT_FILE, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return disk.replace(FORMAT_FILE, format!("{FORMAT}\n").as_bytes()).map_err(wrap);
        }
        Err(error) => return Err(wrap(error)),
    };
    let mut bytes = vec![0; file.length().map_err(wrap)?.min(256) as usize];
    file.read_at(&mut bytes, 0).map_err(wrap)?;
    let found = String::from_utf8_lossy(&bytes).trim().to_owned();
    if found == FORMAT {
        return Ok(());
    }
    Err(OpenError::Format { directory: directory.to_owned(), found })
}

#[async_trait]
impl Write for Engine {
    async fn put(
        &self,
        name: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let stream = self.stream(name).ok_or_else(|| PutError::StreamNotFound(name.clone()))?;
        let size = |entry: &PutEntry| entry.data.len() + entry.partition_key.bytes().len();
        let (count, bytes) = (entries.len(), entries.iter().map(size).sum::<usize>());
        let permits = (bytes / ROOM_UNIT + 1).min(self.0.settings.queue_bytes / ROOM_UNIT).max(1);
        let room = Arc::clone(&self.0.room)
            .acquire_many_owned(permits as u32)
            .await
            .map_err(|_| ended())?;
        let shards = entries.iter().map(|entry| stream.route(entry.hash_key())).collect();
        let (answer, done) = oneshot::channel();
        let put = Put { stream, entries, shards, bytes, remember, answer, _room: room };
        self.0.requests.send(Request::Put(put)).map_err(|_| ended())?;
        let placed = done.await.unwrap_or_else(|_| Err(ended()))?;
        let meters = self.meters(name);
        meters.records_in.increment(count as u64);
        meters.bytes_in.increment(bytes as u64);
        Ok(placed.into_iter().map(Ok).collect())
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        let notes = self.0.notes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = notes.get(&notes::producer_key(producer)) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| {
            PutError::Unavailable(format!("the position of producer {producer} is not readable"))
        })
    }
}

#[async_trait]
impl Read for Engine {
    async fn shards(&self, name: &StreamName) -> Result<Vec<Shard>, ReadError> {
        let stream = self.stream(name).ok_or_else(|| ReadError::StreamNotFound(name.clone()))?;
        Ok(stream.shards.clone())
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        let stream = self.readable(shard)?;
        let from = SequenceNumber::new(stream.incarnation, shard.shard.index(), 0, 0);
        let start = Cursor { shard: shard.clone(), from };
        self.0.reader.seek(&stream, &start, position, self.0.clock.now())
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let stream = self.readable_at(cursor)?;
        let now = self.0.clock.now();
        let reader = &self.0.reader;
        let page = if reader.is_cold(&stream, cursor, now) {
            let (reader, cursor) = (reader.clone(), cursor.clone());
            let read = move || reader.page(&stream, &cursor, limits, now);
            tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|error| Err(ReadError::Unavailable(error.to_string())))?
        } else {
            reader.page(&stream, cursor, limits, now)?
        };
        if !page.records.is_empty() {
            let meters = self.meters(&cursor.shard.stream);
            meters.records_out.increment(page.records.len() as u64);
            let bytes: usize = page.records.iter().map(baikonur_stream::Record::size).sum();
            meters.bytes_out.increment(bytes as u64);
        }
        Ok(page)
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        let Ok(stream) = self.readable_at(cursor) else {
            return tokio::time::sleep(at_most).await;
        };
        let Some(tip) = stream.tip(cursor.shard.shard) else {
            return tokio::time::sleep(at_most).await;
        };
        let mut tip = tip.subscribe();
        let counter = cursor.from.counter().max(FIRST_COUNTER);
        let _ = tokio::time::timeout(at_most, tip.wait_for(|next| *next > counter)).await;
    }
}

#[async_trait]
impl Administer for Engine {
    async fn create_stream(&self, request: CreateStream) -> Result<(), AdministerError> {
        self.change(move |catalog, shared| {
            let streams = shared.streams.read().unwrap_or_else(PoisonError::into_inner);
            if streams.contains_key(&request.name) {
                return Err(AdministerError::StreamExists(request.name));
            }
            drop(streams);
            let (open, limit) = (catalog.open_shards(), shared.settings.shard_limit);
            let requested = request.shard_count.max(1);
            if requested > limit.saturating_sub(open) {
                return Err(AdministerError::ShardLimit { requested, open, limit });
            }
            let now = shared.clock.now();
            catalog.create(request.name, requested, request.retention, now);
            Ok(())
        })
        .await
    }

    async fn delete_stream(&self, name: &StreamName) -> Result<(), AdministerError> {
        let name = name.clone();
        self.change(move |catalog, shared| {
            described(shared, &name)?;
            catalog.delete(&name);
            Ok(())
        })
        .await
    }

    async fn list_streams(&self) -> Result<Vec<StreamName>, AdministerError> {
        let streams = self.0.streams.read().unwrap_or_else(PoisonError::into_inner);
        Ok(streams.keys().cloned().collect())
    }

    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        let stream = described(&self.0, name)?;
        Ok(StreamDescription {
            name: stream.name.clone(),
            status: StreamStatus::Active,
            created: stream.created(),
            retention: stream.retention,
            shards: stream.shards.clone(),
        })
    }

    async fn increase_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError> {
        let name = name.clone();
        self.change(move |catalog, shared| {
            let present = described(shared, &name)?.retention.hours();
            let requested = to.hours();
            if requested < present {
                return Err(AdministerError::RetentionShorter { requested, present });
            }
            catalog.retain(&name, to);
            Ok(())
        })
        .await
    }

    async fn decrease_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError> {
        let name = name.clone();
        self.change(move |catalog, shared| {
            let present = described(shared, &name)?.retention.hours();
            let requested = to.hours();
            if requested > present {
                return Err(AdministerError::RetentionLonger { requested, present });
            }
            catalog.retain(&name, to);
            Ok(())
        })
        .await
    }
}

fn described(shared: &Shared, name: &StreamName) -> Result<Arc<Stream>, AdministerError> {
    let streams = shared.streams.read().unwrap_or_else(PoisonError::into_inner);
    streams.get(name).cloned().ok_or_else(|| AdministerError::StreamNotFound(name.clone()))
}

#[async_trait]
impl Progress for Engine {
    async fn load(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        let Some(stream) = self.stream(&shard.stream) else { return Ok(ShardProgress::default()) };
        let key = notes::progress_key(stream.key(shard.shard), consumer);
        let notes = self.0.notes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = notes.get(&key) else { return Ok(ShardProgress::default()) };
        serde_json::from_slice(value).map_err(|error| ProgressError(format!("{key}: {error}")))
    }

    async fn store(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let stream = self
            .stream(&shard.stream)
            .ok_or_else(|| ProgressError(format!("stream {} not found", shard.stream)))?;
        let key = notes::progress_key(stream.key(shard.shard), consumer);
        let value = serde_json::to_vec(progress).map_err(|e| ProgressError(e.to_string()))?;
        let stored = self.note(key, Some(Bytes::from(value))).await;
        stored.map_err(|error| ProgressError(error.to_string()))
    }
}
