//! A lease as a DynamoDB item, attribute by attribute as the KCL has it (`DynamoDBLeaseSerializer`).

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use baikonur_stream::{HashKeyRange, ShardId};

use super::{Item, text};
use crate::lease::Lease;
use crate::place::{Pending, Place};

pub(super) const LEASE_KEY: &str = "leaseKey";
pub(super) const LEASE_OWNER: &str = "leaseOwner";
pub(super) const LEASE_COUNTER: &str = "leaseCounter";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(super) const PENDING: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
pub(super) const RANGE_START: &str = "startingHashKey";
pub(super) const RANGE_END: &str = "endingHashKey";
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
/// What a row is, where one table has rows of several kinds (KCL 3.5); absent means a lease.
pub(super) const ENTITY_TYPE: &str = "entityType";

/// What a row is.
#[derive(Debug)]
pub(super) enum Row {
    Lease(Box<Lease>),
    /// Of another kind, or of another stream.
    Other,
}

/// The key of a shard's lease.
pub(super) fn key(shard: ShardId) -> AttributeValue {
    AttributeValue::S(shard.to_string())
}

/// The shard of a row; none for rows that are no lease of a shard of one stream.
pub(super) fn shard(item: &Item) -> Option<ShardId> {
    let key = text(item, LEASE_KEY)?;
    // Tables of several streams have keys of four parts.
    key.parse::<ShardId>().ok().filter(|shard| shard.to_string() == key)
}

/// Reads a row.
pub(super) fn read(item: &Item) -> Result<Row, String> {
    if text(item, ENTITY_TYPE).is_some_and(|kind| kind != "LEASE") {
        return Ok(Row::Other);
    }
    let Some(shard) = shard(item) else { return Ok(Row::Other) };
    let wrong = |what: String| format!("the lease of {shard}: {what}");
    let number = |attribute: &str| match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => match digits.parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(wrong(format!("{attribute} is {digits}"))),
        },
        Some(_) => Err(wrong(format!("{attribute} is no number"))),
    };
    let shards = |attribute: &str| match item.get(attribute) {
        Some(AttributeValue::Ss(names)) => {
            names.iter().map(|name| name.parse::<ShardId>()).collect::<Result<BTreeSet<_>, _>>()
        }
        _ => Ok(BTreeSet::new()),
    };
    let owner = |attribute: &str| text(item, attribute).map(Into::into);
    // A row without a checkpoint is none that anybody can go on from.
    let checkpoint = text(item, CHECKPOINT).ok_or_else(|| wrong("it has no checkpoint".into()))?;
    let place = Place::read(checkpoint, number(CHECKPOINT_SUB)?.unwrap_or(0)).map_err(wrong)?;
    let pending = match text(item, PENDING) {
        None => None,
        Some(pending) => Some(Pending {
            place: Place::read(pending, number(PENDING_SUB)?.unwrap_or(0)).map_err(wrong)?,
            state: match item.get(PENDING_STATE) {
                Some(AttributeValue::B(state)) => Some(state.as_ref().to_vec()),
                _ => None,
            },
        }),
    };
    let range = match (text(item, RANGE_START), text(item, RANGE_END)) {
        (Some(start), Some(end)) => match (start.parse(), end.parse()) {
            (Ok(start), Ok(end)) => Some(HashKeyRange { start, end }),
            _ => return Err(wrong(format!("{start} to {end} is no range of hash keys"))),
        },
        _ => None,
    };
    Ok(Row::Lease(Box::new(Lease {
        shard,
        owner: owner(LEASE_OWNER),
        checkpoint_owner: owner(CHECKPOINT_OWNER),
        counter: number(LEASE_COUNTER)?.unwrap_or(0),
        place,
        pending,
        switches: number(OWNER_SWITCHES)?.unwrap_or(0),
        parents: shards(PARENTS).map_err(|error| wrong(error.to_string()))?,
        children: shards(CHILDREN).map_err(|error| wrong(error.to_string()))?,
        range,
    })))
}

/// All attributes of a new lease. Empty sets and texts are left out: DynamoDB has none.
pub(super) fn item(lease: &Lease) -> Item {
    let (checkpoint, sub) = lease.place.attributes();
    let mut item = HashMap::from([
        (LEASE_KEY, key(lease.shard)),
        (LEASE_COUNTER, n(lease.counter)),
        (OWNER_SWITCHES, n(lease.switches)),
        (CHECKPOINT, s(checkpoint)),
        (CHECKPOINT_SUB, n(sub)),
    ]);
    for (attribute, owner) in
        [(LEASE_OWNER, &lease.owner), (CHECKPOINT_OWNER, &lease.checkpoint_owner)]
    {
        item.extend(owner.as_ref().map(|owner| (attribute, s(owner))));
    }
    item.extend(lease.pending.iter().flat_map(pending));
    for (attribute, names) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        item.extend(shards(names).map(|names| (attribute, names)));
    }
    if let Some(range) = lease.range {
        item.insert(RANGE_START, s(&range.start.to_string()));
        item.insert(RANGE_END, s(&range.end.to_string()));
    }
    item.into_iter().map(|(attribute, value)| (attribute.to_owned(), value)).collect()
}

