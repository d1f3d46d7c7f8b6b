//! Scaling a simulated service, in no time.

use super::*;
use crate::simulated::{PausedClock, Service, name};
use crate::target::Change;
use std::sync::Mutex;

async fn scale(service: &Service, target: Target, bounds: Bounds) -> Report {
    let clock = PausedClock::new();
    let scaler = Scaler {
        administer: service,
        clock: &clock,
        patience: Duration::from_secs(600),
        wait: true,
        progress: &|_| {},
    };
    scaler.scale(&name(), target, bounds).await.unwrap()
}

fn updates(service: &Service) -> Vec<u32> {
    let state = service.state.lock().unwrap();
    let targets = state.changes.iter().map(|change| match change {
        StreamChange::UpdateShardCount { target } => *target,
        other => panic!("{other:?}"),
    });
    targets.collect()
}

#[test]
fn each_update_is_at_most_double_and_at_least_half() {
    for (current, target, next) in
        [(1, 10, 2), (8, 10, 10), (10, 1, 5), (5, 1, 3), (3, 1, 2), (2, 1, 1), (7, 7, 7)]
    {
        assert_eq!(next_count(current, target), next, "{current} to {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn far_targets_are_reached_in_steps_of_double_and_half() {
    let service = Service::new(3);
    service.state.lock().unwrap().looks_until_active = 5;
    let up = scale(&service, Target::Count(20), Bounds::default()).await;
    assert_eq!((up.status, up.direction, up.before), (EndStatus::Ok, Direction::Up, 3));
    assert_eq!(up.layout.count(), 20);
    assert_eq!(up.operations, Operations { updates: 3, ..Default::default() });
    let down = scale(&service, Target::Down(Change::Percent(90)), Bounds::default()).await;
    assert_eq!((down.status, down.direction), (EndStatus::Ok, Direction::Down));
    assert_eq!(updates(&service), [6, 12, 20, 10, 5, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refuses_is_done_by_hand_and_merges_are_counted() {
    let service = Service::new(8);
    service.state.lock().unwrap().updates_left = 1;
    let report = scale(&service, Target::Count(2), Bounds::default()).await;
    assert_eq!((report.status, report.layout.count()), (EndStatus::Ok, 2));
    assert_eq!(report.operations, Operations { updates: 1, splits: 0, merges: 2 });
    assert_eq!(report.layout.shards()[0].share().percent(), 50.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_makes_no_call() {
    let service = Service::new(4);
    let bounds = Bounds::new(Some(4), Some(4)).unwrap();
    for (target, bounds, status) in [
        (Target::Count(4), Bounds::default(), EndStatus::NoActionRequired),
        (Target::Up(Change::Count(1)), bounds, EndStatus::AlreadyAtMaximum),
        (Target::Down(Change::Count(1)), bounds, EndStatus::AlreadyAtMinimum),
    ] {
        let report = scale(&service, target, bounds).await;
        assert_eq!((report.status, report.operations.total()), (status, 0));
        assert_eq!(report.direction, Direction::None);
    }
    assert!(service.state.lock().unwrap().changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_is_asked_again() {
    let service = Service::new(2);
    service.state.lock().unwrap().busy = 4;
    let report = scale(&service, Target::Count(4), Bounds::default()).await;
    assert_eq!((report.status, report.layout.count()), (EndStatus::Ok, 4));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_becomes_active_ends_the_scaling_at_the_deadline() {
    let service = Service::new(2);
    service.state.lock().unwrap().looks_until_active = u32::MAX;
    let report = scale(&service, Target::Count(8), Bounds::default()).await;
    assert_eq!((report.status, report.operations.updates), (EndStatus::Error, 1));
    let error = report.error.unwrap();
    assert!(error.contains("not done within 600s") && error.contains("Updating"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_on_demand_stream_is_left_alone_and_told() {
    let service = Service::new(4);
    service.state.lock().unwrap().mode = baikonur_stream::StreamMode::OnDemand;
    let report = scale(&service, Target::Count(8), Bounds::default()).await;
    assert_eq!(report.status, EndStatus::Error);
    assert_eq!(report.error.unwrap(), "stream router is in on-demand mode");
}

#[tokio::test(start_paused = true)]
async fn one_shard_is_cut_into_many_and_put_together_again() {
    let service = Service::new(2);
    let clock = PausedClock::new();
    let seen = Mutex::new(Vec::new());
    let progress = |progress: Progress| seen.lock().unwrap().push((progress.open, progress.target));
    let scaler = Scaler {
        administer: &service,
        clock: &clock,
        patience: Duration::from_secs(60),
        wait: true,
        progress: &progress,
    };
    let one = [ShardId::new(1)].into();
    let report = scaler.part(&name(), &one, 4, Bounds::default()).await.unwrap();
    assert_eq!((report.status, report.direction), (EndStatus::Ok, Direction::Up));
    assert_eq!(report.operations, Operations { splits: 3, ..Default::default() });
    let percent: Vec<_> = report.layout.shards().iter().map(|s| s.share().percent()).collect();
    assert_eq!(percent, [50.0, 12.5, 12.5, 12.5, 12.5]);
    assert_eq!(*seen.lock().unwrap(), [(3, 5), (4, 5), (5, 5)]);
    let four = report.layout.shards()[1..].iter().map(|shard| shard.id).collect();
    let report = scaler.part(&name(), &four, 1, Bounds::default()).await.unwrap();
    assert_eq!(report.operations, Operations { merges: 3, ..Default::default() });
    assert_eq!(service.open(), 2);
    let most = Bounds::new(None, Some(2)).unwrap();
    let first = [ShardId::new(0)].into();
    let report = scaler.part(&name(), &first, 2, most).await.unwrap();
    assert_eq!(report.status, EndStatus::AlreadyAtMaximum);
    let closed = [ShardId::new(1)].into();
    let report = scaler.part(&name(), &closed, 2, Bounds::default()).await.unwrap();
    assert!(report.error.unwrap().contains("is no open shard"));
}

#[tokio::test(start_paused = true)]
async fn without_waiting_the_last_step_is_only_asked_for() {
    let service = Service::new(2);
    service.state.lock().unwrap().looks_until_active = 3;
    let clock = PausedClock::new();
    let scaler = Scaler {
        administer: &service,
        clock: &clock,
        patience: Duration::from_secs(60),
        wait: false,
        progress: &|_| {},
    };
    let report = scaler.scale(&name(), Target::Count(8), Bounds::default()).await.unwrap();
    assert_eq!((report.status, report.operations.updates), (EndStatus::Ok, 2));
    let look = service.describe_stream(&name()).await.unwrap();
    assert_eq!(look.status, StreamStatus::Updating);
    let missing = StreamName::new("missing").unwrap();
    assert!(scaler.report(&missing).await.is_err());
}
