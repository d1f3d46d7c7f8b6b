//! PutRecords as fast as it goes.

use std::sync::Arc;

use baikonur_stream::{Clock, SystemClock};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::bounds::Bounds;
use crate::caller::{Called, Caller};
use crate::http::Connection;
use crate::requests::put_requests;
use crate::summary::Measured;
use crate::{Arguments, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let requests = Arc::new(put_requests(arguments)?);
    let mut opened = Vec::new();
    for _ in 0..arguments.connections {
        opened.push(Connection::open(&arguments.endpoint).await?);
    }
    let bounds = Bounds::new(arguments, SystemClock::new());
    let mut connections = JoinSet::new();
    for (index, connection) in opened.into_iter().enumerate() {
        let (requests, bounds) = (Arc::clone(&requests), bounds.clone());
        let mut caller = Caller::new(&arguments.endpoint, connection, bounds.clone());
        // Connections start at different requests, so that they do not send the same at once.
        let mut next = index * requests.len() / arguments.connections;
        let records = arguments.records;
        connections.spawn(async move {
            while !bounds.over() && bounds.take(records) {
                let request = &requests[next % requests.len()];
                next += 1;
                match caller.call("PutRecords", request, bounds.clock.monotonic()).await {
                    Called::Answered => count_put(&mut caller, records, request.len()),
                    Called::Failed => {}
                    Called::Over => break,
                }
            }
            caller.measured
        });
    }
    let mut all = Measured::default();
    while let Some(measured) = connections.join_next().await {
        all.add(measured?);
    }
    Ok(all.summary(bounds.elapsed()))
}

/// Counts what an answered PutRecords call stored.
pub(crate) fn count_put(caller: &mut Caller, records: usize, request_bytes: usize) {
    let refused = refused_records(caller.body());
    if refused > 0 {
        let start = String::from_utf8_lossy(&caller.body()[..caller.body().len().min(500)]);
        let failure = format!("PutRecords refused {refused} of {records} records: {start}");
        caller.measured.failed(failure);
    }
    caller.measured.records += (records as u64).saturating_sub(refused);
    caller.measured.bytes += request_bytes as u64;
}

/// `FailedRecordCount` of an answer; all records when it does not say so.
fn refused_records(body: &[u8]) -> u64 {
    const NAME: &[u8] = b"\"FailedRecordCount\":";
    let Some(at) = memchr::memmem::find(body, NAME) else { return u64::MAX };
    let digits = body[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::refused_records;

    #[test]
    fn refused_records_are_read_from_the_answer() {
        assert_eq!(refused_records(b"{\"FailedRecordCount\":0,\"Records\":[]}"), 0);
        assert_eq!(refused_records(b"{\"Records\":[],\"FailedRecordCount\":42}"), 42);
        assert_eq!(refused_records(b"{}"), u64::MAX);
    }
}
