//! Polling against a service that answers as it is told, and lies.

use serde_json::{Value, json};

use super::*;
use crate::scripted::{Calls, serve};
use crate::service::{ALL, SetClock, Turns, listed, number, page, record, refusal, shard};

struct World {
    polling: Polling,
    clock: Arc<SetClock>,
    calls: Calls,
}

impl World {
    /// A service that gives an iterator whenever it is asked for one, and `pages` in turn.
    async fn with(pages: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let shards = vec![listed(0, None, None)];
        Self::listing(shards, pages).await
    }

    async fn listing(shards: Vec<Value>, pages: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let pages = Turns::of(pages);
        let (connection, calls) = serve(move |operation, _| match operation {
            "GetShardIterator" => (200, json!({"ShardIterator": "made"})),
            "GetRecords" => pages.next(),
            "ListShards" => (200, json!({ "Shards": shards })),
            _ => refusal("UnknownOperationException", operation),
        })
        .await;
        let clock = Arc::new(SetClock::default());
        let polling = Polling::new(&AmazonKinesis::new(&connection), clock.clone());
        Self { polling, clock, calls }
    }

    async fn begin(&self, position: StartingPosition) -> Cursor {
        self.polling.seek(&shard(), position).await.unwrap()
    }

    async fn read(&self, cursor: &Cursor) -> Result<ReadPage, ReadError> {
        self.clock.advance(TIP_INTERVAL);
        self.polling.read(cursor, ALL).await
    }

    /// Type and number of each iterator that was asked for.
    fn iterators(&self) -> Vec<(String, Value)> {
        let calls = self.calls.lock().unwrap();
        let made = calls.iter().filter(|(operation, _)| operation == "GetShardIterator");
        made.map(|(_, body)| {
            let kind = body["ShardIteratorType"].as_str().unwrap().to_owned();
            (kind, body["StartingSequenceNumber"].clone())
        })
        .collect()
    }

    fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == operation).count()
    }
}

fn counters(page: &ReadPage) -> Vec<u64> {
    page.records.iter().map(|record| record.sequence_number.counter()).collect()
}

fn after(counter: u64) -> (String, Value) {
    ("AFTER_SEQUENCE_NUMBER".to_owned(), number(counter).to_string().into())
}

#[tokio::test]
async fn records_come_as_they_are_and_the_iterator_goes_on() {
    let world = World::with([page(&[1, 2], Some("b"), 5), page(&[], Some("c"), 0)]).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    let first = world.read(&cursor).await.unwrap();
    assert_eq!((counters(&first), first.millis_behind_latest), (vec![1, 2], 5));
    assert_eq!(first.records[0].data, "1");
    assert_eq!(first.records[0].partition_key.as_str(), "k");
    assert_eq!(first.records[1].arrival.seconds(), crate::service::START + 2);
    let next = first.next.unwrap();
    assert_eq!((next.from, next.since), (number(2).successor(), None));
    let second = world.read(&next).await.unwrap();
    assert_eq!((counters(&second), second.next), (vec![], Some(next)));
    assert_eq!(world.iterators(), [("TRIM_HORIZON".to_owned(), Value::Null)]);
    let calls = world.calls.lock().unwrap();
    let bodies: Vec<_> = calls.iter().filter(|(name, _)| name == "GetRecords").collect();
    assert_eq!(
        (&bodies[0].1["ShardIterator"], &bodies[1].1["ShardIterator"]),
        (&json!("made"), &json!("b"))
    );
}

#[tokio::test]
async fn an_expired_iterator_is_made_again_behind_the_last_record() {
    let expired = || refusal("ExpiredIteratorException", "Iterator expired.");
    let pages =
        [page(&[1, 2], Some("b"), 5), expired(), page(&[3], Some("c"), 0), expired(), expired()];
    let world = World::with(pages).await;
    let cursor = world.begin(StartingPosition::AfterSequenceNumber(number(0))).await;
    let next = world.read(&cursor).await.unwrap().next.unwrap();
    let second = world.read(&next).await.unwrap();
    assert_eq!(counters(&second), [3]);
    assert_eq!(world.iterators(), [after(0), after(2)]);
    // One that is refused as soon as it is made is not made in a loop.
    let refused = world.read(&second.next.unwrap()).await.unwrap_err();
    assert!(
        matches!(&refused, ReadError::Unavailable(told) if told.contains("expired")),
        "{refused}"
    );
    assert_eq!(world.iterators(), [after(0), after(2), after(3)]);
}

#[tokio::test]
async fn a_reader_that_was_away_goes_on_by_its_cursor_alone() {
    let world = World::with([page(&[8], Some("b"), 0)]).await;
    let from = number(7).successor();
    let cursor = Cursor { shard: shard(), from, since: None };
    assert_eq!(counters(&world.read(&cursor).await.unwrap()), [8]);
    assert_eq!(world.iterators(), [after(7)], "numbers are given to the service as it made them");
}

