//! `baikonur streams verify`: every byte of a data directory, checked.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use baikonur_engine::{Severity, VerifyAccess, VerifyReport, verify};
use baikonur_stream::{Clock, SystemClock};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::commands::summary::{count, table};

/// Check every byte of a data directory, and change none.
///
/// For a server that is stopped: the directory is locked meanwhile. The exit status is 0 when nothing is damaged, 1 when
/// something is. What a crash leaves and the next start puts right by itself is told, and is no damage.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The data directory.
    directory: PathBuf,
    /// The directory is a copy that no server has open: take no lock. A directory that is being written
    /// looks damaged.
    #[arg(long)]
    copy: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let access = if self.copy { VerifyAccess::Copy } else { VerifyAccess::Locked };
        let template = "{bar:30} {percent:>3}% {msg}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).expect("a template of ours");
        let bar = ProgressBar::new(0).with_style(style);
        let now = SystemClock::new().now();
        let report = verify(&self.directory, access, now, |done| {
            bar.set_length(done.bytes_total);
            bar.set_position(done.bytes);
            bar.set_message(format!("{} of {} segments", done.segments, done.segments_total));
        });
        bar.finish_and_clear();
        let report = report?;
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
        } else {
            write!(out, "{}", describe(&report))?;
        }
        Ok(if report.damage > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// The report for people: findings first, as they come in the files, then what is there.
fn describe(report: &VerifyReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Damage => "damage",
            Severity::Repairable => "repairable",
            Severity::Note => "note",
        };
        let offset = finding.offset.map(|offset| format!(" at {offset}")).unwrap_or_default();
        text.push_str(&format!("{severity}: {}{offset}: {}\n", finding.file, finding.what));
    }
    if report.findings_left_out > 0 {
        text.push_str(&format!("and {} findings more\n", count(report.findings_left_out)));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut rows = vec![
        ("segments", count(report.segments)),
        ("bytes", HumanBytes(report.bytes).to_string()),
        ("frames", count(report.frames)),
        ("records", count(report.records)),
    ];
    if report.deleted_records > 0 {
        rows.push(("of deleted streams", count(report.deleted_records)));
    }
    text.push_str(&table(&rows));
    for stream in &report.streams {
        let (records, bytes) = (count(stream.records), HumanBytes(stream.bytes));
        text.push_str(&format!("stream {}: {records} records, {bytes}\n", stream.name));
    }
    text.push_str(&match (report.damage, report.repairable) {
        (0, 0) => "whole: nothing is damaged\n".to_owned(),
        (0, _) => "whole: the next start puts right what a crash left\n".to_owned(),
        (damage, _) => format!(
            "damaged: {}. Keep a copy of the directory before you start a server on it; it opens, \
             and readers are told of the records lost, unless FORMAT or catalog.json is damaged\n",
            if damage == 1 {
                "1 finding".to_owned()
            } else {
                format!("{} findings", count(damage))
            }
        ),
    });
    text
}

#[cfg(test)]
mod tests {
    use baikonur_engine::Finding;

    use super::*;

    #[test]
    fn findings_come_first_and_the_verdict_last() {
        let finding = Finding {
            file: "log/1.segment".to_owned(),
            offset: Some(70),
            what: "9 bytes are not what was written".to_owned(),
            severity: Severity::Damage,
        };
        let report = VerifyReport {
            findings: vec![finding],
            damage: 1,
            records: 7000,
            ..Default::default()
        };
        let text = describe(&report);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "damage: log/1.segment at 70: 9 bytes are not what was written");
        assert!(lines.contains(&"records   7,000"), "{text}");
        assert!(lines[lines.len() - 1].starts_with("damaged: 1 finding."), "{text}");
        let text = describe(&VerifyReport::default());
        assert!(text.ends_with("whole: nothing is damaged\n"), "{text}");
    }
}
