//! Archiving into a real folder: layout, cuts, and every line exactly once through failures and
//! crashes. Only the failures are played.

mod formats;

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use baikonur_stream::{
    ConsumerName, PartitionKey, Record, SequenceNumber, ShardId, StreamName, Timestamp,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::intake::IntakeSettings;
use crate::objects::{Location, ObjectError, PutMode, S3Settings, open};

/// A clock that stands still until it is set.
#[derive(Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// What happens to a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    NotWritten,
    /// The worst case: the object is there, but nobody was told.
    WrittenButFailed,
}

/// A folder whose puts fail as they are told to.
struct FaultyFolder {
    folder: Arc<dyn ObjectDestination>,
    faults: Mutex<VecDeque<Fault>>,
    /// As a server without conditional writes.
    no_create: bool,
}

#[async_trait]
impl ObjectDestination for FaultyFolder {
    async fn head(&self, key: &str, bytes_max: usize) -> Result<Option<Bytes>, ObjectError> {
        self.folder.head(key, bytes_max).await
    }

    async fn put(&self, key: &str, content: Vec<Bytes>, mode: PutMode) -> Result<(), ObjectError> {
        if self.no_create && mode == PutMode::Create {
            return Err(ObjectError::NoCreate);
        }
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        if fault != Fault::NotWritten {
            self.folder.put(key, content, mode).await?;
        }
        match fault {
            Fault::None => Ok(()),
            fault => Err(ObjectError::Unavailable(format!("{fault:?}"))),
        }
    }

    fn url(&self, key: &str) -> String {
        self.folder.url(key)
    }
}

struct Archive {
    folder: TempDir,
    destination: Arc<FaultyFolder>,
    clock: Arc<SetClock>,
    module: ToS3,
}

impl Archive {
    fn new(settings: Settings) -> Self {
        Self::on(settings, false)
    }

    fn on(settings: Settings, no_create: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let destination = Arc::new(FaultyFolder {
            folder: open(&location, &S3Settings::default()).unwrap(),
            faults: Mutex::default(),
            no_create,
        });
        let clock = Arc::new(SetClock::default());
        let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("archive"));
        let intake = Arc::new(intake.unwrap());
        let module = ToS3::new(settings, intake, destination.clone(), clock.clone()).unwrap();
        Self { folder, destination, clock, module }
    }

    fn fail(&self, faults: &[Fault]) {
        self.destination.faults.lock().unwrap().extend(faults);
    }

    async fn open(&self, stream: &str) -> Box<dyn Deliver> {
        self.module.open(&shard(stream)).await.unwrap()
    }

    /// The files by key.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        visit(self.folder.path(), &mut |path| {
            let key = path.strip_prefix(self.folder.path()).unwrap().display().to_string();
            files.insert(key, std::fs::read(path).unwrap());
        });
        files
    }

    /// The objects by key, with their lines.
    fn objects(&self) -> BTreeMap<String, Vec<String>> {
        let files = self.files().into_iter();
        files.map(|(key, bytes)| (key.clone(), formats::lines_of(&key, &bytes))).collect()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.objects().into_values().flatten().collect();
        lines.sort();
        lines
    }
}

fn visit(folder: &Path, seen: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, seen) } else { seen(&path) }
    }
}

fn shard(stream: &str) -> ShardAddress {
    ShardAddress { stream: StreamName::new(stream).unwrap(), shard: ShardId::new(0) }
}

fn records<S: AsRef<[u8]>>(payloads: &[S]) -> Vec<Record> {
    (1..)
        .zip(payloads)
        .map(|(counter, payload)| Record {
            sequence_number: SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000),
            arrival: Timestamp::from_seconds(1_700_000_000),
            partition_key: PartitionKey::new(Bytes::from_static(b"key")).unwrap(),
            data: Bytes::copy_from_slice(payload.as_ref()),
        })
        .collect()
}

fn batch<S: AsRef<[u8]>>(payloads: &[S]) -> Batch {
    Batch { shard: shard("a"), records: records(payloads), attempt: 0 }
}

fn failed(delivery: &Delivery) -> bool {
    matches!(delivery.outcome, Outcome::Failed { cause: Cause::Destination, .. })
}

