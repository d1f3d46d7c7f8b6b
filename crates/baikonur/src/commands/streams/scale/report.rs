//! `baikonur streams scale report`.

use std::process::ExitCode;
use std::time::Duration;

use baikonur_scaling::Scaler;
use baikonur_stream::{StreamName, SystemClock};

use super::{Place, print_report};

/// A stream that changes is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// How the key space lies: a drawing of the shards' widths, their ids and shares.
#[derive(Debug, clap::Args)]
pub(super) struct ReportOnly {
    /// The stream.
    stream: StreamName,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl ReportOnly {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let administer = self.place.administer().await?;
        let scaler = Scaler {
            administer: &*administer,
            clock: &SystemClock::new(),
            patience: PATIENCE,
            wait: true,
            progress: &|_| {},
        };
        let report = scaler.report(&self.stream).await;
        print_report(&report.map_err(|error| self.place.explained(error))?, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
