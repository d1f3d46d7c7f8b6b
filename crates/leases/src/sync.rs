//! Which leases a stream's shards need (`HierarchicalShardSyncer`), and which are over with
//! (`LeaseCleanupManager`). Pure: both look at a list of shards and at a table that was read.

use std::collections::{BTreeMap, BTreeSet};

use baikonur_stream::{Shard, ShardId, StartingPosition};

use crate::lease::Lease;
use crate::place::Place;

type Shards<'s> = BTreeMap<ShardId, &'s Shard>;
type Rows = BTreeMap<ShardId, Lease>;

/// Leases to make, in the order of their making. `rows` are those of the table.
///
/// - Without any, one for each shard that is the first to have something behind `start`.
/// - Otherwise, for each open shard that neither has a lease nor comes from one that has: the
///   earliest ancestors that are needed. Children come when their parents end.
///
/// A hole in a table whose leases are under way is filled from the trim horizon, whatever `start`:
/// it was left by a lease that is lost, and its records are not to be.
pub(crate) fn missing(listed: &[Shard], rows: &Rows, start: StartingPosition) -> Vec<Lease> {
    let shards: Shards = listed.iter().map(|shard| (shard.id, shard)).collect();
    let mut made: BTreeSet<ShardId> = BTreeSet::new();
    if rows.is_empty() {
        let wanted = |shard: &Shard| has_something_behind(shard, start);
        for shard in listed.iter().filter(|shard| wanted(shard)) {
            if !parents(shard, &shards).any(|parent| wanted(shards[&parent])) {
                made.insert(shard.id);
            }
        }
    } else {
        let climbs = start != StartingPosition::Latest;
        for shard in listed.iter().filter(|shard| shard.ending_sequence_number.is_none()) {
            let mut family = Family { shards: &shards, rows, climbs, made: &mut made };
            if !family.comes_from_a_lease(shard.id) {
                family.make_earliest(shard.id);
            }
        }
    }
    let is_under_way = rows.values().any(|lease| !lease.place.is_beginning());
    let place = if is_under_way { Place::TrimHorizon } else { Place::beginning(start) };
    let mut made: Vec<&Shard> = made.iter().map(|shard| shards[shard]).collect();
    made.sort_by_key(|shard| (shard.starting_sequence_number, shard.id));
    made.into_iter().map(|shard| Lease::new(shard, place.clone())).collect()
}

fn has_something_behind(shard: &Shard, start: StartingPosition) -> bool {
    match (start, shard.ending_sequence_number) {
        (_, None) => true,
        (StartingPosition::Latest, Some(_)) => false,
        // An ending number tells when its shard was closed; one of another layout says nothing, and
        // then the shard is read, and what is too old is left out by the read.
        (StartingPosition::AtTimestamp(moment), Some(end)) => {
            end.time().is_none_or(|end| end.seconds() >= moment.seconds())
        }
        _ => true,
    }
}

/// The parents that are listed.
fn parents<'s>(shard: &'s Shard, shards: &'s Shards<'_>) -> impl Iterator<Item = ShardId> {
    let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
    parents.filter(|parent| shards.contains_key(parent))
}

struct Family<'a> {
    shards: &'a Shards<'a>,
    rows: &'a Rows,
    /// Whether all ancestors are needed, and not only the shard itself.
    climbs: bool,
    made: &'a mut BTreeSet<ShardId>,
}

impl Family<'_> {
    /// Whether a lease of the shard or of an ancestor will lead to it. Ancestors without one beside
    /// an ancestor with one, as before a merge, are made.
    fn comes_from_a_lease(&mut self, shard: ShardId) -> bool {
        if self.rows.contains_key(&shard) || self.made.contains(&shard) {
            return true;
        }
        let parents: Vec<_> = parents(self.shards[&shard], self.shards).collect();
        let leased: Vec<_> = parents.iter().map(|one| self.comes_from_a_lease(*one)).collect();
        if !leased.contains(&true) {
            return false;
        }
        for (parent, _) in parents.iter().zip(leased).filter(|(_, leased)| !leased) {
            self.make_earliest(*parent);
        }
        true
    }

    fn make_earliest(&mut self, shard: ShardId) {
        let parents: Vec<_> = parents(self.shards[&shard], self.shards).collect();
        if !self.climbs || parents.is_empty() {
            self.made.insert(shard);
            return;
        }
        parents.into_iter().for_each(|parent| self.make_earliest(parent));
    }
}

