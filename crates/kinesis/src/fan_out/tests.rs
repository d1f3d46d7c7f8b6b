//! Enhanced fan-out against a service that pushes what it is told to, and refuses.

use baikonur_stream::SequenceNumber;
use serde_json::{Value, json};

use super::*;
use crate::scripted::{Calls, serve};
use crate::service::{ALL, ARN, SetClock, Turns, listed, number, page, records, refusal, shard};

struct World {
    reader: FanOut,
    clock: Arc<SetClock>,
    calls: Calls,
}

fn event(counters: &[u64], continuation: Option<SequenceNumber>, behind: u64) -> Value {
    let continuation = continuation.map(|number| number.to_string());
    let records = records(counters.iter().copied());
    let payload = json!({
        "Records": records, "ContinuationSequenceNumber": continuation,
        "MillisBehindLatest": behind,
    });
    json!(["SubscribeToShardEvent", payload])
}

fn consumer(status: &str) -> (u16, Value) {
    let consumer = json!({
        "ConsumerName": "app", "ConsumerARN": format!("{ARN}/consumer/app:1"), "StreamARN": ARN,
        "ConsumerStatus": status, "ConsumerCreationTimestamp": 1_700_000_001,
    });
    (200, json!({ "ConsumerDescription": consumer }))
}

impl World {
    /// A service with an active consumer, and `subscriptions` in turn.
    async fn with(subscriptions: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self::with_consumer(Turns::of(std::iter::repeat_n(consumer("ACTIVE"), 9)), subscriptions)
            .await
    }

    async fn with_consumer(
        consumers: Turns,
        subscriptions: impl IntoIterator<Item = (u16, Value)>,
    ) -> Self {
        let subscriptions = Turns::of(subscriptions);
        let (connection, calls) = serve(move |operation, _| match operation {
            "GetShardIterator" => (200, json!({"ShardIterator": "made"})),
            "GetRecords" => page(&[1], None, 0),
            "ListShards" => (200, json!({"Shards": [listed(0, None, Some(9))]})),
            "DescribeStreamSummary" => (
                200,
                json!({"StreamDescriptionSummary": {
                    "StreamName": "router", "StreamARN": ARN, "StreamStatus": "ACTIVE",
                    "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1_700_000_000.0,
                    "OpenShardCount": 1, "EnhancedMonitoring": [],
                }}),
            ),
            "DescribeStreamConsumer" | "RegisterStreamConsumer" => consumers.next(),
            "SubscribeToShard" => subscriptions.next(),
            _ => refusal("UnknownOperationException", operation),
        })
        .await;
        let clock = Arc::new(SetClock::default());
        let reader = FanOut::new(&AmazonKinesis::new(&connection), "app".to_owned(), clock.clone());
        Self { reader, clock, calls }
    }

    async fn begin(&self) -> Cursor {
        self.reader.seek(&shard(), StartingPosition::TrimHorizon).await.unwrap()
    }

    /// The next page that has records, or is the end; time passes while there is none.
    async fn read(&self, mut cursor: Cursor) -> Result<ReadPage, ReadError> {
        for _ in 0..50 {
            let page = self.reader.read(&cursor, ALL).await?;
            match page.next {
                Some(next) if page.records.is_empty() => cursor = next,
                _ => return Ok(page),
            }
            self.clock.advance(Duration::from_secs(1));
            self.reader.wait(&cursor, Duration::from_millis(100)).await;
        }
        panic!("nothing came: {:?}", self.calls.lock().unwrap());
    }

    /// Where each subscription began.
    fn beginnings(&self) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let calls = calls.iter().filter(|(operation, _)| operation == "SubscribeToShard");
        calls.map(|(_, body)| body["StartingPosition"].clone()).collect()
    }

    fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == operation).count()
    }
}

fn counters(page: &ReadPage) -> Vec<u64> {
    page.records.iter().map(|record| record.sequence_number.counter()).collect()
}

fn after(counter: u64) -> Value {
    json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number(counter).to_string()})
}

#[tokio::test]
async fn a_subscription_that_ended_is_asked_for_again_where_it_was() {
    let world = World::with([
        (200, json!([event(&[1, 2], Some(number(2)), 7), event(&[], Some(number(5)), 0)])),
        (200, json!([event(&[6], Some(number(6)), 0)])),
    ])
    .await;
    let page = world.read(world.begin().await).await.unwrap();
    assert_eq!((counters(&page), page.millis_behind_latest), (vec![1, 2], 7));
    let page = world.read(page.next.unwrap()).await.unwrap();
    assert_eq!(counters(&page), [6]);
    assert_eq!(world.beginnings(), [json!({"Type": "TRIM_HORIZON"}), after(5)]);
    assert_eq!(world.count("DescribeStreamConsumer"), 1, "the consumer is looked for once");
}

