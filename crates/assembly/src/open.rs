//! Opening a module whose destination is no stream.

use std::sync::Arc;

use baikonur_modules::intake::Intake;
use baikonur_modules::objects::{S3Settings, open_with};
use baikonur_modules::to_es::ToElasticsearch;
use baikonur_modules::to_fluent::ToFluent;
use baikonur_modules::to_s3::ToS3;
use baikonur_stream::{Clock, Module};

use crate::amazon;
use crate::kind::{Kind, Problem};

/// A module without its mapping; none for one that forwards, which needs streams. Nothing is contacted yet.
///
/// # Errors
/// Settings that cannot work.
pub fn destination(
    kind: Kind,
    s3: &S3Settings,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Module>>, Problem> {
    let module: Arc<dyn Module> = match kind {
        Kind::Forward(_) => return Ok(None),
        Kind::ToS3(settings) => {
            let (location, properties) = (settings.location()?, settings.properties());
            let destination = open_with(&location, s3, properties)?;
            Arc::new(ToS3::new(settings, intake, destination, clock)?)
        }
        Kind::ToElasticsearch(settings) => {
            let amazon = amazon::for_cluster(&settings.cluster);
            Arc::new(ToElasticsearch::new(*settings, intake, clock, amazon)?)
        }
        Kind::ToFluent(settings) => Arc::new(ToFluent::new(settings, intake, clock)?),
    };
    Ok(Some(module))
}
