//! One worker, step by step: what it makes of answers, of time, and of hand-offs.

use std::collections::BTreeSet;
use std::time::Duration;

use baikonur_stream::ShardId;

use super::lease;
use crate::lease::{Lease, Write};
use crate::place::Place;
use crate::settings::Settings;
use crate::worker::{Answer, Outcome, Worker};

const SHARD: ShardId = ShardId::new(0);
const FAILOVER: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A worker named "a" and the row of one shard.
struct World {
    worker: Worker,
    row: Option<Lease>,
}

impl World {
    fn new(row: Lease) -> Self {
        Self { worker: Worker::new(Settings::new("app", "a")), row: Some(row) }
    }

    /// Holding the lease since second 0.
    fn holding() -> Self {
        let mut world = Self::new(lease(0, None));
        world.look(seconds(0));
        let taken = world.takes(seconds(0));
        assert_eq!(world.send(seconds(0), &taken[0].1), Outcome::Done);
        world
    }

    fn look(&mut self, now: Duration) {
        self.worker.scanned(now, self.row.clone());
    }

    fn takes(&self, now: Duration) -> Vec<(ShardId, Write)> {
        self.worker.takes(now, &mut |_| 0)
    }

    /// The table's answer to a write.
    fn answer(&mut self, write: &Write) -> Answer {
        match write.apply(&mut self.row) {
            Ok(()) => Answer::Done,
            Err(_) => Answer::Refused(self.row.clone().map(Box::new)),
        }
    }

    fn send(&mut self, now: Duration, write: &Write) -> Outcome {
        let answer = self.answer(write);
        self.worker.settle(now, SHARD, write, answer)
    }

    fn renew(&mut self, now: Duration) -> Outcome {
        let Some(renewal) = self.worker.renewal(SHARD) else { return Outcome::Lost };
        self.send(now, &renewal)
    }

    fn row(&mut self) -> &mut Lease {
        self.row.as_mut().unwrap()
    }

    fn holds(&self, now: Duration) -> bool {
        self.worker.held().get(&SHARD).is_some_and(|held| held.tenure.holds(now))
    }
}

#[test]
fn an_owned_lease_is_expired_when_its_counter_stood_still_for_the_failover_time() {
    let mut world = World::new(lease(0, Some("b")));
    world.look(seconds(100));
    assert_eq!(world.takes(seconds(100)), [], "first seen: as if just renewed");
    world.look(seconds(109));
    world.row().counter += 1;
    world.look(seconds(115));
    world.look(seconds(125));
    assert_eq!(world.takes(seconds(125)), [], "renewed 10 s ago, and that is not more than 10 s");
    world.look(seconds(126));
    let [(_, write)] = &*world.takes(seconds(126)) else { panic!("it is expired") };
    assert_eq!(*write, Write::Take { counter: 1, owner: "a".into(), switched: true });
    assert_eq!(world.send(seconds(126), &write.clone()), Outcome::Done);
    let row = world.row();
    assert_eq!((row.owner.as_deref(), row.counter, row.switches), (Some("a"), 2, 1));
}

#[test]
fn a_lease_without_an_owner_is_taken_at_once_and_held_for_less_than_the_failover_time() {
    let world = World::holding();
    assert!(world.holds(seconds(9)) && !world.holds(FAILOVER));
}

#[test]
fn a_lease_that_cannot_be_renewed_is_dropped_in_time() {
    let mut world = World::holding();
    let renewal = world.worker.renewal(SHARD).unwrap();
    assert_eq!(world.worker.settle(seconds(4), SHARD, &renewal, Answer::Unknown), Outcome::Unknown);
    assert_eq!(world.worker.drop_expired(seconds(9)), []);
    let tenure = world.worker.held()[&SHARD].tenure.clone();
    assert_eq!(world.worker.drop_expired(seconds(10)), [SHARD]);
    assert!(!tenure.holds(seconds(0)), "whoever delivers knows at once");
    // It still bears the name: nobody took it, so this worker goes on with it.
    world.look(seconds(12));
    let rows = world.worker.rows();
    let adoptions = world.worker.adoptions(rows.values());
    assert_eq!(adoptions.len(), 1);
    assert_eq!(world.send(seconds(12), &adoptions[0].1), Outcome::Done);
    assert!(world.holds(seconds(20)));
}

#[test]
fn an_own_write_whose_answer_was_lost_is_accepted() {
    let mut world = World::holding();
    let renewal = world.worker.renewal(SHARD).unwrap();
    world.answer(&renewal);
    world.worker.settle(seconds(3), SHARD, &renewal, Answer::Unknown);
    assert_eq!(world.renew(seconds(6)), Outcome::Again);
    assert_eq!(world.renew(seconds(6)), Outcome::Done);
    assert!(world.holds(seconds(15)));
}

