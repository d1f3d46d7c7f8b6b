//! `baikonur up`: streams, API and modules, until a signal.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use baikonur_api::ServerSettings;
use tokio::signal::unix::{SignalKind, signal};

use super::check::describe;
use crate::config::{Config, DEFAULT, Overrides};
use crate::observe::{self, LogFormat};
use crate::pipeline::{Origin, Pipeline};

/// Run the embedded streams, the Kinesis API and every module of a configuration; or the modules alone, on streams of
/// Amazon Kinesis.
///
/// Without a file it runs the routing pattern: a stream that takes everything, a forwarding module for each of three
/// target streams, and an archive folder. Data lies under ./baikonur-data.
///
/// Ctrl-C or SIGTERM drains: what is buffered is written and every position is stored. A second signal, or kill -9,
/// ends at once; nothing acknowledged is lost by it.
#[derive(Debug, clap::Args)]
pub(super) struct Up {
    /// The configuration, a TOML file. `baikonur check FILE` explains its mistakes.
    #[arg(value_name = "CONFIG")]
    file: Option<PathBuf>,
    /// Address of the Kinesis API, /metrics and /health; loopback only, unless the configuration has
    /// credentials [default: 127.0.0.1:4567].
    #[arg(long, env = "BAIKONUR_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Data directory [default: ./baikonur-data].
    #[arg(long, env = "BAIKONUR_DATA", value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// What is logged: a level, or target=level with commas between.
    #[arg(long, env = "BAIKONUR_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How log lines look. They go to the standard error.
    #[arg(long, env = "BAIKONUR_LOG_FORMAT", value_enum, default_value = "auto")]
    log_format: LogFormat,
}

impl Up {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        observe::start_logging(self.log_format, &self.log)?;
        let metrics = observe::start_metrics()?;
        let overrides =
            Overrides { data: self.data, listen: self.listen, ..Overrides::of_environment() };
        let config = match &self.file {
            Some(file) => Config::load(file, &overrides)
                .map_err(|error| error.context("the configuration cannot be run"))?,
            None => Config::read("(built-in)", DEFAULT, &overrides)?,
        };
        // Taken before anything starts, so that no signal is missed.
        let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be noticed")?;
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be noticed")?;
        let pipeline = Pipeline::open(config, metrics).await?;
        if self.file.is_none() || std::io::stdout().is_terminal() {
            // Nobody reading it is no reason not to run.
            let _ = std::io::stdout().write_all(welcome(&pipeline, self.file.is_none()).as_bytes());
        }
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tokio::spawn(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                eprintln!(
                    "stopped at once; what was not written yet is delivered after the next start"
                );
                std::process::exit(ENDED_AT_ONCE);
            });
        };
        let origin = Origin { file: self.file, overrides };
        let drained = pipeline.run(origin, stop).await?;
        Ok(if drained { ExitCode::SUCCESS } else { ExitCode::from(NOT_DRAINED) })
    }
}

/// Exit status after a second signal.
const ENDED_AT_ONCE: i32 = 130;
/// Exit status when the time for draining ran out.
const NOT_DRAINED: u8 = 3;

/// Where everything is, and what to type next.
fn welcome(pipeline: &Pipeline, built_in: bool) -> String {
    let config = pipeline.config();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{}", pipeline.address());
    let authority = pipeline.authority().map(|path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.display().to_string()
    });
    let data = std::path::absolute(&config.server.data);
    let data = data.unwrap_or_else(|_| config.server.data.clone());
    let data = data.display();
    let mut text = format!("\n{}\n", describe(config));
    match &config.kinesis {
        None => text.push_str(&format!("Kinesis API     {endpoint}\n")),
        Some(kinesis) => text.push_str(&format!("streams         {}\n", kinesis.place())),
    }
    text.push_str(&format!("health, metrics {endpoint}/health {endpoint}/metrics\n"));
    text.push_str(&format!("data            {data}\n"));
    if let Some(authority) = &authority {
        text.push_str(&format!("CA of clients   {authority}\n"));
    }
    if !built_in {
        return text + "\n";
    }
    text.push_str(&format!("archive         {data}/archive\n"));
    text.push_str(&format!("failed records  {data}/failed\n"));
    let baikonur = std::env::args().next().unwrap_or_else(|| "baikonur".to_owned());
    let is_default = config.server.api.listen == ServerSettings::default().listen;
    let mut at = match is_default && config.server.tls.is_none() {
        true => String::new(),
        false => format!(" --endpoint {endpoint}"),
    };
    let mut bundle = String::new();
    if let Some(authority) = &authority {
        at.push_str(&format!(" --ca-file {authority}"));
        bundle = format!(" AWS_CA_BUNDLE={authority}");
    }
    let (id, secret) = match config.server.api.credentials {
        Some(_) => ("…", "…"),
        None => ("local", "local"),
    };
    text.push_str(&format!(
        r#"
Type next, in another terminal:
  echo '{{"log_type":"auth","log_id":"1","time":"2026-11-24T09:00:00Z","user":"root"}}' | {baikonur} put router{at}
  {baikonur} tail stream-c --from trim-horizon{at}
  find {data}/archive -name '*.gz' | xargs zcat        (after five seconds)

With the AWS CLI or an SDK:
  export AWS_ENDPOINT_URL_KINESIS={endpoint} AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}
  export AWS_REGION={region} AWS_DEFAULT_REGION={region}{bundle}
  aws kinesis list-streams

Ctrl-C drains and stops.

"#,
        region = config.server.api.region,
    ));
    text
}
