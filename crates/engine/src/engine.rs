//! Opening, closing and the health of a store; and the thread that runs its writer.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use baikonur_stream::Clock;
use tokio::sync::oneshot;

use crate::catalog::{Catalog, StreamTexts};
use crate::commit::{self, Groups, Next, Queue};
use crate::disk::{self, Disk, Folder};
use crate::lock::read;
use crate::log::AppendError;
use crate::recovery::{self, RecoveryReport};
use crate::settings::{EngineSettings, GROUP_BYTES};
use crate::store::Store;
use crate::streams::{self, ShardCounters, Streams};
use crate::writer::{Request, Start, Writer};

/// Why a store could not be opened. Nothing was lost by trying.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is out of its range.
    #[error("the engine's settings cannot be used: {0}")]
    Settings(String),
    /// Another process has the directory open.
    #[error(
        "another process has the data directory {} open; stop it, or choose another directory",
        directory.display()
    )]
    InUse {
        /// The store's directory.
        directory: PathBuf,
    },
    /// The directory was written by another version.
    #[error(
        "the data directory {} has the format {found:?}; this version reads {FORMAT:?}",
        directory.display()
    )]
    Format {
        /// The store's directory.
        directory: PathBuf,
        /// What its FORMAT file says.
        found: String,
    },
    /// A file that the rest means nothing without is missing.
    #[error(
        "the data directory {} has segments but no {missing}; put it back from a copy",
        directory.display()
    )]
    Incomplete {
        /// The store's directory.
        directory: PathBuf,
        /// The file.
        missing: &'static str,
    },
    /// Reading or writing failed.
    #[error("the data directory {} cannot be opened", directory.display())]
    Io {
        /// The store's directory.
        directory: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// What the FORMAT file says.
pub(crate) const FORMAT: &str = "baikonur streams, format 2";
/// What it said before streams had properties. Such a directory is brought to format 2 when it is
/// opened; segments are the same in both.
pub(crate) const FORMAT_1: &str = "baikonur streams, format 1";
pub(crate) const FORMAT_FILE: &str = "FORMAT";

/// How often the writer looks at the clock when nothing is to be written.
const IDLE: Duration = Duration::from_secs(60);

/// How the store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why no write is taken any more, and what to do; none while all is well. Reading goes on.
    pub writes_closed: Option<String>,
    /// Damage found by recovery and by readers, by file and offset; at most about a thousand.
    pub damaged: Vec<String>,
}

/// Embedded streams in a directory. Cheap to clone; all clones are the same store, which is closed
/// when the last one is dropped.
#[derive(Clone)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) queue: Arc<Queue<Request>>,
}

impl Engine {
    /// Opens the store, recovers what a crash left, and starts its writer. Blocks for as long as
    /// reading one segment takes, and one footer per segment beside.
    pub fn open(
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let directory = settings.directory.clone();
        let folder = Folder::open(&directory).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { directory },
            _ => OpenError::Io { directory, source },
        })?;
        Self::open_on(Arc::new(folder), settings, clock)
    }

    /// Opens a store on a given disk; `settings.directory` only names it in errors.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let queue_bytes = settings.queue_bytes;
        let (store, writer, report) = assemble(disk, settings, clock)?;
        let (queue, groups) = commit::queue(queue_bytes, GROUP_BYTES);
        std::thread::Builder::new()
            .name("baikonur-writer".to_owned())
            .spawn({
                let end = WriterEnd(Arc::downgrade(&store));
                move || {
                    let _end = end;
                    run(writer, &groups);
                }
            })
            .map_err(|error| OpenError::Settings(format!("no thread for the writer: {error}")))?;
        Ok((Self { store, queue: Arc::new(queue) }, report))
    }

    /// Makes everything durable and ends the writer; later writes are refused, reading goes on. The
    /// directory stays locked until the last clone is dropped.
    pub async fn close(&self) {
        let (answer, done) = oneshot::channel();
        if self.queue.submit(Request::Close(answer), 0).await.is_ok() {
            // An error means that the writer had ended already.
            let _ = done.await;
        }
    }

    /// What went through the shards of all streams, by stream and shard.
    pub fn counters(&self) -> Vec<ShardCounters> {
        let streams = Arc::clone(&read(&self.store.streams));
        streams.values().flat_map(|stream| stream.counters()).collect()
    }

    /// How the store does.
    pub fn health(&self) -> Health {
        Health { writes_closed: self.store.closed(), damaged: self.store.damaged() }
    }
}

/// Closes writes when the writer's thread ends, however it ends. Weak, so that it does not hold the
/// directory's lock after the store was closed and dropped.
struct WriterEnd(Weak<Store>);

