//! The streams of a configuration: those that are missing are made.

use anyhow::Context;
use baikonur_stream::{Administer, AdministerError, CreateStream, StreamName};
use tracing::{info, warn};

use super::kinesis;
use crate::config::{KinesisConfig, StreamConfig};

/// Makes the streams that do not exist; gives their names.
///
/// # Errors
/// One could not be made, or is not there and not to be made; those before it were.
pub(super) async fn make_streams(
    administer: &dyn Administer,
    amazon: Option<&KinesisConfig>,
    streams: &[StreamConfig],
) -> anyhow::Result<Vec<StreamName>> {
    if amazon.is_some_and(|kinesis| !kinesis.create_streams) {
        expect_streams(administer, streams).await?;
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    for stream in streams {
        let request = CreateStream {
            name: stream.name.clone(),
            shard_count: stream.shards,
            properties: stream.properties.clone(),
        };
        let outcome = match amazon {
            None => administer.create_stream(request).await,
            Some(_) => kinesis::make_stream(administer, request).await,
        };
        match outcome {
            Ok(()) => {
                info!(stream = %stream.name, shards = stream.shards, "stream made");
                made.push(stream.name.clone());
            }
            Err(AdministerError::StreamExists(_)) => tell_differences(administer, stream).await?,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make stream {}", stream.name));
            }
        }
    }
    Ok(made)
}

/// On Amazon a stream costs money: one that is missing is made only where that is asked for.
async fn expect_streams(
    administer: &dyn Administer,
    streams: &[StreamConfig],
) -> anyhow::Result<()> {
    for stream in streams {
        match administer.describe_stream(&stream.name).await {
            Ok(_) => {}
            Err(error @ AdministerError::StreamNotFound(_)) => {
                return Err(error).context(
                    "make it, correct its name, or set create_streams = true in [kinesis]",
                );
            }
            Err(error) => {
                // Nothing is wrong with the configuration: modules try until the service is there.
                warn!(stream = %stream.name, %error, "whether the stream exists is not known");
            }
        }
    }
    Ok(())
}

/// An existing stream is never changed by the file; whoever expects that is told.
async fn tell_differences(administer: &dyn Administer, asked: &StreamConfig) -> anyhow::Result<()> {
    let name = &asked.name;
    let found = administer.describe_stream(name).await?;
    let open = found.open_shards().count();
    if open != asked.shards as usize {
        warn!(stream = %name, open, configured = asked.shards, "the stream exists with another number of shards and is left as it is");
    }
    let (found, asked) = (found.properties.retention, asked.properties.retention);
    if found != asked {
        warn!(stream = %name, hours = found.hours(), configured = asked.hours(), "the stream exists with another retention period and is left as it is");
    }
    Ok(())
}
