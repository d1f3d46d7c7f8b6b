//! A subscription under way: a task takes events from the connection, one ahead of whoever reads.
//!
//! When that one is not taken, nothing more is read: the connection fills up and the service waits.

use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{SubscribeToShardEvent, SubscribeToShardEventStream};
use baikonur_stream::{ReadError, ShardAddress};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::refusal::innermost;
use crate::trouble::Trouble;

/// The service sends an event every five seconds, also when there is nothing. After this silence
/// (as the KCL has it) the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(35);

type Events = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

/// What a subscription gives.
pub(crate) enum Next {
    Event(Box<SubscribeToShardEvent>),
    /// It ended before its time.
    Trouble(Trouble),
}

/// One subscription; it ends when it is dropped.
pub(crate) struct Subscription {
    events: mpsc::Receiver<Next>,
    /// What `ready` found; the inner none is the end.
    found: Option<Option<Next>>,
    task: JoinHandle<()>,
}

impl Subscription {
    pub(crate) fn start(shard: ShardAddress, events: Events) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(pass_on(shard, events, sender));
        Self { events: receiver, found: None, task }
    }

    /// What there is; none if nothing has come, an inner none at the end.
    pub(crate) fn try_next(&mut self) -> Option<Option<Next>> {
        if let Some(found) = self.found.take() {
            return Some(found);
        }
        match self.events.try_recv() {
            Ok(next) => Some(Some(next)),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(None),
        }
    }

    /// Waits until there is something, or the end. It may be given up at any moment.
    pub(crate) async fn ready(&mut self) {
        if self.found.is_none() {
            self.found = Some(self.events.recv().await);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What an exception in the stream of events says: its type is in the frame, and no code with it.
fn trouble_of<R>(
    shard: &ShardAddress,
    error: &SdkError<SubscribeToShardEventStreamError, R>,
) -> Trouble
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let told = innermost(error);
    match error.as_service_error() {
        Some(error) if error.is_resource_in_use_exception() => Trouble::InUse(told),
        Some(error) if error.is_resource_not_found_exception() => {
            Trouble::Failed(ReadError::ShardNotFound(shard.clone()))
        }
        Some(error) if error.is_kms_throttling_exception() => Trouble::Throttled(told),
        _ => Trouble::Failed(ReadError::Unavailable(told)),
    }
}

async fn pass_on(shard: ShardAddress, mut events: Events, sender: mpsc::Sender<Next>) {
    loop {
        let next = match tokio::time::timeout(SILENCE_MAX, events.recv()).await {
            Ok(Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)))) => {
                Next::Event(Box::new(event))
            }
            Ok(Ok(Some(_))) => continue,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => Next::Trouble(trouble_of(&shard, &error)),
            Err(_) => {
                let what = format!("the subscription was silent for {} s", SILENCE_MAX.as_secs());
                Next::Trouble(Trouble::Failed(ReadError::Unavailable(what)))
            }
        };
        let is_last = matches!(next, Next::Trouble(_));
        if sender.send(next).await.is_err() || is_last {
            return;
        }
    }
}
