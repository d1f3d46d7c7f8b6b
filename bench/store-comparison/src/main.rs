//! The engine's log beside an embedded store (fjall): the same records, the same promise.
//!
//! Run with `cargo run --release`, on a quiet disk; `COMPARE_DIR` names the directory, `COMPARE_GB`
//! the amount for write amplification and opening (default 1).
//!
//! Both promise that a batch is on the disk (fdatasync) when it is answered. The embedded store is
//! measured twice: each task committing its own batches, and all tasks sharing one committer, as the
//! engine's tasks share its writer. Keys are shard and counter, as a log on such a store would have.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use baikonur_engine::{Engine, EngineSettings};
use baikonur_stream::{
    Administer, CreateStream, PartitionKey, PutEntry, RetentionHours, StreamName, SystemClock,
    Write,
};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

const RECORDS: u64 = 100;
const RECORD_BYTES: usize = 480;
const TASKS: u64 = 16;
const TIME: Duration = Duration::from_secs(5);

/// Bytes that do not compress, different for each record.
fn payload(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..RECORD_BYTES / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// Bytes that this process had written to the disk so far.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).expect("a number")
}

struct Figures {
    records_per_second: f64,
    amplification: f64,
    open_seconds: f64,
}

fn stream() -> StreamName {
    StreamName::new("s").expect("a legal name")
}

fn open_engine(directory: &Path) -> Engine {
    let clock = Arc::new(SystemClock::new());
    Engine::open(EngineSettings::new(directory), clock).expect("it opens").0
}

fn batch(from: u64) -> Vec<PutEntry> {
    let entry = |n: u64| PutEntry {
        partition_key: PartitionKey::new(Bytes::from(n.to_string())).expect("a legal key"),
        explicit_hash_key: None,
        data: Bytes::from(payload(n)),
    };
    (from..from + RECORDS).map(entry).collect()
}

async fn engine_puts(
    engine: &Engine,
    stop: impl Fn(u64, Duration) -> bool + Copy + Send + 'static,
) -> (u64, Duration) {
    let (started, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (engine, count) = (engine.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let entries = batch(task * RECORDS);
                while !stop(count.load(Ordering::Relaxed), started.elapsed()) {
                    let placed = engine.put(&stream(), entries.clone(), None).await;
                    placed.expect("a healthy disk");
                    count.fetch_add(RECORDS, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    (count.load(Ordering::Relaxed), started.elapsed())
}

async fn engine(directory: &Path, records: u64) -> Figures {
    let store = open_engine(&directory.join("engine-rate"));
    let request = CreateStream { name: stream(), shard_count: 8, retention: RetentionHours::MIN };
    store.create_stream(request.clone()).await.expect("a new stream");
    let (count, took) = engine_puts(&store, |_, elapsed| elapsed >= TIME).await;
    store.close().await;
    drop(store);

    let directory = directory.join("engine-fill");
    let before = written();
    let store = open_engine(&directory);
    store.create_stream(request).await.expect("a new stream");
    let (filled, _) = engine_puts(&store, move |count, _| count >= records).await;
    store.close().await;
    drop(store);
    let amplification = (written() - before) as f64 / (filled * RECORD_BYTES as u64) as f64;
    let started = Instant::now();
    let store = open_engine(&directory);
    let open_seconds = started.elapsed().as_secs_f64();
    drop(store);
    Figures { records_per_second: count as f64 / took.as_secs_f64(), amplification, open_seconds }
}

fn open_fjall(directory: &Path) -> (Database, Keyspace) {
    let database = Database::builder(directory).open().expect("it opens");
    let keyspace = database.keyspace("log", KeyspaceCreateOptions::default).expect("a legal name");
    (database, keyspace)
}

/// Writes batches of many tasks with one sync.
fn commit(database: &Database, keyspace: &Keyspace, batches: &[Vec<(Vec<u8>, Vec<u8>)>]) {
    let mut group = database.batch().durability(Some(PersistMode::SyncData));
    for (key, value) in batches.iter().flatten() {
        group.insert(keyspace, key.clone(), value.clone());
    }
    group.commit().expect("a healthy disk");
}

fn keyed(next: &AtomicU64, payloads: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let first = next.fetch_add(payloads.len() as u64, Ordering::Relaxed);
    let key = |n: u64| [&((n % 8) as u32).to_be_bytes()[..], &n.to_be_bytes()].concat();
    payloads.iter().zip(first..).map(|(payload, n)| (key(n), payload.clone())).collect()
}

fn payloads(task: u64) -> Vec<Vec<u8>> {
    (task * RECORDS..(task + 1) * RECORDS).map(payload).collect()
}

/// Each task commits and syncs for itself.
fn fjall_alone(directory: &Path) -> f64 {
    let (database, keyspace) = open_fjall(directory);
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for task in 0..TASKS {
            let (database, keyspace, next) = (&database, &keyspace, &next);
            scope.spawn(move || {
                let payloads = payloads(task);
                while started.elapsed() < TIME {
                    commit(database, keyspace, &[keyed(next, &payloads)]);
                }
            });
        }
    });
    next.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// One committer for all tasks; gives records and time.
fn fjall_grouped(
    database: &Database,
    keyspace: &Keyspace,
    stop: impl Fn(u64, Duration) -> bool + Sync,
) -> (u64, Duration) {
    type Asked = (Vec<(Vec<u8>, Vec<u8>)>, mpsc::Sender<()>);
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<Asked>();
        for task in 0..TASKS {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                let payloads = payloads(task);
                while !stop(next.load(Ordering::Relaxed), started.elapsed()) {
                    let (answer, done) = mpsc::channel();
                    sender.send((keyed(next, &payloads), answer)).expect("the committer lives");
                    done.recv().expect("an answer");
                }
            });
        }
        drop(sender);
        while let Ok(first) = receiver.recv() {
            let (batches, answers): (Vec<_>, Vec<_>) =
                std::iter::once(first).chain(receiver.try_iter()).unzip();
            commit(database, keyspace, &batches);
            for answer in answers {
                // Whoever asked waits for it.
                answer.send(()).expect("a waiting task");
            }
        }
    });
    (next.load(Ordering::Relaxed), started.elapsed())
}