#[tokio::test]
async fn objects_have_the_originals_keys_each_event_under_its_own_date() {
    let archive = Archive::new(Settings::default());
    let mut archiving = archive.open("a").await;
    let delivery = archiving
        .deliver(&batch(&[
            r#"{"log_type":"web","log_id":"a b/1","time":"2015-05-17T23:59:58+09:00","n":1}"#,
            "{\"log_type\":\"web\",\n \"log_id\":\"2\",\"time\":\"2015-05-17T23:59:59+09:00\"}",
            r#"{"log_type":"web","log_id":"3","time":"2015-05-18T00:00:00+09:00"}"#,
            r#"{"log_type":"../../etc","log_id":"..","time":"2015-05-17"}"#,
            r#"{"log_id":"5","time":"2015-05-17"}"#,
            r#"{"log_type":"web","log_id":"6"}"#,
            r#"{"log_type":"web","log_id":"7","time":"soon"}"#,
        ]))
        .await;
    assert_eq!(delivery.outcome, Outcome::Held(Close::Within(Duration::from_secs(60))));
    let mut expected = [
        "web/2015-05/17/2015-05-17-23:59:58-a%20b%2F1.gz",
        "web/2015-05/18/2015-05-18-00:00:00-3.gz",
        "..%2F..%2Fetc/2015-05/17/2015-05-17-00:00:00-%2E%2E.gz",
        "unknown/unknown_type/2015-05/17/2015-05-17-00:00:00-5.gz",
        "unknown/web/no_timestamp/2023-11/14/2023-11-14-22:13:20-6.gz",
        "unknown/web/bad_timestamp/2023-11/14/2023-11-14-22:13:20-7.gz",
    ];
    assert_eq!(archiving.keys(), expected);
    assert!(archive.objects().is_empty(), "nothing is written before the close");
    assert_eq!(archiving.close().await, Delivery::delivered());
    assert!(archiving.keys().is_empty());
    let objects = archive.objects();
    expected.sort_unstable();
    assert_eq!(objects.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    let lines = &objects["web/2015-05/17/2015-05-17-23:59:58-a%20b%2F1.gz"];
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with(r#"{"log_type":"web", "log_id""#), "on one line: {}", lines[1]);
}

#[tokio::test]
async fn a_batch_without_an_event_is_delivered_at_once() {
    let archive = Archive::new(Settings::default());
    let mut archiving = archive.open("a").await;
    let delivery = archiving.deliver(&batch(&["no json"])).await;
    assert_eq!((delivery.outcome, delivery.rejected.len()), (Outcome::Delivered, 1));
    assert_eq!(archiving.close().await, Delivery::delivered());
    assert!(archive.objects().is_empty());
}

#[tokio::test]
async fn objects_are_wanted_written_by_age_size_number_and_memory() {
    let line = |n: usize| format!("{{\"log_type\":\"t{n}\",\"text\":\"{}\"}}", "x".repeat(1000));
    let within = |seconds| Outcome::Held(Close::Within(Duration::from_secs(seconds)));
    let now = Outcome::Held(Close::Now);

    let archive = Archive::new(Settings { buffer_bytes: 4000, ..Settings::default() });
    let mut archiving = archive.open("a").await;
    assert_eq!(archiving.deliver(&batch(&[line(0)])).await.outcome, within(60));
    archive.clock.0.store(45, Ordering::Relaxed);
    assert_eq!(archiving.deliver(&batch(&["no json"])).await.outcome, within(15));
    archive.clock.0.store(100, Ordering::Relaxed);
    assert_eq!(archiving.deliver(&batch(&[line(1)])).await.outcome, within(0));
    assert_eq!(archiving.deliver(&batch(&[line(0), line(1)])).await.outcome, now);
    archiving.close().await;
    assert_eq!(archiving.deliver(&batch(&[line(0)])).await.outcome, within(60));

    let archive = Archive::new(Settings { buffer_records: Some(2), ..Settings::default() });
    let mut archiving = archive.open("a").await;
    assert_eq!(archiving.deliver(&batch(&[line(0)])).await.outcome, within(60));
    assert_eq!(archiving.deliver(&batch(&[line(0)])).await.outcome, now);

    let archive = Archive::new(Settings { memory_bytes: 5000, ..Settings::default() });
    let (mut one, mut two) = (archive.open("a").await, archive.open("b").await);
    assert_eq!(one.deliver(&batch(&[line(0), line(0)])).await.outcome, within(60));
    assert_eq!(two.deliver(&batch(&[line(0), line(0), line(0)])).await.outcome, now);
    one.discard();
    assert_eq!(two.deliver(&batch(&["no json"])).await.outcome, within(60));

    let lines: Vec<_> = (0..=OBJECTS_MAX).map(line).collect();
    assert_eq!(
        Archive::new(Settings::default()).open("a").await.deliver(&batch(&lines)).await.outcome,
        now
    );
}

#[tokio::test]
async fn a_key_of_another_object_is_left_alone() {
    let same = |n: u32| {
        format!(r#"{{"log_type":"web","log_id":"1","time":"2015-05-17T10:00:00","n":{n}}}"#)
    };
    for no_create in [false, true] {
        let archive = Archive::on(Settings::default(), no_create);
        for (stream, n) in [("a", 1), ("b", 2), ("c", 3)] {
            // Streams made in the same second have the same sequence numbers.
            let mut archiving = archive.open(stream).await;
            archiving.deliver(&batch(&[same(n)])).await;
            archive.fail(&[Fault::WrittenButFailed]);
            let first_try = archiving.close().await;
            assert!(failed(&first_try), "{first_try:?}");
            assert_eq!(archiving.close().await, Delivery::delivered());
        }
        assert_eq!(archive.lines(), [same(1), same(2), same(3)]);
        assert_eq!(archive.objects().len(), 3);
    }
}

#[tokio::test]
async fn a_failed_close_says_where_and_goes_on_where_it_stopped() {
    let archive = Archive::new(Settings::default());
    let lines: Vec<_> = (0..20).map(|n| format!("{{\"log_type\":\"t{n:02}\"}}")).collect();
    let mut archiving = archive.open("a").await;
    archiving.deliver(&batch(&lines)).await;
    archive.fail(&[Fault::None, Fault::None, Fault::NotWritten]);
    let delivery = archiving.close().await;
    let Outcome::Failed { from, reason, .. } = delivery.outcome else { panic!("{delivery:?}") };
    assert_eq!(from, records(&lines)[0].sequence_number);
    assert!(reason.contains("NotWritten"), "{reason}");
    assert_eq!(archiving.keys().len(), 20, "all of it stays held");
    assert_eq!(archiving.close().await, Delivery::delivered());
    assert_eq!(archive.lines(), lines);
}

#[tokio::test]
async fn a_record_that_becomes_32_mib_is_taken_in_little_memory() {
    let mut text = b"{\"log_type\":\"web\",\"text\":\"".to_vec();
    text.resize((32 << 20) - 2, b'x');
    text.extend(b"\"}");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, &text).unwrap();
    let bomb = packer.finish().unwrap();
    let archive = Archive::new(Settings::default());
    let mut archiving = archive.open("a").await;
    let delivery = archiving.deliver(&batch(&[&bomb, &bomb, &bomb])).await;
    assert!(matches!(delivery.outcome, Outcome::Held(_)));
    let used = archive.module.shared.budget.used();
    assert!(used < 1 << 20, "{used}");
    assert_eq!(archiving.close().await, Delivery::delivered());
    assert_eq!(archive.module.shared.budget.used(), 0);
    assert_eq!(archive.lines().len(), 3);
}

/// What a mapping does with one shard: batches, an announced cut, a close that may fail, a crash
/// after which the announced range comes again in other batches.
#[derive(Debug, Clone)]
struct Step {
    batches: Vec<usize>,
    faults: Vec<Fault>,
    crash: bool,
    again: Vec<usize>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let batches = || prop::collection::vec(1usize..5, 1..4);
    let fault = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::NotWritten),
        1 => Just(Fault::WrittenButFailed),
    ];
    let faults = prop::collection::vec(fault, 0..6);
    let step = (batches(), faults, any::<bool>(), batches())
        .prop_map(|(batches, faults, crash, again)| Step { batches, faults, crash, again });
    prop::collection::vec(step, 1..5)
}

