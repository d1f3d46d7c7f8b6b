//! `baikonur streams scale down`.

use std::process::ExitCode;

use baikonur_scaling::Target;
use baikonur_stream::StreamName;

use super::{By, Options, Rule, What};

/// Fewer shards, at least one.
#[derive(Debug, clap::Args)]
pub(super) struct Down {
    /// The stream.
    stream: StreamName,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    options: Options,
}

impl Down {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let target = Target::Down(self.by.change(&self.rule)?);
        self.options.scale(&self.stream, What::Stream(target)).await
    }
}
