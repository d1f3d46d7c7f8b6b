//! How a command talks to a running pipeline: questions and answers as lines of JSON over a socket in the data directory.
//!
//! A socket of the file system, not a port: who may speak to it is who may open the data directory, on every source of
//! streams alike, and no page in a browser reaches it.

mod client;
mod server;
mod socket;

use std::collections::BTreeMap;

use baikonur_stream::{Checkpoint, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use client::ask;
pub(crate) use server::{Answer, serve};
pub(crate) use socket::Listening;

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "control.sock";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// All mappings.
    Mappings,
    /// Stop a mapping and leave it stopped, over restarts too.
    Pause { module: String },
    /// Let it go on where it stopped.
    Resume { module: String },
    /// Let it go on from another position.
    Reset { module: String, shard: Option<String>, to: Position },
    /// Read the configuration again.
    Reload,
}

/// Where a mapping is to go on (`StartingPosition`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Position {
    /// With the oldest record retained.
    TrimHorizon,
    /// With records that arrive from now on.
    Latest,
    /// With the first record that arrived at this moment or later.
    AtTimestamp(Timestamp),
    /// With this record, or the first one after it. One shard only.
    AtSequenceNumber(String),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// All mappings, by the module's name.
    Mappings(BTreeMap<String, MappingReport>),
    /// It was done; what there is to tell.
    Done(String),
    /// It was not done, and why.
    Refused(String),
}

/// The states of a mapping, spelled as AWS Lambda spells them (API reference, `EventSourceMappingConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MappingState {
    /// It runs.
    Enabled,
    /// It is being stopped.
    Disabling,
    /// It does not run.
    Disabled,
    /// It is being changed, and runs again afterwards.
    Updating,
}

/// A mapping as an operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MappingReport {
    /// What it does.
    pub(crate) state: MappingState,
    /// Why it is in this state (`StateTransitionReason`).
    pub(crate) state_transition_reason: String,
    /// The module's type.
    pub(crate) kind: String,
    /// The stream that is read.
    pub(crate) source: String,
    /// Where records go.
    pub(crate) destination: String,
    /// By the shard's name.
    pub(crate) shards: BTreeMap<String, ShardReport>,
}

/// A shard of a mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShardReport {
    /// `starting`, `at_tip`, `delivering`, `retrying`, `ended` or `stopped`.
    pub(crate) state: String,
    /// As it is stored.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// How far reading is behind the newest record.
    pub(crate) millis_behind_latest: Option<u64>,
    /// Age of the oldest record read that the checkpoint has not passed.
    pub(crate) iterator_age_millis: u64,
    /// Failures that led to a retry.
    pub(crate) retries: u64,
    /// When the newest of them was.
    pub(crate) last_error_at: Option<Timestamp>,
    /// And what.
    pub(crate) last_error: Option<String>,
}
