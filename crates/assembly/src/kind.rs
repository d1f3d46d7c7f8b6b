//! The kinds of modules: what there is to open, under the names that configurations use.

use baikonur_modules::{forward, to_es, to_fluent, to_s3};
use baikonur_stream::StreamName;

/// What a module does, with the settings that only this kind has.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `kinesis-forward`.
    Forward(forward::Settings),
    /// `kinesis-to-s3`.
    ToS3(to_s3::Settings),
    /// `kinesis-to-es`.
    ToElasticsearch(Box<to_es::Settings>),
    /// `kinesis-to-fluent`.
    ToFluent(to_fluent::Settings),
}

/// A setting that cannot work, in the words of its room.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

impl Kind {
    /// The names of all kinds.
    pub const NAMES: [&str; 4] =
        ["kinesis-forward", "kinesis-to-s3", "kinesis-to-es", "kinesis-to-fluent"];

    /// The module's type as the configuration spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Forward(_) => Self::NAMES[0],
            Self::ToS3(_) => Self::NAMES[1],
            Self::ToElasticsearch(_) => Self::NAMES[2],
            Self::ToFluent(_) => Self::NAMES[3],
        }
    }

    /// Where records go, as a user would say it.
    pub fn destination(&self) -> String {
        match self {
            Self::Forward(settings) => settings.targets().map_or_else(
                |error| error.to_string(),
                |targets| {
                    let names = targets.iter().map(|target| target.target_stream_name.as_str());
                    let names: Vec<_> = names.collect();
                    let kind = if names.len() == 1 { "stream" } else { "streams" };
                    format!("{kind} {}", names.join(", "))
                },
            ),
            Self::ToS3(settings) => settings
                .location()
                .map_or_else(|error| error.to_string(), |place| place.to_string()),
            Self::ToElasticsearch(settings) => settings.shown_destination(),
            Self::ToFluent(settings) => settings.shown_destination(),
        }
    }

    /// Why a shard cannot be dealt to lanes for this module, if it cannot.
    pub fn refuses_lanes(&self) -> Option<&'static str> {
        match self {
            Self::ToS3(_) => Some(
                "parallelization_factor must be 1 for kinesis-to-s3, which announces all objects of a shard as one range; more shards are written side by side",
            ),
            Self::Forward(_) | Self::ToElasticsearch(_) | Self::ToFluent(_) => None,
        }
    }

    /// The streams that records are put into where the source is.
    pub fn targets_here(&self) -> Vec<StreamName> {
        let Self::Forward(settings) = self else { return Vec::new() };
        let targets = settings.targets().unwrap_or_default().into_iter();
        let here = targets.filter(|target| target.elsewhere().is_none());
        here.map(|target| target.target_stream_name).collect()
    }

    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Forward(settings) => drop(settings.targets()?),
            Self::ToS3(settings) => settings.check()?,
            Self::ToElasticsearch(settings) => settings.check()?,
            Self::ToFluent(settings) => settings.check()?,
        }
        Ok(())
    }
}
