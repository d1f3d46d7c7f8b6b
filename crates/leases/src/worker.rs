//! What a worker knows of a table and which leases it holds. No I/O, no clock of its own: whoever
//! drives it says the moment and carries out its writes, one at a time for a lease.
//!
//! The soundness of it, in three sentences. A worker acts for a shard until its [`Tenure`] ends: the
//! failover time, less a little, after the *beginning* of its last write that succeeded. Others take
//! the lease when they have seen its counter unchanged for the failover time, which began after
//! that write. And whoever had it can write nothing any more, as each write names the counter.

use std::collections::BTreeMap;
use std::time::Duration;

use baikonur_stream::{ShardId, Tenure};

use crate::lease::{Lease, WorkerId, Write};
use crate::settings::Settings;
use crate::take::{Bounds, Renewed, View, choose};

/// Leases not renewed for this many failover times are taken beyond the share.
const VERY_OLD: u32 = 3;

/// A worker's memory.
pub(crate) struct Worker {
    me: WorkerId,
    settings: Settings,
    /// Leases as they were read, and since when each has its counter.
    seen: BTreeMap<ShardId, Seen>,
    held: BTreeMap<ShardId, Held>,
}

struct Seen {
    lease: Lease,
    since: Duration,
}

/// A lease that is this worker's own.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// As it stands in the table.
    pub(crate) lease: Lease,
    pub(crate) tenure: Tenure,
}

impl Held {
    /// Whether another worker waits for it.
    pub(crate) fn is_leaving(&self) -> bool {
        self.lease.is_handed_off()
    }
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// Its condition was not met, by this row.
    Refused(Option<Box<Lease>>),
    /// Nobody knows: it may be done, or be done later.
    Unknown,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It stands in the table.
    Done,
    /// The lease is this worker's, but the write is to be made anew.
    Again,
    /// The lease is not this worker's.
    Lost,
    /// To be tried again later.
    Unknown,
}

impl Worker {
    pub(crate) fn new(settings: Settings) -> Self {
        let me = settings.worker_identifier.as_str().into();
        Self { me, settings, seen: BTreeMap::new(), held: BTreeMap::new() }
    }

    pub(crate) fn me(&self) -> &WorkerId {
        &self.me
    }

    /// The leases that are held.
    pub(crate) fn held(&self) -> &BTreeMap<ShardId, Held> {
        &self.held
    }

