//! Positions over restarts, and of streams that were made anew.

use baikonur_stream::{
    Checkpoint, Cursor, HashKeyRange, Intent, ReadError, ReadLimits, ReadPage, Shard, ShardId,
    StartingPosition,
};

use super::*;
use crate::service::{SetClock, number, shard};

/// A stream of one shard that begins at a number.
struct Listing(SequenceNumber);

#[async_trait]
impl Read for Listing {
    async fn shards(&self, _: &StreamName) -> Result<Vec<Shard>, ReadError> {
        Ok(vec![Shard {
            id: ShardId::new(0),
            parent: None,
            adjacent_parent: None,
            hash_key_range: HashKeyRange::evenly(1)[0],
            starting_sequence_number: self.0,
            ending_sequence_number: None,
        }])
    }

    async fn seek(&self, _: &ShardAddress, _: StartingPosition) -> Result<Cursor, ReadError> {
        Err(ReadError::Unavailable("nothing is read here".to_owned()))
    }

    async fn read(&self, _: &Cursor, _: ReadLimits) -> Result<ReadPage, ReadError> {
        Err(ReadError::Unavailable("nothing is read here".to_owned()))
    }

    async fn wait(&self, _: &Cursor, _: Duration) {}
}

fn open(folder: &Path, begins: SequenceNumber) -> Result<FolderProgress, FolderError> {
    FolderProgress::open(folder, Arc::new(Listing(begins)), Arc::new(SetClock::default()))
}

fn progress() -> ShardProgress {
    let intent = Intent { first: number(4), last: number(9), keys: vec!["a/b.gz".to_owned()] };
    ShardProgress { checkpoint: Some(Checkpoint::After(number(3))), intent: Some(intent) }
}

#[tokio::test]
async fn a_position_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (ConsumerName::new("one"), ConsumerName::new(".."));
    let store = open(folder.path(), number(0)).unwrap();
    assert_eq!(store.load(&one, &shard()).await, Ok(ShardProgress::default()));
    store.store(&one, &shard(), &progress()).await.unwrap();
    let end = ShardProgress { checkpoint: Some(Checkpoint::ShardEnd), intent: None };
    store.store(&two, &shard(), &end).await.unwrap();
    drop(store);
    let store = open(folder.path(), number(0)).unwrap();
    assert_eq!(store.load(&one, &shard()).await, Ok(progress()));
    assert_eq!(store.load(&two, &shard()).await, Ok(end), "a name is no way out of the folder");
    let since = Checkpoint::AtTimestamp(baikonur_stream::Timestamp::from_millis(1234));
    let latest = ShardProgress { checkpoint: Some(since), intent: None };
    store.store(&one, &shard(), &latest).await.unwrap();
    assert_eq!(store.load(&one, &shard()).await, Ok(latest));
    let slash = ConsumerName::new("a/b");
    assert!(store.store(&slash, &shard(), &progress()).await.is_err());
}

#[tokio::test]
async fn a_position_in_a_stream_that_was_made_anew_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = ConsumerName::new("one");
    let store = open(folder.path(), number(0)).unwrap();
    store.store(&consumer, &shard(), &progress()).await.unwrap();
    let stream = shard().stream;
    assert_eq!(store.begun(&consumer, &stream).await, Ok(Begun::Never));
    store.begin(&consumer, &stream).await.unwrap();
    drop(store);
    let store = open(folder.path(), number(0)).unwrap();
    assert_eq!(store.begun(&consumer, &stream).await, Ok(Begun::ThisStream));
    assert_eq!(store.begun(&ConsumerName::new("two"), &stream).await, Ok(Begun::Never));
    drop(store);
    let store =
        open(folder.path(), SequenceNumber::new(1_800_000_000, 0, 0, 1_800_000_000)).unwrap();
    assert_eq!(store.load(&consumer, &shard()).await, Ok(ShardProgress::default()));
    assert_eq!(store.begun(&consumer, &stream).await, Ok(Begun::EarlierStream));
}

#[test]
fn a_write_that_nobody_waits_for_any_more_is_never_renamed_over_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = ConsumerName::new("one");
    let at = |counter| ShardProgress {
        checkpoint: Some(Checkpoint::After(number(counter))),
        intent: None,
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let writing = runtime();
    writing.block_on(async {
        let store = open(folder.path(), number(0)).unwrap();
        for counter in 1..100 {
            let (shard, progress) = (shard(), at(counter));
            tokio::select! {
                biased;
                _ = store.store(&consumer, &shard, &progress) => {}
                () = tokio::task::yield_now() => {}
            }
        }
        store.store(&consumer, &shard(), &at(100)).await.unwrap();
    });
    // Returns when what was begun is over.
    drop(writing);
    runtime().block_on(async {
        let store = open(folder.path(), number(0)).unwrap();
        assert_eq!(store.load(&consumer, &shard()).await, Ok(at(100)));
    });
}

#[tokio::test]
async fn a_second_process_is_refused_and_a_broken_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), number(0)).unwrap();
    assert!(matches!(open(folder.path(), number(0)), Err(FolderError::InUse(_))));
    let consumer = ConsumerName::new("one");
    store.store(&consumer, &shard(), &progress()).await.unwrap();
    let file = store.file(&consumer, &shard()).unwrap();
    fs::write(&file, "{\"check").unwrap();
    let error = store.load(&consumer, &shard()).await.unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(error.contains("delete the file to start over"), "{error}");
}