#[tokio::test]
async fn throttling_is_no_failure_and_the_service_is_left_alone() {
    let told = "Rate exceeded for shard shardId-000000000000 in stream router under account 1.";
    let throttled = || refusal("ProvisionedThroughputExceededException", told);
    let world = World::with([throttled(), throttled(), page(&[1], Some("b"), 0)]).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    for refused in 1..=2 {
        world.clock.advance(Duration::from_secs(20));
        for _ in 0..3 {
            let page = world.polling.read(&cursor, ALL).await.unwrap();
            assert_eq!((counters(&page), page.next.as_ref()), (vec![], Some(&cursor)));
        }
        assert_eq!(world.count("GetRecords"), refused, "not asked again before the pause is over");
    }
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(counters(&world.polling.read(&cursor, ALL).await.unwrap()), [1]);
    assert_eq!(world.iterators().len(), 1, "the iterator is kept");
}

#[tokio::test]
async fn at_the_tip_a_call_is_due_once_a_second_and_behind_it_at_once() {
    let pages = [page(&[1], Some("b"), 9), page(&[2], Some("c"), 0), page(&[3], Some("d"), 0)];
    let world = World::with(pages).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    let first = world.polling.read(&cursor, ALL).await.unwrap();
    let second = world.polling.read(first.next.as_ref().unwrap(), ALL).await.unwrap();
    assert_eq!((counters(&first), counters(&second)), (vec![1], vec![2]));
    let next = second.next.unwrap();
    let early = world.polling.read(&next, ALL).await.unwrap();
    assert_eq!((counters(&early), world.count("GetRecords")), (vec![], 2));
    world.clock.advance(TIP_INTERVAL);
    world.polling.wait(&next, Duration::MAX).await;
    assert_eq!(counters(&world.polling.read(&next, ALL).await.unwrap()), [3]);
}

#[tokio::test]
async fn what_a_call_brought_too_much_is_handed_over_without_another() {
    let world = World::with([page(&[1, 2, 3], Some("b"), 0)]).await;
    let mut cursor = world.begin(StartingPosition::TrimHorizon).await;
    let one = ReadLimits { records: 1, bytes: 1 };
    for (counter, behind) in [(1, 2_000), (2, 1_000), (3, 0)] {
        let page = world.polling.read(&cursor, one).await.unwrap();
        assert_eq!((counters(&page), page.millis_behind_latest), (vec![counter], behind));
        world.polling.wait(page.next.as_ref().unwrap(), Duration::ZERO).await;
        cursor = page.next.unwrap();
    }
    assert_eq!(world.count("GetRecords"), 1);
}

#[tokio::test]
async fn latest_is_fixed_when_it_is_asked_for() {
    let expired = refusal("ExpiredIteratorException", "Iterator expired.");
    let world = World::with([page(&[], Some("b"), 0), expired, page(&[5], Some("c"), 0)]).await;
    let cursor = world.begin(StartingPosition::Latest).await;
    assert_eq!(cursor.since.map(Timestamp::seconds), Some(crate::service::START));
    let next = world.read(&cursor).await.unwrap().next.unwrap();
    assert_eq!(next, cursor);
    let page = world.read(&next).await.unwrap();
    assert_eq!((counters(&page), page.next.unwrap().since), (vec![5], None));
    let kinds: Vec<_> = world.iterators().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["LATEST", "AT_TIMESTAMP"]);
}

#[tokio::test]
async fn a_moment_that_the_service_has_not_come_to_is_its_tip() {
    let (connection, calls) = serve(|_, body| match body["ShardIteratorType"].as_str() {
        Some("AT_TIMESTAMP") => refusal(
            "InvalidArgumentException",
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis.",
        ),
        _ => (200, json!({"ShardIterator": "made"})),
    })
    .await;
    let polling = Polling::new(&AmazonKinesis::new(&connection), Arc::new(SetClock::default()));
    let ahead = StartingPosition::AtTimestamp(Timestamp::from_seconds(4_000_000_000));
    polling.seek(&shard(), ahead).await.unwrap();
    assert_eq!(calls.lock().unwrap().last().unwrap().1["ShardIteratorType"], "LATEST");
}

