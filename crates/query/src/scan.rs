//! Objects read on threads of their own, ahead of the statement: fetching, decompression and the search for fields go on
//! while SQLite works.
//!
//! A few requests are under way; each thread takes the next object, and whichever has rows sends them. So rows come in
//! no order. What is ahead is bounded: [`GROUPS_AHEAD`] groups of rows wait for the statement, and a thread that cannot
//! send waits.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::QueryError;
use crate::archive::Object;
use crate::cells::{Rows, Wants};
use crate::engine::Options;
use crate::fields;
use crate::format::{Codec, Format};
use crate::lines::{Blocks, Failure};
use crate::parquet::{self, Ranges};
use crate::progress::Progress;
use crate::store::{ArchiveStore, Stored};

/// Groups of rows that wait for the statement.
const GROUPS_AHEAD: usize = 16;
/// Objects that are being fetched and that no thread has taken yet.
const OBJECTS_AHEAD: usize = 4;
/// More threads than that do not make one statement faster.
const THREADS_MAX: usize = 8;
/// How often a statement that waits for rows looks whether it was interrupted.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What all scans of a query have in common.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) store: ArchiveStore,
    pub(crate) progress: Arc<Progress>,
    pub(crate) options: Arc<Options>,
}

/// Some rows of one object on their way to the statement.
#[derive(Debug)]
pub(crate) struct Group {
    /// The place of the object among all of the table, whichever of them are read.
    pub(crate) object: usize,
    /// How many rows of the object came before. Its rows come in their order, from one thread.
    pub(crate) before: u64,
    pub(crate) rows: Rows,
}

/// Objects that are being read. Dropped, it ends its threads.
#[derive(Debug)]
pub(crate) struct Scan {
    progress: Arc<Progress>,
    receiver: Receiver<Result<Group, QueryError>>,
}

