//! The rules of making, retaining and deleting streams. Pure: from a catalog and a change to the
//! catalog after it.

use baikonur_stream::{AdministerError, CreateStream, RetentionHours, StreamName, Timestamp};

use crate::catalog::{Catalog, StoredStream};

/// What an administrator asks for.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Create(CreateStream),
    Delete(StreamName),
    IncreaseRetention(StreamName, RetentionHours),
    DecreaseRetention(StreamName, RetentionHours),
}

/// The catalog after a change made at `now`; none if it is as it was.
pub(crate) fn changed(
    catalog: &Catalog,
    change: Change,
    now: Timestamp,
    shard_limit: u32,
) -> Result<Option<Catalog>, AdministerError> {
    let mut changed = catalog.clone();
    match change {
        Change::Create(CreateStream { name, shard_count, retention }) => {
            admit_stream(catalog, &name, shard_count, shard_limit)?;
            changed.create(name, shard_count, retention, now);
        }
        Change::Delete(name) => {
            present(catalog, &name)?;
            changed.streams.remove(&name);
        }
        Change::IncreaseRetention(name, to) => {
            let (requested, present) = (to.hours(), present(catalog, &name)?.retention.hours());
            if requested < present {
                return Err(AdministerError::RetentionShorter { requested, present });
            }
            changed.retain(&name, to, now);
        }
        Change::DecreaseRetention(name, to) => {
            let (requested, present) = (to.hours(), present(catalog, &name)?.retention.hours());
            if requested > present {
                return Err(AdministerError::RetentionLonger { requested, present });
            }
            changed.retain(&name, to, now);
        }
    }
    Ok((changed != *catalog).then_some(changed))
}

fn present<'a>(
    catalog: &'a Catalog,
    name: &StreamName,
) -> Result<&'a StoredStream, AdministerError> {
    catalog.streams.get(name).ok_or_else(|| AdministerError::StreamNotFound(name.clone()))
}

fn admit_stream(
    catalog: &Catalog,
    name: &StreamName,
    requested: u32,
    limit: u32,
) -> Result<(), AdministerError> {
    if catalog.streams.contains_key(name) {
        return Err(AdministerError::StreamExists(name.clone()));
    }
    if requested == 0 {
        return Err(AdministerError::Unavailable("a stream has at least one shard".to_owned()));
    }
    let open = catalog.open_shards();
    if requested > limit.saturating_sub(open) {
        return Err(AdministerError::ShardLimit { requested, open, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_in_force_is_no_change_and_the_wrong_direction_is_refused() {
        let (now, name) = (Timestamp::from_seconds(1_700_000_000), StreamName::new("s").unwrap());
        let hours = |n| RetentionHours::new(n).unwrap();
        let create =
            CreateStream { name: name.clone(), shard_count: 2, retention: RetentionHours::MIN };
        let change = |catalog: &Catalog, change| changed(catalog, change, now, 3);
        let catalog = change(&Catalog::default(), Change::Create(create.clone())).unwrap().unwrap();
        let longer = change(&catalog, Change::IncreaseRetention(name.clone(), hours(48)));
        let longer = longer.unwrap().unwrap();
        assert_eq!(change(&longer, Change::IncreaseRetention(name.clone(), hours(48))), Ok(None));
        assert_eq!(
            change(&longer, Change::IncreaseRetention(name.clone(), hours(47))),
            Err(AdministerError::RetentionShorter { requested: 47, present: 48 })
        );
        assert_eq!(
            change(&longer, Change::DecreaseRetention(name.clone(), hours(49))),
            Err(AdministerError::RetentionLonger { requested: 49, present: 48 })
        );
        let other = StreamName::new("t").unwrap();
        assert_eq!(
            change(&longer, Change::Create(CreateStream { name: other, ..create })),
            Err(AdministerError::ShardLimit { requested: 2, open: 2, limit: 3 })
        );
    }
}
