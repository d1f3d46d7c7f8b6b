//! `baikonur streams ls`.

use std::io::Write;
use std::process::ExitCode;

use baikonur_stream::{StreamMode, StreamOwner};
use serde_json::json;

use super::{Place, status_name};

/// List streams.
#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    /// Show status, mode, open shards and retention of each; a call or two for every stream.
    #[arg(short, long)]
    long: bool,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Ls {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let administer = self.place.administer().await?;
        let names = administer.list_streams(&StreamOwner::OWN).await;
        let names = names.map_err(|error| self.place.explained(error))?;
        let mut out = std::io::stdout().lock();
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        for name in &names {
            match (self.long, self.json) {
                (false, false) => writeln!(out, "{name}")?,
                (false, true) => writeln!(out, "{}", json!({ "streamName": name }))?,
                (true, _) => {
                    let stream = administer.describe_stream(name).await;
                    let stream = stream.map_err(|error| self.place.explained(error))?;
                    let (status, open) = (status_name(stream.status), stream.open_shards().count());
                    let mode = mode_name(stream.properties.mode);
                    let hours = stream.properties.retention.hours();
                    if self.json {
                        let row = json!({
                            "streamName": name, "status": status, "mode": mode,
                            "openShards": open, "retentionHours": hours,
                        });
                        writeln!(out, "{row}")?;
                    } else {
                        let plural = if open == 1 { " " } else { "s" };
                        writeln!(
                            out,
                            "{:width$}  {status:8}  {mode:11}  {open:>5} shard{plural}  {hours:>4} h",
                            name.as_str()
                        )?;
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The API's word.
pub(super) fn mode_name(mode: StreamMode) -> &'static str {
    match mode {
        StreamMode::Provisioned => "PROVISIONED",
        StreamMode::OnDemand => "ON_DEMAND",
    }
}
