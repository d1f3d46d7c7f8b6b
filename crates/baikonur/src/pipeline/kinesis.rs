//! Streams on Amazon Kinesis, or on an endpoint that speaks its API: the contracts over a connection, and positions in
//! the data directory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baikonur_kinesis::{AmazonKinesis, Connection, FanOut, FolderProgress, Polling, Producer};
use baikonur_mapping::MemoryBudget;
use baikonur_stream::{
    Administer, AdministerError, Clock, CreateStream, Read, RetentionHours, StreamChange,
    StreamStatus,
};
use tracing::info;

use super::leases::LeaseTables;
use super::{Source, StreamStore};
use crate::config::{Config, Consumption, KinesisConfig};

/// The folder of positions below the data directory.
const PROGRESS_FOLDER: &str = "progress";

/// The contracts over the streams that `[kinesis]` names. The service is not contacted yet.
///
/// # Errors
/// No region, no certificates, or a data directory that another process has.
pub(super) async fn open(
    kinesis: &KinesisConfig,
    config: &Config,
    clock: Arc<dyn Clock>,
    memory: Arc<MemoryBudget>,
) -> anyhow::Result<StreamStore> {
    let connection = connect(kinesis).await?;
    let service = AmazonKinesis::new(&connection);
    let listing: Arc<dyn Read> = Arc::new(Polling::new(&service, Arc::clone(&clock)));
    let folder = config.server.data.join(PROGRESS_FOLDER);
    let progress = FolderProgress::open(&folder, listing, Arc::clone(&clock))?;
    let leases = match &config.leases {
        None => None,
        Some(leases) => Some(Arc::new(LeaseTables::open(leases.clone(), kinesis, &clock).await?)),
    };
    info!(place = kinesis.place(), region = connection.region(), positions = %folder.display(), "streams are on Kinesis");
    Ok(StreamStore {
        write: Arc::new(Producer::new(&service)),
        administer: Arc::new(service),
        progress: Arc::new(progress),
        leases,
        source: Source::Kinesis(Box::new(connection)),
        clock,
        memory,
    })
}

async fn connect(kinesis: &KinesisConfig) -> anyhow::Result<Connection> {
    let KinesisConfig { region, profile, endpoint_url, ca_file, create_streams: _ } =
        kinesis.clone();
    let (mut trusted, mut shown) = (None, String::new());
    if let Some(file) = &ca_file {
        shown = file.display().to_string();
        trusted = Some(std::fs::read(file).with_context(|| format!("cannot read {shown}"))?);
    }
    let connection = Connection::to_service(region, profile, endpoint_url, trusted).await;
    let connection = connection.map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
    anyhow::ensure!(
        connection.region().is_some(),
        "no region is known: set region in [kinesis], AWS_REGION, or the region of a profile"
    );
    Ok(connection)
}

/// Between two looks at a stream that is being made; it takes some seconds.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const LOOKS_MAX: u32 = 240;

/// Makes a stream, waits until it is there, and only then does what nobody may do to a stream that is being made.
pub(super) async fn make_stream(
    administer: &dyn Administer,
    mut request: CreateStream,
) -> Result<(), AdministerError> {
    let (name, retention) = (request.name.clone(), request.properties.retention);
    request.properties.retention = RetentionHours::MIN;
    administer.create_stream(request).await?;
    for _ in 0..LOOKS_MAX {
        if administer.describe_stream(&name).await?.status == StreamStatus::Active {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    if retention != RetentionHours::MIN {
        let change = StreamChange::IncreaseRetention(retention);
        administer.change_stream(&name, change).await?;
    }
    Ok(())
}

/// A reader of its own for a mapping.
pub(super) fn reader(
    connection: &Connection,
    consumption: &Consumption,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Read> {
    let service = AmazonKinesis::new(connection);
    let clock = Arc::clone(clock);
    match consumption {
        Consumption::Polling => Arc::new(Polling::new(&service, clock)),
        Consumption::EnhancedFanOut { consumer } => {
            Arc::new(FanOut::new(&service, consumer.clone(), clock))
        }
    }
}
