//! What a function is, by its handler, and opening that from its environment.

use std::sync::Arc;

use baikonur_assembly::{Kind, destination, elsewhere, for_cluster, producer};
use baikonur_kinesis::Connection;
use baikonur_modules::es_cleaner::Cleaner;
use baikonur_modules::failed_store::ObjectFailedStore;
use baikonur_modules::forward::{Forward, TargetSettings};
use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_modules::objects::{Location, S3Settings, open};
use baikonur_modules::{cluster, es_cleaner, failed_store, to_es};
use baikonur_stream::{Clock, ConsumerName, Module};

use crate::environment::{Environment, InvalidEnvironment};
use crate::function::Function;

/// The function that deletes old indices, invoked by a schedule.
const CLEANER: &str = "es-cleaner";
/// What `kinesis-to-s3` may hold of a function's memory: the event and what is made of it need the rest.
const MEMORY_SHARE: u64 = 3;

/// What a function does.
pub enum Opened {
    /// It delivers the records of events.
    Deliver(Function),
    /// It deletes old indices, whatever the event is.
    Clean(Box<Cleaner>),
}

/// Why there is no function.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The handler names no module.
    #[error(
        "handler {0:?} is none of {names}; with any other handler the environment variable BAIKONUR_MODULE names the module",
        names = names().join(", ")
    )]
    Handler(String),
    /// A variable is wrong.
    #[error(transparent)]
    Environment(#[from] InvalidEnvironment),
    /// Rejected records would have no place.
    #[error(
        "{0} has no place for records that can never be delivered: set FAILED_LOG_S3_BUCKET, or BAIKONUR_FAILED_STORE to a \
         URL such as s3://bucket/prefix"
    )]
    NoFailedStore(&'static str),
    /// What a mapping does, and a function cannot.
    #[error(
        "BAIKONUR_ON_FAILURE_DESTINATION: a function is not told that a batch was given up; set the on-failure destination \
         of its event source mapping"
    )]
    OnFailure,
    /// Settings that cannot work, in the words of their room.
    #[error("{0}")]
    Settings(Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    fn settings(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Settings(error.into())
    }
}

fn names() -> Vec<&'static str> {
    Kind::NAMES.into_iter().chain([CLEANER]).collect()
}

/// The module that a handler names: by its name, or, with the handlers of the originals and any other, as the environment
/// says.
fn name(handler: &str, environment: &mut Environment) -> Result<&'static str, OpenError> {
    let given = environment.take_text("module");
    let names = names();
    let known = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    match given {
        Some(given) => known(&given).ok_or(OpenError::Handler(given)),
        None => known(handler).ok_or_else(|| OpenError::Handler(handler.to_owned())),
    }
}

/// Opens what `handler` names. Nothing is contacted yet, so that a function starts fast.
///
/// `function` is the name of the function, `memory_mb` what Lambda gives it.
///
/// # Errors
/// No such module, or settings that cannot work.
pub async fn open_function(
    handler: &str,
    function: &str,
    memory_mb: Option<u64>,
    mut environment: Environment,
    clock: Arc<dyn Clock>,
) -> Result<Opened, OpenError> {
    let name = name(handler, &mut environment)?;
    let endpoint = environment.take_text("kinesis_endpoint");
    if name == CLEANER {
        let settings = es_cleaner::Settings {
            cluster: environment.take::<cluster::Settings>()?,
            ..environment.take()?
        };
        // The schedule of the function decides when.
        environment.refuse_the_rest(name)?;
        let amazon = for_cluster(&settings.cluster);
        let cleaner = Cleaner::new(settings, clock, amazon).map_err(OpenError::settings)?;
        return Ok(Opened::Clean(Box::new(cleaner)));
    }
    if let Some(memory_mb) = memory_mb {
        let bytes = memory_mb * 1024 * 1024 / MEMORY_SHARE;
        environment.default_to("memory_bytes", bytes.to_string());
    }
    let intake_settings: IntakeSettings = environment.take()?;
    let failed: failed_store::Settings = environment.take()?;
    let s3: S3Settings = environment.take()?;
    let kind = kind(name, &mut environment)?;
    environment.refuse_the_rest(name)?;
    kind.check().map_err(OpenError::Settings)?;
    s3.check().map_err(OpenError::settings)?;
    if failed.on_failure().map_err(OpenError::settings)?.is_some() {
        return Err(OpenError::OnFailure);
    }

    let consumer = ConsumerName::new(function);
    let intake = Intake::on_host(function, &intake_settings, &consumer);
    let intake = Arc::new(intake.map_err(OpenError::settings)?);
    let location = match (failed.location().map_err(OpenError::settings)?, &kind) {
        (Some(location), _) => location,
        // As the originals promise: beside the archive, below the unknown prefix.
        (None, Kind::ToS3(settings)) => settings.location().map_err(OpenError::settings)?,
        (None, _) => return Err(OpenError::NoFailedStore(name)),
    };
    let store = failed_store(&location, &s3, &intake_settings)?;
    let module: Arc<dyn Module> = match &kind {
        Kind::Forward(settings) => {
            let here = Connection::to_service(None, None, endpoint, None);
            let here = here.await.map_err(OpenError::settings)?;
            let write = |target: &TargetSettings| match target.elsewhere() {
                None => Arc::new(producer(&here, target.strict_order)) as _,
                Some(place) => elsewhere(place, Some(here.clone()), target.strict_order),
            };
            let region = here.region();
            let settings =
                region.map_or(settings.clone(), |region| settings.clone().from_region(region));
            let forward = Forward::new(&settings, &intake_settings, intake, write);
            Arc::new(forward.map_err(OpenError::settings)?)
        }
        _ => destination(kind, &s3, intake, Arc::clone(&clock))
            .map_err(OpenError::Settings)?
            .expect("all but forwarding modules have a destination that is no stream"),
    };
    Ok(Opened::Deliver(Function::new(consumer, module, Arc::new(store), clock)))
}

