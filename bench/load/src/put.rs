//! PutRecords as fast as it goes.

use baikonur_stream::{Clock, SystemClock};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::requests::put_requests;
use crate::summary::Measured;
use crate::{Arguments, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let clock = SystemClock::new();
    let mut connections = JoinSet::new();
    let mut prepared = Vec::new();
    for index in 0..arguments.connections {
        let connection = Connection::open(&arguments.endpoint).await?;
        prepared.push((connection, put_requests(arguments, index)?));
    }
    let started = clock.monotonic();
    let end = started + arguments.duration();
    for (mut connection, requests) in prepared {
        let records = arguments.records as u64;
        connections.spawn(async move {
            let mut measured = Measured::default();
            for request in requests.iter().cycle() {
                let before = clock.monotonic();
                if before >= end {
                    break;
                }
                let answer = connection.call(request).await?;
                let whole = memchr::memmem::find(answer.body, b"\"FailedRecordCount\":0").is_some();
                if answer.status != 200 || !whole {
                    return Err(answer.failure("PutRecords").into());
                }
                measured.took(clock.monotonic() - before);
                measured.calls += 1;
                measured.records += records;
                measured.bytes += request.len() as u64;
            }
            Ok::<_, Failure>(measured)
        });
    }
    let mut all = Measured::default();
    while let Some(measured) = connections.join_next().await {
        all.add(measured??);
    }
    Ok(all.summary(clock.monotonic() - started))
}
