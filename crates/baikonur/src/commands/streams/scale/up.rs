//! `baikonur streams scale up`.

use std::process::ExitCode;

use baikonur_scaling::Target;
use baikonur_stream::StreamName;

use super::{By, Options, Rule, What};

/// More shards.
#[derive(Debug, clap::Args)]
pub(super) struct Up {
    /// The stream.
    stream: StreamName,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    options: Options,
}

impl Up {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let target = Target::Up(self.by.change(&self.rule)?);
        self.options.scale(&self.stream, What::Stream(target)).await
    }
}
