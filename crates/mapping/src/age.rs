//! The age of a shard's oldest record that the checkpoint has not passed, as metrics and operators
//! see it. It goes on growing while a step takes its time, as with a destination that does not answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{Clock, ShardId, Timestamp};
use metrics::Gauge;

use crate::status::Board;

/// While a step takes its time the age is shown again this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the age of one shard is shown. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Age {
    pub(crate) gauge: Gauge,
    pub(crate) board: Board,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shard: ShardId,
}

impl Age {
    /// Shows the age of what arrived at `oldest`; zero when there is nothing.
    pub(crate) fn show(&self, oldest: Option<Timestamp>) {
        let now = self.clock.now();
        let age = oldest.map(|arrival| now.since(arrival)).unwrap_or_default();
        self.gauge.set(age.as_secs_f64());
        self.board.note(self.shard, |status| status.iterator_age = age);
    }

    /// Shows it again and again, until it is dropped.
    pub(crate) async fn grow(self, oldest: impl Fn() -> Option<Timestamp>) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.show(oldest());
        }
    }
}
