//! From a module's configuration to its event source mapping.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use baikonur_mapping::{Board, Mapping};
use baikonur_modules::failed_store::ObjectFailedStore;
use baikonur_modules::forward::{Forward, TargetSettings};
use baikonur_modules::intake::Intake;
use baikonur_modules::objects::{self, Location};
use baikonur_stream::{Clock, FailedStore, Module};

use super::redelivery::{self, Resets};
use super::{Source, StreamStore, kinesis, on_failure, targets};
use crate::config::{Kind, ModuleConfig, Problem, ServerConfig};
use crate::host;

/// The folder of failed records below the data directory, for modules that name no other place.
const FAILED_FOLDER: &str = "failed";

/// The mapping of a module whose position was reset so many times. Nothing is contacted yet.
///
/// # Errors
/// Settings that cannot work.
pub(super) fn mapping(
    config: &ModuleConfig,
    server: &ServerConfig,
    streams: &StreamStore,
    resets: &Resets,
) -> Result<Mapping, anyhow::Error> {
    let shared = streams.leases.as_ref().map(|tables| tables.join(&config.name));
    Ok(Mapping {
        consumer: config.name.clone(),
        source: config.source.clone(),
        settings: config.mapping.clone(),
        read: match &streams.source {
            Source::Embedded(read) => Arc::clone(read),
            Source::Kinesis(connection) => {
                kinesis::reader(connection, &config.consumption, &streams.clock)
            }
        },
        progress: match &shared {
            Some(shared) => Arc::clone(shared) as _,
            None => Arc::clone(&streams.progress),
        },
        leases: shared.map(|shared| shared as _),
        module: module(config, streams, resets).map_err(anyhow::Error::from_boxed)?,
        memory: Arc::clone(&streams.memory),
        failed_store: failed_store(config, server, &streams.clock)
            .map_err(anyhow::Error::from_boxed)?,
        clock: Arc::clone(&streams.clock),
        board: Board::default(),
        seed: RandomState::new().hash_one(config.name.as_str()),
    })
}

/// Whether [`mapping`] would work. Nothing is started.
///
/// # Errors
/// Settings that cannot work.
pub(super) fn check(
    config: &ModuleConfig,
    server: &ServerConfig,
    streams: &StreamStore,
) -> Result<(), anyhow::Error> {
    module(config, streams, &Resets::default()).map_err(anyhow::Error::from_boxed)?;
    failed_store(config, server, &streams.clock).map_err(anyhow::Error::from_boxed)?;
    Ok(())
}

fn module(
    config: &ModuleConfig,
    streams: &StreamStore,
    resets: &Resets,
) -> Result<Arc<dyn Module>, Problem> {
    if let Kind::Forward(settings) = &config.kind {
        let intake = Arc::new(Intake::on_host(&host::name(), &config.intake, &config.name)?);
        let write = |target: &TargetSettings| {
            redelivery::after_resets(resets, targets::write(target, streams))
        };
        let region = match &streams.source {
            Source::Kinesis(connection) => connection.region(),
            Source::Embedded(_) => None,
        };
        let settings =
            region.map_or(settings.clone(), |region| settings.clone().from_region(region));
        return Ok(Arc::new(Forward::new(&settings, &config.intake, intake, write)?));
    }
    let module = destination(config, &streams.clock)?;
    Ok(module.expect("all but forwarding modules have a destination that is no stream"))
}

/// A module without its mapping; none for one that forwards into streams. Nothing is contacted yet.
///
/// # Errors
/// Settings that cannot work.
pub(crate) fn destination(
    config: &ModuleConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Module>>, Problem> {
    let intake = Arc::new(Intake::on_host(&host::name(), &config.intake, &config.name)?);
    baikonur_assembly::destination(config.kind.clone(), &config.s3, intake, Arc::clone(clock))
}

fn failed_store(
    config: &ModuleConfig,
    server: &ServerConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn FailedStore>, Problem> {
    let location = match &config.failed_store {
        Some(location) => location.clone(),
        None => Location::folder(&server.data.join(FAILED_FOLDER))?,
    };
    let destination = objects::open(&location, &config.s3)?;
    let prefix = &config.intake.log_type_unknown_prefix;
    let store = Arc::new(ObjectFailedStore::new(destination, prefix));
    on_failure::telling(store, config, &server.api, clock)
}