#[tokio::test]
async fn what_cannot_be_true_is_refused_and_what_was_had_is_left_out() {
    let twice = (200, json!({"Records": [record(3), record(3)], "NextShardIterator": "b"}));
    let broken = json!({"SequenceNumber": "x", "Data": "", "PartitionKey": "k"});
    let broken = (200, json!({"Records": [broken], "NextShardIterator": "b"}));
    let world = World::with([twice, broken, page(&[1, 2, 3], Some("b"), 0)]).await;
    let cursor = world.begin(StartingPosition::AfterSequenceNumber(number(2))).await;
    for _ in 0..2 {
        let error = world.read(&cursor).await.unwrap_err();
        assert!(error.to_string().contains("strange answer"), "{error}");
    }
    assert_eq!(counters(&world.read(&cursor).await.unwrap()), [3]);
}

#[tokio::test]
async fn the_end_has_its_children() {
    let child = json!({
        "ShardId": "shardId-000000000001", "ParentShards": ["shardId-000000000000"],
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "4"},
    });
    let (_, mut end) = page(&[9], None, 0);
    end["ChildShards"] = json!([child]);
    let world = World::with([(200, end)]).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    let page = world.read(&cursor).await.unwrap();
    assert_eq!((counters(&page), page.next), (vec![9], None));
    assert_eq!((page.children[0].id.index(), page.children[0].parents.len()), (1, 1));
}

#[tokio::test]
async fn an_end_without_children_is_looked_up_and_not_believed_of_an_open_shard() {
    let shards = vec![listed(0, None, Some(99)), listed(1, Some(0), None), listed(2, None, None)];
    let world = World::listing(shards, [page(&[], None, 0)]).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    let page = world.read(&cursor).await.unwrap();
    let children: Vec<_> = page.children.iter().map(|child| child.id.index()).collect();
    assert_eq!((page.next, children), (None, vec![1]));

    let pages = [self::page(&[4], None, 0), self::page(&[5], Some("b"), 0)];
    let world = World::with(pages).await;
    let cursor = world.begin(StartingPosition::TrimHorizon).await;
    let page = world.read(&cursor).await.unwrap();
    assert_eq!(counters(&world.read(&page.next.unwrap()).await.unwrap()), [5]);
    assert_eq!(world.iterators()[1], after(4));
}

#[tokio::test]
async fn what_is_gone_and_what_is_another_streams_is_told() {
    let (connection, _) = serve(|operation, body| {
        let message = match (operation, body["StartingSequenceNumber"].as_str()) {
            ("GetShardIterator", None) => {
                "Shard shardId-000000000000 in stream router does not exist"
            }
            ("GetShardIterator", Some(text)) if text == number(1).to_string() => {
                return refusal(
                    "InvalidArgumentException",
                    "StartingSequenceNumber 1 is invalid because it did not come from this stream.",
                );
            }
            ("GetShardIterator", Some(_)) => {
                return refusal(
                    "InvalidArgumentException",
                    "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it",
                );
            }
            _ => "Stream router under account 123456789012 not found.",
        };
        refusal("ResourceNotFoundException", message)
    })
    .await;
    let polling = Polling::new(&AmazonKinesis::new(&connection), Arc::new(SetClock::default()));
    let seek = async |position| polling.seek(&shard(), position).await.unwrap_err();
    let shard = shard();
    assert_eq!(seek(StartingPosition::TrimHorizon).await, ReadError::ShardNotFound(shard.clone()));
    let number = number(1);
    let expected = ReadError::OtherStream { number, shard: shard.clone() };
    assert_eq!(seek(StartingPosition::AfterSequenceNumber(number)).await, expected);
    let number = crate::service::number(2);
    let expected = ReadError::OtherShard { number, shard: shard.clone() };
    assert_eq!(seek(StartingPosition::AtSequenceNumber(number)).await, expected);
    let gone = polling.shards(&shard.stream).await.unwrap_err();
    assert_eq!(gone, ReadError::StreamNotFound(shard.stream));
}

#[tokio::test]
async fn a_listing_whose_token_expired_begins_anew() {
    let answers = Turns::of([
        (200, json!({"Shards": [listed(0, None, None)], "NextToken": "t"})),
        refusal("ExpiredNextTokenException", "The token is expired."),
        (200, json!({"Shards": [listed(0, None, None)], "NextToken": "u"})),
        (200, json!({"Shards": [listed(1, None, None)]})),
    ]);
    let (connection, calls) = serve(move |_, _| answers.next()).await;
    let polling = Polling::new(&AmazonKinesis::new(&connection), Arc::new(SetClock::default()));
    let shards = polling.shards(&shard().stream).await.unwrap();
    assert_eq!(shards.iter().map(|shard| shard.id.index()).collect::<Vec<_>>(), [0, 1]);
    let calls = calls.lock().unwrap();
    let tokens: Vec<_> = calls.iter().map(|(_, body)| body["NextToken"].clone()).collect();
    assert_eq!(tokens, [Value::Null, "t".into(), Value::Null, "u".into()]);
}
