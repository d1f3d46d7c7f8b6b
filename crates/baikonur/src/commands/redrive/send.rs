//! Calls, of PutRecords or of a module, each announced before it is made and marked after it is acknowledged.
//!
//! The order is what makes a kill harmless: (1) the claim says which records are in flight, (2) they are put, (3) the
//! marks of their objects say that they were replayed. Who comes after a kill between (1) and the end of (3) finds at
//! most one call in the claim, and notes its records as in doubt; everything else is known. The API of Kinesis has
//! nothing by which a service could tell a repeated call from a new one, and neither has the protocol of Fluentd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use baikonur_modules::failed_store::{Claim, InFlight, Mark};
use baikonur_modules::objects::{ObjectError, ObjectSource};
use baikonur_stream::{Clock, StreamName, Timestamp};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::replay::CallLimits;
use crate::client::{CallError, Client};
use crate::put_records::{Entry, explained};

/// How long records are tried.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE_MAXIMUM: Duration = Duration::from_secs(3);
/// Marks that are written at the same time.
const MARKS_AT_ONCE: usize = 16;
/// Attempts to write a mark.
const MARK_ATTEMPTS: u32 = 4;
/// Records that are told one by one when the stream refuses them.
const REFUSED_TOLD_MAX: u64 = 20;

/// What became of a record of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// It was taken but for some of what is in it, which is refused for what it is.
    Partly(String),
    /// It may be taken if it is tried again; whether it was taken is not known if `may_be_done`.
    NotNow {
        why: String,
        may_be_done: bool,
    },
    /// It is refused for what it is.
    Never(String),
}

/// What records are replayed into.
#[async_trait]
pub(super) trait Target: Send + Sync {
    /// One call, not repeated, with records of one stream: for each what became of it.
    async fn put(
        &self,
        stream: &StreamName,
        records: &[&Pending],
    ) -> Result<Vec<Answer>, CallError>;
}

#[async_trait]
impl Target for Client {
    async fn put(
        &self,
        stream: &StreamName,
        records: &[&Pending],
    ) -> Result<Vec<Answer>, CallError> {
        let answers = self.put_records(stream, records.iter().map(|record| &record.entry)).await?;
        let answer = |why: Option<String>| match why {
            None => Answer::Taken,
            Some(why) => Answer::NotNow { why, may_be_done: false },
        };
        Ok(answers.into_iter().map(answer).collect())
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sent {
    /// Records that were acknowledged.
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records that were sent more than once.
    pub(super) repeated: u64,
    /// Acknowledged records that an earlier call, whose answer was lost, may have put as well.
    pub(super) may_be_twice: u64,
    /// Records that are not taken for what they, or some events in them, are.
    pub(super) refused: u64,
}

/// A record on its way.
pub(super) struct Pending {
    pub(super) place: u64,
    pub(super) stream: StreamName,
    pub(super) entry: Entry,
    pub(super) origin: Origin,
    /// It may be in the stream.
    pub(super) is_doubtful: bool,
}

/// Where a record was when it failed; only modules ask.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Its object in the failed store.
    pub(super) object: Arc<str>,
    pub(super) shard: String,
    pub(super) sequence_number: String,
    /// Whether it is a whole record, or the first event in one.
    pub(super) is_first: bool,
    pub(super) arrival: Timestamp,
}

/// Records of a call, by their places in it, that are put together.
struct Part {
    places: Vec<usize>,
    /// An earlier attempt may have been carried out.
    lost: bool,
}

/// Puts records, and keeps claim and marks.
pub(super) struct Sender<'t> {
    source: Arc<dyn ObjectSource>,
    clock: Arc<dyn Clock>,
    target: &'t dyn Target,
    claim: Claim,
    limits: CallLimits,
    progress: ProgressBar,
    /// The next call: records of one stream, each with the key of its object.
    call: Vec<(Arc<str>, Pending)>,
    call_bytes: usize,
    /// The object that records come from.
    current: Arc<str>,
    /// Marks of the objects with records in the next call, and of the current one.
    marks: BTreeMap<Arc<str>, Mark>,
    /// What the claim says, until the marks do.
    under_way: Vec<InFlight>,
    /// Whether the stream's server has answered.
    answered: bool,
    sent: Sent,
}

/// What became of the records of a call, by their places in it.
#[derive(Default)]
struct Outcome {
    acknowledged: Vec<usize>,
    /// Of these an earlier attempt may have been carried out as well.
    twice: BTreeSet<usize>,
    refused: Vec<(usize, String)>,
    /// Nobody knows.
    unknown: Vec<usize>,
    repeated: u64,
    failure: Option<anyhow::Error>,
}

