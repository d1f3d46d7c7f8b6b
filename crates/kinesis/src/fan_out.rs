//! The contract `Read` by SubscribeToShard (enhanced fan-out): 2 MB/s per shard of one's own, pushed.
//!
//! A subscription lives five minutes and is asked for again where it ended. Where the service
//! refuses a consumer or a subscription for good, reading goes on by polling until the process ends.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::config::{Config, StalledStreamProtectionConfig};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardError;
use aws_sdk_kinesis::types::{self, SubscribeToShardEvent};
use baikonur_stream::{
    Clock, Cursor, Read, ReadError, ReadLimits, ReadPage, Shard, ShardAddress, StartingPosition,
    StreamName,
};
use tokio::sync::Mutex;
use tokio::sync::OwnedMutexGuard;
use tracing::{debug, info, warn};

use crate::administer::AmazonKinesis;
use crate::consumer;
use crate::place::{Fetched, Place, Places};
use crate::polling::{Polling, parts};
use crate::records::{children, number, records, strange};
use crate::subscription::{Next, Subscription};
use crate::trouble::{Trouble, trouble};

/// Another subscription of the same consumer keeps a shard for this long after its start.
const IN_USE_PAUSE: Duration = Duration::from_secs(5);
/// A consumer may ask for a shard once a second.
const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(1);

/// Streams of Amazon Kinesis, read by a consumer with enhanced fan-out.
#[derive(Clone)]
pub struct FanOut {
    shared: Arc<Shared>,
}

struct Shared {
    /// Lists, finds positions, and reads where a subscription is refused.
    polling: Polling,
    consumer: String,
    /// The consumer's ARN in each stream.
    arns: Mutex<HashMap<StreamName, String>>,
    places: Places<Subscription>,
    /// Shards that were closed when they were last listed.
    closed: std::sync::Mutex<HashSet<ShardAddress>>,
    refused: AtomicBool,
}

