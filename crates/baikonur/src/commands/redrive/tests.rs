//! A redrive that is killed at every step, and streams that refuse, throttle and lose answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_modules::objects::{
    Listed, Location, ObjectDestination, ObjectError, ObjectSource, PlaceLock, PutMode, S3Settings,
    Version, Whole, open_source,
};
use baikonur_stream::{Clock, StreamName, SystemClock};
use bytes::Bytes;
use clap::Parser;
use indicatif::ProgressBar;
use reqwest::Url;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::choice::{Choice, Prepared};
use super::replay::{CallLimits, Replay};
use super::send::{Answer as Became, Pending, Sent, Target};
use super::{claim, walk};
use crate::client::CallError;
use crate::put_records::Entry;

/// Records of a call in these tests.
const CALL: usize = 3;

/// When a process dies: with the step of this number, before or after it is carried out.
struct Death {
    steps_left: AtomicU64,
    after: bool,
    dead: AtomicBool,
}

/// What a step is to do.
enum Fate {
    Live,
    /// Carry it out, and tell nobody.
    DieAfter,
    Dead,
}

impl Death {
    fn at(step: u64, after: bool) -> Arc<Self> {
        Arc::new(Self { steps_left: step.into(), after, dead: AtomicBool::new(false) })
    }

    fn never() -> Arc<Self> {
        Self::at(u64::MAX, false)
    }

    fn step(&self) -> Fate {
        if self.dead.load(Ordering::Relaxed) {
            return Fate::Dead;
        }
        if self.steps_left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Fate::Live;
        }
        self.dead.store(true, Ordering::Relaxed);
        if self.after { Fate::DieAfter } else { Fate::Dead }
    }

    fn has_come(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// A folder that a process which may die writes.
struct MortalStore {
    inner: Arc<dyn ObjectSource>,
    death: Arc<Death>,
}

fn dead<T>() -> Result<T, ObjectError> {
    Err(ObjectError::Unavailable("the process is dead".to_owned()))
}

#[async_trait]
impl ObjectDestination for MortalStore {
    async fn head(&self, key: &str, bytes_max: usize) -> Result<Option<Bytes>, ObjectError> {
        self.inner.head(key, bytes_max).await
    }

    async fn put(&self, key: &str, content: Vec<Bytes>, mode: PutMode) -> Result<(), ObjectError> {
        match self.death.step() {
            Fate::Live => self.inner.put(key, content, mode).await,
            Fate::DieAfter => self.inner.put(key, content, mode).await.and_then(|()| dead()),
            Fate::Dead => dead(),
        }
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }
}

#[async_trait]
impl ObjectSource for MortalStore {
    fn list(&self) -> mpsc::Receiver<Result<Listed, ObjectError>> {
        self.inner.list()
    }

    async fn read(&self, key: &str, bytes_max: u64) -> Result<Option<Whole>, ObjectError> {
        if self.death.has_come() { dead() } else { self.inner.read(key, bytes_max).await }
    }

    async fn replace(
        &self,
        key: &str,
        content: Bytes,
        expected: Option<&Version>,
    ) -> Result<Version, ObjectError> {
        match self.death.step() {
            Fate::Live => self.inner.replace(key, content, expected).await,
            Fate::DieAfter => self.inner.replace(key, content, expected).await.and_then(|_| dead()),
            Fate::Dead => dead(),
        }
    }

    async fn lock(&self, key: &str) -> Result<PlaceLock, ObjectError> {
        self.inner.lock(key).await
    }
}

/// What a stream does with a call.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// Takes every record but each second one.
    Half,
    /// Takes all.
    All,
    /// Takes all, and the answer is lost.
    Lost,
    /// Takes nothing, and nobody knows.
    Unheard,
    /// Is not there, and never was.
    NotThere,
}

/// Streams in memory.
#[derive(Default)]
struct Streams {
    /// Stream, partition key and payload of each record, in the order of their arrival.
    taken: Mutex<Vec<(String, String, String)>>,
    calls: Mutex<Vec<usize>>,
    answers: Mutex<Vec<Answer>>,
}

struct MortalTarget<'s> {
    streams: &'s Streams,
    death: Arc<Death>,
}