/// The leases of `parent`'s children that are to be made when it ends, and all children.
///
/// A child of a merge is made when both parents have leases, or neither has one any more: otherwise
/// the other parent's end makes it. One that is over with is not made again, as when its parent was
/// made anew: whatever follows it has a lease, and it has none any more.
pub(crate) fn children(
    parent: ShardId,
    listed: &[Shard],
    rows: &Rows,
) -> (Vec<Lease>, BTreeSet<ShardId>) {
    let is_child =
        |shard: &&Shard| shard.parent == Some(parent) || shard.adjacent_parent == Some(parent);
    let (mut leases, mut all) = (Vec::new(), BTreeSet::new());
    for shard in listed.iter().filter(is_child) {
        all.insert(shard.id);
        let mut of_parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
        let is_listed = |id: &ShardId| listed.iter().any(|shard| shard.id == *id);
        // A parent that the stream does not know any more is not waited for.
        let ready =
            of_parents.all(|one| one == parent || rows.contains_key(&one) || !is_listed(&one));
        if ready && !has_begun(shard.id, listed, rows) {
            leases.push(Lease::new(shard, Place::TrimHorizon));
        }
    }
    (leases, all)
}

/// Whether a shard or one that comes from it has a lease.
fn has_begun(shard: ShardId, listed: &[Shard], rows: &Rows) -> bool {
    let comes_from = |other: &&Shard| [other.parent, other.adjacent_parent].contains(&Some(shard));
    rows.contains_key(&shard)
        || listed.iter().filter(comes_from).any(|child| has_begun(child.id, listed, rows))
}

/// Leases that are over with: at the end of their shard, with every child begun, and with no lease
/// of a parent left.
pub(crate) fn finished(rows: &Rows) -> Vec<ShardId> {
    let is_over = |lease: &&Lease| {
        let begun =
            |child: &ShardId| rows.get(child).is_some_and(|child| !child.place.is_beginning());
        lease.place == Place::ShardEnd
            && !lease.children.is_empty()
            && lease.children.iter().all(begun)
            && !lease.parents.iter().any(|parent| rows.contains_key(parent))
    };
    rows.values().filter(is_over).map(|lease| lease.shard).collect()
}

/// Leases of shards that the stream does not know any more: their records are gone. Before such a
/// lease is deleted the children that it would have made are made.
pub(crate) fn forgotten(listed: &[Shard], rows: &Rows) -> Vec<ShardId> {
    let known: BTreeSet<ShardId> = listed.iter().map(|shard| shard.id).collect();
    if known.is_empty() {
        return Vec::new();
    }
    rows.keys().filter(|shard| !known.contains(shard)).copied().collect()
}

/// Leases at the end of a shard that is open. No shard ends before it is closed: they are of another
/// stream that had the same name, or the same table, and would keep their shards from being read.
pub(crate) fn ended_too_early(listed: &[Shard], rows: &Rows) -> Vec<ShardId> {
    let is_ended =
        |shard: &&Shard| rows.get(&shard.id).is_some_and(|lease| lease.place == Place::ShardEnd);
    let open = listed.iter().filter(|shard| shard.ending_sequence_number.is_none());
    open.filter(is_ended).map(|shard| shard.id).collect()
}

#[cfg(test)]
mod tests {
    use baikonur_stream::Timestamp;

    use super::*;
    use crate::tests::{lease, shard};

    /// The tree of the KCL's documentation: shards until second 102, 103 to 205, and from 206 on.
    fn tree() -> Vec<Shard> {
        vec![
            shard(0, &[], 0, Some(102)),
            shard(1, &[], 0, Some(102)),
            shard(2, &[], 0, Some(102)),
            shard(3, &[], 0, Some(102)),
            shard(4, &[], 0, None),
            shard(5, &[], 0, Some(205)),
            shard(6, &[0, 1], 103, Some(205)),
            shard(7, &[2, 3], 103, Some(205)),
            shard(8, &[6, 7], 206, None),
            shard(9, &[5], 206, None),
            shard(10, &[5], 206, None),
        ]
    }

    fn rows(shards: &[u32]) -> Rows {
        shards.iter().map(|id| (ShardId::new(*id), lease(*id, None))).collect()
    }

    fn made(rows: &Rows, start: StartingPosition) -> Vec<u32> {
        missing(&tree(), rows, start).iter().map(|lease| lease.shard.index()).collect()
    }

    const HORIZON: StartingPosition = StartingPosition::TrimHorizon;
    const AT_200: StartingPosition = StartingPosition::AtTimestamp(Timestamp::from_seconds(200));

