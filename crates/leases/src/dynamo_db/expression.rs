//! Writes as expressions of DynamoDB. What they mean is said by `Write::apply`; attributes that are
//! not named stay as they are, also those that only other programs know.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{
    self, CHECKPOINT, CHECKPOINT_OWNER, CHECKPOINT_SUB, CHILDREN, LEASE_COUNTER, LEASE_KEY,
    LEASE_OWNER, OWNER_SWITCHES, PENDING, PENDING_STATE, PENDING_SUB, n, s,
};
use crate::lease::{WorkerId, Write};

/// A condition and an update.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) condition: String,
    /// Empty where the item is put or deleted.
    pub(super) update: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// The expression of a write.
pub(super) fn of(write: &Write) -> Expression {
    let mut parts = Parts::default();
    match write {
        Write::Create(_) => parts.is_absent(LEASE_KEY),
        Write::Renew { counter, leaving } => {
            parts.is(LEASE_COUNTER, n(*counter));
            if !leaving {
                parts.is_absent(CHECKPOINT_OWNER);
            }
            parts.set(LEASE_COUNTER, n(counter + 1));
        }
        Write::Take { counter, owner, switched } => {
            parts.is(LEASE_COUNTER, n(*counter));
            parts.set(LEASE_COUNTER, n(counter + 1));
            parts.set(LEASE_OWNER, s(owner));
            parts.remove(CHECKPOINT_OWNER);
            if *switched {
                parts.add(OWNER_SWITCHES);
            }
        }
        Write::Checkpoint { counter, place, pending, children } => {
            let (checkpoint, sub) = place.attributes();
            parts.is(LEASE_COUNTER, n(*counter));
            parts.set(LEASE_COUNTER, n(counter + 1));
            parts.set(CHECKPOINT, s(checkpoint));
            parts.set(CHECKPOINT_SUB, n(sub));
            parts.set(OWNER_SWITCHES, n(0));
            let pending = pending.as_ref().map(item::pending).unwrap_or_default();
            for attribute in [PENDING, PENDING_SUB, PENDING_STATE] {
                match pending.iter().find(|(pending, _)| *pending == attribute) {
                    Some((_, value)) => parts.set(attribute, value.clone()),
                    None => parts.remove(attribute),
                }
            }
            if let Some(children) = item::shards(children) {
                parts.set(CHILDREN, children);
            }
        }
        Write::Assign { to, owner, checkpoint_owner } => {
            parts.is_of(owner.as_ref(), checkpoint_owner.as_ref());
            parts.set(LEASE_OWNER, s(to));
            parts.remove(CHECKPOINT_OWNER);
            parts.add(LEASE_COUNTER);
            parts.add(OWNER_SWITCHES);
        }
        Write::Evict { owner, checkpoint_owner } => {
            parts.is_of(owner.as_ref(), checkpoint_owner.as_ref());
            if checkpoint_owner.is_none() {
                parts.remove(LEASE_OWNER);
            }
            parts.remove(CHECKPOINT_OWNER);
            parts.add(LEASE_COUNTER);
        }
        Write::Delete { owner } => parts.is_or_is_absent(LEASE_OWNER, owner.as_ref()),
    }
    parts.build()
}

#[derive(Default)]
struct Parts {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Parts {
    fn name(&mut self, attribute: &str) -> String {
        let name = format!("#{attribute}");
        self.names.insert(name.clone(), attribute.to_owned());
        name
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }

    fn is(&mut self, attribute: &str, value: AttributeValue) {
        let condition = format!("{} = {}", self.name(attribute), self.value(value));
        self.conditions.push(condition);
    }

    fn is_absent(&mut self, attribute: &str) {
        let condition = format!("attribute_not_exists({})", self.name(attribute));
        self.conditions.push(condition);
    }

    fn is_or_is_absent(&mut self, attribute: &str, worker: Option<&WorkerId>) {
        match worker {
            Some(worker) => self.is(attribute, s(worker)),
            None => self.is_absent(attribute),
        }
    }

