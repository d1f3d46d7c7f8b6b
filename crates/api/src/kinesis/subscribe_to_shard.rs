//! SubscribeToShard: the records of a shard as they come, for five minutes, in an event stream.
//!
//! A task reads and hands over one message at a time; a client that takes none holds one message and
//! no more. Memory is reserved for each as an event needs it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use baikonur_stream::{
    Cursor, ReadLimits, ReadPage, Record, SequenceNumber, ShardAddress, StartingPosition,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use crate::kinesis::answer_room::AnswerPermit;
use crate::kinesis::get_shard_iterator::{TYPES, position};
use crate::kinesis::records::Event;
use crate::kinesis::resource::{ConsumerName, Resource};
use crate::kinesis::subscriptions::Ending;
use crate::kinesis::{Answer, Kinesis, Reserved};
use crate::limits::{
    ANSWER_BYTES_MAX, EVENT_BYTES_MAX, EVENT_ROOM_BYTES, GET_RECORDS_MAX, KEY_BYTES_MAX,
    SUBSCRIPTION_LIFE, SUBSCRIPTION_PULSE,
};
use crate::wire::constraint::{
    ARN_LENGTH, CONSUMER_ARN, NAME, NAME_LENGTH, OneOf, Required, SEQUENCE_NUMBER,
};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::event_stream;
use crate::wire::members::{Boolean, Moment, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Start<'a> {
        kind: Text<'a> = "Type" [Required, OneOf(TYPES)],
        number: Text<'a> = "SequenceNumber" [SEQUENCE_NUMBER],
        timestamp: Moment = "Timestamp" [],
    }
}

structure! {
    pub(crate) struct Request<'a> {
        arn: Text<'a> = "ConsumerARN" [Required, ARN_LENGTH, CONSUMER_ARN],
        shard: Text<'a> = "ShardId" [Required, NAME_LENGTH, NAME],
        start: Start<'a> = "StartingPosition" [Required],
        dry_run: Boolean = "DryRun" [],
    }
}

pub(crate) struct Call {
    resource: Resource,
    consumer: ConsumerName,
    shard: ShardAddress,
    position: StartingPosition,
    dry_run: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    kinesis.refuse_cbor()?;
    let arn = request.arn.as_ref();
    let resource = kinesis.home.named_resource(arn)?;
    let unknown = || kinesis.home.consumer_not_found(arn.map_or("", Text::as_str));
    let consumer = resource.consumer.clone().ok_or_else(unknown)?;
    let stream = resource.stream.clone();
    let shard = kinesis.home.shard(request.shard.as_ref(), &stream)?;
    let shard = ShardAddress { stream, shard };
    let start = request.start.unwrap_or_default();
    let kind = start.kind.as_ref().map_or("", Text::as_str);
    let position = position((kind, start.number.as_ref(), start.timestamp), &shard, kinesis)?;
    let dry_run = request.dry_run.is_some_and(|dry_run| dry_run.0);
    Ok(Call { resource, consumer, shard, position, dry_run })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Answer, ApiError> {
    let Call { resource, consumer, shard, position, dry_run } = call;
    kinesis.present(&resource).await?;
    let found = kinesis.streams.read.seek(&shard, position).await;
    let cursor = found.map_err(|error| kinesis.home.seek_failure(&shard, &error))?;
    if dry_run {
        return Err(kinesis.refuse_dry_run(&shard.stream).await);
    }
    let now = kinesis.streams.clock.monotonic();
    let begun = kinesis.subscriptions.begin(&consumer, &shard, now);
    let ending = begun.ok_or_else(|| {
        let name = &consumer.name;
        let message = format!("Another active subscription exists for this consumer: {name}.");
        ApiError::new(ErrorCode::ResourceInUse, message)
    })?;
    let (messages, receiver) = mpsc::channel(1);
    let subscription = Subscription { kinesis: kinesis.clone(), resource, cursor, messages };
    tokio::spawn(subscription.run(ending));
    Ok(Answer::Stream(Messages(receiver).boxed_unsync()))
}

/// The body of the answer.
struct Messages(mpsc::Receiver<Bytes>);

impl Body for Messages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A subscription under way.
struct Subscription {
    kinesis: Kinesis,
    resource: Resource,
    cursor: Cursor,
    messages: mpsc::Sender<Bytes>,
}

/// How a subscription ends before its time.
enum End {
    /// The last record was sent, or the client is gone.
    Done,
    Failed(ApiError),
}

impl Subscription {
    async fn run(mut self, mut ending: Ending) {
        let messages = self.messages.clone();
        let delivered = async {
            if messages.send(event_stream::initial_response()).await.is_err() {
                return End::Done;
            }
            loop {
                if let Err(end) = self.send_next().await {
                    return end;
                }
            }
        };
        let end = tokio::select! {
            end = delivered => end,
            () = ending.ended() => End::Done,
            () = tokio::time::sleep(SUBSCRIPTION_LIFE) => End::Done,
        };
        if let End::Failed(error) = end {
            tracing::warn!(shard = %self.cursor.shard, %error, "a subscription ends");
            // The client may be gone as well.
            let _ = messages.send(event_stream::exception(&error)).await;
        }
    }

