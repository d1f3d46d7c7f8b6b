//! `baikonur check`: every mistake in a configuration, with its line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::autoscale;
use crate::config::{Config, DEFAULT, Mistakes, Overrides};

/// Explain every mistake in a configuration, with its line.
///
/// Nothing is started or contacted. The exit status is 0 when the file can be run, 1 when it has mistakes.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The file; `-` is the standard input. Without one the built-in configuration is checked.
    #[arg(value_name = "CONFIG")]
    file: Option<PathBuf>,
    /// Print the built-in configuration, to start a file of your own from.
    #[arg(long, conflicts_with = "file")]
    print_default: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.print_default {
            print!("{DEFAULT}");
            return Ok(ExitCode::SUCCESS);
        }
        let overrides = Overrides::of_environment();
        let read = match &self.file {
            Some(file) if *file == Path::new("-") => {
                let text = std::io::read_to_string(std::io::stdin())
                    .context("cannot read the standard input")?;
                Config::read("-", &text, &overrides).map_err(Into::into)
            }
            Some(file) => Config::load(file, &overrides),
            None => Ok(Config::read("(built-in)", DEFAULT, &overrides)?),
        };
        match read {
            Ok(config) => {
                if let Some(file) = &config.server.autoscale {
                    autoscale::load(file, config.server.autoscale_rule)?;
                }
                print!("{}", describe(&config));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => match error.downcast_ref::<Mistakes>() {
                Some(mistakes) => {
                    let count = mistakes.count();
                    let noun = if count == 1 { "mistake" } else { "mistakes" };
                    eprintln!("{mistakes}\n{count} {noun}");
                    Ok(ExitCode::FAILURE)
                }
                None => Err(error),
            },
        }
    }
}

/// The pipeline in a few lines, each stream with what reads it.
pub(super) fn describe(config: &Config) -> String {
    let mut text = String::new();
    for stream in &config.streams {
        let plural = if stream.shards == 1 { "" } else { "s" };
        let what = match &config.kinesis {
            Some(kinesis) if !kinesis.create_streams => kinesis.place(),
            _ => {
                format!(
                    "{} shard{plural}, {} h",
                    stream.shards,
                    stream.properties.retention.hours()
                )
            }
        };
        text.push_str(&format!("stream {} ({what})\n", stream.name));
        for module in config.modules.iter().filter(|module| module.source == stream.name) {
            let whitelist = &module.intake.log_type_field_whitelist;
            let taken = match whitelist.iter().any(|pattern| !pattern.is_empty()) {
                true => whitelist.join(", "),
                false => "everything".to_owned(),
            };
            let disabled = if module.enabled { "" } else { " (disabled)" };
            let (name, kind, to) = (&module.name, module.kind.name(), module.kind.destination());
            text.push_str(&format!("  └─ {name}{disabled}: {kind}, {taken} ─▶ {to}\n"));
            for (place, pattern) in module.intake.filter_criteria.texts().enumerate() {
                let word = if place == 0 { "of that what matches" } else { "or" };
                text.push_str(&format!("       {word} {pattern}\n"));
            }
            if let Some(steps) = module.intake.fields.in_words() {
                let shown = config.leases.is_some() && module.intake.fields.names_the_host();
                let moves = if shown { " ({host} is another after a takeover)" } else { "" };
                text.push_str(&format!("       fields: {steps}{moves}\n"));
            }
        }
    }
    for cleaner in &config.cleaners {
        let disabled = if cleaner.enabled { "" } else { " (disabled)" };
        let (name, settings) = (&cleaner.name, &cleaner.settings);
        let dry = if settings.dry_run_only { ", told only" } else { "" };
        text.push_str(&format!(
            "{name}{disabled}: es-cleaner, {} older than {} days{dry} ─▶ {}\n",
            settings.index_name_prefix.join(", "),
            settings.max_age_days,
            settings.cluster.shown_destination()
        ));
    }
    text
}
