//! `baikonur streams create`.

use std::process::ExitCode;

use baikonur_stream::{
    CreateStream, ON_DEMAND_SHARDS_MIN, RetentionHours, StreamMode, StreamName, StreamProperties,
};

use super::{Patience, Place, wait};

/// Make a stream.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Its name.
    stream: StreamName,
    /// Shards that it starts with.
    #[arg(long, value_name = "COUNT", default_value = "1", conflicts_with = "on_demand",
          value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Let the shards follow the load.
    #[arg(long)]
    on_demand: bool,
    /// How long records are kept: 24 to 8760.
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = retention)]
    retention_hours: RetentionHours,
    /// A tag; may be given more than once.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    place: Place,
}

fn retention(text: &str) -> Result<RetentionHours, String> {
    let hours: u32 = text.parse().map_err(|_| "not a number of hours".to_owned())?;
    RetentionHours::new(hours).ok_or_else(|| "24 to 8760 hours".to_owned())
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Create {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let administer = self.place.administer().await?;
        let (mode, shard_count) = match self.on_demand {
            true => (StreamMode::OnDemand, ON_DEMAND_SHARDS_MIN),
            false => (StreamMode::Provisioned, self.shards),
        };
        let properties = StreamProperties {
            mode,
            tags: self.tags.iter().cloned().collect(),
            ..StreamProperties::default()
        };
        let name = &self.stream;
        let request = CreateStream { name: name.clone(), shard_count, properties };
        let explained = |error| self.place.explained(error);
        administer.create_stream(request).await.map_err(explained)?;
        // Longer retention is a change of an active stream.
        let later = self.retention_hours != RetentionHours::MIN;
        if later || !self.patience.no_wait {
            wait(&*administer, name, false, self.patience.limit()).await?;
        }
        if later {
            let change = baikonur_stream::StreamChange::IncreaseRetention(self.retention_hours);
            administer.change_stream(name, change).await.map_err(explained)?;
            if !self.patience.no_wait {
                wait(&*administer, name, false, self.patience.limit()).await?;
            }
        }
        println!("stream {name} made");
        Ok(ExitCode::SUCCESS)
    }
}
