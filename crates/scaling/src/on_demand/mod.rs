//! On-demand streams: shards follow the load.
//!
//! The plan is pure, and keeps away from a flutter by its margins: a shard is split above half of
//! its capacity, two are merged below a quarter of one's, and only after a quarter of an hour.

mod follow;
mod history;
mod plan;

pub use follow::{FollowLoad, POLL_INTERVAL};
pub use plan::{
    QUIET_MINUTES, STEPS_MAX, ShardLoad, WRITE_BYTES_PER_SECOND, WRITE_RECORDS_PER_SECOND,
    WriteRate, plan,
};