impl Outcome {
    /// Takes the answers to the records in `left`, and leaves those there that are to be tried again; gives the first
    /// reason to do so.
    fn note(
        &mut self,
        left: &mut Vec<usize>,
        answers: Vec<Answer>,
        lost: &mut bool,
    ) -> Option<String> {
        let (mut failure, mut again, was_lost) = (None, Vec::new(), *lost);
        for (place, answer) in std::mem::take(left).into_iter().zip(answers) {
            match answer {
                Answer::Taken | Answer::Partly(_) => {
                    self.acknowledged.push(place);
                    if was_lost {
                        self.twice.insert(place);
                    }
                    if let Answer::Partly(why) = answer {
                        self.refused.push((place, why));
                    }
                }
                Answer::Never(why) => self.refused.push((place, why)),
                Answer::NotNow { why, may_be_done } => {
                    *lost |= may_be_done;
                    failure.get_or_insert(why);
                    again.push(place);
                }
            }
        }
        *left = again;
        failure
    }
}

impl<'t> Sender<'t> {
    pub(super) fn new(
        source: Arc<dyn ObjectSource>,
        clock: Arc<dyn Clock>,
        target: &'t dyn Target,
        claim: Claim,
        limits: CallLimits,
        progress: ProgressBar,
    ) -> Self {
        Self {
            source,
            clock,
            target,
            claim,
            limits,
            progress,
            call: Vec::new(),
            call_bytes: 0,
            current: "".into(),
            marks: BTreeMap::new(),
            under_way: Vec::new(),
            answered: false,
            sent: Sent::default(),
        }
    }

    /// Keeps the claim.
    pub(super) async fn stay(&mut self) -> anyhow::Result<()> {
        Ok(self.claim.stay().await?)
    }

    /// The records that come next are from this object.
    pub(super) fn open(&mut self, key: &str, mark: Mark) {
        let waiting: BTreeSet<_> = self.call.iter().map(|(key, _)| Arc::clone(key)).collect();
        self.marks.retain(|key, _| waiting.contains(key));
        self.current = key.into();
        self.marks.insert(Arc::clone(&self.current), mark);
    }

    /// Takes a record of the current object, and makes the call when it is full.
    pub(super) async fn push(&mut self, pending: Pending) -> anyhow::Result<()> {
        let size = pending.entry.size();
        let is_full = self.call.len() >= self.limits.records
            || self.call_bytes + size > self.limits.bytes
            || self.call.first().is_some_and(|(_, first)| first.stream != pending.stream);
        if is_full {
            self.flush().await?;
        }
        self.call_bytes += size;
        self.call.push((Arc::clone(&self.current), pending));
        Ok(())
    }

