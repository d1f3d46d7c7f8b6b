//! `baikonur query`: SQL over an archive.

mod output;
mod place;

use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use baikonur_query::{Archive, Engine, Figures, Options, Progress, QueryError, Wanted};
use baikonur_stream::{Clock, SystemClock};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

use super::summary::{columns, count, rate};
use output::{Output, TABLE_ROWS, Writer};
use place::{Found, Place};

/// Ask an archive: SQL over what kinesis-to-s3 has written, JSON lines and Parquet, in S3 or in a folder.
///
/// Each log type is a table, `logs` is all of them; a name that is no plain word stands in double quotes. Columns are
/// the fields that a few of its objects have. Hidden ones are `_record`, the record's JSON text, `_date`, `_object` and
/// `_log_type`. Conditions on `_date`, on partitions and on the time choose the objects before one is opened.
///
/// The SQL is SQLite's. Nothing is written. The exit status is 0 when the answer is whole, 1 when it is not, 130 after
/// Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Query {
    /// The statement; `-` reads it from the standard input.
    #[arg(value_name = "SQL", required_unless_present = "tables")]
    statement: Option<String>,
    /// List the tables, with their objects, bytes and dates.
    #[arg(long, conflicts_with = "statement")]
    tables: bool,
    #[command(flatten)]
    place: Place,
    /// The form of the answer [default: a table on a terminal, JSON lines elsewhere].
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// At most so many rows; 0 for all of them [default: 1,000 of a table, all of CSV and JSON].
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// Tell of damaged lines and objects and pass over them, instead of ending.
    #[arg(long)]
    skip_damaged: bool,
    /// The field of the records' time, whose conditions choose objects by their dates [default: the module's, or time].
    #[arg(long, value_name = "FIELD")]
    time_field: Option<String>,
    /// Choose no objects by the records' time: for archives whose records lie more than a day from their own date.
    #[arg(long, conflicts_with = "time_field")]
    any_date: bool,
    /// Say how much was read; on a terminal this is always said.
    #[arg(short, long)]
    verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  baikonur query --tables
  baikonur query \"select status, count(*) from apache_access group by status\"
  baikonur query \"select time, request from apache_access where _date = '2015-05-17' and status >= 500\"
  baikonur query \"select _record ->> '$.user.name' who, count(*) from auth group by who\" --output csv
  baikonur query --archive s3://logs/archive \"select _log_type, count(*) from logs group by 1\"";

/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Damage that is told one by one.
const DAMAGES_TOLD_MAX: u64 = 20;
/// Tables that are named where one is not there.
const TABLES_NAMED_MAX: usize = 20;