impl FanOut {
    /// A reader that is the consumer of this name in each stream; it is registered where there is
    /// none yet. One process reads with a consumer: a second one would take its subscriptions away.
    pub fn new(kinesis: &AmazonKinesis, consumer: String, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            polling: Polling::new(kinesis, clock),
            consumer,
            arns: Mutex::default(),
            places: Places::default(),
            closed: std::sync::Mutex::default(),
            refused: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    fn is_refused(&self) -> bool {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        self.shared.polling.clock().monotonic()
    }

    async fn arn(&self, shard: &ShardAddress) -> Result<String, Trouble> {
        // Held over the calls: the readers of all shards begin at once, and one of them registers.
        let mut arns = self.shared.arns.lock().await;
        if let Some(arn) = arns.get(&shard.stream) {
            return Ok(arn.clone());
        }
        let client = self.shared.polling.client();
        let arn = consumer::active(client, shard, &self.shared.consumer).await?;
        arns.insert(shard.stream.clone(), arn.clone());
        Ok(arn)
    }

    async fn subscribe(&self, place: &Place<Subscription>) -> Result<Subscription, Trouble> {
        let shard = &place.cursor.shard;
        let arn = self.arn(shard).await?;
        let (kind, from, moment) = parts(place.behind);
        let position = types::StartingPosition::builder()
            .r#type(kind)
            .set_sequence_number(from.map(|number| number.to_string()))
            .set_timestamp(moment)
            .build()
            .map_err(|error| Trouble::Failed(strange(shard, error)))?;
        let call = self.shared.polling.client().subscribe_to_shard();
        let call = call.consumer_arn(arn).shard_id(shard.shard.to_string());
        // A connection from which we do not read yet does not stall; silence is looked after below.
        let patient =
            Config::builder().stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let call = call.starting_position(position).customize().config_override(patient);
        let answer = call.send().await;
        let answer = answer.map_err(|error| match foreign(&error) {
            Some(told) => Trouble::Refused(told),
            None => trouble(shard, from, &error),
        })?;
        Ok(Subscription::start(shard.clone(), answer.event_stream))
    }

    /// Sees to it that there is a subscription, now or when it is due.
    async fn feed(&self, place: &mut Place<Subscription>) -> Result<(), ReadError> {
        if place.feed.is_some() || self.now() < place.due {
            return Ok(());
        }
        let error = match self.subscribe(place).await {
            Ok(subscription) => {
                place.feed = Some(subscription);
                place.due = self.now() + SUBSCRIBE_INTERVAL;
                return Ok(());
            }
            Err(Trouble::Throttled(told)) => {
                debug!(shard = %place.cursor.shard, %told, "subscribing is throttled");
                place.throttled(self.now());
                return Ok(());
            }
            Err(Trouble::InUse(told)) => {
                debug!(shard = %place.cursor.shard, %told, "the shard is subscribed to still");
                place.due = self.now() + IN_USE_PAUSE;
                return Ok(());
            }
            Err(Trouble::Refused(told)) => {
                // The readers of all shards find out, and one tells.
                if !self.shared.refused.swap(true, Ordering::Relaxed) {
                    warn!(stream = %place.cursor.shard.stream, consumer = %self.shared.consumer,
                        %told, "enhanced fan-out is refused: going on by polling");
                }
                return Ok(());
            }
            Err(trouble) => trouble.into_error(),
        };
        // The consumer may be gone, and another one have its name.
        self.shared.arns.lock().await.remove(&place.cursor.shard.stream);
        place.throttled(self.now());
        // Whether it is the shard or the number that is gone, the other way to ask tells.
        let shard = &place.cursor.shard;
        match self.shared.polling.iterator(shard, place.behind).await {
            Err(Trouble::Failed(found)) => Err(found),
            _ if matches!(error, ReadError::ShardNotFound(_)) => Ok(()),
            _ => Err(error),
        }
    }

    /// Takes what the subscription of a place gave.
    async fn took(
        &self,
        place: &mut Place<Subscription>,
        next: Option<Next>,
    ) -> Result<(), ReadError> {
        let shard = place.cursor.shard.clone();
        match next {
            Some(Next::Event(event)) => {
                let took = self.took_event(place, &shard, *event).await;
                if took.is_err() {
                    place.feed = None;
                }
                took
            }
            Some(Next::Trouble(Trouble::InUse(told))) => {
                info!(%shard, %told, "the subscription was taken away");
                place.feed = None;
                place.due = self.now() + IN_USE_PAUSE;
                Ok(())
            }
            Some(Next::Trouble(Trouble::Throttled(_))) => {
                place.feed = None;
                place.throttled(self.now());
                Ok(())
            }
            Some(Next::Trouble(trouble)) => {
                place.feed = None;
                Err(trouble.into_error())
            }
            // Its time is over.
            None => {
                place.feed = None;
                Ok(())
            }
        }
    }

    async fn took_event(
        &self,
        place: &mut Place<Subscription>,
        shard: &ShardAddress,
        event: SubscribeToShardEvent,
    ) -> Result<(), ReadError> {
        let records = records(shard, event.records, place.cursor.from)?;
        let continuation = Some(event.continuation_sequence_number).filter(|text| !text.is_empty());
        let up_to = continuation.map(|text| number(shard, &text)).transpose()?;
        let told = children(shard, event.child_shards.unwrap_or_default())?;
        let end = match up_to {
            Some(_) => None,
            None => self.shared.polling.end(shard, told).await?,
        };
        if up_to.is_none() {
            // The end, or the word of a service that does not know where it is: asked again.
            place.feed = None;
        }
        let millis_behind = event.millis_behind_latest.max(0) as u64;
        place.took(Fetched { records, up_to, millis_behind, end });
        Ok(())
    }

    fn is_closed(&self, shard: &ShardAddress) -> bool {
        let closed = self.shared.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.contains(shard)
    }

    /// Nothing more comes from a shard that is closed: it may be at its end, which not every service
    /// tells in a subscription. Polling does.
    async fn look_for_the_end(
        &self,
        place: &mut Place<Subscription>,
        limits: ReadLimits,
    ) -> Result<ReadPage, ReadError> {
        let page = self.shared.polling.read(&place.cursor, limits).await?;
        match &page.next {
            None => self.shared.places.forget(&place.cursor.shard),
            // Should the subscription bring these as well, they are below the cursor.
            Some(next) => place.cursor = next.clone(),
        }
        Ok(page)
    }

    async fn at(&self, cursor: &Cursor) -> OwnedMutexGuard<Place<Subscription>> {
        self.shared.places.at(cursor, self.now()).await
    }
}

/// Whether it was something else than the API that answered: an endpoint that has no subscriptions
/// and fails at them. (Amazon gives a code; a proxy in between that has no answer says 502 to 504.)
fn foreign(error: &SdkError<SubscribeToShardError>) -> Option<String> {
    let status = error.raw_response()?.status().as_u16();
    let foreign = error.code().is_none() && matches!(status, 404 | 405 | 500 | 501);
    foreign.then(|| format!("HTTP {status} without an error of the API"))
}

#[async_trait]
impl Read for FanOut {
    async fn shards(&self, stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        let listed = self.shared.polling.shards(stream).await?;
        let closed = listed.iter().filter(|shard| shard.ending_sequence_number.is_some());
        let closed =
            closed.map(|shard| ShardAddress { stream: stream.clone(), shard: shard.id }).collect();
        *self.shared.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        Ok(listed)
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        // It also finds out whether the number is of this shard, and polling may have to go on.
        let cursor = self.shared.polling.seek(shard, position).await?;
        let behind = match (position, cursor.since) {
            (StartingPosition::Latest, Some(now)) => StartingPosition::AtTimestamp(now),
            _ => position,
        };
        self.shared.places.begin(Place::new(cursor.clone(), behind), self.now());
        Ok(cursor)
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        if self.is_refused() {
            return self.shared.polling.read(cursor, limits).await;
        }
        let mut place = self.at(cursor).await;
        if place.is_dry() {
            self.feed(&mut place).await?;
            if let Some(subscription) = &mut place.feed
                && let Some(next) = subscription.try_next()
            {
                self.took(&mut place, next).await?;
                if place.is_dry() && place.feed.is_some() && self.is_closed(&cursor.shard) {
                    return self.look_for_the_end(&mut place, limits).await;
                }
            }
        }
        let page = place.page(limits);
        if page.next.is_none() {
            self.shared.places.forget(&cursor.shard);
        }
        Ok(page)
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        if self.is_refused() {
            return self.shared.polling.wait(cursor, at_most).await;
        }
        let mut place = self.at(cursor).await;
        if !place.is_dry() {
            return;
        }
        match &mut place.feed {
            // It stays in the subscription: the read that follows takes it.
            Some(subscription) => _ = tokio::time::timeout(at_most, subscription.ready()).await,
            None => {
                let pause = place.due.saturating_sub(self.now());
                tokio::time::sleep(pause.min(at_most)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
