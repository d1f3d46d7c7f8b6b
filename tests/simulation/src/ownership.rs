//! Who owns a shard, where workers share the stream by leases.
//!
//! The rules, asserted whenever anything is begun that leaves a process (a batch, an object, a failed
//! batch):
//! - whoever begins it can prove, by its own clock, that the shard is its own;
//! - nobody else can prove that at the same moment, unless the lease was taken from that one while it
//!   lived, and then no longer than the failover time after the take.
//!
//! Beside that `State::store` and the table of leases see that only the owner stores.

use std::collections::BTreeSet;
use std::time::Duration;

use baikonur_stream::{Clock, Lane, Tenure};

use crate::process::Process;
use crate::world::State;

/// A shard in the hands of one life, from when it was told so until its tenure ends, or until its
/// delivery starts again.
pub(crate) struct Tenancy {
    pub(crate) number: u32,
    tenure: Tenure,
    /// Lanes that were opened.
    opened: BTreeSet<Lane>,
}

impl Process {
    /// It was told that the shard is its own.
    pub fn owns(&self, shard: u32, tenure: &Tenure) {
        let now = self.monotonic();
        let state = &mut *self.world.lock();
        let key = (self.life, shard);
        if state.tenancies.get(&key).is_none_or(|known| !known.tenure.holds(now)) {
            state.tenancies_given += 1;
            let (number, tenure) = (state.tenancies_given, tenure.clone());
            state.tenancies.insert(key, Tenancy { number, tenure, opened: BTreeSet::new() });
            state.tell(format_args!("worker {} has shard {shard}", self.life));
        }
    }

    /// The delivery of a lane begins.
    pub(crate) fn opened(&self, shard: u32, lane: Lane) {
        let state = &mut *self.world.lock();
        let Some(tenancy) = state.tenancies.get_mut(&(self.life, shard)) else { return };
        if !tenancy.opened.insert(lane) {
            // What had ended without proof goes on: a renewal was late, and came before others.
            state.tenancies_given += 1;
            tenancy.number = state.tenancies_given;
            tenancy.opened = BTreeSet::from([lane]);
        }
    }

    /// It begins something for the shard that leaves the process; gives the number of its tenancy.
    pub(crate) fn begins(&self, shard: u32) -> u32 {
        let (elapsed, now) = (self.world.elapsed(), self.monotonic());
        let state = &mut *self.world.lock();
        let Some(workers) = &state.plan.workers else { return self.life };
        let told = state.told();
        let own = state.tenancies.get(&(self.life, shard)).filter(|own| own.tenure.holds(now));
        let Some(own) = own else {
            panic!("{} acts for shard {shard} without proof that it may; {told}", self.life);
        };
        let number = own.number;
        let taken_from = |life: u32| state.taken.get(&(life, shard));
        for ((other, _), tenancy) in
            state.tenancies.iter().filter(|((life, of), _)| *of == shard && *life != self.life)
        {
            if !tenancy.tenure.holds(state.lives[other].clock(elapsed)) {
                continue;
            }
            let taken = taken_from(*other).or(taken_from(self.life)).filter(|_| workers.steal);
            let since = taken.map(|taken| elapsed - *taken);
            assert!(
                since.is_some_and(|since| since < workers.failover_time),
                "{} and {other} act for shard {shard}; it was taken {since:?} ago; {told}",
                self.life,
            );
            state.tally.count("two that act for a shard after it was stolen");
        }
        number
    }
}

impl State {
    /// A life took the lease of a shard, from another one or from nobody.
    pub fn takes(&mut self, life: u32, shard: u32, from: Option<u32>, now: Duration) {
        self.taken.remove(&(life, shard));
        let Some(from) = from.filter(|from| *from != life) else {
            return self.tally.count("a free lease taken");
        };
        self.taken.insert((from, shard), now);
        let clock = self.lives[&from].clock(now);
        let tenancy = self.tenancies.get(&(from, shard));
        let lives = tenancy.is_some_and(|tenancy| tenancy.tenure.holds(clock));
        self.tally.count(if lives { "a lease stolen" } else { "a lease taken over" });
    }

    /// The life gave the lease of a shard up.
    pub fn gave_up(&mut self, life: u32, shard: u32) {
        if self.tenancies.remove(&(life, shard)).is_some() {
            self.tally.count("a lease given up");
        }
    }
}
