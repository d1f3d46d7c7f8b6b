//! A connection that counts: how long calls took, what failed, and when it is time to give up.

use std::io;
use std::time::Duration;

use baikonur_stream::Clock;

use crate::bounds::Bounds;
use crate::http::Connection;
use crate::summary::Measured;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// It was answered with 200.
    Answered,
    /// It failed, and was counted; going on may help.
    Failed,
    /// There is nothing more to come: the run is over, or all calls of late failed.
    Over,
}

/// After so many failures in a row the server cannot do it.
const FAILURES_MAX: u32 = 10;
/// Pause after a failure, for servers that throttle.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// One connection of a run.
pub(crate) struct Caller {
    endpoint: String,
    connection: Connection,
    bounds: Bounds,
    failures_in_a_row: u32,
    pub(crate) measured: Measured,
}

impl Caller {
    pub(crate) fn new(endpoint: &str, connection: Connection, bounds: Bounds) -> Self {
        let endpoint = endpoint.to_owned();
        Self { endpoint, connection, bounds, failures_in_a_row: 0, measured: Measured::default() }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        self.connection.body()
    }

    /// Calls and counts; the time of the call counts from `due`, which may have passed.
    pub(crate) async fn call(&mut self, operation: &str, request: &[u8], due: Duration) -> Called {
        let called = self.attempt(operation, request).await;
        if called == Called::Answered {
            self.measured.took(self.bounds.clock.monotonic().saturating_sub(due));
            self.measured.calls += 1;
        }
        called
    }

    /// Calls, and counts only what fails: for calls that are not measured.
    pub(crate) async fn attempt(&mut self, operation: &str, request: &[u8]) -> Called {
        let Some(answer) = self.bounds.within(self.connection.call(request)).await else {
            self.measured.unfinished += 1;
            return Called::Over;
        };
        let failure = match answer {
            Ok(200) => {
                self.failures_in_a_row = 0;
                return Called::Answered;
            }
            Ok(_) => self.connection.failure(operation),
            Err(error) => match self.reopen().await {
                Ok(()) => format!("{operation}: {error}"),
                Err(refused) => {
                    self.measured.failed(format!("{operation}: {error}, then {refused}"));
                    return Called::Over;
                }
            },
        };
        self.measured.failed(failure);
        self.failures_in_a_row += 1;
        if self.failures_in_a_row == FAILURES_MAX {
            return Called::Over;
        }
        tokio::time::sleep(FAILURE_PAUSE).await;
        Called::Failed
    }

    async fn reopen(&mut self) -> io::Result<()> {
        self.connection = Connection::open(&self.endpoint).await?;
        Ok(())
    }
}
