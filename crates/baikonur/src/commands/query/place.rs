//! Which archive is meant: one that is named, or that of a `kinesis-to-s3` module.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use baikonur_modules::objects::{Location, S3Settings, open_for_reading};
use baikonur_query::ArchiveStore;
use tokio::runtime::Handle;

use crate::commands::s3::S3;
use crate::config::{Config, DEFAULT, Kind, Overrides};

/// The archive.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The archive: s3://bucket/prefix, file:///folder, or the path of a folder [default: that of the configuration's
    /// kinesis-to-s3 modules].
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
    /// The configuration whose archive is meant [default: the built-in one].
    #[arg(long, value_name = "FILE", conflicts_with = "archive")]
    config: Option<PathBuf>,
    /// The kinesis-to-s3 module whose archive is meant, where the modules have several.
    #[arg(long, value_name = "NAME", conflicts_with = "archive")]
    module: Option<String>,
    /// Data directory of the configuration [default: ./baikonur-data].
    #[arg(long, env = "BAIKONUR_DATA", value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    #[command(flatten)]
    s3: S3,
}

/// An archive that was found.
pub(super) struct Found {
    pub(super) store: ArchiveStore,
    /// The field of the records' time, where a configuration says it.
    pub(super) time_field: Option<String>,
}

impl Place {
    pub(super) fn open(&self, runtime: &Handle) -> anyhow::Result<Found> {
        let (location, s3, time_field) = match &self.archive {
            Some(archive) => (location(archive)?, self.s3.settings(), None),
            None => self.configured()?,
        };
        let opened = open_for_reading(&location, &s3)?;
        let shown = location.to_string();
        let store = ArchiveStore::new(opened.store, opened.prefix, &shown, runtime.clone());
        Ok(Found { store, time_field })
    }

    fn configured(&self) -> anyhow::Result<(Location, S3Settings, Option<String>)> {
        let overrides = Overrides { data: self.data.clone(), ..Overrides::of_environment() };
        let config = match &self.config {
            Some(file) => Config::load(file, &overrides)?,
            None => Config::read("(built-in)", DEFAULT, &overrides)?,
        };
        let mut found: Vec<(Location, S3Settings, String)> = Vec::new();
        let mut names = Vec::new();
        for module in &config.modules {
            let Kind::ToS3(settings) = &module.kind else { continue };
            names.push(module.name.to_string());
            if self.module.as_ref().is_some_and(|name| *name != module.name.to_string()) {
                continue;
            }
            let (location, time) =
                (settings.location()?, module.intake.log_timestamp_field.clone());
            if !found.iter().any(|(known, ..)| *known == location) {
                found.push((location, module.s3.clone(), time));
            }
        }
        let names = names.join(", ");
        match (&*found, &self.module) {
            ([_], _) => {}
            ([], Some(name)) if names.is_empty() => {
                bail!(
                    "there is no module {name}, and none of type kinesis-to-s3; name the archive with --archive"
                )
            }
            ([], Some(name)) => {
                bail!("there is no kinesis-to-s3 module {name}; there are {names}")
            }
            ([], None) => {
                bail!(
                    "the configuration has no kinesis-to-s3 module; name the archive with --archive"
                )
            }
            _ => bail!("the modules have several archives; choose one with --module: {names}"),
        }
        let (location, s3, time_field) = found.swap_remove(0);
        Ok((location, s3, Some(time_field)))
    }
}

fn location(archive: &str) -> anyhow::Result<Location> {
    if archive.contains("://") {
        return Ok(Location::parse("--archive", archive)?);
    }
    let folder = Path::new(archive);
    folder.read_dir().with_context(|| format!("cannot read the folder {archive}"))?;
    Location::folder(folder).map_err(|why| anyhow::anyhow!("--archive {archive:?} {why}"))
}
