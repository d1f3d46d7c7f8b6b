//! What passes between the machine and its driver: actions out, events in.

use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Batch, Cursor, Delivery, FailedBatch, KeepError, ProgressError, ReadError, ReadLimits,
    ReadPage, ShardProgress, StartingPosition, Timestamp,
};

/// The moment of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For waiting.
    pub(crate) monotonic: Duration,
    /// For the age of records.
    pub(crate) wall: Timestamp,
    /// Bytes that the shard may hold beside those that it holds, as far as anybody can say now.
    pub(crate) room: usize,
    /// The mapping is to stop: nothing new is begun, what is held is closed.
    pub(crate) draining: bool,
}

/// What the driver is to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Load the progress.
    Load,
    /// Turn a position into a cursor.
    Seek(StartingPosition),
    /// Read from the cursor.
    Read(Cursor, ReadLimits),
    /// Wait until there may be records behind the cursor, this long at most.
    Wait(Cursor, Duration),
    /// Do nothing for this long.
    Sleep(Duration),
    /// Hand a batch to the module.
    Deliver(Arc<Batch>),
    /// Ask the module for the keys of what it holds.
    Keys,
    /// Have the module write what it holds.
    Close,
    /// Have the module forget what it holds.
    Discard,
    /// Put records into the failed store.
    Keep(Arc<FailedBatch>),
    /// Store the progress.
    Store(ShardProgress),
    /// Nothing more to do.
    Finish(Finish),
}

/// How the delivery of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The shard is closed and all of it delivered.
    ShardEnd,
    /// Stopped on request.
    Drained,
    /// The stream or the shard does not exist any more.
    Gone,
    /// Another worker has the shard.
    LeaseLost,
}

/// The answer to an action.
#[derive(Debug)]
pub(crate) enum Event {
    Loaded(Result<ShardProgress, ProgressError>),
    Sought(Result<Cursor, ReadError>),
    Read(Result<ReadPage, ReadError>),
    /// A wait or a sleep is over.
    Woken,
    Delivered(Delivery),
    Keys(Vec<String>),
    Closed(Delivery),
    Discarded,
    Kept(Result<(), KeepError>),
    Stored(Result<(), ProgressError>),
}
