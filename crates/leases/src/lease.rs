//! A lease, and every write that there is: on which condition, and what it changes.
//!
//! [`Write::apply`] says what DynamoDB does with each of them. It is how tests have a table, and how
//! a worker knows what stands there after a write of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use baikonur_stream::{HashKeyRange, ShardId};

use crate::place::{Pending, Place};

/// Who a worker is: unique, as a worker goes on with leases that bear its name.
pub(crate) type WorkerId = Arc<str>;

/// A row of the table, as far as workers act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// `leaseKey`.
    pub(crate) shard: ShardId,
    /// `leaseOwner`: who has it, or, during a hand-off, who gets it.
    pub(crate) owner: Option<WorkerId>,
    /// `checkpointOwner`: during a hand-off, who still has it.
    pub(crate) checkpoint_owner: Option<WorkerId>,
    /// `leaseCounter`: one more with each renewal, take and checkpoint.
    pub(crate) counter: u64,
    /// `checkpoint`, `checkpointSubSequenceNumber`.
    pub(crate) place: Place,
    /// `pendingCheckpoint` and what belongs to it.
    pub(crate) pending: Option<Pending>,
    /// `ownerSwitchesSinceCheckpoint`.
    pub(crate) switches: u64,
    /// `parentShardId`.
    pub(crate) parents: BTreeSet<ShardId>,
    /// `childShardIds`.
    pub(crate) children: BTreeSet<ShardId>,
    /// `startingHashKey`, `endingHashKey`.
    pub(crate) range: Option<HashKeyRange>,
}

impl Lease {
    /// One that nobody has.
    pub(crate) fn new(shard: &baikonur_stream::Shard, place: Place) -> Self {
        Self {
            shard: shard.id,
            owner: None,
            checkpoint_owner: None,
            counter: 0,
            place,
            pending: None,
            switches: 0,
            parents: [shard.parent, shard.adjacent_parent].into_iter().flatten().collect(),
            children: BTreeSet::new(),
            range: Some(shard.hash_key_range),
        }
    }

    /// Who may write checkpoints.
    pub(crate) fn actual_owner(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }
}

/// A conditional write to one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// If there is none for the shard.
    Create(Lease),
    /// If the counter is as known, and, unless this worker is leaving, nobody is.
    Renew { counter: u64, leaving: bool },
    /// If the counter is as known: from another worker, dead or not, or from nobody.
    Take { counter: u64, owner: WorkerId, switched: bool },
    /// If the counter is as known.
    Checkpoint {
        counter: u64,
        place: Place,
        pending: Option<Pending>,
        /// At the end of a shard; otherwise what is known stays.
        children: BTreeSet<ShardId>,
    },
    /// Ends a hand-off, if the owners are as known.
    Assign { to: WorkerId, owner: Option<WorkerId>, checkpoint_owner: Option<WorkerId> },
    /// Frees the lease, if the owners are as known.
    Evict { owner: Option<WorkerId>, checkpoint_owner: Option<WorkerId> },
    /// If nobody else has it.
    Delete { owner: Option<WorkerId> },
}

/// The condition was not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Write {
    /// What becomes of a row.
    pub(crate) fn apply(&self, row: &mut Option<Lease>) -> Result<(), Refused> {
        if let Self::Create(new) = self {
            return match row {
                Some(_) => Err(Refused),
                None => {
                    *row = Some(new.clone());
                    Ok(())
                }
            };
        }
        if let Self::Delete { owner } = self {
            return match row {
                Some(lease) if lease.owner != *owner => Err(Refused),
                _ => {
                    *row = None;
                    Ok(())
                }
            };
        }
        let lease = row.as_mut().ok_or(Refused)?;
        if !self.is_met_by(lease) {
            return Err(Refused);
        }
        match self {
            Self::Create(_) | Self::Delete { .. } => {}
            Self::Renew { .. } => lease.counter += 1,
            Self::Take { owner, switched, .. } => {
                lease.counter += 1;
                lease.owner = Some(owner.clone());
                lease.checkpoint_owner = None;
                lease.switches += u64::from(*switched);
            }
            Self::Checkpoint { place, pending, children, .. } => {
                lease.counter += 1;
                lease.switches = 0;
                lease.place = place.clone();
                lease.pending.clone_from(pending);
                if !children.is_empty() {
                    lease.children.clone_from(children);
                }
            }
            Self::Assign { to, owner, .. } => {
                lease.counter += 1;
                lease.switches += u64::from(owner.as_ref() != Some(to) || lease.is_handed_off());
                lease.owner = Some(to.clone());
                lease.checkpoint_owner = None;
            }
            Self::Evict { .. } => {
                lease.counter += 1;
                if !lease.is_handed_off() {
                    lease.owner = None;
                }
                lease.checkpoint_owner = None;
            }
        }
        Ok(())
    }

    fn is_met_by(&self, lease: &Lease) -> bool {
        match self {
            Self::Create(_) | Self::Delete { .. } => true,
            Self::Renew { counter, leaving } => {
                lease.counter == *counter && (*leaving || !lease.is_handed_off())
            }
            Self::Take { counter, .. } | Self::Checkpoint { counter, .. } => {
                lease.counter == *counter
            }
            Self::Assign { owner, checkpoint_owner, .. }
            | Self::Evict { owner, checkpoint_owner } => {
                lease.owner == *owner && lease.checkpoint_owner == *checkpoint_owner
            }
        }
    }
}

impl Lease {
    /// Whether a hand-off is under way.
    pub(crate) fn is_handed_off(&self) -> bool {
        self.checkpoint_owner.is_some()
    }
}
