//! A place handed on to who reads parts of objects, as the `object_store` crate has it, opened as the modules open it.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::store::Store;
use super::{InvalidDestination, Location, S3Settings};

/// An opened place.
#[derive(Debug, Clone)]
pub struct ReadOnly {
    /// The bucket, or all of the file system. Who gets it reads only.
    pub store: Arc<dyn ObjectStore>,
    /// Where in it the place begins.
    pub prefix: Path,
}

/// Opens a place. Nothing is sent yet.
///
/// # Errors
/// Settings that cannot work.
pub fn open_for_reading(
    location: &Location,
    s3: &S3Settings,
) -> Result<ReadOnly, InvalidDestination> {
    let Store { store, prefix, .. } = Store::open(location, s3)?;
    Ok(ReadOnly { store, prefix })
}