#[test]
fn a_take_whose_answer_was_lost_is_gone_on_with_after_the_next_look() {
    let mut world = World::new(lease(0, None));
    world.look(seconds(0));
    let taken = world.takes(seconds(0));
    world.answer(&taken[0].1);
    // The call was sent twice on its way. It stands in the table, but not since when.
    assert_eq!(world.send(seconds(0), &taken[0].1), Outcome::Lost);
    assert!(!world.holds(seconds(0)));
    world.look(seconds(20));
    let adoptions = world.worker.adoptions(&world.row);
    assert_eq!(world.send(seconds(20), &adoptions[0].1), Outcome::Done);
    assert!(world.holds(seconds(29)));
}

#[test]
fn a_lease_that_another_took_is_lost() {
    let mut world = World::holding();
    let known = world.row().counter;
    let stolen = Write::Take { counter: known, owner: "b".into(), switched: true };
    stolen.apply(&mut world.row).unwrap();
    assert_eq!(world.renew(seconds(3)), Outcome::Lost);
    assert!(!world.holds(seconds(3)));
    assert_eq!(world.worker.renewal(SHARD), None);
    let mut world = World::holding();
    world.row = None;
    assert_eq!(world.renew(seconds(3)), Outcome::Lost, "deleted");
}

#[test]
fn a_checkpoint_counts_as_a_renewal_and_shares_the_counter_with_it() {
    let mut world = World::holding();
    world.row().switches = 3;
    let place = Place::read("77", 9).unwrap();
    let counter = world.worker.held()[&SHARD].lease.counter;
    let children = BTreeSet::new();
    let write = Write::Checkpoint { counter, place: place.clone(), pending: None, children };
    assert_eq!(world.send(seconds(5), &write), Outcome::Done);
    assert_eq!((world.row().place.clone(), world.row().switches), (place, 0));
    assert!(world.holds(seconds(14)));
    assert_eq!(world.renew(seconds(8)), Outcome::Done);
    assert_eq!(world.send(seconds(9), &write), Outcome::Lost, "a counter of the past");
}

#[test]
fn a_hand_off_is_noticed_at_the_next_renewal_and_ended_by_the_old_owner() {
    let mut world = World::holding();
    // The leader: the counter stays as it is.
    world.row().owner = Some("b".into());
    world.row().checkpoint_owner = Some("a".into());
    assert_eq!(world.renew(seconds(3)), Outcome::Again);
    assert!(world.worker.held()[&SHARD].is_leaving());
    assert_eq!(world.renew(seconds(3)), Outcome::Done, "it goes on renewing");
    assert_eq!(world.takes(seconds(4)), [], "and takes nothing");
    let counter = world.row().counter;
    let write = world.worker.giving_up(SHARD).unwrap();
    assert_eq!(world.send(seconds(4), &write), Outcome::Done);
    let row = world.row();
    assert_eq!((row.owner.as_deref(), row.checkpoint_owner.as_deref()), (Some("b"), None));
    assert_eq!((row.counter, row.switches), (counter + 1, 2));
    assert!(world.worker.held().is_empty());
}

#[test]
fn an_assigned_lease_is_adopted_only_when_its_old_owner_has_left() {
    let mut row = lease(0, Some("a"));
    row.checkpoint_owner = Some("b".into());
    let mut world = World::new(row);
    world.look(seconds(0));
    assert_eq!(world.worker.adoptions(&world.row), []);
    world.row().checkpoint_owner = None;
    world.worker.saw(seconds(1), world.row.clone().unwrap());
    let adoptions = world.worker.adoptions(&world.row);
    // A hand-off that begins between the look and the write is not broken.
    world.row().checkpoint_owner = Some("a".into());
    world.row().owner = Some("b".into());
    assert_eq!(world.send(seconds(1), &adoptions[0].1), Outcome::Lost);
    world.row().checkpoint_owner = None;
    world.row().owner = Some("a".into());
    assert_eq!(world.send(seconds(2), &adoptions[0].1), Outcome::Done);
    assert!(world.holds(seconds(11)));
}

#[test]
fn a_lease_that_is_given_up_has_no_owner() {
    let mut world = World::holding();
    let write = world.worker.giving_up(SHARD).unwrap();
    assert_eq!(world.send(seconds(1), &write), Outcome::Done);
    assert_eq!((world.row().owner.clone(), world.row().counter), (None, 2));
    // Taken by another before: nothing is left to give up.
    let mut world = World::holding();
    let write = world.worker.giving_up(SHARD).unwrap();
    world.row().owner = Some("b".into());
    assert_eq!(world.send(seconds(1), &write), Outcome::Done);
    assert_eq!(world.row().owner.as_deref(), Some("b"));
}
