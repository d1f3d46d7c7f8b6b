//! What becomes of a batch that fails: again, in halves, or into the failed store; and of records that are too old.

use super::*;

#[test]
fn a_failing_batch_is_tried_until_its_retries_are_used_up_and_then_kept_with_its_payload() {
    let mut world = World::new(10);
    world.settings.maximum_retry_attempts = Some(2);
    world.behaviour = Box::new(|b| has(b, 6).then(|| failing(b, Cause::Batch)).flatten());
    world.run(|| false);
    let tried = world.attempts.iter().filter(|a| a[0] == 5).count();
    assert_eq!(tried, 3, "one invocation and two retries");
    assert_eq!(world.kept_with("retry_attempts_exhausted"), [5, 6, 7, 8]);
    assert_eq!(world.given_up, [given_up(GiveUpCondition::RetryAttemptsExhausted, 5, 3); 4]);
    assert_eq!(world.delivered, [vec![1, 2, 3, 4], vec![9, 10]], "and the shard went on");
}

#[test]
fn no_retry_means_one_invocation() {
    let mut world = World::new(4);
    world.settings.maximum_retry_attempts = Some(0);
    world.behaviour = Box::new(|b| failing(b, Cause::Batch));
    world.run(|| false);
    assert_eq!(world.attempts.len(), 1);
    assert_eq!(world.kept_with("retry_attempts_exhausted"), [1, 2, 3, 4]);
}

#[test]
fn a_destination_that_is_down_uses_up_no_attempt() {
    let mut world = World::new(4);
    world.settings.maximum_retry_attempts = Some(0);
    let mut down = 50;
    world.behaviour = Box::new(move |b| {
        down -= 1;
        (down > 0).then(|| failing(b, Cause::Destination)).flatten()
    });
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2, 3, 4]]);
    assert!(world.kept.is_empty());
}

#[test]
fn bisection_isolates_the_bad_record_without_using_up_attempts() {
    let mut world = World::new(8);
    world.settings.maximum_retry_attempts = Some(1);
    world.settings.bisect_batch_on_function_error = true;
    world.behaviour = Box::new(|b| has(b, 3).then(|| failing(b, Cause::Batch)).flatten());
    world.run(|| false);
    assert_eq!(world.kept_with("retry_attempts_exhausted"), [3]);
    assert_eq!(world.delivered, [vec![1, 2], vec![4], vec![5, 6, 7, 8]]);
    assert_eq!(world.attempts.iter().filter(|a| **a == [3]).count(), 2, "its own retry was left");
}

#[test]
fn a_partial_failure_moves_the_checkpoint_before_it_and_restarts_the_count() {
    let mut world = World::new(4);
    world.settings.maximum_retry_attempts = Some(1);
    world.behaviour = Box::new(|b| {
        let outcome = Outcome::Failed { from: number(3), cause: Cause::Batch, reason: "3".into() };
        has(b, 3).then_some(Delivery { outcome, rejected: Vec::new() })
    });
    world.run(|| false);
    assert_eq!(world.attempts, [vec![1, 2, 3, 4], vec![3, 4], vec![3, 4]]);
    assert_eq!(world.checkpoints[1], Some(Checkpoint::After(number(2))));
    assert_eq!(world.kept_with("retry_attempts_exhausted"), [3, 4]);
}

#[test]
fn a_failed_number_that_is_not_in_the_batch_fails_the_whole_batch() {
    // Behind it, before it, and between two of its records.
    for from in [number(99), number(0), SequenceNumber::new(1_600_000_000, 0, 3, 1_600_000_001)] {
        let mut world = World::new(4);
        let mut once = true;
        world.behaviour = Box::new(move |_| {
            let outcome = Outcome::Failed { from, cause: Cause::Batch, reason: "?".into() };
            std::mem::take(&mut once).then_some(Delivery { outcome, rejected: Vec::new() })
        });
        world.run(|| false);
        assert_eq!(world.attempts, [vec![1, 2, 3, 4], vec![1, 2, 3, 4]]);
    }
}

#[test]
fn records_that_are_too_old_are_kept_and_the_others_delivered() {
    let mut world = World::new(4);
    world.settings.maximum_record_age = Some(Duration::from_secs(60));
    world.now.wall = Timestamp::from_seconds(1_600_000_100);
    for fresh in &mut world.stream[2..] {
        fresh.arrival = Timestamp::from_seconds(1_600_000_090);
    }
    world.run(|| false);
    assert_eq!(world.kept_with("record_age_exceeded"), [1, 2]);
    // As Lambda counts a batch that it never tried.
    assert_eq!(world.given_up, [given_up(GiveUpCondition::RecordAgeExceeded, 1, 1); 2]);
    assert_eq!(world.delivered, [vec![3, 4]]);
}

#[test]
fn records_given_up_before_a_crash_are_given_up_again_by_the_repetition() {
    for crash_at in 1..12 {
        let mut world = World::new(4);
        world.settings.maximum_record_age = Some(Duration::from_secs(60));
        for record in &mut world.stream {
            record.arrival = Timestamp::from_seconds(1_599_999_000);
        }
        let mut step = 0;
        world.run(|| {
            step += 1;
            step == crash_at
        });
        world.run(|| false);
        assert!(world.attempts.is_empty(), "crash at {crash_at}: {:?}", world.attempts);
        assert_eq!(world.kept.values().flatten().count(), 4, "crash at {crash_at}");
    }
}