    /// Makes the call that is waiting.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        let call = std::mem::take(&mut self.call);
        self.call_bytes = 0;
        let Some((_, first)) = call.first() else { return Ok(()) };
        let stream = first.stream.clone();
        let in_flight = in_flight(&call);
        self.claim.renew(in_flight.clone()).await?;
        self.under_way = in_flight;
        let outcome = self.put(&stream, &call).await;
        self.count(&call, &outcome);
        let mut changed = BTreeSet::new();
        for (places, is_done) in [(&outcome.acknowledged, true), (&outcome.unknown, false)] {
            for place in places {
                let (key, pending) = &call[*place];
                let Some(mark) = self.marks.get_mut(key) else { continue };
                if is_done {
                    mark.replayed.insert(pending.place);
                    mark.in_doubt.remove(pending.place);
                } else {
                    mark.in_doubt.insert(pending.place);
                }
                changed.insert(Arc::clone(key));
            }
        }
        self.store_marks(changed).await.context(
            "records were replayed and could not be marked; the next redrive takes them for doubtful (--in-doubt)",
        )?;
        self.under_way.clear();
        outcome.failure.map_or(Ok(()), Err)
    }

    fn count(&mut self, call: &[(Arc<str>, Pending)], outcome: &Outcome) {
        self.sent.repeated += outcome.repeated;
        for place in &outcome.acknowledged {
            let (_, pending) = &call[*place];
            self.sent.records += 1;
            self.sent.bytes += pending.entry.data.len() as u64;
            let may_be_twice = pending.is_doubtful || outcome.twice.contains(place);
            self.sent.may_be_twice += u64::from(may_be_twice);
        }
        self.progress.inc(outcome.acknowledged.len() as u64);
        for (place, why) in &outcome.refused {
            let (key, pending) = &call[*place];
            self.sent.refused += 1;
            if self.sent.refused <= REFUSED_TOLD_MAX {
                let line = pending.place + 1;
                let what = if outcome.acknowledged.contains(place) { "in part" } else { "not" };
                self.progress.suspend(|| eprintln!("{what} replayed: {key}: record {line}: {why}"));
            }
        }
    }

    async fn put(&mut self, stream: &StreamName, call: &[(Arc<str>, Pending)]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut parts = vec![Part { places: (0..call.len()).collect(), lost: false }];
        while let Some(part) = parts.pop() {
            if outcome.failure.is_none() {
                self.put_part(stream, call, part, &mut parts, &mut outcome).await;
            } else if part.lost {
                outcome.unknown.extend(part.places);
            }
        }
        outcome
    }

    /// Puts `part` of `call`; what is wrong with one of the records divides it into `parts`.
    async fn put_part(
        &mut self,
        stream: &StreamName,
        call: &[(Arc<str>, Pending)],
        part: Part,
        parts: &mut Vec<Part>,
        outcome: &mut Outcome,
    ) {
        let Part { places: mut left, mut lost } = part;
        let mut pause = self.limits.pause;
        let deadline = self.clock.monotonic() + PATIENCE;
        let failure = loop {
            let records: Vec<_> = left.iter().map(|place| &call[*place].1).collect();
            let failure = match self.target.put(stream, &records).await {
                Ok(answers) => {
                    self.answered = true;
                    let Some(failure) = outcome.note(&mut left, answers, &mut lost) else { return };
                    anyhow::anyhow!(failure)
                }
                Err(error) if error.is_about_the_records() => {
                    match &*left {
                        [place] => outcome.refused.push((*place, error.to_string())),
                        _ => {
                            let half = left.split_off(left.len() / 2);
                            parts.extend([half, left].map(|places| Part { places, lost }));
                        }
                    }
                    return;
                }
                // A server that is not there at the beginning will not come; one that was there restarts.
                Err(error @ CallError::NotThere { .. }) if !self.answered => break error.into(),
                Err(error) => {
                    lost |= error.may_be_done();
                    if !error.may_pass() {
                        break explained(error, stream);
                    }
                    error.into()
                }
            };
            if self.clock.monotonic() > deadline {
                let (records, seconds) = (left.len(), PATIENCE.as_secs());
                break failure.context(format!(
                    "{records} records could not be put into {stream} within {seconds} s"
                ));
            }
            if let Err(error) = self.claim.stay().await {
                break error.into();
            }
            outcome.repeated += left.len() as u64;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAXIMUM);
        };
        outcome.failure = Some(failure);
        if lost {
            outcome.unknown.extend(left);
        }
    }

    async fn store_marks(&self, changed: BTreeSet<Arc<str>>) -> Result<(), ObjectError> {
        let marks: Vec<_> = changed.iter().filter_map(|key| self.marks.get(key)).collect();
        for some in marks.chunks(MARKS_AT_ONCE) {
            let mut writing = JoinSet::new();
            for mark in some {
                let (source, mark) = (Arc::clone(&self.source), Mark::clone(mark));
                let clock = Arc::clone(&self.clock);
                writing.spawn(store(source, mark, clock, self.limits.pause));
            }
            while let Some(written) = writing.join_next().await {
                written.map_err(|error| ObjectError::Unavailable(error.to_string()))??;
            }
        }
        Ok(())
    }

    /// Gives the store back; says what was sent, and why it ended before the end, if it did.
    pub(super) async fn end(self, result: anyhow::Result<()>) -> (Sent, Option<anyhow::Error>) {
        let released = self.claim.release(self.under_way).await;
        (self.sent, result.and(released.map_err(anyhow::Error::from)).err())
    }
}

async fn store(
    source: Arc<dyn ObjectSource>,
    mut mark: Mark,
    clock: Arc<dyn Clock>,
    mut pause: Duration,
) -> Result<(), ObjectError> {
    for _ in 1..MARK_ATTEMPTS {
        if mark.store(&*source, clock.now()).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
    mark.store(&*source, clock.now()).await
}

fn in_flight(call: &[(Arc<str>, Pending)]) -> Vec<InFlight> {
    let mut objects: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (key, pending) in call {
        objects.entry(key).or_default().push(pending.place);
    }
    let in_flight = objects.into_iter().map(|(object, places)| InFlight {
        object: object.to_owned(),
        places: places.into_iter().collect(),
    });
    in_flight.collect()
}

/// Notes in the marks what a redrive that died had in flight.
pub(super) async fn note_doubts(
    source: &dyn ObjectSource,
    clock: &dyn Clock,
    in_flight: &[InFlight],
) -> Result<(), ObjectError> {
    for InFlight { object, places } in in_flight {
        let mut mark = Mark::load(source, object).await?;
        for place in
            places.iter().filter(|place| !mark.replayed.contains(*place)).collect::<Vec<_>>()
        {
            mark.in_doubt.insert(place);
        }
        mark.store(source, clock.now()).await?;
    }
    Ok(())
}
