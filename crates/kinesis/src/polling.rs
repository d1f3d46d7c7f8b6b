//! The contract `Read` by GetRecords: about one call a second to a shard whose tip is reached, one
//! after the other while a reader is behind.
//!
//! An iterator is kept between calls. One that expired is made again behind the last record that
//! came. A call may bring more than a reader asked for; the rest stays at the [`Place`]. While a
//! reader that is behind is busy with the last of it, the next call is under way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use baikonur_stream::{
    AdministerError, ChildShard, Clock, Cursor, Read, ReadError, ReadLimits, ReadPage,
    SequenceNumber, Shard, ShardAddress, StartingPosition, StreamName, Timestamp,
};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::administer::AmazonKinesis;
use crate::describe;
use crate::place::{Fetched, Place, Places, cursor_at};
use crate::records::{children, records, strange};
use crate::trouble::{Trouble, trouble};

/// Between calls at the tip of a shard, as AWS Lambda polls: a shard gives five calls a second to
/// all its consumers together.
const TIP_INTERVAL: Duration = Duration::from_secs(1);
/// Before the next call when one brought nothing although there is something: a fifth of a second,
/// since the service walks through empty stretches call by call.
const EMPTY_INTERVAL: Duration = Duration::from_millis(200);
/// Records are asked for by this many at least: with five calls a second to a shard that takes 1,000
/// records a second, small batches would never catch up.
const CALL_RECORDS_MIN: usize = 2_000;
/// The most that a call may ask for (API model, `GetRecordsInput.Limit`).
const CALL_RECORDS_MAX: usize = 10_000;

/// Streams of Amazon Kinesis, read by polling.
///
/// One reader per shard and object: each mapping has one of its own. A reader holds what two calls
/// brought, at most 10 MiB each, beside what it handed over.
#[derive(Clone)]
pub struct Polling {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    clock: Arc<dyn Clock>,
    places: Places<Feed>,
}

/// How records come to a place.
enum Feed {
    /// To be asked for.
    Iterator(String),
    /// Asked for already, while the reader was busy with those before them.
    UnderWay(JoinHandle<Answer>),
}

/// The iterator that was used, and what came.
type Answer = (String, Result<GetRecordsOutput, SdkError<GetRecordsError>>);

/// One call.
async fn call(client: Client, iterator: String, limit: usize) -> Answer {
    let call = client.get_records().shard_iterator(&iterator).limit(limit as i32);
    let answer = call.send().await;
    (iterator, answer)
}

