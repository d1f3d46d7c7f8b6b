//! The command line: log routing on Kinesis in one binary.

mod autoscale;
mod client;
mod commands;
mod config;
mod control;
mod host;
mod observe;
mod pipeline;
mod put_records;
mod signing;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = commands::CommandLine::parse();
    match command.run() {
        Ok(code) => code,
        Err(error) => {
            if commands::is_broken_pipe(&error) {
                // Whoever read our output has seen enough.
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
