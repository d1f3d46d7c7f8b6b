//! `baikonur mappings`: what each mapping of a running pipeline does and where it is; paused, resumed, moved, reloaded.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use baikonur_stream::{Checkpoint, Clock, SystemClock, Timestamp};
use clap::Subcommand;

use super::moment::{moment, written};
use super::summary::{columns, count};
use crate::control::{MappingReport, MappingState, Position, Question, Reply, ShardReport, ask};

/// Show the event source mappings of a running pipeline; pause, resume or move them.
///
/// Without a command it lists them. It speaks to the `baikonur up` that runs on the same data directory, as the same user.
#[derive(Debug, clap::Args)]
pub(super) struct Mappings {
    #[command(subcommand)]
    command: Option<Command>,
    /// Data directory of the pipeline.
    #[arg(
        long,
        env = "BAIKONUR_DATA",
        value_name = "DIRECTORY",
        default_value = "./baikonur-data",
        global = true
    )]
    data: PathBuf,
    /// Everything as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List mappings; with a name each shard of that one.
    Ls {
        /// The module's name.
        module: Option<String>,
    },
    /// Stop a mapping and leave it stopped, over restarts too. Its position stays.
    Pause {
        /// The module's name.
        module: String,
    },
    /// Let a paused mapping go on where it stopped.
    Resume {
        /// The module's name.
        module: String,
    },
    /// Let a mapping go on from another position. Nothing but its position is changed: what was delivered before may be
    /// delivered again.
    Reset(Reset),
    /// Read the configuration file again, as SIGHUP does.
    Reload,
}

#[derive(Debug, clap::Args)]
struct Reset {
    /// The module's name.
    module: String,
    /// trim-horizon (the oldest record retained), latest (from now on), a time (what arrived then or later), or a
    /// sequence number (with --shard).
    #[arg(long, value_name = "POSITION", value_parser = position)]
    to: Position,
    /// This shard only.
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
}

/// No time has as many digits.
const SEQUENCE_NUMBER_DIGITS_MIN: usize = 21;

fn position(text: &str) -> Result<Position, String> {
    let is_number =
        text.len() >= SEQUENCE_NUMBER_DIGITS_MIN && text.bytes().all(|b| b.is_ascii_digit());
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "trim-horizon" => Ok(Position::TrimHorizon),
        "latest" => Ok(Position::Latest),
        _ if is_number => Ok(Position::AtSequenceNumber(text.to_owned())),
        _ => moment(text, SystemClock::new().now()).map(Position::AtTimestamp).map_err(|error| {
            format!("{error}; a position is trim-horizon, latest, a time, or a sequence number")
        }),
    }
}