impl Drop for WriterEnd {
    fn drop(&mut self) {
        if let Some(store) = self.0.upgrade() {
            store.close("the writer has ended unexpectedly; restart".to_owned());
        }
    }
}

/// Works until it is closed or nobody can ask any more.
fn run(mut writer: Writer, groups: &Groups<Request>) {
    loop {
        match groups.next(IDLE) {
            Next::Group(group) => {
                // The room of a request is given back when the group is answered.
                let (requests, rooms): (Vec<_>, Vec<_>) =
                    group.into_iter().map(commit::Queued::split).unzip();
                let closing = writer.work(requests);
                drop(rooms);
                if let Some(done) = closing {
                    writer.finish();
                    let _ = done.send(());
                    return;
                }
            }
            Next::Idle => {}
            Next::Ended => return writer.finish(),
        }
        writer.keep_house();
    }
}

/// Everything of a store but its thread.
pub(crate) fn assemble(
    disk: Arc<dyn Disk>,
    settings: EngineSettings,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Store>, Writer, RecoveryReport), OpenError> {
    if let Some(what) = settings.out_of_range() {
        return Err(OpenError::Settings(what));
    }
    let directory = settings.directory;
    let wrap = |source| OpenError::Io { directory: directory.clone(), source };
    let catalog = match check_format(&*disk, &directory)? {
        Some(catalog) => catalog,
        None => load_catalog(&*disk, &directory)?,
    };
    let recovered = recovery::recover(&disk, &catalog, settings.durability).map_err(wrap)?;
    let streams = Arc::new(streams::in_use(&catalog, &Streams::new()));
    streams::announce_ends(&Streams::new(), &streams);
    let seen = (recovered.index, recovered.notes);
    let damaged = recovered.report.damaged.clone();
    let store = Arc::new(Store::new((disk, clock), settings.throughput, streams, seen, damaged));
    let start = Start {
        log: recovered.log,
        tips: recovered.tips,
        last_arrival: recovered.last_arrival,
        active_since: recovered.active_since,
        roll: recovered.roll,
    };
    let (segment_bytes, limit) = (settings.segment_bytes, settings.shard_limit);
    let writer = Writer::start(Arc::clone(&store), catalog, start, segment_bytes, limit).map_err(
        |error| match error {
            AppendError::Full(error) | AppendError::Fatal(error) => wrap(error),
        },
    )?;
    Ok((store, writer, recovered.report))
}

/// Brings a directory of format 1 to this one; done again if the process ends in the middle.
fn upgrade(disk: &dyn Disk, directory: &std::path::Path) -> Result<Catalog, OpenError> {
    let wrap = |source| OpenError::Io { directory: directory.to_owned(), source };
    let mut catalog = load_catalog(disk, directory)?;
    catalog.store(disk, &mut StreamTexts::default()).map_err(wrap)?;
    disk.replace(FORMAT_FILE, format!("{FORMAT}\n").as_bytes()).map_err(wrap)?;
    Ok(catalog)
}

fn load_catalog(disk: &dyn Disk, directory: &std::path::Path) -> Result<Catalog, OpenError> {
    let directory = directory.to_owned();
    match Catalog::load(disk) {
        Ok(Some(catalog)) => Ok(catalog),
        Ok(None) => Err(OpenError::Incomplete { directory, missing: "catalog.json" }),
        Err(source) => Err(OpenError::Io { directory, source }),
    }
}

/// Checks the format, or begins a store in an empty directory: the catalog first, the format last, so
/// that a directory with a format has a catalog. Gives the catalog of a new store.
fn check_format(
    disk: &dyn Disk,
    directory: &std::path::Path,
) -> Result<Option<Catalog>, OpenError> {
    let wrap = |source| OpenError::Io { directory: directory.to_owned(), source };
    if let Some(bytes) = disk::read_small(disk, FORMAT_FILE).map_err(wrap)? {
        let found = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim().to_owned();
        return match found.as_str() {
            FORMAT => Ok(None),
            FORMAT_1 => upgrade(disk, directory).map(Some),
            _ => Err(OpenError::Format { directory: directory.to_owned(), found }),
        };
    }
    if !disk.list(disk::LOG_FOLDER).map_err(wrap)?.is_empty() {
        let missing = FORMAT_FILE;
        return Err(OpenError::Incomplete { directory: directory.to_owned(), missing });
    }
    let mut catalog = Catalog::default();
    catalog.store(disk, &mut StreamTexts::default()).map_err(wrap)?;
    disk.replace(FORMAT_FILE, format!("{FORMAT}\n").as_bytes()).map_err(wrap)?;
    Ok(Some(catalog))
}