fn unreachable() -> CallError {
    let endpoint = Url::parse("http://127.0.0.1:1").unwrap();
    CallError::Unreachable { endpoint, what: "the answer is lost".to_owned() }
}

#[async_trait]
impl Target for MortalTarget<'_> {
    async fn put(
        &self,
        stream: &StreamName,
        records: &[&Pending],
    ) -> Result<Vec<Became>, CallError> {
        let fate = self.death.step();
        if matches!(fate, Fate::Dead) {
            let endpoint = Url::parse("http://127.0.0.1:1").unwrap();
            return Err(CallError::Untrusted { endpoint, what: "the process is dead".to_owned() });
        }
        self.streams.calls.lock().unwrap().push(records.len());
        let answer = self.streams.answers.lock().unwrap().pop();
        if answer == Some(Answer::Unheard) {
            return Err(unreachable());
        }
        if answer == Some(Answer::NotThere) {
            let endpoint = Url::parse("http://127.0.0.1:1").unwrap();
            return Err(CallError::NotThere { endpoint, what: "refused".to_owned() });
        }
        if records.iter().any(|record| record.entry.data.starts_with(b"poison")) {
            let (operation, code) = ("PutRecords", "ValidationException".to_owned());
            return Err(CallError::Refused { operation, code, message: "too large".to_owned() });
        }
        let mut answers = Vec::new();
        for (place, record) in records.iter().enumerate() {
            let Entry { key, data } = &record.entry;
            if answer == Some(Answer::Half) && place % 2 == 1 {
                let why = "ProvisionedThroughputExceededException: slow down".to_owned();
                answers.push(Became::NotNow { why, may_be_done: false });
                continue;
            }
            let data = String::from_utf8(data.to_vec()).unwrap();
            self.streams.taken.lock().unwrap().push((stream.to_string(), key.clone(), data));
            answers.push(Became::Taken);
        }
        if answer == Some(Answer::Lost) || matches!(fate, Fate::DieAfter) {
            return Err(unreachable());
        }
        Ok(answers)
    }
}

struct World {
    folder: TempDir,
    streams: Streams,
}

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    choice: Choice,
}

fn choice(flags: &[&str]) -> Arc<Prepared> {
    let flags = Flags::try_parse_from(["redrive"].iter().chain(flags)).unwrap();
    Arc::new(flags.choice.prepare(SystemClock::new().now()).unwrap())
}

fn write(folder: &Path, key: &str, records: &[&str]) {
    let path = folder.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lines = records.iter().map(|data| {
        let line = json!({
            "reason": "not_json", "detail": "a sentence", "consumer": "m", "stream": "router",
            "shard": "shardId-000000000000", "sequence_number": "1",
            "arrival": "2020-09-13T12:26:40.123Z", "partition_key": format!("key of {data}"), "data": data,
        });
        format!("{line}\n")
    });
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

impl World {
    /// Nine records in four objects, which calls of three records cut across.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, records) in [
            ("a", &["1", "2", "3", "4"][..]),
            ("b", &["5"]),
            ("c", &["6", "7", "8"]),
            ("d", &["9"]),
        ] {
            write(folder.path(), &format!("unknown/not_json/m/2020-09/13/{name}.gz"), records);
        }
        std::fs::write(folder.path().join("README.md"), "foreign").unwrap();
        Self { folder, streams: Streams::default() }
    }

    async fn run(
        &self,
        death: &Arc<Death>,
        flags: &[&str],
        into: Option<&str>,
    ) -> (Sent, Option<anyhow::Error>) {
        let (_sender, stop) = watch::channel(false);
        self.run_until(stop, death, flags, into).await
    }

    async fn run_until(
        &self,
        stop: watch::Receiver<bool>,
        death: &Arc<Death>,
        flags: &[&str],
        into: Option<&str>,
    ) -> (Sent, Option<anyhow::Error>) {
        let location = Location::Folder(self.folder.path().to_owned());
        let inner = open_source(&location, &S3Settings::default()).unwrap();
        let source: Arc<dyn ObjectSource> =
            Arc::new(MortalStore { inner, death: Arc::clone(death) });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let claim = match claim(&source, &clock).await {
            Ok(claim) => claim,
            Err(error) => return (Sent::default(), Some(error)),
        };
        let replay = Replay {
            source,
            choice: choice(flags),
            into: into.map(|name| StreamName::new(name).unwrap()),
            clock,
            limits: CallLimits { records: CALL, bytes: 1 << 20, pause: Duration::ZERO },
            progress: ProgressBar::hidden(),
            stop,
        };
        let target = MortalTarget { streams: &self.streams, death: Arc::clone(death) };
        replay.run(&target, claim).await
    }

    async fn run_to_the_end(&self, flags: &[&str]) -> Sent {
        let (sent, failure) = self.run(&Death::never(), flags, None).await;
        assert!(failure.is_none(), "{failure:?}");
        sent
    }

    /// How often each record is in a stream.
    fn copies(&self) -> BTreeMap<String, u64> {
        let mut copies = BTreeMap::new();
        for (stream, key, data) in &*self.streams.taken.lock().unwrap() {
            assert_eq!((&**stream, key), ("router", &format!("key of {data}")));
            *copies.entry(data.clone()).or_insert(0) += 1;
        }
        copies
    }
}

