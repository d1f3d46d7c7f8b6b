//! Mixed load: PutRecords at a fixed rate, readers of the newest records on all shards, and one
//! reader of history, all at once.
//!
//! Arrivals are open-loop: a call is due at its time, whether the calls before it were answered or
//! not, and its latency counts from when it was due. So a server that stalls pays for everybody who
//! would have come meanwhile. Only a timer of our own that fires late is not charged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bounds::Bounds;
use crate::caller::{Called, Caller};
use crate::get::{Reading, read, shards};
use crate::http::Connection;
use crate::put::count_put;
use crate::requests::put_requests;
use crate::summary::Measured;
use crate::{Arguments, Failure};

/// Shards that have a reader of their newest records, at most.
const TAILS_MAX: usize = 16;

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let shards = shards(arguments).await?;
    let requests = Arc::new(put_requests(arguments)?);
    let arrivals = Arc::new(AtomicU64::new(0));
    let mut opened = Vec::new();
    let tails = shards.len().min(TAILS_MAX);
    for _ in 0..arguments.connections + tails + 1 {
        opened.push(Connection::open(&arguments.endpoint).await?);
    }
    let bounds = Bounds::new(arguments, SystemClock::new());
    let mut callers = opened
        .into_iter()
        .map(|connection| Caller::new(&arguments.endpoint, connection, bounds.clone()));
    let (mut writing, mut following, mut going_back) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let period = Duration::from_secs_f64(1.0 / arguments.reads_per_second);
    for (caller, shard) in callers.by_ref().take(tails).zip(&shards) {
        let reading = Reading { from: "LATEST", follows: true, period };
        let own = vec![shard.clone()];
        following.spawn(read(caller, arguments.clone(), own, reading, bounds.clone()));
    }
    for caller in callers.by_ref().take(1) {
        let period = period.div_f64(shards.len() as f64);
        let reading = Reading { from: "TRIM_HORIZON", follows: false, period };
        let all = shards.clone();
        going_back.spawn(read(caller, arguments.clone(), all, reading, bounds.clone()));
    }
    for caller in callers {
        let (requests, arrivals) = (Arc::clone(&requests), Arc::clone(&arrivals));
        writing.spawn(write(caller, arguments.clone(), requests, arrivals, bounds.clone()));
    }
    let (writers, tails, history) =
        (all(writing).await?, all(following).await?, all(going_back).await?);
    let mut summary = writers.summary(bounds.elapsed());
    summary["offered_calls"] = json!((arguments.seconds * arguments.calls_per_second) as u64);
    summary["tail"] = tails.summary(bounds.elapsed());
    summary["history"] = history.summary(bounds.elapsed());
    Ok(summary)
}

async fn all(mut tasks: JoinSet<Measured>) -> Result<Measured, Failure> {
    let mut all = Measured::default();
    while let Some(measured) = tasks.join_next().await {
        all.add(measured?);
    }
    Ok(all)
}

/// One of the connections that take the next call that is due.
async fn write(
    mut caller: Caller,
    arguments: Arguments,
    requests: Arc<Vec<Vec<u8>>>,
    arrivals: Arc<AtomicU64>,
    bounds: Bounds,
) -> Measured {
    loop {
        let number = arrivals.fetch_add(1, Ordering::Relaxed);
        let mut due =
            bounds.started + Duration::from_secs_f64(number as f64 / arguments.calls_per_second);
        // Calls that were due but could not be sent before the end are those that are missing.
        if due >= bounds.end || bounds.over() || !bounds.take(arguments.records) {
            return caller.measured;
        }
        let early = due.saturating_sub(bounds.clock.monotonic());
        if !early.is_zero() {
            tokio::time::sleep(early).await;
            due = bounds.clock.monotonic();
        }
        let request = &requests[number as usize % requests.len()];
        match caller.call("PutRecords", request, due).await {
            Called::Answered => count_put(&mut caller, arguments.records, request.len()),
            Called::Failed => {}
            Called::Over => return caller.measured,
        }
    }
}
