//! What an administrator may do, and what is refused.

use baikonur_stream::{HashKey, RetentionHours, ShardId};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const AT: Moment = Moment { clock: NOW, arrival: NOW };
const LIMITS: Limits = Limits { shards: 10, daily: false };

fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

fn create(text: &str, shard_count: u32, mode: StreamMode) -> Change {
    let properties = StreamProperties { mode, ..StreamProperties::default() };
    Change::Create(CreateStream { name: name(text), shard_count, properties })
}

/// A catalog with a stream `s`.
struct World(Catalog);

impl World {
    fn new(shards: u32, mode: StreamMode) -> Self {
        Self(changed(&Catalog::default(), create("s", shards, mode), AT, LIMITS).unwrap().unwrap())
    }

    /// Whether the change made a difference.
    fn change(&mut self, change: StreamChange) -> Result<bool, AdministerError> {
        let after = changed(&self.0, Change::Stream(name("s"), change), AT, LIMITS)?;
        let different = after.is_some();
        self.0 = after.unwrap_or_else(|| self.0.clone());
        Ok(different)
    }

    fn stream(&self) -> &StoredStream {
        &self.0.streams[&name("s")]
    }
}

#[test]
fn the_period_in_force_is_no_change_and_the_wrong_direction_is_refused() {
    let hours = |n| RetentionHours::new(n).unwrap();
    let mut world = World::new(2, StreamMode::Provisioned);
    assert_eq!(world.change(StreamChange::IncreaseRetention(hours(48))), Ok(true));
    assert_eq!(world.change(StreamChange::IncreaseRetention(hours(48))), Ok(false));
    assert_eq!(
        world.change(StreamChange::IncreaseRetention(hours(47))),
        Err(AdministerError::RetentionShorter { requested: 47, present: 48 })
    );
    assert_eq!(
        world.change(StreamChange::DecreaseRetention(hours(49))),
        Err(AdministerError::RetentionLonger { requested: 49, present: 48 })
    );
}

#[test]
fn open_shards_are_limited_over_all_streams_however_they_come_to_be() {
    let mut world = World::new(6, StreamMode::Provisioned);
    let limit = |requested, open| Err(AdministerError::ShardLimit { requested, open, limit: 10 });
    assert_eq!(changed(&world.0, create("t", 5, StreamMode::Provisioned), AT, LIMITS), limit(5, 6));
    assert_eq!(
        world.change(StreamChange::UpdateShardCount { target: 12 }).map(|_| None),
        limit(6, 6)
    );
    assert_eq!(world.change(StreamChange::UpdateShardCount { target: 10 }), Ok(true));
    let split = Reshard::Split { shard: ShardId::new(0), at: HashKey::new(2) };
    assert!(world.change(StreamChange::Reshard(split)).is_err());
    assert_eq!(world.change(StreamChange::UpdateShardCount { target: 5 }), Ok(true));
    assert_eq!(world.stream().open_shards(), 5);
}

#[test]
fn a_shard_count_is_at_most_doubled_and_at_least_halved() {
    let mut world = World::new(3, StreamMode::Provisioned);
    let mut to = |target| world.change(StreamChange::UpdateShardCount { target });
    assert_eq!(to(7), Err(AdministerError::AboveDouble { open: 3, target: 7 }));
    assert_eq!(to(1), Err(AdministerError::BelowHalf { open: 3, target: 1 }));
    assert_eq!(to(3), Ok(false));
    assert_eq!(to(2), Ok(true));
    assert_eq!(to(1), Ok(true));
    assert_eq!(to(0), Err(AdministerError::BelowHalf { open: 1, target: 0 }));
}

#[test]
fn who_reshards_follows_from_the_mode() {
    let split = Reshard::Split { shard: ShardId::new(0), at: HashKey::new(2) };
    let mut on_demand = World::new(1, StreamMode::OnDemand);
    let refused = Err(AdministerError::OnDemand(name("s")));
    assert_eq!(on_demand.change(StreamChange::Reshard(split)), refused);
    assert_eq!(on_demand.change(StreamChange::UpdateShardCount { target: 2 }), refused);
    assert_eq!(on_demand.change(StreamChange::FollowLoad(vec![split])), Ok(true));
    let mut provisioned = World::new(1, StreamMode::Provisioned);
    let refused = Err(AdministerError::Provisioned(name("s")));
    assert_eq!(provisioned.change(StreamChange::FollowLoad(vec![split])), refused);
    let auto = StreamChange::Distribution(RecordDistribution::Auto);
    assert_eq!(provisioned.change(auto), refused);
}