/// Lines that want few keys.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = (0..3u8, 0..2u8, 0..2u8, 0..8u8);
    prop::collection::vec(line, 48).prop_map(|lines| {
        let lines = lines.into_iter().enumerate().map(|(n, (log_type, day, id, bad))| match bad {
            0 => format!("not json {n}"),
            _ => format!(
                r#"{{"log_type":"t{log_type}","time":"2015-05-1{day}","log_id":"{id}","n":{n}}}"#
            ),
        });
        lines.collect()
    })
}

async fn map(archive: &Archive, stream: &str, records: &[Record], steps: &[Step]) -> usize {
    let shard = shard(stream);
    let mut archiving = archive.open(stream).await;
    let mut checkpoint = 0;
    for step in steps {
        let announced = (checkpoint + step.batches.iter().sum::<usize>()).min(records.len());
        deliver(&mut *archiving, &shard, &records[checkpoint..announced], &step.batches).await;
        let keys = archiving.keys();
        archive.fail(&step.faults);
        let mut close = archiving.close().await;
        if step.crash {
            archiving = archive.open(stream).await;
            deliver(&mut *archiving, &shard, &records[checkpoint..announced], &step.again).await;
            assert_eq!(archiving.keys(), keys, "the same range gives the same keys");
            close = archiving.close().await;
        }
        while failed(&close) {
            close = archiving.close().await;
        }
        checkpoint = announced;
    }
    checkpoint
}

async fn deliver(
    archiving: &mut dyn Deliver,
    shard: &ShardAddress,
    mut records: &[Record],
    sizes: &[usize],
) {
    for size in sizes.iter().cycle() {
        if records.is_empty() {
            return;
        }
        let (now, later) = records.split_at((*size).min(records.len()));
        let batch = Batch { shard: shard.clone(), records: now.to_vec(), attempt: 0 };
        archiving.deliver(&batch).await;
        records = later;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn every_line_is_in_the_archive_exactly_once(
        lines in lines(), one in steps(), two in steps(), no_create in any::<bool>(),
        text in prop::sample::select(formats::ALL.to_vec()),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let archive = Archive::on(formats::settings(text), no_create);
        let (halves, records) = (lines.split_at(24), records(&lines[..24]));
        let others: Vec<Record> = self::records(halves.1);
        let (done, done_two) = runtime.block_on(async {
            tokio::join!(map(&archive, "a", &records, &one), map(&archive, "b", &others, &two))
        });
        let mut expected: Vec<_> = halves.0[..done].iter().chain(&halves.1[..done_two])
            .filter(|line| line.starts_with('{')).cloned().collect();
        expected.sort();
        prop_assert_eq!(archive.lines(), expected);
    }
}
