//! `baikonur streams`: looking after streams.

mod verify;

use std::process::ExitCode;

use clap::Subcommand;

/// Look after streams.
#[derive(Debug, clap::Args)]
pub(super) struct Streams {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Verify),
}

impl Streams {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Verify(verify) => verify.run(),
        }
    }
}
