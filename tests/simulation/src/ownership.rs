//! Who owns a shard, where workers share the stream by leases.
//!
//! The rules, asserted whenever anything is begun that leaves a process (a batch, an object, a failed
//! batch):
//! - whoever begins it can prove, by its own clock, that the shard is its own;
//! - nobody else can prove that at the same moment, unless the lease was taken from that one while it
//!   lived, and then no longer than the failover time after the take.
//!
//! Beside that `State::store` and the table of leases see that only the owner stores.

use std::time::Duration;

use baikonur_stream::{Clock, Tenure};

use crate::process::Process;
use crate::world::State;

/// A shard in the hands of one life, from when it was told so until its tenure ends.
pub(crate) struct Tenancy {
    pub(crate) number: u32,
    tenure: Tenure,
    /// When another worker took the lease.
    taken: Option<Duration>,
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
            state.tenancies.insert(key, Tenancy { number, tenure, taken: None });
            state.tell(format_args!("worker {} has shard {shard}", self.life));
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
        for ((other, _), tenancy) in
            state.tenancies.iter().filter(|((life, of), _)| *of == shard && *life != self.life)
        {
            if !tenancy.tenure.holds(state.lives[other].clock(elapsed)) {
                continue;
            }
            let since = tenancy.taken.filter(|_| workers.steal).map(|taken| elapsed - taken);
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
    /// A worker took the lease of a shard from this life.
    pub fn taken_from(&mut self, life: u32, shard: u32, now: Duration) {
        if let Some(tenancy) = self.tenancies.get_mut(&(life, shard)) {
            tenancy.taken = Some(now);
            let clock = self.lives[&life].clock(now);
            let lives = tenancy.tenure.holds(clock);
            self.tally.count(if lives { "a lease stolen" } else { "a lease taken over" });
        }
    }

    /// The life gave the lease of a shard up.
    pub fn gave_up(&mut self, life: u32, shard: u32) {
        if self.tenancies.remove(&(life, shard)).is_some() {
            self.tally.count("a lease given up");
        }
    }
}