#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_and_doubles_at_most_one_call() {
    for after in [false, true] {
        for step in 0.. {
            let world = World::new();
            let death = Death::at(step, after);
            world.run(&death, &[], None).await;
            if !death.has_come() {
                assert!(step > 8, "only {step} steps");
                break;
            }
            let again = world.run_to_the_end(&[]).await;
            let copies = world.copies();
            assert_eq!(copies.len(), 9, "step {step}, after: {after}: {copies:?}");
            let doubled = copies.values().filter(|copies| **copies > 1).count();
            assert!(copies.values().all(|copies| *copies <= 2), "step {step}: {copies:?}");
            assert!(doubled <= CALL, "step {step}, after: {after}: {copies:?}");
            assert!(doubled as u64 <= again.may_be_twice, "step {step}: nobody was told");
            assert!(again.may_be_twice <= CALL as u64, "step {step}: {again:?}");
            assert_eq!(world.run_to_the_end(&[]).await, Sent::default(), "step {step}");
        }
    }
}

#[tokio::test]
async fn doubtful_records_can_be_left_and_then_none_is_there_twice() {
    for after in [false, true] {
        for step in 0.. {
            let world = World::new();
            let death = Death::at(step, after);
            world.run(&death, &[], None).await;
            if !death.has_come() {
                break;
            }
            let again = world.run_to_the_end(&["--in-doubt", "leave"]).await;
            let copies = world.copies();
            assert!(copies.values().all(|copies| *copies == 1), "step {step}: {copies:?}");
            assert!(copies.len() >= 9 - CALL, "step {step}: {copies:?}");
            assert_eq!(again.may_be_twice, 0);
            // What was left is not forgotten.
            let rest = world.run_to_the_end(&[]).await;
            assert_eq!(world.copies().len(), 9, "step {step}");
            assert_eq!(rest.records, rest.may_be_twice);
        }
    }
}

#[tokio::test]
async fn records_go_out_in_calls_over_objects_with_their_keys_and_are_sent_once() {
    let world = World::new();
    let sent = world.run_to_the_end(&[]).await;
    assert_eq!((sent.records, sent.bytes, sent.may_be_twice), (9, 9, 0));
    assert_eq!(*world.streams.calls.lock().unwrap(), [3, 3, 3]);
    assert!(world.copies().values().all(|copies| *copies == 1));
    assert_eq!(world.run_to_the_end(&[]).await, Sent::default());
    // An object that is kept once more after a crash stays replayed; a new one is new.
    write(world.folder.path(), "unknown/not_json/m/2020-09/13/b.gz", &["5"]);
    write(world.folder.path(), "unknown/not_json/m/2020-09/13/e.gz", &["new"]);
    assert_eq!(world.run_to_the_end(&[]).await.records, 1);
    assert_eq!(world.copies()["new"], 1);
}

#[tokio::test]
async fn another_stream_gets_them_all() {
    let world = World::new();
    let (sent, failure) = world.run(&Death::never(), &[], Some("repair")).await;
    assert!(failure.is_none());
    assert_eq!(sent.records, 9);
    assert!(world.streams.taken.lock().unwrap().iter().all(|(stream, ..)| stream == "repair"));
}

