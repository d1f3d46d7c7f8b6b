//! Records into objects: lines of JSON or Parquet, one object for each folder of the layout, in an S3 bucket or in a
//! folder. The originals' layout (log type and date, gzip) is the default.
//!
//! Objects are filled over many batches and written when there is enough of them, when the first
//! line gets old, or when memory gets short; until then the module *holds*, and the mapping keeps
//! its checkpoint.
//!
//! All objects of a shard are written together, at one cut. So the mapping's one announcement (a
//! range of the shard, and its keys) covers all that may be half done: after a crash the same range
//! comes again, is cut at the same place, and gives the same objects under the same keys. For that
//! an object depends on the events of the range and on the settings, and on nothing else; where it
//! is from stands in its gzip header, or its hash in its name: `baikonur {module} {stream}/{shard} {first}-{last}`.

mod content;
mod encode;
mod memory;
mod send;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Clock, Close, Deliver, Delivery, Module, OpenError, Outcome, SequenceNumber,
    ShardAddress,
};
use bytes::Bytes;
use metrics::{Counter, counter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::warn;

pub use settings::{InvalidSettings, Settings};
pub use table::{ColumnType, InvalidColumns, NestedObjects, REST, ScalarType};

use crate::intake::Intake;
use crate::objects::layout::Layout;
use crate::objects::template::InvalidTemplate;
use crate::objects::{ObjectDestination, Piece, UNPACKED_BYTES_MAX, name, unpacked_for};
use content::{Packer, Whole};
use encode::{OBJECTS_OF_A_CUT_MAX, Objects};
use memory::{Budget, Room, Share};
use table::{Table, TableError, TableSettings};

/// The reason of events for which no further object is begun.
pub const TOO_MANY_OBJECTS: &str = "too_many_objects";

fn too_many_objects() -> String {
    format!(
        "{OBJECTS_OF_A_CUT_MAX} objects (log types and dates, or folders) are being written, and this would be one more"
    )
}

/// Objects that a shard fills at the same time; with more it writes all of them.
const OBJECTS_MAX: usize = 256;
/// Objects that a shard writes at the same time.
const UPLOADS_MAX: usize = 8;
/// Bytes of lines after which others get a turn: compression would keep them waiting.
const TURN_BYTES: usize = 128 * 1024;
/// Tables that are made at the same time.
const TABLE_MAKERS_MAX: usize = 64;
/// What a row group takes in memory while it is made, in sizes of its lines.
const ROW_GROUP_MEMORY: u64 = 3;
/// Bytes of the module's name in an origin.
const CONSUMER_BYTES_MAX: usize = 256;

/// The `kinesis-to-s3` module.
pub struct ToS3 {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    settings: Settings,
    intake: Arc<Intake>,
    destination: Arc<dyn ObjectDestination>,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    layout: Arc<Layout>,
    tables: Arc<TableSettings>,
    /// Tables that are made at the same time: each takes the memory of a row group.
    table_makers: Semaphore,
    /// For files until they are written.
    room: Room,
    objects_written: Counter,
    object_bytes: Counter,
}

impl ToS3 {
    /// A module that puts what `intake` takes into `destination`, opened from the settings'
    /// [`location`](Settings::location) and [`properties`](Settings::properties).
    ///
    /// # Errors
    /// A `key_layout` that cannot be.
    pub fn new(
        settings: Settings,
        intake: Arc<Intake>,
        destination: Arc<dyn ObjectDestination>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidTemplate> {
        let module = intake.consumer().to_string();
        let makers = settings.memory_bytes / (ROW_GROUP_MEMORY * settings.row_group_bytes).max(1);
        let makers = usize::try_from(makers).unwrap_or(usize::MAX);
        let shared = Shared {
            budget: Budget::new(settings.memory_bytes),
            layout: Arc::new(settings.layout()?),
            tables: Arc::new(TableSettings::of(&settings, intake.schema().clone())),
            table_makers: Semaphore::new(makers.clamp(1, TABLE_MAKERS_MAX)),
            room: Room::new(settings.memory_bytes),
            settings,
            intake,
            destination,
            clock,
            objects_written: counter!("baikonur_objects_written_total", "module" => module.clone()),
            object_bytes: counter!("baikonur_object_bytes_total", "module" => module),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Module for ToS3 {
    async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        let shared = self.shared.clone();
        let packer = Packer::new(&shared.settings, &shared.tables);
        Ok(Box::new(Archiving {
            shard: shard.clone(),
            objects: Objects::new(&shared.layout, packer, shard),
            held_since: None,
            share: Share::of(&shared.budget),
            stored: Vec::new(),
            shared,
        }))
    }

    fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.shared.intake.resume_within(shard, number, sub_sequence);
    }
}

/// The delivery of one shard.
struct Archiving {
    shared: Arc<Shared>,
    shard: ShardAddress,
    objects: Objects,
    /// When the first line was taken, on the monotonic clock.
    held_since: Option<Duration>,
    share: Share,
    /// The objects that a close that failed did write.
    stored: Vec<bool>,
}

#[async_trait]
impl Deliver for Archiving {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let shared = self.shared.clone();
        let mut rejected = Vec::new();
        let mut turn = 0;
        // What is written so far is not all any more.
        self.stored.clear();
        for part in shared.intake.parts(batch) {
            rejected.extend(part.rejected);
            let mut refused = Vec::new();
            for taken in part.events {
                match self.objects.add(taken.sequence_number, &taken.event) {
                    Some(bytes) => turn += bytes,
                    None => refused.push(taken.rejected(TOO_MANY_OBJECTS, too_many_objects())),
                }
                if turn > TURN_BYTES {
                    turn = 0;
                    tokio::task::yield_now().await;
                }
            }
            rejected.extend(shared.intake.in_proportion(batch, refused));
        }
        self.share.set(self.objects.held_bytes());
        let outcome = match self.close_wish() {
            Some(close) => Outcome::Held(close),
            None => Outcome::Delivered,
        };
        Delivery { outcome, rejected }
    }

    fn keys(&self) -> Vec<String> {
        let Some((_, origin)) = self.origin() else { return Vec::new() };
        (0..self.objects.len()).map(|place| self.objects.key(place, &origin)).collect()
    }

    async fn close(&mut self) -> Delivery {
        let Some((first, origin)) = self.origin() else {
            return Delivery::delivered();
        };
        match self.write(origin).await {
            Ok(()) => {
                self.discard();
                Delivery::delivered()
            }
            Err(reason) => {
                let cause = Cause::Destination;
                let outcome = Outcome::Failed { from: first, cause, reason };
                Delivery { outcome, rejected: Vec::new() }
            }
        }
    }

    fn discard(&mut self) {
        self.objects.clear();
        self.stored.clear();
        self.held_since = None;
        self.share.set(0);
    }
}

impl Archiving {
    /// The first record of what is held, and where the objects are from.
    fn origin(&self) -> Option<(SequenceNumber, Arc<str>)> {
        let (first, last) = self.objects.range()?;
        let module = name(self.shared.intake.consumer().as_str(), CONSUMER_BYTES_MAX);
        Some((first, format!("baikonur {module} {} {first}-{last}", self.shard).into()))
    }

    /// When what is held wants to be written; none when nothing is.
    fn close_wish(&mut self) -> Option<Close> {
        let Shared { settings, clock, .. } = &*self.shared;
        if self.objects.len() == 0 {
            return None;
        }
        let now = clock.monotonic();
        let age = now.saturating_sub(*self.held_since.get_or_insert(now));
        let full = self.objects.line_bytes() >= settings.buffer_bytes
            || settings.buffer_records.is_some_and(|most| self.objects.line_count() >= most)
            || self.objects.len() > OBJECTS_MAX
            || self.share.is_exceeded();
        Some(if full { Close::Now } else { Close::Within(settings.age_max().saturating_sub(age)) })
    }

    /// Writes what is not written yet. Stops at a failure, with what is under way finished.
    async fn write(&mut self, origin: Arc<str>) -> Result<(), String> {
        self.stored.resize(self.objects.len(), false);
        let mut uploads = JoinSet::new();
        let mut failure = None;
        for place in 0..self.objects.len() {
            if self.stored[place] {
                continue;
            }
            if uploads.len() == UPLOADS_MAX {
                self.settle(uploads.join_next().await, &mut failure);
            }
            if failure.is_some() {
                break;
            }
            let key = self.objects.key(place, &origin);
            let (content, room) = match self.objects.whole(place, &origin) {
                Whole::Ready(content) => {
                    let room = self.shared.room.take(self.shared.unpacked_bytes(&content)).await;
                    (content, room)
                }
                Whole::Table(table) => match self.shared.make(table).await {
                    Ok(made) => made,
                    Err(reason) => {
                        failure = Some(format!("{key}: {reason}"));
                        break;
                    }
                },
            };
            let upload = self.shared.clone().upload(place, key, content, origin.clone());
            uploads.spawn(async move {
                let ended = upload.await;
                drop(room);
                ended
            });
        }
        while let Some(ended) = uploads.join_next().await {
            self.settle(Some(ended), &mut failure);
        }
        failure.map_or(Ok(()), Err)
    }

    fn settle(
        &mut self,
        ended: Option<Result<Result<usize, String>, tokio::task::JoinError>>,
        failure: &mut Option<String>,
    ) {
        match ended {
            None => {}
            Some(Ok(Ok(place))) => self.stored[place] = true,
            Some(Ok(Err(reason))) => *failure = Some(reason),
            Some(Err(error)) => *failure = Some(format!("an upload was cut short: {error}")),
        }
    }
}

/// A file, and the room that it takes until it is written.
type Made = (Vec<Piece>, Option<OwnedSemaphorePermit>);

impl Shared {
    /// Makes the file of a table, away from those who wait for the network, with the room that it takes.
    async fn make(&self, table: Box<Table>) -> Result<Made, String> {
        // Kept until there is room for the file: else those that wait for it would be without number.
        let _turn = self.table_makers.acquire().await.map_err(|error| error.to_string())?;
        let table = Arc::new(*table);
        let file = match off_thread(&table, Table::file).await {
            Ok(file) => file,
            Err(what) => {
                // No record may stop its shard: the same range always ends here.
                warn!(
                    "{}: {what}; all fields of the object go into the column {REST}",
                    table.origin
                );
                off_thread(&table, Table::plain_file).await?
            }
        };
        let room = self.room.take(file.iter().map(Bytes::len).sum()).await;
        Ok((file.into_iter().map(Piece::Plain).collect(), room))
    }

    /// Bytes that `content` takes beside what is held of it while it is written.
    fn unpacked_bytes(&self, content: &[Piece]) -> usize {
        let packed = content.iter().filter(|piece| matches!(piece, Piece::Packed { .. }));
        let bytes = packed.map(Piece::content_bytes).sum::<usize>();
        if self.layout.names_origin() { bytes.min(UNPACKED_BYTES_MAX) } else { bytes }
    }

    async fn upload(
        self: Arc<Self>,
        place: usize,
        key: String,
        content: Vec<Piece>,
        origin: Arc<str>,
    ) -> Result<usize, String> {
        let bytes: usize = content.iter().map(Piece::content_bytes).sum();
        let stored = if self.layout.names_origin() {
            self.destination.put_pieces(&key, content).await
        } else {
            match unpacked_for(&*self.destination, &key, content) {
                Ok(content) => {
                    send::store(&*self.destination, &key, content, &origin).await.map(|_| ())
                }
                Err(error) => Err(error),
            }
        };
        stored.map_err(|error| error.to_string())?;
        self.objects_written.increment(1);
        self.object_bytes.increment(bytes as u64);
        Ok(place)
    }
}

async fn off_thread(
    table: &Arc<Table>,
    make: fn(&Table) -> Result<Vec<Bytes>, TableError>,
) -> Result<Vec<Bytes>, String> {
    let table = Arc::clone(table);
    match tokio::task::spawn_blocking(move || make(&table)).await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(format!("making the table was cut short: {error}")),
    }
}
