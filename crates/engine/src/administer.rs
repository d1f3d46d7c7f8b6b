//! The rules of making, changing and deleting streams. Pure: from a catalog and a change to the
//! catalog after it.

use std::sync::Arc;

use baikonur_stream::{
    AdministerError, BillingCommitment, ConsumerOrStream, CreateStream, ENCRYPTION_PERIODS_MAX,
    EncryptionPeriod, RecordDistribution, RegisteredConsumer, Reshard, StreamChange, StreamMode,
    StreamName, StreamOwner, StreamProperties, TAGS_MAX, Tags, Timestamp,
};

use crate::catalog::{Catalog, StoredStream};
use crate::quotas::DailyOperation;
use crate::reshard::Resharding;
use crate::settings::{CONSUMERS_MAX, CONSUMERS_MAX_COMMITTED};

/// What an administrator asks for.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Create(CreateStream),
    Delete { name: StreamName, with_consumers: bool },
    Stream(StreamName, StreamChange),
    Commit(StreamOwner, BillingCommitment),
}

/// When a change is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// What the clock says: for all that is counted from now on or up to now.
    pub(crate) clock: Timestamp,
    /// Behind every record so far and before every later one. Ahead of the clock after that was set
    /// back: for what divides records.
    pub(crate) arrival: Timestamp,
}

/// What a store admits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Open shards of all streams.
    pub(crate) shards: u32,
    /// Whether operations are limited by the day, as Amazon limits them.
    pub(crate) daily: bool,
}

/// The catalog after a change made at a moment; none if it is as it was.
pub(crate) fn changed(
    catalog: &Catalog,
    change: Change,
    at: Moment,
    limits: Limits,
) -> Result<Option<Catalog>, AdministerError> {
    let mut changed = catalog.clone();
    match change {
        Change::Create(request) => {
            admit_stream(catalog, &request, limits.shards)?;
            changed.create(request, at.clock);
        }
        Change::Delete { name, with_consumers } => {
            let has_consumers = !present(catalog, &name)?.consumers.is_empty();
            if has_consumers && !with_consumers {
                return Err(AdministerError::HasConsumers(name));
            }
            changed.delete(&name);
        }
        Change::Stream(name, change) => {
            let stream = present(catalog, &name)?;
            let committed = catalog.commitments.get(&name.owner());
            let committed = committed.is_some_and(|commitment| commitment.holds(at.clock));
            let open = catalog.open_shards();
            let subject = Subject { name: &name, stream, at, committed, open, limits };
            let operation = subject.daily_operation(&change);
            let mut stream = subject.after(change)?;
            if let Some(operation) = operation.filter(|_| limits.daily && stream != *subject.stream)
            {
                stream.recent_calls.note(operation, at.clock)?;
            }
            let more = stream.open_shards().saturating_sub(subject.stream.open_shards());
            admit_shards(catalog, more as u32, limits.shards)?;
            changed.streams.insert(name, Arc::new(stream));
        }
        Change::Commit(owner, commitment) => {
            changed.commitments.insert(owner, commitment);
        }
    }
    Ok((changed != *catalog).then_some(changed))
}

fn present<'a>(
    catalog: &'a Catalog,
    name: &StreamName,
) -> Result<&'a StoredStream, AdministerError> {
    let stream = catalog.streams.get(name).map(|stream| &**stream);
    stream.ok_or_else(|| AdministerError::StreamNotFound(name.clone()))
}

fn admit_stream(
    catalog: &Catalog,
    request: &CreateStream,
    limit: u32,
) -> Result<(), AdministerError> {
    if catalog.streams.contains_key(&request.name) {
        return Err(AdministerError::StreamExists(request.name.clone()));
    }
    if request.shard_count == 0 {
        return Err(AdministerError::Unavailable("a stream has at least one shard".to_owned()));
    }
    admit_tags(&request.properties.tags)?;
    admit_shards(catalog, request.shard_count, limit)
}

fn admit_shards(catalog: &Catalog, requested: u32, limit: u32) -> Result<(), AdministerError> {
    let open = catalog.open_shards();
    match requested > 0 && requested > limit.saturating_sub(open) {
        true => Err(AdministerError::ShardLimit { requested, open, limit }),
        false => Ok(()),
    }
}

fn admit_tags(tags: &Tags) -> Result<(), AdministerError> {
    if tags.len() > TAGS_MAX { Err(AdministerError::TooManyTags) } else { Ok(()) }
}

/// A stream that is to be changed.
struct Subject<'a> {
    name: &'a StreamName,
    stream: &'a StoredStream,
    at: Moment,
    /// Its owner has agreed to a minimum throughput.
    committed: bool,
    /// Open shards of all streams.
    open: u32,
    limits: Limits,
}