#[test]
fn the_load_is_followed_as_far_as_there_is_room() {
    let mut world = World::new(4, StreamMode::OnDemand);
    world.0 =
        changed(&world.0, create("t", 4, StreamMode::Provisioned), AT, LIMITS).unwrap().unwrap();
    let open = |world: &World| -> Vec<_> {
        let shards = world.stream().shards.iter();
        shards.filter(|shard| shard.ending_sequence_number.is_none()).cloned().collect()
    };
    let halves = |world: &World| -> Vec<Reshard> {
        let half = |shard: &baikonur_stream::Shard| {
            let range = shard.hash_key_range;
            let at = HashKey::new(range.start.value() / 2 + range.end.value() / 2);
            Reshard::Split { shard: shard.id, at }
        };
        open(world).iter().map(half).collect()
    };
    let splits = halves(&world);
    assert_eq!(world.change(StreamChange::FollowLoad(splits)), Ok(true));
    assert_eq!(open(&world).len(), 6, "two of the four splits, the first ones");
    assert!(open(&world).iter().all(|shard| ![0, 1].contains(&shard.id.index())));
    let splits = halves(&world);
    let refused = AdministerError::ShardLimit { requested: 6, open: 10, limit: 10 };
    assert_eq!(world.change(StreamChange::FollowLoad(splits.clone())), Err(refused));
    // What is merged makes room.
    let merge = Reshard::Merge { shard: ShardId::new(3), adjacent: ShardId::new(99) };
    assert!(world.change(StreamChange::FollowLoad(vec![merge])).is_err(), "no shard of that id");
    let mut lowest = open(&world);
    lowest.sort_by_key(|shard| shard.hash_key_range.start);
    let merge = Reshard::Merge { shard: lowest[0].id, adjacent: lowest[1].id };
    let split = splits
        .into_iter()
        .find(|step| matches!(step, Reshard::Split { shard, .. } if *shard == lowest[5].id));
    let steps = vec![split.unwrap(), merge];
    assert_eq!(world.change(StreamChange::FollowLoad(steps)), Ok(true));
    assert_eq!(open(&world).len(), 6);
}

#[test]
fn operations_of_a_day_are_limited_where_amazon_limits_them() {
    let limits = Limits { daily: true, shards: 1000 };
    let mut catalog = World::new(2, StreamMode::Provisioned).0;
    let mut minutes = 0;
    let mut change = |change: StreamChange, after: u64| {
        minutes += after;
        let clock = NOW.plus(std::time::Duration::from_secs(60 * minutes));
        let at = Moment { clock, arrival: clock };
        let changed = changed(&catalog, Change::Stream(name("s"), change), at, limits)?;
        let different = changed.is_some();
        catalog = changed.unwrap_or_else(|| catalog.clone());
        Ok(different)
    };
    let refused = |operation, limit| Err(AdministerError::DailyLimit { operation, limit });
    let count = |target| StreamChange::UpdateShardCount { target };
    for step in 0..10 {
        assert_eq!(change(count(3 + step % 2), 1), Ok(true), "{step}");
        assert_eq!(change(count(3 + step % 2), 0), Ok(false), "nothing changes: it does not count");
    }
    assert_eq!(change(count(3), 1), refused("UpdateShardCount", 10));
    let mode = |mode| StreamChange::Mode { mode, warm_throughput_mibps: None };
    assert_eq!(change(mode(StreamMode::OnDemand), 0), Ok(true));
    assert_eq!(change(mode(StreamMode::Provisioned), 0), Ok(true));
    assert_eq!(change(mode(StreamMode::OnDemand), 0), refused("UpdateStreamMode", 2));
    let key = |key: &str| StreamChange::EncryptionKey(Some(key.to_owned()));
    for step in 0..25 {
        assert_eq!(change(key(&format!("alias/{step}")), 0), Ok(true));
        assert_eq!(change(key(&format!("alias/{step}")), 0), Ok(false));
        assert_eq!(change(StreamChange::EncryptionKey(None), 1), Ok(true));
    }
    assert_eq!(change(key("alias/25"), 0), refused("StartStreamEncryption", 25));
    assert_eq!(change(count(3), 24 * 60), Ok(true));
    assert_eq!(change(key("alias/25"), 0), Ok(true));
}

#[test]
fn periods_with_a_key_are_counted_and_forgotten_with_their_records() {
    let mut world = World::new(1, StreamMode::Provisioned);
    let after = |seconds| NOW.plus(std::time::Duration::from_secs(seconds));
    let period = |n: u64| EncryptionPeriod { from: after(2 * n + 1), to: Some(after(2 * n + 2)) };
    let stream = Arc::make_mut(world.0.streams.get_mut(&name("s")).unwrap());
    Arc::make_mut(&mut stream.properties).encryption_periods =
        (0..ENCRYPTION_PERIODS_MAX as u64).map(period).collect();
    let start = |world: &World, seconds| {
        let at = Moment { clock: after(seconds), arrival: after(seconds) };
        let change = StreamChange::EncryptionKey(Some("alias/k".to_owned()));
        changed(&world.0, Change::Stream(name("s"), change), at, LIMITS)
    };
    let limit = ENCRYPTION_PERIODS_MAX;
    let refused = AdministerError::EncryptionPeriodLimit { limit };
    assert_eq!(start(&world, 20_000), Err(refused));
    let properties = Arc::clone(&world.stream().properties);
    let encrypted = |seconds| properties.is_encrypted_at(after(seconds));
    assert_eq!([0, 1, 2, 3, 4].map(encrypted), [false, true, false, true, false]);
    assert!(!encrypted(1_000_000));
    // A day later nothing is retained of the first ones.
    let later = start(&world, 24 * 3600 + 100).unwrap().unwrap();
    let kept = later.streams[&name("s")].properties.encryption_periods.len();
    assert_eq!(kept, limit - 50 + 1);
}

