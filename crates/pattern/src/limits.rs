//! What a pattern may have, with the source of each limit.

/// Filters of an event source mapping: 5, or 10 where the quota was raised (Lambda developer guide, "Lambda event
/// filtering").
pub(crate) const FILTERS_MAX: usize = 10;

/// Characters of a pattern (Lambda API, `Filter`).
pub const PATTERN_CHARACTERS_MAX: usize = 4096;

/// Combinations that the alternatives of a pattern may make; a list with `{"exists": false}` beside other values makes
/// two. Ours: EventBridge multiplies `$or` out as well, and does not publish where it stops.
pub(crate) const COMBINATIONS_MAX: usize = 1000;

/// Fields of all combinations together. Ours: what a value may cost is in proportion to it.
pub(crate) const COMBINED_FIELDS_MAX: usize = 10_000;

/// Names of a field's path, from the root on. Ours: as deep as the evaluation calls itself.
pub(crate) const PATH_NAMES_MAX: usize = 100;

/// `*` of one wildcard. EventBridge bounds the states that its machine is in at the same time, by a number that is not
/// published; of the patterns recorded, those with two are taken and the one with six is not.
pub(crate) const WILDCARDS_MAX: usize = 5;