    /// The lease exists, and its owners are as known.
    fn is_of(&mut self, owner: Option<&WorkerId>, checkpoint_owner: Option<&WorkerId>) {
        let exists = format!("attribute_exists({})", self.name(LEASE_KEY));
        self.conditions.push(exists);
        self.is_or_is_absent(LEASE_OWNER, owner);
        self.is_or_is_absent(CHECKPOINT_OWNER, checkpoint_owner);
    }

    fn set(&mut self, attribute: &str, value: AttributeValue) {
        let set = format!("{} = {}", self.name(attribute), self.value(value));
        self.sets.push(set);
    }

    fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

    /// Adds 1.
    fn add(&mut self, attribute: &str) {
        let add = format!("{} {}", self.name(attribute), self.value(n(1)));
        self.adds.push(add);
    }

    fn build(self) -> Expression {
        let clauses = [("SET", self.sets), ("REMOVE", self.removes), ("ADD", self.adds)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<_> =
            clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        Expression {
            condition: self.conditions.join(" AND "),
            update: clauses.join(" "),
            names: self.names,
            values: self.values,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::place::Place;

    /// The expression with names and values in place.
    fn shown(write: &Write) -> (String, String) {
        let Expression { condition, update, names, values } = of(write);
        let plain = |text: String| {
            // A name may be the beginning of another: the longest first.
            let mut names: Vec<_> = names.iter().collect();
            names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            let text = names
                .into_iter()
                .fold(text, |text, (name, attribute)| text.replace(&**name, attribute));
            values.iter().fold(text, |text, (name, value)| {
                let value = match value {
                    AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
                    other => format!("{other:?}"),
                };
                text.replace(&**name, &value)
            })
        };
        (plain(condition), plain(update))
    }

    #[test]
    fn conditions_and_updates_are_those_of_the_kcl() {
        let (a, b) = (Some("a".into()), Some("b".into()));
        for (write, condition, update) in [
            (
                Write::Renew { counter: 6, leaving: false },
                "leaseCounter = 6 AND attribute_not_exists(checkpointOwner)",
                "SET leaseCounter = 7",
            ),
            (
                Write::Renew { counter: 6, leaving: true },
                "leaseCounter = 6",
                "SET leaseCounter = 7",
            ),
            (
                Write::Take { counter: 6, owner: "a".into(), switched: true },
                "leaseCounter = 6",
                "SET leaseCounter = 7, leaseOwner = a REMOVE checkpointOwner \
                 ADD ownerSwitchesSinceCheckpoint 1",
            ),
            (
                Write::Checkpoint {
                    counter: 6,
                    place: Place::read("55", 9).unwrap(),
                    pending: None,
                    children: BTreeSet::new(),
                },
                "leaseCounter = 6",
                "SET leaseCounter = 7, checkpoint = 55, checkpointSubSequenceNumber = 9, \
                 ownerSwitchesSinceCheckpoint = 0 REMOVE pendingCheckpoint, \
                 pendingCheckpointSubSequenceNumber, pendingCheckpointState",
            ),
            (
                Write::Assign { to: "b".into(), owner: b.clone(), checkpoint_owner: a.clone() },
                "attribute_exists(leaseKey) AND leaseOwner = b AND checkpointOwner = a",
                "SET leaseOwner = b REMOVE checkpointOwner \
                 ADD leaseCounter 1, ownerSwitchesSinceCheckpoint 1",
            ),
            (
                Write::Evict { owner: a.clone(), checkpoint_owner: None },
                "attribute_exists(leaseKey) AND leaseOwner = a AND \
                 attribute_not_exists(checkpointOwner)",
                "REMOVE leaseOwner, checkpointOwner ADD leaseCounter 1",
            ),
            (Write::Delete { owner: a }, "leaseOwner = a", ""),
        ] {
            assert_eq!(shown(&write), (condition.to_owned(), update.to_owned()), "{write:?}");
        }
    }
}