#[test]
fn warm_throughput_makes_shards_and_goes_with_the_mode() {
    let mut world = World::new(1, StreamMode::Provisioned);
    let mode = |mode, warm_throughput_mibps| StreamChange::Mode { mode, warm_throughput_mibps };
    world.change(mode(StreamMode::OnDemand, Some(6))).unwrap();
    assert_eq!(world.stream().open_shards(), 6);
    world.change(StreamChange::Distribution(RecordDistribution::Auto)).unwrap();
    world.change(StreamChange::WarmThroughput(8)).unwrap();
    assert_eq!(world.stream().open_shards(), 8);
    world.change(mode(StreamMode::Provisioned, None)).unwrap();
    let properties = &world.stream().properties;
    assert_eq!(properties.warm_throughput_mibps, None);
    assert_eq!(properties.distribution, RecordDistribution::UserPartitionKey);
    assert_eq!(world.stream().open_shards(), 8, "the shards stay");
}

#[test]
fn tags_belong_to_a_stream_or_to_a_consumer_and_are_limited() {
    let mut world = World::new(1, StreamMode::Provisioned);
    let tags = |range: std::ops::Range<usize>| -> Tags {
        range.map(|n| (format!("key-{n}"), "value".to_owned())).collect()
    };
    world.change(StreamChange::AddTags(None, tags(0..50))).unwrap();
    let one_more = StreamChange::AddTags(None, tags(50..51));
    assert_eq!(world.change(one_more.clone()), Err(AdministerError::TooManyTags));
    let unknown = vec!["key-0".to_owned(), "other".to_owned()];
    world.change(StreamChange::RemoveTags(None, unknown)).unwrap();
    world.change(one_more).unwrap();
    let of = Some("c".to_owned());
    let missing = world.change(StreamChange::AddTags(of.clone(), tags(0..1)));
    assert!(matches!(missing, Err(AdministerError::ConsumerNotFound { .. })));
    let register = StreamChange::RegisterConsumer { name: "c".to_owned(), tags: tags(0..1) };
    world.change(register).unwrap();
    world.change(StreamChange::AddTags(of, tags(1..3))).unwrap();
    assert_eq!(world.stream().consumers["c"].tags, tags(0..3));
}

#[test]
fn consumers_are_limited_and_keep_their_stream() {
    let mut world = World::new(1, StreamMode::Provisioned);
    let register = |n: usize| StreamChange::RegisterConsumer {
        name: format!("consumer-{n}"),
        tags: Tags::new(),
    };
    (0..20).for_each(|n| assert_eq!(world.change(register(n)), Ok(true)));
    let exists = world.change(register(0));
    assert!(matches!(exists, Err(AdministerError::ConsumerExists { .. })));
    assert_eq!(world.change(register(20)), Err(AdministerError::ConsumerLimit { limit: 20 }));
    let commitment = BillingCommitment { started: Some(NOW), ended: None };
    let committed = changed(&world.0, Change::Commit(StreamOwner::OWN, commitment), AT, LIMITS);
    world.0 = committed.unwrap().unwrap();
    assert_eq!(world.change(register(20)), Ok(true));
    let delete = |with_consumers| Change::Delete { name: name("s"), with_consumers };
    let refused = changed(&world.0, delete(false), AT, LIMITS);
    assert_eq!(refused, Err(AdministerError::HasConsumers(name("s"))));
    assert!(changed(&world.0, delete(true), AT, LIMITS).unwrap().unwrap().streams.is_empty());
    let missing = Err(AdministerError::StreamNotFound(name("s")));
    assert_eq!(changed(&Catalog::default(), delete(true), AT, LIMITS), missing);
}

#[test]
fn policies_are_set_replaced_and_removed_once() {
    let mut world = World::new(1, StreamMode::Provisioned);
    let mut policy =
        |text: Option<&str>| world.change(StreamChange::Policy(None, text.map(str::to_owned)));
    assert_eq!(policy(None), Err(AdministerError::NoPolicy));
    assert_eq!(policy(Some("{}")), Ok(true));
    assert_eq!(policy(Some("{}")), Ok(false));
    assert_eq!(policy(None), Ok(true));
}
