//! The configuration file: one TOML text into streams, modules and a server, or into every mistake with its line.

mod cleaner;
mod document;
mod kinesis;
mod leases;
mod mapping_keys;
mod mistake;
mod module;
mod secrets;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use baikonur_modules::settings::keys_of;
use baikonur_stream::{RetentionHours, StreamMode, StreamName, StreamProperties};
use serde::Deserialize;

pub(crate) use baikonur_assembly::{Kind, Problem};
pub(crate) use cleaner::CleanerConfig;
pub(crate) use kinesis::{Consumption, KinesisConfig};
pub(crate) use leases::LeasesConfig;
use mistake::Mistake;
pub(crate) use mistake::Mistakes;
pub(crate) use module::ModuleConfig;
pub(crate) use server::ServerConfig;

use document::{Document, Section};

/// The pipeline that runs without a file: the routing pattern.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// A configuration that can be run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    /// Where the streams are when they are not embedded ones.
    pub(crate) kinesis: Option<KinesisConfig>,
    /// How they are shared with other workers, if they are.
    pub(crate) leases: Option<LeasesConfig>,
    pub(crate) streams: Vec<StreamConfig>,
    pub(crate) modules: Vec<ModuleConfig>,
    /// What deletes old indices beside them.
    pub(crate) cleaners: Vec<CleanerConfig>,
}

/// A stream that is made if it does not exist and may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfig {
    pub(crate) name: StreamName,
    pub(crate) shards: u32,
    pub(crate) properties: StreamProperties,
}

/// What goes before the file: flags first, then the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// The flag `--data`, or `BAIKONUR_DATA`.
    pub(crate) data: Option<PathBuf>,
    /// The flag `--listen`, or `BAIKONUR_LISTEN`.
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// The environment, for `${NAME}` and for `BAIKONUR_SECTION__NAME__KEY`.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Overrides {
    /// The process's environment, and no flags.
    pub(crate) fn of_environment() -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = std::env::vars_os().filter_map(text).collect();
        Self { environment, ..Self::default() }
    }
}

/// The keys of `[streams.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct StreamKeys {
    shards: u32,
    retention_hours: u32,
    mode: StreamMode,
    max_record_size_in_kib: u32,
}

impl Default for StreamKeys {
    fn default() -> Self {
        let StreamProperties { retention, mode, record_kib_max, .. } = StreamProperties::default();
        Self {
            shards: 1,
            retention_hours: retention.hours(),
            mode,
            max_record_size_in_kib: record_kib_max,
        }
    }
}

impl Config {
    /// Reads `text`; `file` is how mistakes call it. Nothing is contacted, and nothing opened but a credentials file.
    ///
    /// # Errors
    /// Every mistake that can be found, by line.
    pub(crate) fn read(file: &str, text: &str, overrides: &Overrides) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let config = read(text, overrides, &mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes::new(file, text, mistakes)),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// That it cannot be read, or every mistake in it.
    pub(crate) fn load(path: &Path, overrides: &Overrides) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("cannot read the configuration {shown}: {error}"))?;
        Ok(Self::read(&shown, &text, overrides)?)
    }
}

fn read(text: &str, overrides: &Overrides, mistakes: &mut Vec<Mistake>) -> Option<Config> {
    let mut document = Document::parse(text, overrides, mistakes)?;
    let mut unset = Vec::new();
    document.substitute_in_server(&overrides.environment, &mut unset);
    let server = server::read(document.section("server"), overrides, mistakes);
    // Also where the server's own section has a mistake: those of the others are told beside it.
    let data = server.as_ref().map_or_else(server::default_data, |server| server.data.clone());
    document.substitute(&data, &overrides.environment, &mut unset);
    let on_kinesis = server.as_ref().is_some_and(|server| server.streams_on_kinesis);
    let section = document.section("kinesis");
    let kinesis = kinesis::read(section, on_kinesis, &overrides.environment, mistakes);
    let streams = document.named_sections("streams", mistakes);
    let streams: Vec<_> =
        streams.into_iter().filter_map(|section| read_stream(section, mistakes)).collect();
    let modules = document.named_sections("modules", mistakes);
    let (cleaners, modules): (Vec<_>, Vec<_>) = modules.into_iter().partition(cleaner::is_one);
    let cleaners: Vec<_> =
        cleaners.into_iter().filter_map(|section| cleaner::read(section, mistakes)).collect();
    let names: Vec<_> = streams.iter().map(|stream| stream.name.clone()).collect();
    let read_module = |section| module::read(section, &names, on_kinesis, mistakes);
    let mut modules: Vec<_> = modules.into_iter().filter_map(read_module).collect();
    let is_shared = on_kinesis && document.has("leases");
    let sharing: Vec<_> = match is_shared {
        true => modules.iter().map(|module| module.name.clone()).collect(),
        false => Vec::new(),
    };
    let leases = leases::read(document.section("leases"), &sharing, mistakes);
    document.refuse_the_rest(mistakes);
    let region = kinesis.as_ref().and_then(|kinesis| kinesis.region.as_deref());
    if let Some(region) = region.filter(|_| on_kinesis) {
        module::at_home(&mut modules, region, mistakes);
    }
    module::refuse_circles(&modules, mistakes);
    // What else is wrong with a text that is not known is not known either.
    mistakes.retain(|mistake| !unset.iter().any(|unset| unset.is_on_the_line_of(mistake, text)));
    mistakes.append(&mut unset);
    let (server, kinesis) = (server?, kinesis?);
    let kinesis = server.streams_on_kinesis.then_some(kinesis);
    let leases = leases.filter(|_| is_shared);
    Some(Config { server, kinesis, leases, streams, modules, cleaners })
}

fn read_stream(mut section: Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<StreamConfig> {
    let name = match StreamName::new(section.name()) {
        Ok(name) => Some(name),
        Err(error) => {
            mistakes.push(section.mistake(error));
            None
        }
    };
    let known = keys_of::<StreamKeys>();
    let keys: Option<StreamKeys> = section.take(known, mistakes);
    section.refuse_the_rest(known, mistakes);
    let StreamKeys { shards, retention_hours, mode, max_record_size_in_kib } = keys?;
    if shards == 0 {
        mistakes.push(section.mistake("shards is 0: a stream has at least one"));
    }
    let retention = RetentionHours::new(retention_hours);
    if retention.is_none() {
        let (min, max) = (RetentionHours::MIN.hours(), RetentionHours::MAX.hours());
        let what = format!("retention_hours is {retention_hours}: it can be {min} to {max}");
        mistakes.push(section.mistake(what));
    }
    let kib = StreamProperties::RECORD_KIB;
    if !kib.contains(&max_record_size_in_kib) {
        let (min, max) = (kib.start(), kib.end());
        let what =
            format!("max_record_size_in_kib is {max_record_size_in_kib}: it can be {min} to {max}");
        mistakes.push(section.mistake(what));
    }
    let properties = StreamProperties {
        retention: retention?,
        mode,
        record_kib_max: max_record_size_in_kib,
        ..StreamProperties::default()
    };
    Some(StreamConfig { name: name?, shards, properties })
}

#[cfg(test)]
mod tests;