fn fjall(directory: &Path, records: u64) -> Figures {
    let (database, keyspace) = open_fjall(&directory.join("fjall-rate"));
    let (count, took) = fjall_grouped(&database, &keyspace, |_, elapsed| elapsed >= TIME);
    drop((database, keyspace));

    let directory = directory.join("fjall-fill");
    let before = written();
    let (database, keyspace) = open_fjall(&directory);
    let (filled, _) = fjall_grouped(&database, &keyspace, |count, _| count >= records);
    drop((database, keyspace));
    let amplification = (written() - before) as f64 / (filled * RECORD_BYTES as u64) as f64;
    let started = Instant::now();
    let opened = open_fjall(&directory);
    let open_seconds = started.elapsed().as_secs_f64();
    drop(opened);
    Figures { records_per_second: count as f64 / took.as_secs_f64(), amplification, open_seconds }
}

fn show(name: &str, figures: &Figures) {
    let Figures { records_per_second, amplification, open_seconds } = figures;
    println!(
        "{name:<16} {records_per_second:>9.0} records/s   {amplification:.2} bytes written per \
         byte   opened in {open_seconds:.3} s"
    );
}

#[tokio::main]
async fn main() {
    let directory = std::env::var_os("COMPARE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/data"), PathBuf::from);
    // It need not exist. Removed at the end: a deletion slows the syncs after it.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    let gigabytes = std::env::var("COMPARE_GB").ok().and_then(|text| text.parse().ok());
    let records = gigabytes.unwrap_or(1) * 1_000_000_000 / RECORD_BYTES as u64;
    let ours = engine(&directory, records).await;
    show("engine", &ours);
    let theirs = fjall(&directory, records);
    show("fjall, grouped", &theirs);
    println!("fjall, alone     {:>9.0} records/s", fjall_alone(&directory.join("fjall-alone")));
    println!(
        "engine over fjall grouped: rate {:.1}, bytes written {:.2}, time to open {:.2}",
        ours.records_per_second / theirs.records_per_second,
        ours.amplification / theirs.amplification,
        ours.open_seconds / theirs.open_seconds,
    );
    std::fs::remove_dir_all(&directory).expect("what was made can be removed");
}
