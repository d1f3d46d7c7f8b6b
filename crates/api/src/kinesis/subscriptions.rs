//! Which consumer is subscribed to which shard: one subscription each, the later one wins.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use baikonur_stream::ShardAddress;
use tokio::sync::watch;

use crate::kinesis::resource::ConsumerName;
use crate::limits::SUBSCRIPTION_HOLD;

/// All subscriptions.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    active: Mutex<HashMap<Key, Active>>,
    /// True once the server stops.
    stopping: watch::Sender<bool>,
}

/// Who reads what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    consumer: ConsumerName,
    shard: ShardAddress,
}

#[derive(Debug)]
struct Active {
    since: Duration,
    replaced: watch::Sender<bool>,
}

/// What a subscription listens to.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    replaced: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self { active: Mutex::default(), stopping: watch::Sender::new(false) }
    }
}

impl Subscriptions {
    /// Begins a subscription at the monotonic time `now`, and ends the one before. None if that one
    /// is too young to be replaced, whether it still goes on or not.
    pub(crate) fn begin(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
        now: Duration,
    ) -> Option<Ending> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |since: Duration| now.saturating_sub(since) < SUBSCRIPTION_HOLD;
        // What ended is remembered only as long as it stands in the way.
        active.retain(|_, one| young(one.since) || one.replaced.receiver_count() > 0);
        let key = Key { consumer: consumer.clone(), shard: shard.clone() };
        match active.get(&key) {
            Some(one) if young(one.since) => return None,
            // Its stream ends; if it has ended already, nobody listens.
            Some(one) => drop(one.replaced.send_replace(true)),
            None => {}
        }
        let replaced = watch::Sender::new(false);
        let ending = Ending { replaced: replaced.subscribe(), stopping: self.stopping.subscribe() };
        active.insert(key, Active { since: now, replaced });
        Some(ending)
    }

    /// Ends all of them.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Ending {
    /// Returns when the subscription is to end.
    pub(crate) async fn ended(&mut self) {
        let Self { replaced, stopping } = self;
        tokio::select! {
            () = turned(replaced) => {}
            () = turned(stopping) => {}
        }
    }
}

/// Returns when a flag is true; never if nobody can set it any more.
async fn turned(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|flag| *flag).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ShardId, StreamName};

    use super::*;

    #[tokio::test]
    async fn the_later_subscription_wins_after_five_seconds() {
        let subscriptions = Subscriptions::default();
        let consumer = ConsumerName { name: "c".to_owned(), created: 1 };
        let shard = |index| ShardAddress {
            stream: StreamName::new("s").unwrap(),
            shard: ShardId::new(index),
        };
        let begin = |index, second| {
            subscriptions.begin(&consumer, &shard(index), Duration::from_secs(second))
        };
        let mut first = begin(0, 10).unwrap();
        assert!(begin(0, 14).is_none());
        let mut other = begin(1, 14).unwrap();
        let second = begin(0, 15).unwrap();
        first.ended().await;
        assert!(begin(0, 16).is_none());
        drop(second);
        assert!(begin(0, 16).is_none(), "an early end does not shorten it");
        begin(0, 20).unwrap();
        assert_eq!(subscriptions.active.lock().unwrap().len(), 2);
        subscriptions.stop();
        other.ended().await;
    }
}