/// The attributes of a pending checkpoint.
pub(super) fn pending(pending: &Pending) -> Vec<(&'static str, AttributeValue)> {
    let (checkpoint, sub) = pending.place.attributes();
    let mut attributes = vec![(PENDING, s(checkpoint)), (PENDING_SUB, n(sub))];
    let state = pending.state.as_ref();
    attributes
        .extend(state.map(|state| (PENDING_STATE, AttributeValue::B(Blob::new(state.clone())))));
    attributes
}

/// A string set; none when it would be empty.
pub(super) fn shards(shards: &BTreeSet<ShardId>) -> Option<AttributeValue> {
    let names = || shards.iter().map(ShardId::to_string).collect();
    (!shards.is_empty()).then(|| AttributeValue::Ss(names()))
}

pub(super) fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests;

    fn read_lease(item: &Item) -> Lease {
        match read(item).unwrap() {
            Row::Lease(lease) => *lease,
            Row::Other => panic!("no lease: {item:?}"),
        }
    }

    #[test]
    fn a_lease_is_read_back_as_it_was_written() {
        let mut lease = tests::lease(3, Some("a"));
        for full in [false, true] {
            if full {
                lease.checkpoint_owner = Some("b".into());
                lease.pending = Some(Pending {
                    place: Place::read("77", 5).unwrap(),
                    state: Some(b"{}".to_vec()),
                });
                lease.parents = [1, 2].map(ShardId::new).into();
                lease.children = [4].map(ShardId::new).into();
                lease.place = Place::read("7", i64::MAX as u64).unwrap();
            }
            assert_eq!(read_lease(&item(&lease)), lease);
        }
        let item = item(&lease);
        assert_eq!(item[PARENTS].as_ss().unwrap().len(), 2, "a string set");
        assert_eq!(item[CHECKPOINT_SUB].as_n().unwrap(), "9223372036854775807");
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let item = item(&tests::lease(3, None));
        for attribute in [LEASE_OWNER, CHECKPOINT_OWNER, PARENTS, CHILDREN, PENDING, PENDING_STATE]
        {
            assert!(!item.contains_key(attribute), "{attribute}");
        }
        assert!(item.contains_key(CHECKPOINT_SUB), "Java reads it as a long: it is always there");
    }

    #[test]
    fn rows_of_other_kinds_and_streams_are_no_leases() {
        let lease = item(&tests::lease(3, None));
        for (attribute, value) in [
            (ENTITY_TYPE, "LEADER"),
            (ENTITY_TYPE, "WORKER_METRIC_STATS"),
            (LEASE_KEY, "Migration3.0"),
            (LEASE_KEY, "123456789012:stream:1600000000:shardId-000000000003"),
        ] {
            let mut item = lease.clone();
            item.insert(attribute.to_owned(), s(value));
            assert!(matches!(read(&item), Ok(Row::Other)), "{value}");
        }
        let mut typed = lease;
        typed.insert(ENTITY_TYPE.to_owned(), s("LEASE"));
        assert_eq!(read_lease(&typed), tests::lease(3, None));
    }

    #[test]
    fn a_pending_state_that_is_a_number_is_forgiven() {
        let mut item = item(&tests::lease(3, None));
        item.insert(PENDING.to_owned(), s("5"));
        item.insert(PENDING_SUB.to_owned(), n(0));
        item.insert(PENDING_STATE.to_owned(), n(0));
        let pending = read_lease(&item).pending.unwrap();
        assert_eq!((pending.place, pending.state), (Place::read("5", 0).unwrap(), None));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_shard() {
        for (attribute, value) in [
            (CHECKPOINT, s("soon")),
            (LEASE_COUNTER, s("1")),
            (CHECKPOINT_SUB, AttributeValue::N("-1".into())),
            (RANGE_START, s("x")),
        ] {
            let mut item = item(&tests::lease(3, None));
            item.insert(RANGE_END.to_owned(), s("1"));
            item.insert(attribute.to_owned(), value);
            let error = read(&item).unwrap_err();
            assert!(error.contains("shardId-000000000003"), "{error}");
        }
    }
}
