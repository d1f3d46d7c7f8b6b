//! The driver: looks at every on-demand stream each ten seconds and lets its shards follow the load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Administer, AdministerError, Clock, Reshard, StreamChange, StreamMode, StreamName, StreamStatus,
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::history::History;
use super::plan::plan;
use crate::key_space::KeySpace;

/// How often it looks.
pub const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Lets the shards of on-demand streams follow their load.
pub struct FollowLoad {
    administer: Arc<dyn Administer>,
    clock: Arc<dyn Clock>,
    histories: BTreeMap<StreamName, History>,
}

impl FollowLoad {
    /// Follows the load of all streams, whoever owns them.
    pub fn new(administer: Arc<dyn Administer>, clock: Arc<dyn Clock>) -> Self {
        Self { administer, clock, histories: BTreeMap::new() }
    }

    /// Runs until `draining` says so.
    pub async fn run(mut self, mut draining: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let go_on = tokio::select! {
                _ = ticks.tick() => true,
                _ = draining.wait_for(|draining| *draining) => false,
            };
            if !go_on {
                return;
            }
            self.look().await;
        }
    }

    /// One look at all streams.
    pub async fn look(&mut self) {
        let mut before = std::mem::take(&mut self.histories);
        for name in self.names().await {
            let mut history = before.remove(&name).unwrap_or_default();
            match self.look_at(&name, &mut history).await {
                Ok(true) => {
                    self.histories.insert(name, history);
                }
                // Deleted since it was listed, or not on demand.
                Ok(false) | Err(AdministerError::StreamNotFound(_)) => {}
                Err(error) => {
                    warn!(stream = name.qualified(), %error, "the shards cannot follow the load");
                    self.histories.insert(name, history);
                }
            }
        }
    }

    /// The names of all streams.
    async fn names(&self) -> Vec<StreamName> {
        let mut names = Vec::new();
        let listed = async {
            for owner in self.administer.list_owners().await? {
                names.extend(self.administer.list_streams(&owner).await?);
            }
            Ok::<_, AdministerError>(())
        };
        if let Err(error) = listed.await {
            warn!(%error, "streams cannot be listed; their shards do not follow the load");
        }
        names
    }

    /// Whether the stream is on demand, and so has a history.
    async fn look_at(
        &self,
        name: &StreamName,
        history: &mut History,
    ) -> Result<bool, AdministerError> {
        let stream = self.administer.describe_stream(name).await?;
        if stream.properties.mode != StreamMode::OnDemand {
            return Ok(false);
        }
        history.note(self.clock.monotonic(), &self.administer.usage(name).await?);
        let key_space = match KeySpace::of(&stream) {
            Ok(key_space) if stream.status == StreamStatus::Active => key_space,
            _ => {
                debug!(
                    stream = name.qualified(),
                    "the stream is changing; its load is looked at later"
                );
                return Ok(true);
            }
        };
        // A shard takes 1 MiB/s.
        let floor = stream.properties.warm_throughput_mibps.unwrap_or(0);
        let steps = plan(&history.loads(&key_space), floor);
        if steps.is_empty() {
            return Ok(true);
        }
        let splits = steps.iter().filter(|step| matches!(step, Reshard::Split { .. })).count();
        let merges = steps.len() - splits;
        let before = stream.open_shards().count();
        let changed = self.administer.change_stream(name, StreamChange::FollowLoad(steps)).await?;
        let (name, open) = (name.qualified(), changed.open_shards().count());
        info!(stream = name, splits, merges, open, "shards follow the load");
        let refused = (before + splits).saturating_sub(merges + open);
        if refused > 0 {
            warn!(
                stream = name,
                refused, "there is no room for more shards: a part of the load is followed"
            );
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::{PausedClock, Service, name};
    use baikonur_stream::{ShardUsage, StreamOwner};

    /// One look after ten seconds in which records came, evenly over the key space.
    async fn look(follow: &mut FollowLoad, service: &Service, records_per_second: u64) {
        tokio::time::advance(POLL_INTERVAL).await;
        let key_space = service.key_space();
        {
            let mut state = service.state.lock().unwrap();
            for shard in key_space.shards() {
                let none = ShardUsage {
                    shard: shard.id,
                    records_in: 0,
                    bytes_in: 0,
                    records_out: 0,
                    bytes_out: 0,
                };
                let usage = state.usage.entry(shard.id).or_insert(none);
                let share = shard.share().fraction();
                usage.records_in += (records_per_second as f64 * 10.0 * share) as u64;
            }
        }
        follow.look().await;
    }

    #[tokio::test(start_paused = true)]
    async fn shards_grow_with_the_load_and_shrink_after_it() {
        let service = Arc::new(Service::new(4));
        service.state.lock().unwrap().mode = StreamMode::OnDemand;
        let clock = Arc::new(PausedClock::new());
        let mut follow = FollowLoad::new(service.clone(), clock);
        for _ in 0..60 {
            look(&mut follow, &service, 1900).await;
        }
        assert_eq!(service.open(), 4, "1900 records/s are below half of four shards");
        // Double the load.
        for _ in 0..8 {
            look(&mut follow, &service, 3800).await;
        }
        assert_eq!(service.open(), 8, "each of the four is split once, and then it is enough");
        for _ in 0..120 {
            look(&mut follow, &service, 3800).await;
        }
        assert_eq!(service.open(), 8);
        for _ in 0..95 {
            look(&mut follow, &service, 0).await;
        }
        assert_eq!(service.open(), 4, "a quarter of an hour of quiet");
        for _ in 0..200 {
            look(&mut follow, &service, 0).await;
        }
        assert_eq!(service.open(), 4);
        assert_eq!(service.state.lock().unwrap().changes.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn provisioned_streams_are_left_alone() {
        let service = Arc::new(Service::new(4));
        let clock = Arc::new(PausedClock::new());
        let mut follow = FollowLoad::new(service.clone(), clock);
        for _ in 0..20 {
            look(&mut follow, &service, 100_000).await;
        }
        assert_eq!(service.open(), 4);
        assert!(!follow.histories.contains_key(&name()));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_of_all_owners_are_looked_at() {
        let service = Arc::new(Service::new(4));
        {
            let mut state = service.state.lock().unwrap();
            state.mode = StreamMode::OnDemand;
            state.owners.push(StreamOwner::other("111111111111", "eu-west-1").unwrap());
        }
        let mut follow = FollowLoad::new(service.clone(), Arc::new(PausedClock::new()));
        look(&mut follow, &service, 0).await;
        let looked_at: Vec<_> = follow.histories.keys().map(StreamName::qualified).collect();
        assert_eq!(looked_at, ["111111111111/eu-west-1/router", "router"]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_it_is_told() {
        let service = Arc::new(Service::new(4));
        let (stop, stopping) = watch::channel(false);
        let clock = Arc::new(PausedClock::new());
        let running = FollowLoad::new(service, clock).run(stopping);
        let running = tokio::spawn(running);
        tokio::time::sleep(3 * POLL_INTERVAL).await;
        assert!(!running.is_finished());
        stop.send_replace(true);
        running.await.unwrap();
    }
}