#[tokio::test]
async fn what_the_stream_throttles_is_sent_again_and_nothing_else() {
    let world = World::new();
    *world.streams.answers.lock().unwrap() = vec![Answer::Half, Answer::Half];
    let sent = world.run_to_the_end(&[]).await;
    assert_eq!((sent.records, sent.repeated, sent.may_be_twice), (9, 1, 0));
    assert!(world.copies().values().all(|copies| *copies == 1));
}

#[tokio::test]
async fn a_lost_answer_is_told() {
    let world = World::new();
    *world.streams.answers.lock().unwrap() = vec![Answer::Lost];
    let sent = world.run_to_the_end(&[]).await;
    assert_eq!((sent.records, sent.may_be_twice), (9, CALL as u64));
}

#[tokio::test]
async fn a_record_that_the_stream_refuses_does_not_keep_the_others() {
    let world = World::new();
    write(world.folder.path(), "unknown/not_json/m/2020-09/13/b.gz", &["poison", "5"]);
    for _ in 0..2 {
        // It was not replayed, and may be when the stream takes larger records.
        assert_eq!(world.run_to_the_end(&[]).await.refused, 1);
        assert_eq!(world.copies().len(), 9);
        assert!(world.copies().values().all(|copies| *copies == 1));
    }
}

#[tokio::test]
async fn a_lost_answer_is_told_also_of_records_that_were_divided_after_it() {
    let world = World::new();
    write(world.folder.path(), "unknown/not_json/m/2020-09/13/b.gz", &["poison", "5"]);
    *world.streams.answers.lock().unwrap() = vec![Answer::Unheard, Answer::All];
    // 4, poison and 5: the answer is lost, then the poison is found by halves.
    let sent = world.run_to_the_end(&[]).await;
    assert_eq!((sent.records, sent.refused, sent.may_be_twice), (9, 1, 2));
    assert!(world.copies().values().all(|copies| *copies == 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_leaves_nothing_in_doubt() {
    let world = World::new();
    *world.streams.answers.lock().unwrap() = vec![Answer::NotThere];
    let (sent, failure) = world.run(&Death::never(), &[], None).await;
    assert!(failure.unwrap().to_string().contains("is `baikonur up` running"));
    assert_eq!(sent, Sent::default());
    let sent = world.run_to_the_end(&[]).await;
    assert_eq!((sent.records, sent.may_be_twice), (9, 0));
}

#[tokio::test]
async fn a_second_redrive_is_refused_while_the_first_one_runs() {
    let world = World::new();
    let location = Location::Folder(world.folder.path().to_owned());
    let source = open_source(&location, &S3Settings::default()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let first = claim(&source, &clock).await.unwrap();
    let (_, failure) = world.run(&Death::never(), &[], None).await;
    assert!(failure.unwrap().to_string().contains("another redrive"));
    drop(first);
    assert_eq!(world.run_to_the_end(&[]).await.records, 9);
}

#[tokio::test]
async fn an_interrupted_redrive_marks_what_it_sent_and_gives_the_store_back() {
    let world = World::new();
    let (_sender, stop) = watch::channel(true);
    let (sent, failure) = world.run_until(stop, &Death::never(), &[], None).await;
    assert_eq!(failure.unwrap().to_string(), "interrupted");
    assert_eq!(sent, Sent::default());
    assert_eq!(world.run_to_the_end(&[]).await.records, 9);
}

#[tokio::test]
async fn an_object_whose_mark_is_broken_is_not_replayed() {
    let world = World::new();
    world.run_to_the_end(&[]).await;
    let marks = world.folder.path().join("redrive/marks");
    let some = std::fs::read_dir(marks).unwrap().next().unwrap().unwrap().path();
    let mark = std::fs::read_dir(some).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&mark, "{").unwrap();
    assert_eq!(world.run_to_the_end(&[]).await, Sent::default());
    let location = Location::Folder(world.folder.path().to_owned());
    let source = open_source(&location, &S3Settings::default()).unwrap();
    let mut visits = walk::walk(source, choice(&[]));
    let mut told = Vec::new();
    while let Some(visit) = walk::next(&mut visits).await.unwrap() {
        if let walk::Visit::Broken(what) = visit {
            told.push(what);
        }
    }
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("delete it to replay all"), "{told:?}");
}
