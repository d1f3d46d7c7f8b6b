//! `baikonur es clean`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use baikonur_modules::es_cleaner::{Cleaner, OldIndex};
use baikonur_stream::SystemClock;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;

use super::Place;
use crate::commands::summary::{columns, count};

/// Delete indices by the date that ends their names.
///
/// Shows what would go and asks before it does. A module whose `dry_run_only` is true only shows. Never deletes an index of the system (`.…`), and none whose name does
/// not end in a date. The exit status is 1 when an index could not be deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Clean {
    #[command(flatten)]
    place: Place,
    /// What the names begin with, up to a `-`, `_` or `.`; `*` for every name. May be given several times.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    prefix: Vec<String>,
    /// Days that indices are kept, counted from the date in the name [default: 60].
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
    /// Names to keep; `*` stands for any characters. May be given several times.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    exclude: Vec<String>,
    /// How the date is written [default: YYYYMMDD].
    #[arg(long, value_name = "FORMAT")]
    date_format: Option<String>,
    /// Show what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  baikonur es clean --destination https://es.example.com:9200 --prefix logs --older-than 30 --dry-run
  baikonur es clean --destination search-x.eu-west-1.es.amazonaws.com --prefix logs --exclude '*-audit-*'
  baikonur es clean --config baikonur.toml --module index --older-than 14 --yes";

impl Clean {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut settings = self.place.settings()?;
        if !self.prefix.is_empty() {
            settings.index_name_prefix = self.prefix;
        }
        settings.exclude.extend(self.exclude);
        settings.max_age_days = self.older_than.unwrap_or(settings.max_age_days);
        settings.date_format = self.date_format.unwrap_or(settings.date_format);
        let (days, amazon) =
            (settings.max_age_days, baikonur_assembly::for_cluster(&settings.cluster));
        if settings.index_name_prefix.is_empty() {
            bail!(
                "say which indices: --prefix PREFIX, or --prefix '*' for all whose names end in a date"
            );
        }
        let cleaner = Cleaner::new(settings, Arc::new(SystemClock::new()), amazon)?;
        let old = cleaner.find().await?;
        if !self.json {
            print!("{}", shown(&old, days));
        }
        let is_dry = self.dry_run || cleaner.is_dry_run() || old.is_empty();
        if !is_dry && !self.yes && !confirmed(old.len())? {
            bail!("nothing was deleted");
        }
        let bar = ProgressBar::new(old.len() as u64);
        let mut failed = 0;
        for index in &old {
            let deleted = match is_dry {
                true => Ok(()),
                false => cleaner.delete(index).await,
            };
            bar.inc(1);
            if let Err(error) = &deleted {
                failed += 1;
                bar.suspend(|| eprintln!("{} is not deleted: {error}", index.name));
            }
            if self.json {
                println!("{}", in_json(index, !is_dry && deleted.is_ok()));
            }
        }
        bar.finish_and_clear();
        if !self.json && !old.is_empty() {
            match is_dry {
                true if self.dry_run => println!("nothing was deleted (--dry-run)"),
                true => println!("nothing was deleted (the module says dry_run_only)"),
                false => println!("{} deleted", indices(old.len() - failed)),
            }
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn indices(number: usize) -> String {
    let noun = if number == 1 { "index" } else { "indices" };
    format!("{} {noun}", count(number as u64))
}

fn shown(old: &[OldIndex], days: u32) -> String {
    if old.is_empty() {
        return format!("no index is older than {days} days\n");
    }
    let told = |number: Option<u64>, text: fn(u64) -> String| number.map_or_else(String::new, text);
    let bytes = |number| HumanBytes(number).to_string();
    let rows = old.iter().map(|index| {
        vec![
            index.name.clone(),
            index.date.to_string(),
            count(index.age_days.unsigned_abs()),
            told(index.documents, count),
            told(index.bytes, bytes),
        ]
    });
    let head = ["index", "date", "days", "documents", "size"];
    let table = columns(&head, 2..5, rows);
    let sum = |number: fn(&OldIndex) -> Option<u64>| old.iter().filter_map(number).sum();
    let (documents, size) = (count(sum(|index| index.documents)), bytes(sum(|index| index.bytes)));
    format!(
        "{table}\n{} older than {days} days, {documents} documents, {size}\n",
        indices(old.len())
    )
}

fn in_json(index: &OldIndex, is_deleted: bool) -> serde_json::Value {
    json!({
        "index": index.name, "date": index.date.to_string(), "ageDays": index.age_days,
        "documents": index.documents, "bytes": index.bytes, "deleted": is_deleted,
    })
}

/// Asks whoever sits there.
fn confirmed(number: usize) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{} would be deleted: add --yes, or look with --dry-run", indices(number));
    }
    eprint!("delete {}? Their documents are lost. Type yes: ", indices(number));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::Mutex;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        clean: Clean,
    }

    /// A cluster with one old index; what it was asked, line by line.
    fn cluster() -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    socket.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap().to_owned();
                seen.lock().unwrap().push(line);
                let body = r#"[{"index":"app-auth-20150517","docs.count":"1","store.size":"1"}]"#;
                let length = body.len();
                write!(
                    socket,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            }
        });
        (url, asked)
    }

    #[tokio::test]
    async fn a_module_that_may_only_look_deletes_nothing_even_when_told_yes() {
        for (is_dry, deleted) in [(true, 0), (false, 1)] {
            let (url, asked) = cluster();
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("baikonur.toml");
            let text = format!(
                "[modules.clean]\ntype = \"es-cleaner\"\ndestination = \"{url}\"\n\
                 index_name_prefix = \"app\"\ndry_run_only = {is_dry}\n"
            );
            std::fs::write(&config, text).unwrap();
            let file = config.to_str().unwrap();
            let words = ["clean", "--config", file, "--module", "clean", "--yes", "--json"];
            let code = CommandLine::parse_from(words).clean.run().await.unwrap();
            assert_eq!(code, ExitCode::SUCCESS);
            let asked = asked.lock().unwrap();
            let deletes = asked.iter().filter(|line| line.starts_with("DELETE ")).count();
            assert_eq!(deletes, deleted, "{asked:?}");
        }
    }

    #[test]
    fn a_table_says_what_would_go() {
        let index = |name: &str, documents| OldIndex {
            name: name.to_owned(),
            date: "2025-01-01".parse().unwrap(),
            age_days: 89,
            documents,
            bytes: documents.map(|number| number * 1024),
        };
        let text =
            shown(&[index("logs-a-20250101", Some(1500)), index("logs-b-20250101", None)], 30);
        assert_eq!(
            text,
            "index            date        days  documents      size\n\
             logs-a-20250101  2025-01-01    89      1,500  1.46 MiB\n\
             logs-b-20250101  2025-01-01    89\n\
             \n\
             2 indices older than 30 days, 1,500 documents, 1.46 MiB\n"
        );
        assert_eq!(shown(&[], 30), "no index is older than 30 days\n");
    }
}
