//! Sets of small numbers as bits of words.

use std::ops::Range;

const WORD: u32 = u64::BITS;

/// Words that hold `bits`, at least one.
pub(crate) fn words(bits: u32) -> usize {
    bits.div_ceil(WORD).max(1) as usize
}

#[inline]
pub(crate) fn insert(set: &mut [u64], bit: u32) {
    set[(bit / WORD) as usize] |= 1 << (bit % WORD);
}

#[inline]
pub(crate) fn contains(set: &[u64], bit: u32) -> bool {
    set[(bit / WORD) as usize] >> (bit % WORD) & 1 == 1
}

/// Whether the set has one of `bits`.
pub(crate) fn has_any(set: &[u64], bits: &Range<u32>) -> bool {
    masks(bits).any(|(word, mask)| set[word] & mask != 0)
}

/// Takes `bits` out.
pub(crate) fn remove(set: &mut [u64], bits: &Range<u32>) {
    masks(bits).for_each(|(word, mask)| set[word] &= !mask);
}

/// The words that hold `bits`, and which bits of each.
fn masks(bits: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *bits;
    let words = if start < end { start / WORD..(end - 1) / WORD + 1 } else { 0..0 };
    words.map(move |word| {
        let first = start.saturating_sub(word * WORD).min(WORD);
        let behind = (end - word * WORD).min(WORD);
        let mask = (u64::MAX << first) & (u64::MAX >> (WORD - behind));
        (word as usize, mask)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_always_a_word() {
        assert_eq!((words(0), words(1), words(64), words(65)), (1, 1, 1, 2));
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(bits in prop::collection::btree_set(0_u32..200, 0..50), start in 0_u32..200, length in 0_u32..200) {
            let mut set = vec![0; words(200)];
            bits.iter().for_each(|&bit| insert(&mut set, bit));
            let range = start..(start + length).min(200);
            prop_assert_eq!(has_any(&set, &range), bits.range(range.clone()).next().is_some());
            remove(&mut set, &range);
            let left: BTreeSet<u32> = bits.into_iter().filter(|bit| !range.contains(bit)).collect();
            prop_assert_eq!((0..200).filter(|&bit| contains(&set, bit)).collect::<BTreeSet<_>>(), left);
        }
    }
}
