//! Which leases a worker takes, version 2 of the KCL's rules (`DynamoDBLeaseTaker`): each worker
//! works out its share by itself; what nobody renews is taken first, and only when there is nothing
//! of that is a lease stolen from the most loaded worker.

use std::collections::BTreeMap;

use baikonur_stream::ShardId;

use crate::lease::{Lease, WorkerId};

/// A lease as a worker sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'l> {
    pub(crate) lease: &'l Lease,
    pub(crate) state: Renewed,
}

/// When a lease was renewed, by the clock of whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// Within the failover time.
    Lately,
    /// Not, or nobody has it: it may be taken.
    Expired,
    /// Not for three failover times: taken at once, whoever's share it is.
    LongAgo,
}

/// Bounds of one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) max_leases: usize,
    pub(crate) max_steals: usize,
}

/// The shards whose leases `me` takes now. `below` gives a number below its argument.
pub(crate) fn choose(
    leases: &[View<'_>],
    me: &WorkerId,
    bounds: Bounds,
    below: &mut dyn FnMut(usize) -> usize,
) -> Vec<ShardId> {
    let mut loads: BTreeMap<&WorkerId, usize> = BTreeMap::from([(me, 0)]);
    for view in leases.iter().filter(|view| view.state == Renewed::Lately) {
        if let Some(owner) = &view.lease.owner {
            *loads.entry(owner).or_default() += 1;
        }
    }
    let mine = loads[me];
    let room = bounds.max_leases.saturating_sub(mine);
    let target = leases.len().div_ceil(loads.len()).min(bounds.max_leases);
    let of = |state: Renewed| leases.iter().filter(move |view| view.state == state);
    let mut taken: Vec<ShardId> = of(Renewed::LongAgo).map(|view| view.lease.shard).collect();
    shuffle(&mut taken, below);
    taken.truncate(room);
    let needed = target.saturating_sub(mine + taken.len());
    let mut expired: Vec<ShardId> = of(Renewed::Expired).map(|view| view.lease.shard).collect();
    if expired.is_empty() && taken.is_empty() {
        return steal(leases, me, bounds, needed, target, &loads, below);
    }
    shuffle(&mut expired, below);
    expired.truncate(needed);
    taken.extend(expired);
    taken
}

fn steal(
    leases: &[View<'_>],
    me: &WorkerId,
    bounds: Bounds,
    needed: usize,
    target: usize,
    loads: &BTreeMap<&WorkerId, usize>,
    below: &mut dyn FnMut(usize) -> usize,
) -> Vec<ShardId> {
    let others = loads.iter().filter(|(owner, _)| **owner != me);
    let Some((most_loaded, load)) = others.max_by_key(|(_, load)| **load) else {
        return Vec::new();
    };
    if needed == 0 || *load < target {
        return Vec::new();
    }
    let mut count = needed.min(load - target);
    if needed > 1 && count == 0 {
        // He has just his share, and this worker lacks more than one: better he than this one.
        count = 1;
    }
    let his = leases.iter().filter(|view| {
        // One that is being handed off has its next owner already.
        view.lease.owner.as_ref() == Some(*most_loaded) && !view.lease.is_handed_off()
    });
    let mut his: Vec<ShardId> = his.map(|view| view.lease.shard).collect();
    shuffle(&mut his, below);
    his.truncate(count.min(bounds.max_steals));
    his
}

fn shuffle<T>(items: &mut [T], below: &mut dyn FnMut(usize) -> usize) {
    for place in (1..items.len()).rev() {
        items.swap(place, below(place + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::lease;

    const BOUNDS: Bounds = Bounds { max_leases: usize::MAX, max_steals: 1 };

    /// What "me" takes of leases with these owners; `!` in front: expired, `!!`: long ago.
    fn taken(owners: &[&str], bounds: Bounds) -> Vec<u32> {
        let leases: Vec<_> = (0..)
            .zip(owners)
            .map(|(shard, owner)| {
                let owner = owner.trim_start_matches('!');
                lease(shard, Some(owner).filter(|owner| !owner.is_empty()))
            })
            .collect();
        let views: Vec<_> = leases
            .iter()
            .zip(owners)
            .map(|(lease, owner)| View {
                lease,
                state: match owner.bytes().take_while(|byte| *byte == b'!').count() {
                    0 => Renewed::Lately,
                    1 => Renewed::Expired,
                    _ => Renewed::LongAgo,
                },
            })
            .collect();
        let chosen = choose(&views, &"me".into(), bounds, &mut |below| below - 1);
        chosen.iter().map(|shard| shard.index()).collect()
    }

    #[test]
    fn what_nobody_has_is_taken_up_to_the_share() {
        assert_eq!(taken(&["!", "!", "!"], BOUNDS), [0, 1, 2], "alone: all of it");
        assert_eq!(taken(&["a", "a", "!a", "!"], BOUNDS), [2, 3], "two workers, four leases");
        assert_eq!(taken(&["a", "b", "!"], BOUNDS), [2]);
        assert_eq!(taken(&["me", "me", "a", "!"], BOUNDS), [0u32; 0], "it is another's share");
    }

    #[test]
    fn one_is_stolen_from_the_most_loaded_when_nothing_is_free() {
        assert_eq!(taken(&["a", "a", "a", "b", "b"], BOUNDS).len(), 1);
        assert!(taken(&["a", "a", "a", "b", "b"], BOUNDS)[0] < 3);
        assert_eq!(taken(&["a", "a", "a", "!"], BOUNDS), [3], "what is free goes first");
        assert_eq!(taken(&["me", "a"], BOUNDS), [0u32; 0], "balanced");
        assert_eq!(taken(&["me", "a", "a"], BOUNDS), [0u32; 0], "one more is no overload");
        let three = Bounds { max_steals: 3, ..BOUNDS };
        assert_eq!(taken(&["a"; 8], three).len(), 3);
    }

    #[test]
    fn who_lacks_more_than_one_steals_from_one_at_the_target() {
        // Five leases, three workers: the target is 2; a has 2, b has 2, c has none… as me.
        assert_eq!(
            taken(&["a", "a", "b", "b", "me"], BOUNDS),
            [0u32; 0],
            "lacks one, nobody is over"
        );
        assert_eq!(taken(&["a", "a", "b", "b"], BOUNDS).len(), 1, "lacks two");
    }

    #[test]
    fn what_is_long_expired_is_taken_beyond_the_share_but_not_beyond_the_bound() {
        assert_eq!(taken(&["me", "me", "a", "!!b"], BOUNDS), [3]);
        let two = Bounds { max_leases: 2, ..BOUNDS };
        assert_eq!(taken(&["me", "me", "a", "!!b"], two), [0u32; 0]);
        assert_eq!(taken(&["!", "!", "!"], two), [0, 1]);
    }

    #[test]
    fn a_lease_that_is_handed_off_is_not_stolen() {
        let mut leases = [lease(0, Some("a")), lease(1, Some("a")), lease(2, Some("a"))];
        for lease in &mut leases {
            lease.checkpoint_owner = Some("b".into());
        }
        let views = leases.each_ref().map(|lease| View { lease, state: Renewed::Lately });
        assert_eq!(choose(&views, &"me".into(), BOUNDS, &mut |_| 0), []);
    }
}