    /// The table was read; `now` is after that.
    pub(crate) fn scanned(&mut self, now: Duration, leases: impl IntoIterator<Item = Lease>) {
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let since = match before.remove(&lease.shard) {
                Some(seen) if seen.lease.counter == lease.counter => seen.since,
                _ => now,
            };
            self.seen.insert(lease.shard, Seen { lease, since });
        }
    }

    /// One lease was read; `now` is after that.
    pub(crate) fn saw(&mut self, now: Duration, lease: Lease) {
        let before = self.seen.get(&lease.shard);
        let same = before.filter(|seen| seen.lease.counter == lease.counter);
        let since = same.map_or(now, |seen| seen.since);
        self.seen.insert(lease.shard, Seen { lease, since });
    }

    /// What was read last.
    pub(crate) fn rows(&self) -> BTreeMap<ShardId, Lease> {
        self.seen.iter().map(|(shard, seen)| (*shard, seen.lease.clone())).collect()
    }

    /// Writes by which this worker takes its share of what was read.
    pub(crate) fn takes(
        &self,
        now: Duration,
        below: &mut dyn FnMut(usize) -> usize,
    ) -> Vec<(ShardId, Write)> {
        let failover = self.settings.failover_time;
        let views: Vec<_> = self
            .seen
            .values()
            .map(|Seen { lease, since }| {
                let age = now.saturating_sub(*since);
                let state = if self.held.contains_key(&lease.shard) {
                    Renewed::Lately
                } else if age > failover * VERY_OLD {
                    Renewed::LongAgo
                } else if lease.owner.is_none() || age > failover {
                    Renewed::Expired
                } else {
                    Renewed::Lately
                };
                View { lease, state }
            })
            .collect();
        let bounds = Bounds {
            max_leases: self.settings.max_leases_for_worker,
            max_steals: self.settings.max_leases_to_steal_at_one_time,
        };
        let chosen = choose(&views, &self.me, bounds, below);
        let chosen = chosen.into_iter().filter(|shard| !self.held.contains_key(shard));
        let take = |shard: ShardId| {
            let lease = &self.seen[&shard].lease;
            let switched = lease.owner.as_ref() != Some(&self.me);
            let owner = self.me.clone();
            (shard, Write::Take { counter: lease.counter, owner, switched })
        };
        chosen.map(take).collect()
    }

    /// Writes by which this worker goes on with leases that bear its name and that it does not
    /// hold: of a leader's assignment, of a take whose answer was lost, or of its own last run.
    /// One that is being handed off is not touched.
    pub(crate) fn adoptions<'l>(
        &self,
        leases: impl IntoIterator<Item = &'l Lease>,
    ) -> Vec<(ShardId, Write)> {
        let mine = leases.into_iter().filter(|lease| {
            lease.owner.as_ref() == Some(&self.me)
                && !lease.is_handed_off()
                && !self.held.contains_key(&lease.shard)
        });
        let renew = |lease: &Lease| Write::Renew { counter: lease.counter, leaving: false };
        mine.map(|lease| (lease.shard, renew(lease))).collect()
    }

    /// The write that renews a lease, if it is held.
    pub(crate) fn renewal(&self, shard: ShardId) -> Option<Write> {
        let held = self.held.get(&shard)?;
        Some(Write::Renew { counter: held.lease.counter, leaving: held.is_leaving() })
    }

    /// The write that frees a lease, or, when another worker waits for it, gives it to that one.
    pub(crate) fn giving_up(&self, shard: ShardId) -> Option<Write> {
        let lease = &self.held.get(&shard)?.lease;
        let (owner, checkpoint_owner) = (lease.owner.clone(), lease.checkpoint_owner.clone());
        Some(match (&owner, &checkpoint_owner) {
            (Some(next), Some(_)) => Write::Assign { to: next.clone(), owner, checkpoint_owner },
            _ => Write::Evict { owner, checkpoint_owner },
        })
    }

    /// Takes notice of what became of `write`, which was begun at `sent`.
    pub(crate) fn settle(
        &mut self,
        sent: Duration,
        shard: ShardId,
        write: &Write,
        answer: Answer,
    ) -> Outcome {
        let proved = sent + self.settings.tenure();
        match (write, answer) {
            (Write::Assign { .. } | Write::Evict { .. }, _) => {
                // Done, or others have it already; or nobody knows, and it frees itself in time.
                self.lose(shard);
                Outcome::Done
            }
            (_, Answer::Unknown) => Outcome::Unknown,
            (Write::Create(_), Answer::Done) => Outcome::Done,
            (Write::Delete { .. }, Answer::Done) => {
                self.lose(shard);
                Outcome::Done
            }
            (Write::Take { .. } | Write::Renew { .. }, answer)
                if !self.held.contains_key(&shard) =>
            {
                let row = match answer {
                    Answer::Done => self.seen.get(&shard).and_then(|seen| {
                        let mut row = Some(seen.lease.clone());
                        write.apply(&mut row).ok()?;
                        row
                    }),
                    // It may be this worker's own, by this call sent twice or by an earlier one;
                    // since when, nobody knows. The next look goes on with it.
                    Answer::Refused(_) | Answer::Unknown => None,
                };
                self.hold(sent, row)
            }
            // It was adopted before: the next renewal finds out what stands there.
            (Write::Take { .. }, _) => Outcome::Lost,
            (_, Answer::Done) => {
                let Some(held) = self.held.get_mut(&shard) else { return Outcome::Lost };
                let mut row = Some(held.lease.clone());
                if let (Ok(()), Some(lease)) = (write.apply(&mut row), row) {
                    held.lease = lease;
                }
                held.tenure.extend(proved);
                Outcome::Done
            }
            (_, Answer::Refused(row)) => self.refused(shard, row.map(|row| *row)),
        }
    }

    /// A lease stands in the table as this worker's own, if it does, since a write begun at `sent`.
    fn hold(&mut self, sent: Duration, row: Option<Lease>) -> Outcome {
        let is_mine = |row: &Lease| row.owner.as_ref() == Some(&self.me) && !row.is_handed_off();
        let Some(lease) = row.filter(is_mine) else { return Outcome::Lost };
        let tenure = Tenure::until(sent + self.settings.tenure());
        self.seen.insert(lease.shard, Seen { lease: lease.clone(), since: sent });
        self.held.insert(lease.shard, Held { lease, tenure });
        Outcome::Done
    }

    /// A renewal or a checkpoint was refused: is the lease still this worker's?
    fn refused(&mut self, shard: ShardId, row: Option<Lease>) -> Outcome {
        let Some(held) = self.held.get_mut(&shard) else { return Outcome::Lost };
        let known = held.lease.counter;
        match row {
            // An own write whose answer was lost, or the beginning of a hand-off, which leaves the
            // counter as it is; or both.
            Some(row)
                if row.actual_owner() == Some(&self.me)
                    && (row.counter == known + 1
                        || row.counter == known && row.is_handed_off()) =>
            {
                held.lease = row;
                Outcome::Again
            }
            _ => {
                self.lose(shard);
                Outcome::Lost
            }
        }
    }

    /// Gives up what was not renewed in time: others may have it, or get it at any moment.
    pub(crate) fn drop_expired(&mut self, now: Duration) -> Vec<ShardId> {
        let expired: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| !held.tenure.holds(now))
            .map(|(shard, _)| *shard)
            .collect();
        expired.iter().for_each(|shard| self.lose(*shard));
        expired
    }

    fn lose(&mut self, shard: ShardId) {
        self.held.remove(&shard).inspect(|held| held.tenure.end());
    }
}