impl Mappings {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (question, shown) = match self.command {
            None => (Question::Mappings, None),
            Some(Command::Ls { module }) => (Question::Mappings, module),
            Some(Command::Pause { module }) => (Question::Pause { module }, None),
            Some(Command::Resume { module }) => (Question::Resume { module }, None),
            Some(Command::Reload) => (Question::Reload, None),
            Some(Command::Reset(Reset { module, to, shard })) => {
                let one = matches!(to, Position::AtSequenceNumber(_));
                anyhow::ensure!(
                    !one || shard.is_some(),
                    "a sequence number is of one shard: name it with --shard"
                );
                (Question::Reset { module, shard, to }, None)
            }
        };
        let mut out = std::io::stdout().lock();
        match ask(&self.data, &question).await? {
            Reply::Mappings(mut mappings) => {
                if let Some(name) = &shown {
                    mappings.retain(|module, _| module == name);
                    anyhow::ensure!(!mappings.is_empty(), "there is no module {name}");
                }
                if self.json {
                    serde_json::to_writer_pretty(&mut out, &mappings)?;
                    writeln!(out)?;
                    return Ok(ExitCode::SUCCESS);
                }
                let now = SystemClock::new().now();
                let text = match shown.and_then(|name| mappings.remove(&name)) {
                    Some(report) => one(&report, now),
                    None => {
                        let head =
                            ["module", "state", "source", "shards", "lag", "retries", "last error"];
                        let rows = mappings.iter().map(|(name, report)| row(name, report, now));
                        columns(&head, 3..6, rows)
                    }
                };
                out.write_all(text.as_bytes())?;
            }
            Reply::Done(what) => writeln!(out, "{what}")?,
            Reply::Refused(why) => anyhow::bail!(why),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(name: &str, report: &MappingReport, now: Timestamp) -> Vec<String> {
    let shards: Vec<_> = report.shards.values().filter(|shard| shard.state != "ended").collect();
    let lag = shards.iter().map(|shard| shard.iterator_age_millis).max();
    let last = shards.iter().max_by_key(|shard| shard.last_error_at);
    vec![
        name.to_owned(),
        state(report.state).to_owned(),
        report.source.clone(),
        shards.len().to_string(),
        lag.map_or_else(|| "-".to_owned(), duration),
        count(shards.iter().map(|shard| shard.retries).sum()),
        last.map_or_else(String::new, |shard| last_error(shard, now)),
    ]
}

fn one(report: &MappingReport, now: Timestamp) -> String {
    let MappingReport { kind, source, destination, state_transition_reason, .. } = report;
    let mut text = format!(
        "{} ({state_transition_reason}): {kind}, {source} ─▶ {destination}\n\n",
        state(report.state)
    );
    let head = ["shard", "state", "checkpoint", "lag", "behind", "retries", "last error"];
    let rows = report.shards.iter().map(|(id, shard)| {
        vec![
            id.clone(),
            shard.state.clone(),
            checkpoint(shard.checkpoint),
            duration(shard.iterator_age_millis),
            shard.millis_behind_latest.map_or_else(|| "-".to_owned(), duration),
            count(shard.retries),
            last_error(shard, now),
        ]
    });
    text.push_str(&columns(&head, 3..6, rows));
    text
}

/// Lambda's word.
fn state(state: MappingState) -> &'static str {
    match state {
        MappingState::Enabled => "Enabled",
        MappingState::Disabling => "Disabling",
        MappingState::Disabled => "Disabled",
        MappingState::Updating => "Updating",
    }
}

fn checkpoint(checkpoint: Option<Checkpoint>) -> String {
    match checkpoint {
        None => "-".to_owned(),
        Some(Checkpoint::At(number)) => format!("at {number}"),
        Some(Checkpoint::After(number)) => format!("after {number}"),
        Some(Checkpoint::Within { number, sub_sequence }) => {
            format!("within {number}, after {sub_sequence}")
        }
        Some(Checkpoint::AtTimestamp(moment)) => format!("at {}", written(moment)),
        Some(Checkpoint::ShardEnd) => "SHARD_END".to_owned(),
    }
}

fn last_error(shard: &ShardReport, now: Timestamp) -> String {
    match (&shard.last_error, shard.last_error_at) {
        (Some(error), Some(at)) => {
            let ago = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
            format!("{} ago: {error}", duration(ago))
        }
        _ => String::new(),
    }
}

/// `950 ms`, `12 s`, `3 min`, `5.2 h`.
fn duration(millis: u64) -> String {
    let time = Duration::from_millis(millis);
    match time.as_secs() {
        0 => format!("{millis} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", time.as_secs_f64() / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_name_a_time_or_a_number() {
        assert_eq!(position("TRIM_HORIZON"), Ok(Position::TrimHorizon));
        assert_eq!(position("latest"), Ok(Position::Latest));
        let number = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(position(number), Ok(Position::AtSequenceNumber(number.to_owned())));
        let moment = Position::AtTimestamp(Timestamp::from_seconds(1_767_225_600));
        assert_eq!(position("2026-01-01T00:00:00Z"), Ok(moment));
        assert!(position("the beginning").unwrap_err().contains("trim-horizon"));
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let told = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (9_000_000, "2.5 h"),
        ];
        for (millis, text) in told {
            assert_eq!(duration(millis), text);
        }
    }
}