impl Scan {
    /// Begins to read the objects at these places of `objects`.
    pub(crate) fn start(
        context: &Context,
        objects: Arc<[Object]>,
        chosen: Vec<usize>,
        wants: Wants,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(GROUPS_AHEAD);
        let (opened, queue) = mpsc::channel(OBJECTS_AHEAD);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(chosen.len()).min(THREADS_MAX);
        context.store.runtime().spawn(open_all(context.clone(), objects, chosen, opened));
        let queue = Arc::new(Mutex::new(queue));
        let wants = Arc::new(wants);
        for _ in 0..threads {
            let reader = Reader {
                context: context.clone(),
                wants: Arc::clone(&wants),
                sender: sender.clone(),
            };
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("query-read".to_owned()).spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    let Some(opened) = next else { return };
                    if reader.read(opened).is_break() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { progress: Arc::clone(&context.progress), receiver })
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// An object that cannot be read, or an interruption.
    pub(crate) fn next(&mut self) -> Result<Option<Group>, QueryError> {
        loop {
            match self.receiver.recv_timeout(LOOK_INTERVAL) {
                _ if self.progress.is_stopped() => return Err(QueryError::Interrupted),
                Ok(next) => return next.map(Some),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

/// An object on its way.
struct Opened {
    place: usize,
    key: String,
    body: Body,
}

enum Body {
    Lines(Codec, JoinHandle<Result<Stored, QueryError>>),
    Parquet(JoinHandle<Result<Ranges, QueryError>>),
}

async fn open_all(
    context: Context,
    objects: Arc<[Object]>,
    chosen: Vec<usize>,
    sender: mpsc::Sender<Opened>,
) {
    for place in chosen {
        let Some(Object { key, bytes, format, .. }) = objects.get(place) else { continue };
        let (key, bytes, format) = (key.clone(), *bytes, *format);
        // There is nothing in it, not even the head of a compressed text.
        if bytes == 0 {
            continue;
        }
        // Only then the request is made: one at a time is ahead of what fits.
        let Ok(permit) = sender.reserve().await else { return };
        context.progress.opened();
        let (store, progress) = (context.store.clone(), Arc::clone(&context.progress));
        let of = key.clone();
        let body = match format {
            Format::Lines(codec) => {
                Body::Lines(codec, tokio::spawn(async move { store.open(&of).await }))
            }
            Format::Parquet => Body::Parquet(tokio::spawn(async move {
                Ranges::fetch(store, of, bytes, progress).await
            })),
        };
        permit.send(Opened { place, key, body });
    }
}

/// Why an object was not read to its end.
pub(crate) enum Halt {
    /// Nobody waits for rows any more.
    Stopped,
    Failed(QueryError),
}

struct Reader {
    context: Context,
    wants: Arc<Wants>,
    sender: SyncSender<Result<Group, QueryError>>,
}

impl Reader {
    /// Reads one object; breaks when no other shall be read.
    fn read(&self, opened: Opened) -> ControlFlow<()> {
        let key = opened.key.clone();
        let whole = unwound(|| self.rows_of(opened)).unwrap_or_else(|said| {
            self.damaged(&key, None, format!("it cannot be read ({said})")).map_err(Halt::Failed)
        });
        match whole {
            Ok(()) => {
                self.context.progress.read();
                ControlFlow::Continue(())
            }
            Err(Halt::Stopped) => ControlFlow::Break(()),
            Err(Halt::Failed(error)) => {
                let _ = self.sender.send(Err(error));
                ControlFlow::Break(())
            }
        }
    }

    fn rows_of(&self, Opened { place, key, body }: Opened) -> Result<(), Halt> {
        let runtime = self.context.store.runtime();
        let mut before = 0;
        let mut emit = |rows: Rows| {
            let count = rows.count as u64;
            self.context.progress.rows(count);
            let group = Group { object: place, before, rows };
            before += count;
            self.sender.send(Ok(group)).map_err(|_| Halt::Stopped)
        };
        match body {
            Body::Lines(codec, stored) => {
                let stored = joined(runtime.block_on(stored)).map_err(Halt::Failed)?;
                let stored = Counted { stored, progress: Arc::clone(&self.context.progress) };
                self.lines(&key, Blocks::new(codec, stored), &mut emit)
            }
            Body::Parquet(ranges) => {
                let ranges = joined(runtime.block_on(ranges)).map_err(Halt::Failed)?;
                match parquet::read(ranges, &self.wants, &mut emit) {
                    Ok(()) => Ok(()),
                    Err(parquet::Stop::Halt(halt)) => Err(halt),
                    Err(parquet::Stop::Damage(what)) => {
                        self.damaged(&key, None, what).map_err(Halt::Failed)
                    }
                }
            }
        }
    }

    fn lines(
        &self,
        key: &str,
        mut blocks: Blocks,
        emit: &mut dyn FnMut(Rows) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let mut before = 0;
        loop {
            let block = match blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(()),
                Err(Failure::Fetch(error)) => return Err(Halt::Failed(error)),
                Err(Failure::Damage(what)) => {
                    return self.damaged(key, Some(before + 1), what).map_err(Halt::Failed);
                }
            };
            let lines = memchr::memchr_iter(b'\n', &block).count() as u64;
            fields::read(block, &self.wants, emit, &mut |bad| {
                self.damaged(key, Some(before + bad.line + 1), bad.what).map_err(Halt::Failed)
            })?;
            before += lines;
        }
    }

    /// Tells of damage and goes on, if that is wished for.
    fn damaged(&self, key: &str, line: Option<u64>, what: String) -> Result<(), QueryError> {
        let error = QueryError::Damaged { url: self.context.store.url(key), line, what };
        if !self.context.options.skip_damaged {
            return Err(error);
        }
        self.context.progress.damage();
        (self.context.options.tell)(&error);
        Ok(())
    }
}

/// Runs a library that may meet in an object what its authors did not think of.
///
/// # Errors
/// What its panic said.
pub(crate) fn unwound<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        said.unwrap_or("no reason").to_owned()
    })
}

/// The answer of a task, also where it panicked or the runtime is going down.
fn joined<T>(
    answer: Result<Result<T, QueryError>, tokio::task::JoinError>,
) -> Result<T, QueryError> {
    answer.unwrap_or(Err(QueryError::Interrupted))
}

/// Counts what is fetched.
struct Counted {
    stored: Stored,
    progress: Arc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stored.read(buffer)?;
        self.progress.fetched(read as u64);
        Ok(read)
    }
}
