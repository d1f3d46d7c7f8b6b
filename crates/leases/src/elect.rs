//! Which worker compares shards with leases: the KCL's choice among the owners of leases, which all
//! workers make alike without asking each other (`DeterministicShuffleShardSyncLeaderDecider`).

use std::collections::BTreeSet;

use crate::lease::{Lease, WorkerId};

/// The seed of the KCL's shuffle.
const SEED: i64 = 1947;

/// The leader; none while no lease has an owner.
pub(crate) fn leader<'l>(leases: impl IntoIterator<Item = &'l Lease>) -> Option<WorkerId> {
    let owners: BTreeSet<&WorkerId> =
        leases.into_iter().filter_map(|lease| lease.owner.as_ref()).collect();
    let mut owners: Vec<_> = owners.into_iter().collect();
    let mut random = JavaRandom::new(SEED);
    // `Collections.shuffle`.
    for place in (1..owners.len()).rev() {
        owners.swap(place, random.below(place as i32 + 1) as usize);
    }
    owners.first().map(|owner| (*owner).clone())
}

/// `java.util.Random`, whose numbers are specified.
struct JavaRandom(i64);

impl JavaRandom {
    const MULTIPLIER: i64 = 0x5_DEEC_E66D;
    const MASK: i64 = (1 << 48) - 1;

    fn new(seed: i64) -> Self {
        Self((seed ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn bits(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xB) & Self::MASK;
        (self.0 >> (48 - bits)) as i32
    }

    /// `nextInt(bound)`.
    fn below(&mut self, bound: i32) -> i32 {
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(self.bits(31))) >> 31) as i32;
        }
        loop {
            let bits = self.bits(31);
            let value = bits % bound;
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::lease;

    #[test]
    fn numbers_are_those_of_java() {
        // new java.util.Random(42).nextInt(10), as Java prints it.
        let mut random = JavaRandom::new(42);
        assert_eq!([0; 6].map(|_| random.below(10)), [0, 3, 8, 4, 0, 5]);
    }

    #[test]
    fn all_workers_choose_the_one_that_java_chooses() {
        assert_eq!(leader(&[]), None);
        assert_eq!(leader(&[lease(0, None)]), None, "nobody owns anything");
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        // The first of Collections.shuffle(names.subList(0, n), new Random(1947)).
        for (count, chosen) in
            [(1, "a"), (2, "a"), (3, "c"), (4, "d"), (5, "e"), (6, "c"), (7, "c")]
        {
            let leases = (0..).zip(&names[..count]).map(|(id, name)| lease(id, Some(name)));
            let mut leases: Vec<_> = leases.collect();
            leases.reverse();
            assert_eq!(leader(&leases).as_deref(), Some(chosen), "of {count}");
        }
    }
}