impl Query {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = super::runtime()?;
        let found = self.place.open(runtime.handle())?;
        match (&self.statement, self.tables) {
            (Some(statement), false) if statement == "-" => {
                let statement = std::io::read_to_string(std::io::stdin())
                    .context("cannot read the standard input")?;
                self.ask(&runtime, found, &statement)
            }
            (Some(statement), false) => self.ask(&runtime, found, statement),
            _ => self.show_tables(found),
        }
    }

    fn show_tables(&self, found: Found) -> anyhow::Result<ExitCode> {
        let archive = list(&found, Wanted::All)?;
        let rows = archive.tables().iter().map(|table| {
            let (first, last) = table.dates().unwrap_or(("-", "-"));
            let bytes = HumanBytes(table.bytes()).to_string();
            vec![
                table.name.clone(),
                count(table.objects()),
                bytes,
                first.to_owned(),
                last.to_owned(),
            ]
        });
        let text = columns(&["TABLE", "OBJECTS", "BYTES", "FIRST", "LAST"], 1..3, rows);
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        if archive.others() > 0 {
            eprintln!("{} objects are of no format that is read", count(archive.others()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, runtime: &Runtime, found: Found, statement: &str) -> anyhow::Result<ExitCode> {
        let clock = SystemClock::new();
        let started = clock.monotonic();
        let is_terminal = std::io::stdout().is_terminal();
        let archive = list(&found, Wanted::NamedIn(statement))?;
        let bar = ProgressBar::new(0).with_style(style(
            "{bar:30} {percent:>3}% {msg}, {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        ));
        let options = Options {
            skip_damaged: self.skip_damaged,
            time_field: match self.any_date {
                true => String::new(),
                false => self
                    .time_field
                    .clone()
                    .or(found.time_field.clone())
                    .unwrap_or("time".to_owned()),
            },
            tell: teller(&bar),
        };
        let engine = Engine::open(&archive, statement, options)?;
        let interrupter = engine.interrupter();
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupter.interrupt();
            }
        });
        let watching = runtime.spawn(watch(bar.clone(), Arc::clone(engine.progress())));

        let output = self.output.unwrap_or(if is_terminal { Output::Table } else { Output::Json });
        let limit = match (self.limit, output) {
            (Some(0), _) | (None, Output::Csv | Output::Json) => None,
            (None, Output::Table) => Some(TABLE_ROWS),
            (limit, _) => limit,
        };
        let width = is_terminal.then(terminal_size::terminal_size).flatten();
        let width = width.map(|(width, _)| usize::from(width.0));
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut writer = Writer::new(&mut out, output, limit, width);
        if is_terminal && output != Output::Table {
            // Rows come while it runs, in its place.
            watching.abort();
        }
        let answer = engine.run(statement, &mut writer);
        watching.abort();
        bar.finish_and_clear();
        // What came before an error is part of the answer too.
        writer.finish()?;
        let (rows, was_cut) = (writer.rows, writer.was_cut);
        let figures = engine.progress().figures();
        if let Err(error) = answer {
            return explained(error, &archive, &found);
        }
        if was_cut && self.limit.is_none() {
            eprintln!(
                "the first {} rows; --limit 0 shows all, --output json or csv gives them to a program",
                count(rows)
            );
        }
        if self.verbose || (is_terminal && std::io::stderr().is_terminal()) {
            eprintln!("{}", summary(&figures, rows, clock.monotonic() - started));
        }
        if figures.damaged > 0 {
            eprintln!(
                "passed over because they are damaged: {} lines or objects",
                count(figures.damaged)
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(found: &Found, wanted: Wanted<'_>) -> anyhow::Result<Archive> {
    let spinner = ProgressBar::new_spinner().with_style(style("{spinner} {msg}"));
    let archive = Archive::list(found.store.clone(), wanted, &|objects| {
        spinner.inc(objects);
        spinner.set_message(format!("{} objects listed", count(spinner.position())));
    });
    spinner.finish_and_clear();
    let archive = archive?;
    if archive.tables().is_empty() && matches!(wanted, Wanted::All) {
        bail!("there is no object of an archive below {}", found.store.shown());
    }
    Ok(archive)
}

fn explained(error: QueryError, archive: &Archive, found: &Found) -> anyhow::Result<ExitCode> {
    match error {
        QueryError::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
        QueryError::Output { kind, what } => Err(std::io::Error::new(kind, what).into()),
        QueryError::NoTable { name } => {
            // Those that the statement does not name were not listed.
            let all = match archive.tables().len() {
                0 => Some(list(found, Wanted::All)?),
                _ => None,
            };
            let tables = all.as_ref().unwrap_or(archive).tables();
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            let near = names.iter().copied().max_by(|one, other| {
                let nearness = |to: &str| strsim::jaro_winkler(&name, to);
                nearness(one).total_cmp(&nearness(other))
            });
            let hint = near.filter(|near| strsim::jaro_winkler(&name, near) > 0.8);
            let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let more = if names.len() > TABLES_NAMED_MAX { ", …" } else { "" };
            let shown = names[..names.len().min(TABLES_NAMED_MAX)].join(", ");
            let place = found.store.shown();
            bail!("there is no log type {name} in {place}, there are {shown}{more}{hint}")
        }
        error => Err(error.into()),
    }
}

/// Tells of damage without disturbing the bar.
fn teller(bar: &ProgressBar) -> Arc<dyn Fn(&QueryError) + Send + Sync> {
    let bar = bar.clone();
    let told = std::sync::atomic::AtomicU64::new(0);
    Arc::new(move |error| {
        let before = told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before < DAMAGES_TOLD_MAX {
            let error = error.to_string();
            let what = error.strip_suffix("; --skip-damaged reads on without it").unwrap_or(&error);
            bar.suspend(|| eprintln!("passed over: {what}"));
        }
    })
}

/// Moves the bar as long as it is let.
async fn watch(bar: ProgressBar, progress: Arc<Progress>) {
    loop {
        let figures = progress.figures();
        bar.set_length(figures.bytes_chosen.max(figures.bytes_read));
        bar.set_position(figures.bytes_read);
        bar.set_message(format!(
            "{} of {} objects",
            count(figures.objects_read),
            count(figures.objects_chosen)
        ));
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn summary(figures: &Figures, rows: u64, time: Duration) -> String {
    format!(
        "{} of {} objects read, {}, {} records at {}/s; {} {} in {:.2} s",
        count(figures.objects_opened),
        count(figures.objects_listed),
        HumanBytes(figures.bytes_read),
        count(figures.rows_read),
        rate(figures.rows_read, time),
        count(rows),
        if rows == 1 { "row" } else { "rows" },
        time.as_secs_f64(),
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template of ours")
}
