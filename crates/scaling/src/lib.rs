//! How many shards a stream shall have, and the steps that lead there: by hand, by the
//! thresholds of a monitor, or by the load of an on-demand stream.
//!
//! Planning is pure; what is done goes through [`baikonur_stream::Administer`], so that embedded
//! streams and Amazon Kinesis are scaled by the same code. The model is
//! amazon-kinesis-scaling-utils; `docs/scaling.md` says where this room departs from it, and why.

pub mod autoscale;
mod key_space;
mod legacy;
pub mod on_demand;
mod plan;
mod report;
mod scale;
#[cfg(test)]
mod simulated;
mod target;

pub use key_space::{KeySpace, KeySpaceHole, OpenShard, PartsPerTrillion};
pub use plan::{PartError, part_ranges, steps};
pub use report::{Direction, EndStatus, Operations, Report};
pub use scale::{Progress, Scaler};
pub use target::{Bounds, Change, Goal, InvalidBounds, InvalidChange, Target};