    #[test]
    fn an_empty_table_gets_the_first_shards_behind_the_start() {
        let none = Rows::new();
        assert_eq!(made(&none, StartingPosition::Latest), [4, 8, 9, 10]);
        assert_eq!(made(&none, HORIZON), [0, 1, 2, 3, 4, 5]);
        assert_eq!(made(&none, AT_200), [4, 5, 6, 7]);
        let leases = missing(&tree(), &none, AT_200);
        assert!(leases.iter().all(|lease| lease.place == Place::AtTimestamp));
        assert_eq!(leases[2].parents, BTreeSet::from([0, 1].map(ShardId::new)));
    }

    #[test]
    fn holes_are_filled_as_the_kcl_documents_it() {
        let table = rows(&[4, 5, 7]);
        assert_eq!(made(&table, StartingPosition::Latest), [6]);
        assert_eq!(made(&table, HORIZON), [0, 1]);
        assert_eq!(made(&table, AT_200), [0, 1]);
        assert_eq!(made(&rows(&[4, 6, 7, 9, 10]), HORIZON), [0u32; 0], "8 comes from 6 and 7");
        assert_eq!(made(&rows(&[4, 8, 9]), StartingPosition::Latest), [10]);
        assert_eq!(made(&rows(&[4, 8, 9]), HORIZON), [5]);
    }

    #[test]
    fn a_hole_in_a_table_that_is_under_way_loses_nothing() {
        let mut table = rows(&[4, 8, 9]);
        let place =
            |table: &Rows| missing(&tree(), table, StartingPosition::Latest)[0].place.clone();
        table.values_mut().for_each(|lease| lease.place = Place::Latest);
        assert_eq!(place(&table), Place::Latest, "the first leases are still being made");
        table.get_mut(&ShardId::new(8)).unwrap().place = Place::read("5", 0).unwrap();
        assert_eq!(place(&table), Place::TrimHorizon);
    }

    #[test]
    fn children_are_made_when_their_parent_ends() {
        let parts = |parent, table: &[u32]| {
            let (leases, all) = children(ShardId::new(parent), &tree(), &rows(table));
            let leases: Vec<_> = leases
                .iter()
                .inspect(|lease| assert_eq!(lease.place, Place::TrimHorizon))
                .map(|lease| lease.shard.index())
                .collect();
            (leases, all.iter().map(|shard| shard.index()).collect::<Vec<_>>())
        };
        assert_eq!(parts(5, &[5]), (vec![9, 10], vec![9, 10]));
        assert_eq!(parts(5, &[5, 9]), (vec![10], vec![9, 10]), "one was made before");
        assert_eq!(parts(6, &[6, 7]), (vec![8], vec![8]));
        assert_eq!(parts(6, &[6, 2, 3]), (vec![], vec![8]), "7 is still to come");
        assert_eq!(parts(4, &[4]), (vec![], vec![]));
        assert_eq!(parts(2, &[2, 3, 8]), (vec![], vec![7]), "7 is over with: 8 follows it");
    }

    #[test]
    fn a_lease_goes_when_its_children_have_begun_and_its_parents_are_gone() {
        let mut table = rows(&[5, 9, 10]);
        let set = |table: &mut Rows, id: u32, place: &str| {
            let lease = table.get_mut(&ShardId::new(id)).unwrap();
            lease.place = Place::read(place, 0).unwrap();
        };
        set(&mut table, 5, "SHARD_END");
        assert_eq!(finished(&table), []);
        let of_5 = [9, 10].map(ShardId::new);
        table.get_mut(&ShardId::new(5)).unwrap().children = of_5.into();
        set(&mut table, 9, "7");
        assert_eq!(finished(&table), [], "10 has not begun");
        set(&mut table, 10, "SHARD_END");
        assert_eq!(finished(&table), [ShardId::new(5)]);
        let parents = BTreeSet::from([ShardId::new(1)]);
        table.get_mut(&ShardId::new(5)).unwrap().parents = parents;
        assert_eq!(finished(&table), [ShardId::new(5)]);
        table.insert(ShardId::new(1), lease(1, None));
        assert_eq!(finished(&table), [], "its parent is still there");
    }

    #[test]
    fn shards_that_are_trimmed_away_are_told() {
        assert_eq!(forgotten(&tree(), &rows(&[4, 11])), [ShardId::new(11)]);
        assert_eq!(forgotten(&[], &rows(&[4])), [], "no list is no knowledge");
    }

    #[test]
    fn an_open_shard_cannot_be_at_its_end() {
        let mut table = rows(&[0, 4, 8, 11]);
        assert_eq!(ended_too_early(&tree(), &table), []);
        table.values_mut().for_each(|lease| lease.place = Place::ShardEnd);
        assert_eq!(ended_too_early(&tree(), &table), [4, 8].map(ShardId::new));
    }
}