impl Subject<'_> {
    /// The stream after a change.
    fn after(&self, change: StreamChange) -> Result<StoredStream, AdministerError> {
        let properties = &self.stream.properties;
        let changed = match change {
            StreamChange::Reshard(step) => {
                self.must_be(StreamMode::Provisioned)?;
                return self.reshard(|resharding| resharding.step(step));
            }
            StreamChange::UpdateShardCount { target } => {
                self.must_be(StreamMode::Provisioned)?;
                let open = self.stream.open_shards() as u32;
                if target > open.saturating_mul(2) {
                    return Err(AdministerError::AboveDouble { open, target });
                }
                if target < open.div_ceil(2) || target == 0 {
                    return Err(AdministerError::BelowHalf { open, target });
                }
                return self.reshard(|resharding| {
                    resharding.evenly(target);
                    Ok(())
                });
            }
            StreamChange::FollowLoad(steps) => {
                self.must_be(StreamMode::OnDemand)?;
                return self.follow(steps);
            }
            StreamChange::WarmThroughput(mibps) => {
                self.must_be(StreamMode::OnDemand)?;
                return self.warm(StreamMode::OnDemand, Some(mibps));
            }
            StreamChange::Mode { mode, warm_throughput_mibps } => {
                return self.warm(mode, warm_throughput_mibps);
            }
            StreamChange::IncreaseRetention(to) | StreamChange::DecreaseRetention(to) => {
                let (requested, present) = (to.hours(), properties.retention.hours());
                match change {
                    StreamChange::IncreaseRetention(_) if requested < present => {
                        return Err(AdministerError::RetentionShorter { requested, present });
                    }
                    StreamChange::DecreaseRetention(_) if requested > present => {
                        return Err(AdministerError::RetentionLonger { requested, present });
                    }
                    _ => {}
                }
                let mut stream = self.stream.clone();
                stream.retain(to, self.at.clock);
                stream
            }
            StreamChange::RecordKibMax(kib) => self.with(|p| p.record_kib_max = kib),
            StreamChange::Distribution(distribution) => {
                if distribution == RecordDistribution::Auto {
                    self.must_be(StreamMode::OnDemand)?;
                }
                self.with(|p| p.distribution = distribution)
            }
            StreamChange::EncryptionKey(key) => self.encrypt(key)?,
            StreamChange::EnableMetrics(metrics) => {
                self.with(|p| p.shard_level_metrics.extend(&metrics))
            }
            StreamChange::DisableMetrics(metrics) => {
                self.with(|p| p.shard_level_metrics.retain(|metric| !metrics.contains(metric)))
            }
            StreamChange::AddTags(of, tags) => self.tagged(&of, |present| present.extend(tags))?,
            StreamChange::RemoveTags(of, keys) => {
                self.tagged(&of, |present| present.retain(|key, _| !keys.contains(key)))?
            }
            StreamChange::Policy(of, policy) => self.policy(&of, policy)?,
            StreamChange::RegisterConsumer { name, tags } => self.register(name, tags)?,
            StreamChange::DeregisterConsumer { name } => {
                let mut consumers = (*self.stream.consumers).clone();
                consumers.remove(&name).ok_or_else(|| self.no_consumer(&name))?;
                StoredStream { consumers: consumers.into(), ..self.stream.clone() }
            }
        };
        Ok(changed)
    }

    /// The operation that a change is counted as, where operations are limited by the day.
    fn daily_operation(&self, change: &StreamChange) -> Option<DailyOperation> {
        match change {
            StreamChange::UpdateShardCount { .. } => Some(DailyOperation::UpdateShardCount),
            StreamChange::Mode { mode, .. } if *mode != self.stream.properties.mode => {
                Some(DailyOperation::UpdateStreamMode)
            }
            StreamChange::EncryptionKey(Some(_)) => Some(DailyOperation::StartStreamEncryption),
            StreamChange::EncryptionKey(None) => Some(DailyOperation::StopStreamEncryption),
            _ => None,
        }
    }

    /// The stream after the merges, and after as many splits as there is room for then.
    fn follow(&self, steps: Vec<Reshard>) -> Result<StoredStream, AdministerError> {
        let is_merge = |step: &Reshard| matches!(step, Reshard::Merge { .. });
        let (merges, splits): (Vec<Reshard>, Vec<Reshard>) = steps.into_iter().partition(is_merge);
        let (open, limit) = (self.open, self.limits.shards);
        let room = limit.saturating_sub(open) as usize + merges.len();
        if room == 0 && !splits.is_empty() {
            let requested = splits.len() as u32;
            return Err(AdministerError::ShardLimit { requested, open, limit });
        }
        let steps = merges.iter().chain(splits.iter().take(room));
        self.reshard(|resharding| steps.copied().try_for_each(|step| resharding.step(step)))
    }

    fn must_be(&self, mode: StreamMode) -> Result<(), AdministerError> {
        match (self.stream.properties.mode, mode) {
            (StreamMode::OnDemand, StreamMode::Provisioned) => {
                Err(AdministerError::OnDemand(self.name.clone()))
            }
            (StreamMode::Provisioned, StreamMode::OnDemand) => {
                Err(AdministerError::Provisioned(self.name.clone()))
            }
            _ => Ok(()),
        }
    }

    fn reshard(
        &self,
        work: impl FnOnce(&mut Resharding<'_>) -> Result<(), AdministerError>,
    ) -> Result<StoredStream, AdministerError> {
        let mut resharding = Resharding::new(self.name, self.stream, self.at.arrival.seconds());
        work(&mut resharding)?;
        Ok(resharding.done(self.stream))
    }

    fn with(&self, change: impl FnOnce(&mut StreamProperties)) -> StoredStream {
        let mut stream = self.stream.clone();
        change(Arc::make_mut(&mut stream.properties));
        stream
    }

    /// The stream in a mode, with at least as many shards as the throughput takes that it is to be
    /// ready for, at 1 MiB/s each.
    fn warm(&self, mode: StreamMode, mibps: Option<u32>) -> Result<StoredStream, AdministerError> {
        let mibps = if mode == StreamMode::OnDemand { mibps } else { None };
        let changed = self.with(|properties| {
            properties.mode = mode;
            properties.warm_throughput_mibps = mibps;
            if mode == StreamMode::Provisioned {
                properties.distribution = RecordDistribution::UserPartitionKey;
            }
        });
        let mut resharding = Resharding::new(self.name, &changed, self.at.arrival.seconds());
        let open = changed.open_shards() as u32;
        if let Some(wanted) = mibps.filter(|wanted| *wanted > open) {
            resharding.evenly(wanted);
        }
        Ok(resharding.done(&changed))
    }

    /// The stream with a key from now on, or without one. Records know by their arrival whether they
    /// were put under a key.
    fn encrypt(&self, key: Option<String>) -> Result<StoredStream, AdministerError> {
        let (horizon, at) = (self.stream.horizon(self.at.clock), self.at.arrival);
        let changed = self.with(|properties| {
            let periods = &mut properties.encryption_periods;
            periods.retain(|period| period.to.is_none_or(|to| to > horizon));
            let open = periods.last_mut().filter(|period| period.to.is_none());
            match (open, &key) {
                (None, Some(_)) => periods.push(EncryptionPeriod { from: at, to: None }),
                (Some(open), None) => open.to = Some(at),
                _ => {}
            }
            properties.encryption_key = key;
        });
        match changed.properties.encryption_periods.len() > ENCRYPTION_PERIODS_MAX {
            true => Err(AdministerError::EncryptionPeriodLimit { limit: ENCRYPTION_PERIODS_MAX }),
            false => Ok(changed),
        }
    }

    fn no_consumer(&self, consumer: &str) -> AdministerError {
        let (stream, consumer) = (self.name.clone(), consumer.to_owned());
        AdministerError::ConsumerNotFound { stream, consumer }
    }

    /// The stream with a consumer changed.
    fn consumer(
        &self,
        name: &str,
        change: impl FnOnce(&mut RegisteredConsumer) -> Result<(), AdministerError>,
    ) -> Result<StoredStream, AdministerError> {
        let mut consumers = (*self.stream.consumers).clone();
        change(consumers.get_mut(name).ok_or_else(|| self.no_consumer(name))?)?;
        Ok(StoredStream { consumers: consumers.into(), ..self.stream.clone() })
    }

    fn tagged(
        &self,
        of: &ConsumerOrStream,
        change: impl FnOnce(&mut Tags),
    ) -> Result<StoredStream, AdministerError> {
        match of {
            Some(consumer) => self.consumer(consumer, |consumer| {
                change(&mut consumer.tags);
                admit_tags(&consumer.tags)
            }),
            None => {
                let changed = self.with(|properties| change(&mut properties.tags));
                admit_tags(&changed.properties.tags)?;
                Ok(changed)
            }
        }
    }

    fn policy(
        &self,
        of: &ConsumerOrStream,
        policy: Option<String>,
    ) -> Result<StoredStream, AdministerError> {
        let replace = |present: &mut Option<String>| match (&present, &policy) {
            (None, None) => Err(AdministerError::NoPolicy),
            _ => {
                *present = policy;
                Ok(())
            }
        };
        match of {
            Some(consumer) => self.consumer(consumer, |consumer| replace(&mut consumer.policy)),
            None => {
                let mut present = self.stream.properties.policy.clone();
                replace(&mut present)?;
                Ok(self.with(|properties| properties.policy = present))
            }
        }
    }

    fn register(&self, name: String, tags: Tags) -> Result<StoredStream, AdministerError> {
        let limit = if self.committed { CONSUMERS_MAX_COMMITTED } else { CONSUMERS_MAX };
        admit_tags(&tags)?;
        let mut consumers = (*self.stream.consumers).clone();
        if consumers.contains_key(&name) {
            let stream = self.name.clone();
            return Err(AdministerError::ConsumerExists { stream, consumer: name });
        }
        if consumers.len() >= limit {
            return Err(AdministerError::ConsumerLimit { limit });
        }
        // Whole seconds, as in its ARN.
        let created = Timestamp::from_seconds(self.at.arrival.seconds());
        consumers.insert(name, RegisteredConsumer { created, tags, policy: None });
        Ok(StoredStream { consumers: consumers.into(), ..self.stream.clone() })
    }
}

#[cfg(test)]
mod tests;