fn kind(name: &str, environment: &mut Environment) -> Result<Kind, OpenError> {
    Ok(match name {
        "kinesis-forward" => Kind::Forward(environment.take()?),
        "kinesis-to-s3" => Kind::ToS3(environment.take()?),
        "kinesis-to-es" => {
            let cluster = environment.take::<cluster::Settings>()?;
            let settings = to_es::Settings { cluster, ..environment.take()? };
            Kind::ToElasticsearch(Box::new(settings))
        }
        _ => Kind::ToFluent(environment.take()?),
    })
}

fn failed_store(
    location: &Location,
    s3: &S3Settings,
    intake: &IntakeSettings,
) -> Result<ObjectFailedStore, OpenError> {
    let destination = open(location, s3).map_err(OpenError::settings)?;
    Ok(ObjectFailedStore::new(destination, &intake.log_type_unknown_prefix))
}

#[cfg(test)]
mod tests {
    use baikonur_stream::SystemClock;

    use super::*;

    async fn opened(handler: &str, variables: &[(&str, &str)]) -> Result<Opened, String> {
        let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        let environment = Environment::read(variables);
        let clock = Arc::new(SystemClock::new());
        let opened = open_function(handler, "function", Some(128), environment, clock).await;
        opened.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_originals_environments_open_each_module() {
        let failed = ("FAILED_LOG_S3_BUCKET", "failed");
        for (name, variables) in [
            ("kinesis-to-s3", vec![("LOG_S3_BUCKET", "logs"), ("LOG_S3_PREFIX", "a/b")]),
            (
                "kinesis-to-es",
                vec![("ES_HOST", "es.example.com"), ("INDEX_NAME_PREFIX", "logs"), failed],
            ),
            (
                "kinesis-to-fluent",
                vec![
                    ("LOG_FLUENT_SINK_ENDPOINT", "fluent.example.com"),
                    ("LOG_FLUENT_TAG", "lambda"),
                    failed,
                ],
            ),
            (
                "kinesis-forward",
                vec![("TARGET_STREAM_NAME", "target"), ("KINESIS_MAX_RETRIES", "3"), failed],
            ),
        ] {
            let found = opened(name, &variables).await;
            assert!(matches!(found, Ok(Opened::Deliver(_))), "{name}: {:?}", found.err());
            let by_variable = [variables, vec![("BAIKONUR_MODULE", name)]].concat();
            assert!(opened("main.handler", &by_variable).await.is_ok(), "{name}");
        }
        let cleaner = [
            ("ES_HOST", "es.example.com"),
            ("BAIKONUR_INDEX_NAME_PREFIX", "logs-"),
            ("BAIKONUR_MAX_AGE_DAYS", "7"),
        ];
        let found = opened("es-cleaner", &cleaner).await;
        assert!(matches!(found, Ok(Opened::Clean(_))), "{:?}", found.err());
    }

    #[tokio::test]
    async fn what_cannot_be_opened_says_why() {
        let why = async |handler: &str, variables: &[(&str, &str)]| {
            opened(handler, variables).await.err().unwrap()
        };
        let es = [("ES_HOST", "es"), ("INDEX_NAME_PREFIX", "logs")];
        assert!(why("main.handler", &[]).await.contains("BAIKONUR_MODULE"));
        assert!(why("kinesis-to-es", &es).await.contains("FAILED_LOG_S3_BUCKET"));
        assert!(why("kinesis-to-s3", &[]).await.contains("destination"));
        let typo = [("LOG_S3_BUCKET", "b"), ("BAIKONUR_BUFER_BYTES", "1")];
        assert!(why("kinesis-to-s3", &typo).await.contains("BAIKONUR_BUFER_BYTES"));
        let told = [("LOG_S3_BUCKET", "b"), ("BAIKONUR_ON_FAILURE_DESTINATION", "s3://x/y")];
        assert!(why("kinesis-to-s3", &told).await.contains("event source mapping"));
    }
}
