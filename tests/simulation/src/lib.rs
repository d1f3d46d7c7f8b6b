//! A world that a seed decides: a stream and its producers, bad luck of every kind, a destination, a
//! failed store and a store of progress; and what must be true of them, asserted at the very step
//! that would break it.
//!
//! Two simulations live in it: one mapping, alone, in `crates/mapping/tests/it/simulation`, and
//! several workers that share the stream by leases in `crates/leases/src/tests/joint.rs`.
//!
//! - [`Plan`]: what a seed decides; [`tell`]: which seeds are told, and how one is told again.
//! - [`World`]: what survives a crash. [`State`] has the records and what became of them.
//! - [`Process`]: one life of a process, behind all contracts that a mapping uses.
//! - [`Tally`]: how often what happened, so that nothing falls away unseen.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(missing_docs, reason = "whoever reads this reads the source")]

mod life;
mod ownership;
mod plan;
mod process;
mod random;
mod seeds;
mod sinks;
mod source;
mod stream;
mod tally;
mod truth;
mod world;

pub use life::{End, begin, live, wait_for_start};
pub use plan::{Plan, Workers};
pub use process::{Fate, Process};
pub use random::Random;
pub use seeds::tell;
pub use source::write;
pub use stream::{Put, SimShard};
pub use tally::Tally;
pub use world::{EPOCH, State, World};
