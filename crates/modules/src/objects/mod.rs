//! Objects: whole files under a key, in an S3 bucket or in a folder. What `to_s3` and the failed
//! store have in common.
//!
//! An object appears whole or not at all, and is durable when `put` returns: S3 promises both, and
//! a folder gets a temporary name, fsync of file and directories, and a rename.

pub mod codec;
mod folder;
pub mod frames;
pub mod gzip;
pub mod layout;
mod name;
mod parts;
pub mod piece;
mod protection;
mod reading;
mod settings;
mod source;
mod store;
pub mod template;

use async_trait::async_trait;
use bytes::Bytes;

pub(crate) use name::hash;
pub use name::name;
pub(crate) use parts::UNPACKED_BYTES_MAX;
pub use piece::Piece;
pub use protection::{ChecksumAlgorithm, ObjectProperties, ServerSideEncryption, TAGS_MAX};
pub use reading::{ReadOnly, open_for_reading};
pub use settings::{InvalidDestination, Location, S3Settings};
pub use source::{HeldLock, Listed, ObjectSource, PlaceLock, Version, Whole};
pub use store::{open, open_source, open_with};

/// Where objects are put.
#[async_trait]
pub trait ObjectDestination: Send + Sync + 'static {
    /// The first bytes of an object, at most `bytes_max`; none when there is no such object.
    async fn head(&self, key: &str, bytes_max: usize) -> Result<Option<Bytes>, ObjectError>;

    /// Writes an object; returns when it is durable. Readers see all of it or nothing.
    async fn put(&self, key: &str, content: Vec<Bytes>, mode: PutMode) -> Result<(), ObjectError>;

    /// Writes an object over whatever has its key, as [`put`](Self::put) does, and unpacks it where possible while it
    /// is sent.
    async fn put_pieces(&self, key: &str, content: Vec<Piece>) -> Result<(), ObjectError> {
        self.put(key, unpacked_for(self, key, content)?, PutMode::Overwrite).await
    }

    /// An object as a user would name it, for messages.
    fn url(&self, key: &str) -> String;
}

/// All of a content, for the object `key`.
pub(crate) fn unpacked_for<D: ObjectDestination + ?Sized>(
    destination: &D,
    key: &str,
    content: Vec<Piece>,
) -> Result<Vec<Bytes>, ObjectError> {
    piece::unpacked(content).map_err(|error| {
        let url = destination.url(key);
        ObjectError::Unavailable(format!("cannot write {url}: what is held is damaged: {error}"))
    })
}

/// What `put` does when there is an object already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// Leaves it alone, with [`ObjectError::Exists`].
    Create,
    /// Replaces it.
    Overwrite,
}

/// Why an object could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is one already.
    #[error("there is an object already")]
    Exists,
    /// The server does not know [`PutMode::Create`].
    #[error("the server has no conditional writes")]
    NoCreate,
    /// The credentials do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// Anything else, with what to do.
    #[error("{0}")]
    Unavailable(String),
}
