//! The commands, one file each.

mod check;
mod es;
mod explain;
mod lines;
mod mappings;
mod moment;
mod put;
mod query;
mod redrive;
mod s3;
mod streams;
mod summary;
mod tail;
mod up;

use std::io;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Log routing on Kinesis in one binary.
///
/// Teams write their logs as JSON to Kinesis streams; modules carry them on: to other streams, to S3, to Elasticsearch
/// or OpenSearch, to Fluentd or Fluent Bit. baikonur is the streams (durable, on this machine, speaking the Kinesis
/// API), the event source mapping and the modules.
#[derive(Debug, Parser)]
#[command(name = "baikonur", version, max_term_width = 120, after_help = EXAMPLES)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  baikonur up                                    run the routing pattern under ./baikonur-data
  baikonur put router logs.ndjson                send it some lines (in another terminal)
  baikonur tail stream-c --from trim-horizon     see them come out
  echo '{\"log_type\":\"auth\",\"time\":\"yesterday\"}' | baikonur explain
                                                 ask what becomes of a record

Then write a configuration of your own:
  baikonur check --print-default > baikonur.toml
  baikonur check baikonur.toml && baikonur up baikonur.toml";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Put(put::Put),
    Tail(tail::Tail),
    Check(check::Check),
    Explain(explain::Explain),
    Redrive(redrive::Redrive),
    Query(query::Query),
    Streams(streams::Streams),
    Mappings(mappings::Mappings),
    Es(es::Es),
}

impl CommandLine {
    /// Runs the command; gives the exit status.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(up) => runtime()?.block_on(up.run()),
            Command::Put(put) => runtime()?.block_on(put.run()),
            Command::Tail(tail) => runtime()?.block_on(tail.run()),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Redrive(redrive) => runtime()?.block_on(redrive.run()),
            Command::Query(query) => query.run(),
            Command::Streams(streams) => streams.run(),
            Command::Mappings(mappings) => runtime()?.block_on(mappings.run()),
            Command::Es(es) => runtime()?.block_on(es.run()),
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no threads for the runtime")
}

/// Whether an error is only that nobody reads the output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