    /// Sends one event: what there is, or after a while that there is nothing.
    async fn send_next(&mut self) -> Result<(), End> {
        let kinesis = &self.kinesis;
        let stream = kinesis.present(&self.resource).await.map_err(End::Failed)?;
        let (page, room) = self.read().await.map_err(End::Failed)?;
        let properties = &stream.properties;
        let event = Event { page: &page, continuation: continuation(&page), properties };
        let message = event_stream::event("SubscribeToShardEvent", &event);
        let bytes: usize = page.records.iter().map(Record::size).sum();
        let is_empty = page.records.is_empty();
        let next = page.next.clone();
        drop(page);
        let sent = self.messages.send(Reserved::hold(message, room)).await;
        sent.map_err(|_| End::Done)?;
        // The end of a closed shard, of which the children have been told.
        self.cursor = next.ok_or(End::Done)?;
        kinesis.pace(bytes).await;
        if is_empty {
            self.kinesis.streams.read.wait(&self.cursor, SUBSCRIPTION_PULSE).await;
        }
        Ok(())
    }
}

impl Subscription {
    /// What the next event tells, and room for it.
    async fn read(&self) -> Result<(ReadPage, AnswerPermit), ApiError> {
        let (page, room) = self.read_within(EVENT_ROOM_BYTES).await?;
        let size: usize = page.records.iter().map(Record::size).sum();
        if size <= EVENT_BYTES_MAX + KEY_BYTES_MAX {
            return Ok((page, room));
        }
        // A single large record. What is held is given back before more is asked for: many that hold
        // some and wait for more would wait for each other.
        drop((page, room));
        self.read_within(ANSWER_BYTES_MAX).await
    }

    async fn read_within(&self, bytes: usize) -> Result<(ReadPage, AnswerPermit), ApiError> {
        let kinesis = &self.kinesis;
        let limits = ReadLimits { records: GET_RECORDS_MAX as usize, bytes: EVENT_BYTES_MAX };
        let room = kinesis.reserve(bytes).await?;
        let read = kinesis.streams.read.read(&self.cursor, limits).await;
        let failed = |error| kinesis.home.read_failure(&self.cursor.shard, &error);
        Ok((read.map_err(failed)?, room))
    }
}

/// The number after which a reader goes on; none at the end of a closed shard.
fn continuation(page: &ReadPage) -> Option<SequenceNumber> {
    let next = page.next.as_ref()?.from;
    match page.records.last() {
        Some(last) => Some(last.sequence_number),
        // The number before the next one, of a record or not.
        None => Some(SequenceNumber::new(
            next.created_seconds(),
            next.shard(),
            next.counter().saturating_sub(1),
            next.time_seconds(),
        )),
    }
}

impl Kinesis {
    /// Waits until a consumer may get more, where that is limited to 2 MiB/s.
    async fn pace(&self, bytes: usize) {
        const BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;
        if self.read_budgets.is_limited() {
            tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND)).await;
        }
    }
}

#[cfg(test)]
mod tests;
