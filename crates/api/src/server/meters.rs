//! Counters and times of requests, with handles that are looked up once.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::kinesis::Operation;
use crate::wire::error::ErrorCode;

/// Meters of all operations, and of requests that name none.
pub(crate) struct Meters(Vec<OperationMeters>);

struct OperationMeters {
    name: &'static str,
    seconds: Histogram,
    /// Success first, then by error code.
    outcomes: [OnceLock<Counter>; 1 + ErrorCode::COUNT],
}

impl Meters {
    /// Handles from the recorder that is in place now.
    pub(crate) fn new() -> Self {
        let names = Operation::ALL.iter().map(|operation| operation.name()).chain(["Unknown"]);
        let meters = names.map(|name| OperationMeters {
            name,
            seconds: histogram!("baikonur_api_request_seconds", "operation" => name),
            outcomes: [const { OnceLock::new() }; 1 + ErrorCode::COUNT],
        });
        Self(meters.collect())
    }

    /// Counts a request.
    pub(crate) fn count(
        &self,
        operation: Option<Operation>,
        error: Option<ErrorCode>,
        took: Duration,
    ) {
        let index = operation.map_or(Operation::ALL.len(), |operation| operation as usize);
        let meters = &self.0[index];
        meters.seconds.record(took.as_secs_f64());
        let outcome = error.map_or(0, |code| 1 + code as usize);
        let counter = meters.outcomes[outcome].get_or_init(|| {
            let outcome = error.map_or("ok", ErrorCode::name);
            counter!("baikonur_api_requests_total", "operation" => meters.name, "outcome" => outcome)
        });
        counter.increment(1);
    }
}