impl Polling {
    /// A reader of the streams of `kinesis`. Nothing is contacted yet.
    pub fn new(kinesis: &AmazonKinesis, clock: Arc<dyn Clock>) -> Self {
        let client = kinesis.single_attempts();
        Self { shared: Arc::new(Shared { client, clock, places: Places::default() }) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// An iterator at a position. It also finds out whether there is such a position.
    pub(crate) async fn iterator(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<String, Trouble> {
        let answer = match self.ask_iterator(shard, position).await {
            Err(Trouble::Ahead) => self.ask_iterator(shard, StartingPosition::Latest).await,
            answer => answer,
        }?;
        let iterator = answer.shard_iterator.filter(|iterator| !iterator.is_empty());
        iterator.ok_or_else(|| Trouble::Failed(strange(shard, "no iterator")))
    }

    async fn ask_iterator(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<GetShardIteratorOutput, Trouble> {
        let (kind, number, moment) = parts(position);
        let call = self.shared.client.get_shard_iterator();
        let call = call
            .stream_name(shard.stream.as_str())
            .shard_id(shard.shard.to_string())
            .shard_iterator_type(kind)
            .set_starting_sequence_number(number.map(|number| number.to_string()))
            .set_timestamp(moment);
        call.send().await.map_err(|error| trouble(shard, number, &error))
    }

    /// Asks for records once, and once more if the iterator must be made again.
    async fn fetch(&self, place: &mut Place<Feed>, asked: usize) -> Result<(), ReadError> {
        let shard = place.cursor.shard.clone();
        let client = &self.shared.client;
        let mut made_again = false;
        loop {
            let (iterator, answer) = match place.feed.take() {
                Some(Feed::UnderWay(task)) => match task.await {
                    Ok(answer) => answer,
                    Err(error) => return Err(ReadError::Unavailable(error.to_string())),
                },
                Some(Feed::Iterator(iterator)) => call(client.clone(), iterator, asked).await,
                None => match self.iterator(&shard, place.behind).await {
                    Ok(iterator) => call(client.clone(), iterator, asked).await,
                    Err(Trouble::Throttled(told)) => {
                        self.throttled(place, &told);
                        return Ok(());
                    }
                    Err(trouble) => return Err(trouble.into_error()),
                },
            };
            match answer {
                Ok(answer) => return self.took(place, answer, asked).await,
                Err(error) => match trouble(&shard, None, &error) {
                    Trouble::Throttled(told) => {
                        place.feed = Some(Feed::Iterator(iterator));
                        self.throttled(place, &told);
                        return Ok(());
                    }
                    Trouble::Iterator(told) if !made_again => {
                        debug!(%shard, %told, "the iterator is made again");
                        made_again = true;
                    }
                    // Without the iterator: whatever it was, the next one is made where we are.
                    trouble => return Err(trouble.into_error()),
                },
            }
        }
    }

    /// Asks for what comes next while the reader is busy, if there is more and little left here.
    fn ask_ahead(&self, place: &mut Place<Feed>, asked: usize) {
        let is_due = self.shared.clock.monotonic() >= place.due;
        if !is_due || place.has_more_than(CALL_RECORDS_MIN / 2) {
            return;
        }
        place.feed = match place.feed.take() {
            Some(Feed::Iterator(iterator)) => {
                let call = call(self.shared.client.clone(), iterator, asked);
                Some(Feed::UnderWay(tokio::spawn(call)))
            }
            feed => feed,
        };
    }

    fn throttled(&self, place: &mut Place<Feed>, told: &str) {
        place.throttled(self.shared.clock.monotonic());
        let shard = &place.cursor.shard;
        let labels = [("stream", shard.stream.to_string()), ("shard", shard.shard.to_string())];
        metrics::counter!("baikonur_source_throttled_total", &labels).increment(1);
        debug!(%shard, %told, "reading is throttled");
    }

    async fn took(
        &self,
        place: &mut Place<Feed>,
        answer: GetRecordsOutput,
        asked: usize,
    ) -> Result<(), ReadError> {
        let shard = place.cursor.shard.clone();
        let full = answer.records.len() >= asked;
        let next = answer.next_shard_iterator.filter(|iterator| !iterator.is_empty());
        let records = records(&shard, answer.records, place.cursor.from)?;
        let millis_behind = answer.millis_behind_latest.unwrap_or(0).max(0) as u64;
        let end = match next {
            Some(_) => None,
            None => {
                let told = children(&shard, answer.child_shards.unwrap_or_default())?;
                self.end(&shard, told).await?
            }
        };
        let now = self.shared.clock.monotonic();
        place.due = match (records.is_empty(), millis_behind) {
            (false, _) if full => now,
            (false, 1..) => now,
            (true, 1..) => now + EMPTY_INTERVAL,
            (_, 0) => now + TIP_INTERVAL,
        };
        place.took(Fetched { records, up_to: None, millis_behind, end });
        place.feed = next.map(Feed::Iterator);
        Ok(())
    }

    /// The children of a shard that is said to be at its end; none if it is not, whatever was said:
    /// an end that is believed is never looked behind again.
    pub(crate) async fn end(
        &self,
        shard: &ShardAddress,
        told: Vec<ChildShard>,
    ) -> Result<Option<Vec<ChildShard>>, ReadError> {
        if !told.is_empty() {
            return Ok(Some(told));
        }
        let listed = self.shards(&shard.stream).await?;
        let own = listed.iter().find(|listed| listed.id == shard.shard);
        if own.is_some_and(|own| own.ending_sequence_number.is_none()) {
            debug!(%shard, "the service told of an end, but the shard is open");
            return Ok(None);
        }
        let is_child = |child: &&Shard| {
            [child.parent, child.adjacent_parent].into_iter().flatten().any(|id| id == shard.shard)
        };
        let child = |child: &Shard| ChildShard {
            id: child.id,
            parents: [child.parent, child.adjacent_parent].into_iter().flatten().collect(),
            hash_key_range: child.hash_key_range,
        };
        Ok(Some(listed.iter().filter(is_child).map(child).collect()))
    }
}

/// Registers help texts of this room's metrics with the recorder in place.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "baikonur_source_throttled_total",
        "Calls to read that the service refused for their rate"
    );
}

/// Type, number and moment of a position.
pub(crate) fn parts(
    position: StartingPosition,
) -> (ShardIteratorType, Option<SequenceNumber>, Option<DateTime>) {
    match position {
        StartingPosition::TrimHorizon => (ShardIteratorType::TrimHorizon, None, None),
        StartingPosition::Latest => (ShardIteratorType::Latest, None, None),
        StartingPosition::AtSequenceNumber(SequenceNumber::ZERO) => {
            (ShardIteratorType::TrimHorizon, None, None)
        }
        StartingPosition::AtSequenceNumber(number) => {
            (ShardIteratorType::AtSequenceNumber, Some(number), None)
        }
        StartingPosition::AfterSequenceNumber(number) => {
            (ShardIteratorType::AfterSequenceNumber, Some(number), None)
        }
        StartingPosition::AtTimestamp(moment) => {
            (ShardIteratorType::AtTimestamp, None, Some(date_time(moment)))
        }
    }
}

fn date_time(moment: Timestamp) -> DateTime {
    DateTime::from_millis(i64::try_from(moment.millis()).unwrap_or(i64::MAX))
}

#[async_trait]
impl Read for Polling {
    async fn shards(&self, stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        describe::shards(&self.shared.client, stream).await.map_err(|error| match error {
            AdministerError::StreamNotFound(stream) => ReadError::StreamNotFound(stream),
            error => ReadError::Unavailable(error.to_string()),
        })
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        // Before the call: what arrives meanwhile is after LATEST.
        let clock = &self.shared.clock;
        let cursor = cursor_at(shard, position, clock.now());
        let iterator = self.iterator(shard, position).await.map_err(Trouble::into_error)?;
        let behind = match (position, cursor.since) {
            // Should the iterator expire before a record came.
            (StartingPosition::Latest, Some(now)) => StartingPosition::AtTimestamp(now),
            _ => position,
        };
        let mut place = Place::new(cursor.clone(), behind);
        place.feed = Some(Feed::Iterator(iterator));
        self.shared.places.begin(place, clock.monotonic());
        Ok(cursor)
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let Shared { clock, places, .. } = &*self.shared;
        let mut place = places.at(cursor, clock.monotonic()).await;
        let asked = limits.records.clamp(CALL_RECORDS_MIN, CALL_RECORDS_MAX);
        if place.is_dry() && clock.monotonic() >= place.due {
            let fetched = self.fetch(&mut place, asked).await;
            if let Err(ReadError::StreamNotFound(_) | ReadError::ShardNotFound(_)) = &fetched {
                places.forget(&cursor.shard);
            }
            fetched?;
        }
        let page = place.page(limits);
        if page.next.is_none() {
            places.forget(&cursor.shard);
        } else if !page.records.is_empty() {
            self.ask_ahead(&mut place, asked);
        }
        Ok(page)
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        let Shared { clock, places, .. } = &*self.shared;
        let until = {
            let place = places.at(cursor, clock.monotonic()).await;
            if place.is_dry() { place.due } else { Duration::ZERO }
        };
        let pause = until.saturating_sub(clock.monotonic());
        tokio::time::sleep(pause.min(at_most)).await;
    }
}

#[cfg(test)]
mod tests;
