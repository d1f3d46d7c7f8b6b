//! `baikonur streams scale up` and `down`: from the shards that there are.

use std::process::ExitCode;

use baikonur_scaling::{Change, Target};
use baikonur_stream::StreamName;

use super::{By, Options, Rule, What};

/// A number of shards relative to the present one.
#[derive(Debug, clap::Args)]
pub(super) struct Step {
    /// The stream.
    stream: StreamName,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    options: Options,
}

impl Step {
    pub(super) async fn run(self, target: fn(Change) -> Target) -> anyhow::Result<ExitCode> {
        let target = target(self.by.change(&self.rule)?);
        self.options.scale(&self.stream, What::Stream(target)).await
    }
}