#[tokio::test]
async fn a_shard_that_is_subscribed_to_is_waited_for() {
    let told = "Another active subscription exists for this consumer: app.";
    let exception = json!(["ResourceInUseException", {"message": told}]);
    let world = World::with([
        refusal("ResourceInUseException", told),
        (200, json!([event(&[1], Some(number(1)), 0), exception])),
        (200, json!([event(&[2], Some(number(2)), 0)])),
    ])
    .await;
    let page = world.read(world.begin().await).await.unwrap();
    assert!(world.clock.monotonic() >= IN_USE_PAUSE, "five seconds after the other one began");
    let before = world.clock.monotonic();
    assert_eq!(counters(&world.read(page.next.unwrap()).await.unwrap()), [2]);
    assert!(world.clock.monotonic() >= before + IN_USE_PAUSE);
    assert_eq!(world.beginnings()[2], after(1));
}

#[tokio::test]
async fn a_consumer_is_registered_and_waited_for() {
    let consumers = Turns::of([
        refusal("ResourceNotFoundException", "Consumer app, account 123456789012 not found."),
        (
            200,
            json!({"Consumer": {
                "ConsumerName": "app", "ConsumerARN": format!("{ARN}/consumer/app:1"),
                "ConsumerStatus": "CREATING", "ConsumerCreationTimestamp": 1_700_000_001,
            }}),
        ),
        consumer("CREATING"),
        consumer("ACTIVE"),
    ]);
    let subscription = (200, json!([event(&[1], Some(number(1)), 0)]));
    let world = World::with_consumer(consumers, [subscription]).await;
    assert_eq!(counters(&world.read(world.begin().await).await.unwrap()), [1]);
    assert_eq!(world.count("RegisterStreamConsumer"), 1);
}

#[tokio::test]
async fn where_fan_out_is_refused_reading_goes_on_by_polling() {
    for refused in [
        refusal("AccessDeniedException", "not authorized to perform: kinesis:SubscribeToShard"),
        refusal("UnknownOperationException", ""),
        (500, json!("Internal Server Error")),
    ] {
        let world = World::with([refused]).await;
        let page = world.read(world.begin().await).await.unwrap();
        assert_eq!((counters(&page), world.count("GetRecords")), (vec![1], 1));
        assert_eq!(world.count("SubscribeToShard"), 1);
    }
    let full = [
        refusal("ResourceNotFoundException", "Consumer app, account 1 not found."),
        refusal("LimitExceededException", "stream router has 20 consumers"),
    ];
    let world = World::with_consumer(Turns::of(full), []).await;
    assert_eq!(counters(&world.read(world.begin().await).await.unwrap()), [1]);
    assert_eq!((world.count("SubscribeToShard"), world.count("GetRecords")), (0, 1));
}

#[tokio::test]
async fn the_end_of_a_shard_has_its_children() {
    let child = json!({
        "ShardId": "shardId-000000000001", "ParentShards": ["shardId-000000000000"],
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "4"},
    });
    let mut end = event(&[3], None, 0);
    end[1]["ChildShards"] = json!([child]);
    let world = World::with([(200, json!([end]))]).await;
    let page = world.read(world.begin().await).await.unwrap();
    assert_eq!((counters(&page), page.next), (vec![3], None));
    assert_eq!(page.children[0].id.index(), 1);
}

#[tokio::test]
async fn an_end_that_is_not_told_is_found_by_polling_once_the_shard_is_listed_as_closed() {
    let nothing = event(&[], Some(number(1)), 0);
    let world = World::with([(200, json!([event(&[1], Some(number(1)), 0), nothing]))]).await;
    let page = world.read(world.begin().await).await.unwrap();
    world.reader.shards(&shard().stream).await.unwrap();
    let end = world.read(page.next.unwrap()).await.unwrap();
    assert_eq!((counters(&end), end.next), (vec![], None), "the record is not read twice");
    assert_eq!(world.count("GetRecords"), 1);
}

#[tokio::test]
async fn what_cannot_be_true_ends_the_subscription() {
    let lie = json!([event(&[5, 4], Some(number(5)), 0)]);
    let world = World::with([(200, lie), (200, json!([event(&[1], Some(number(1)), 0)]))]).await;
    let cursor = world.begin().await;
    let error = world.read(cursor.clone()).await.unwrap_err();
    assert!(error.to_string().contains("strange answer"), "{error}");
    assert_eq!(counters(&world.read(cursor).await.unwrap()), [1]);
    assert_eq!(world.beginnings().len(), 2);
}
