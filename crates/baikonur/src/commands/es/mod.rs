//! `baikonur es`: what is done to a cluster of Elasticsearch or OpenSearch beside delivering to it.

mod clean;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use baikonur_modules::Secret;
use baikonur_modules::cluster::{AwsService, Settings};
use baikonur_modules::es_cleaner;
use clap::{Subcommand, ValueEnum};

use crate::config::{Config, Kind, Overrides};

/// Look after a cluster of Elasticsearch or OpenSearch.
#[derive(Debug, clap::Args)]
pub(super) struct Es {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Clean(clean::Clean),
}

impl Es {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Clean(clean) => clean.run().await,
        }
    }
}

/// Which cluster, and as whom.
#[derive(Debug, clap::Args)]
struct Place {
    /// The cluster, as `destination` in a configuration: one node, or several with commas between.
    #[arg(long, value_name = "URL", value_delimiter = ',', required_unless_present = "config")]
    destination: Vec<String>,
    /// Take everything from a module of this configuration, of type es-cleaner or kinesis-to-es; flags go before it.
    #[arg(long, value_name = "CONFIG", requires = "module", conflicts_with = "destination")]
    config: Option<PathBuf>,
    /// With --config: the module.
    #[arg(long, value_name = "NAME", requires = "config")]
    module: Option<String>,
    /// Who calls.
    #[arg(long)]
    username: Option<String>,
    /// The password of --username; better set in the environment.
    #[arg(long, env = "BAIKONUR_ES_PASSWORD", hide_env_values = true, requires = "username")]
    password: Option<String>,
    /// An API key, instead; better set in the environment.
    #[arg(long, env = "BAIKONUR_ES_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Certificates in PEM that the cluster is trusted by, instead of those of this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// What requests are signed for [default: what a host name of Amazon's says].
    #[arg(long, value_enum)]
    aws_service: Option<Service>,
    /// The region of signatures [default: the host name's, or as the AWS CLI finds it].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A profile of ~/.aws/config to sign with.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Es,
    Aoss,
    None,
}

impl Place {
    /// Settings of a cleaner: those of the module that is named, or its defaults with the cluster of the flags.
    fn settings(self) -> anyhow::Result<es_cleaner::Settings> {
        if let Some((file, name)) = self.config.as_ref().zip(self.module.as_ref()) {
            let config = Config::load(file, &Overrides::of_environment())?;
            return of_module(config, name)
                .with_context(|| format!("{} cannot be used", file.display()));
        }
        let cluster = Settings {
            destination: self.destination,
            username: self.username,
            password: self.password.map(Secret::new),
            api_key: self.api_key.map(Secret::new),
            ca_file: self.ca_file,
            aws_service: self.aws_service.map(|service| match service {
                Service::Es => AwsService::Es,
                Service::Aoss => AwsService::Aoss,
                Service::None => AwsService::None,
            }),
            aws_region: self.region,
            aws_profile: self.profile,
            ..Settings::default()
        };
        Ok(es_cleaner::Settings { cluster, ..es_cleaner::Settings::default() })
    }
}

fn of_module(config: Config, name: &str) -> anyhow::Result<es_cleaner::Settings> {
    if let Some(cleaner) = config.cleaners.into_iter().find(|config| config.name.as_str() == name) {
        return Ok(cleaner.settings);
    }
    let module = config.modules.into_iter().find(|module| module.name.as_str() == name);
    match module.map(|module| module.kind) {
        Some(Kind::ToElasticsearch(settings)) => Ok(es_cleaner::Settings {
            cluster: settings.cluster,
            index_name_prefix: vec![settings.index_name_prefix],
            ..es_cleaner::Settings::default()
        }),
        Some(kind) => bail!("module {name} is a {}, which has no cluster", kind.name()),
        None => bail!("there is no [modules.{name}]"),
    }
}
