//! Where a shard begins, and what follows when its stream is not the one that it was.

use super::*;

#[test]
fn latest_is_fixed_at_the_first_start() {
    let mut world = World::new(5);
    world.settings.starting_position = crate::Start::Latest;
    world.run(|| false);
    assert_eq!(world.stored.checkpoint, Some(Checkpoint::At(number(6))));
    world.stream.push(record(6));
    world.run(|| false);
    assert_eq!(world.delivered, [vec![6]]);
}

#[test]
fn the_start_is_fixed_whatever_the_starting_position_is_later() {
    let mut world = World::new(0);
    world.run(|| false);
    assert_eq!(world.stored.checkpoint, Some(Checkpoint::At(number(1))));
    world.stream = (1..=3).map(record).collect();
    world.settings.starting_position = crate::Start::Latest;
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2, 3]]);
}

#[test]
fn a_start_at_a_moment_is_sought_and_fixed() {
    let moment = Timestamp::from_seconds(1_600_000_000);
    let mut world = World::new(4);
    world.settings.starting_position = crate::Start::AtTimestamp(moment);
    let mut machine = world.machine();
    let action = machine.step(world.now, Event::Loaded(Ok(ShardProgress::default())));
    assert!(
        matches!(action, Action::Seek(StartingPosition::AtTimestamp(at)) if at == moment),
        "{action:?}"
    );
    let action = machine.step(world.now, Event::Sought(Ok(world.cursor(&machine, 3))));
    let Action::Store(progress) = action else { panic!("{action:?}") };
    assert_eq!(progress.checkpoint, Some(Checkpoint::At(number(3))));
}

#[test]
fn a_stream_that_was_made_anew_is_read_from_its_beginning_whatever_the_starting_position() {
    let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(0) };
    let mut world = World::new(4);
    world.settings.starting_position = crate::Start::Latest;
    let mut machine = world.machine();
    let checkpoint = Some(Checkpoint::After(number(77)));
    machine.step(world.now, Event::Loaded(Ok(ShardProgress { checkpoint, intent: None })));
    let other = ReadError::OtherStream { number: number(77), shard };
    let action = machine.step(world.now, Event::Sought(Err(other)));
    assert!(matches!(action, Action::Seek(StartingPosition::TrimHorizon)), "{action:?}");
    let action = machine.step(world.now, Event::Sought(Ok(world.cursor(&machine, 1))));
    let Action::Store(progress) = action else { panic!("{action:?}") };
    assert_eq!(progress.checkpoint, Some(Checkpoint::At(number(1))), "the old position is gone");
}

#[test]
fn a_start_without_a_number_is_kept_by_its_moment() {
    let settings =
        Settings { starting_position: crate::settings::Start::Latest, ..Settings::default() };
    let consumer = ConsumerName::new("module");
    let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(0) };
    let start = StartingPosition::Latest;
    let now = Now {
        monotonic: Duration::ZERO,
        wall: Timestamp::default(),
        draining: false,
        room: usize::MAX,
    };
    let machine = || ShardMachine::new(consumer.clone(), shard.clone(), settings.clone(), start, 1);
    let mut first = machine();
    let moment = Timestamp::from_millis(1_234);
    first.step(now, Event::Loaded(Ok(ShardProgress::default())));
    let cursor = Cursor { shard: shard.clone(), from: SequenceNumber::ZERO, since: Some(moment) };
    let Action::Store(progress) = first.step(now, Event::Sought(Ok(cursor))) else {
        panic!("the start is not kept")
    };
    assert_eq!(progress.checkpoint, Some(Checkpoint::AtTimestamp(moment)));
    let again = machine().step(now, Event::Loaded(Ok(progress)));
    assert!(matches!(again, Action::Seek(StartingPosition::AtTimestamp(at)) if at == moment));
}

#[test]
fn a_stream_that_was_made_anew_ends_the_delivery_of_the_old_one() {
    let world = World::new(4);
    let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(0) };
    for error in [
        ReadError::OtherStream { number: number(1), shard: shard.clone() },
        ReadError::StreamNotFound(shard.stream.clone()),
    ] {
        let mut machine = world.machine();
        machine.step(world.now, Event::Loaded(Ok(ShardProgress::default())));
        machine.step(world.now, Event::Sought(Ok(world.cursor(&machine, 1))));
        let action = machine.step(world.now, Event::Read(Err(error)));
        assert!(matches!(action, Action::Finish(Finish::Gone)), "{action:?}");
    }
    let mut machine = world.machine();
    machine.step(world.now, Event::Loaded(Ok(ShardProgress::default())));
    machine.step(world.now, Event::Sought(Ok(world.cursor(&machine, 1))));
    let action = machine.step(world.now, Event::Stored(Err(ProgressError::Gone(shard))));
    assert!(matches!(action, Action::Finish(Finish::Gone)), "{action:?}");
}
