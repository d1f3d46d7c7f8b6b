//! Objects as one who goes through a whole store sees them: listed, read whole, replaced only if nobody else did.

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, PutOptions, PutPayload, UpdateVersion};
use tokio::sync::mpsc;

use super::folder;
use super::store::Store;
use super::{ObjectDestination, ObjectError};

/// Keys that are listed ahead of the one who asks.
const LISTED_AHEAD: usize = 256;

/// What a listing meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
    },
    /// Something that is no object and is passed over, in a sentence.
    Strange(String),
}

/// A state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// All of it.
    pub bytes: Bytes,
    /// The state that it was in.
    pub version: Version,
}

/// What the place itself can do to keep other processes away.
#[derive(Debug)]
pub enum PlaceLock {
    /// Until it is dropped, or the process ends, however it ends.
    Held(HeldLock),
    /// Another process has it.
    Taken,
    /// The place knows no locks.
    Unknown,
}

/// A locked file.
#[derive(Debug)]
pub struct HeldLock {
    _file: File,
}

/// A place whose objects are gone through.
#[async_trait]
pub trait ObjectSource: ObjectDestination {
    /// Lists all objects, in the order of their keys; a few are listed ahead. An error is the last item: what is
    /// behind it is not known.
    fn list(&self) -> mpsc::Receiver<Result<Listed, ObjectError>>;

    /// Reads an object of at most `bytes_max`; none when there is no such object.
    ///
    /// # Errors
    /// A larger one, and whatever keeps it from being read.
    async fn read(&self, key: &str, bytes_max: u64) -> Result<Option<Whole>, ObjectError>;

    /// Makes an object, or replaces the state `expected` of it.
    ///
    /// A folder cannot compare and replace in one step: who replaces there holds its [`lock`](Self::lock).
    ///
    /// # Errors
    /// [`ObjectError::Exists`] when it is in another state.
    async fn replace(
        &self,
        key: &str,
        content: Bytes,
        expected: Option<&Version>,
    ) -> Result<Version, ObjectError>;

    /// Locks `key`, if the place has locks.
    ///
    /// # Errors
    /// It cannot be said whether it is locked.
    async fn lock(&self, key: &str) -> Result<PlaceLock, ObjectError>;
}

impl Store {
    /// The folder, if it is one.
    fn folder(&self) -> Option<PathBuf> {
        self.folder.clone()
    }
}

#[async_trait]
impl ObjectSource for Store {
    fn list(&self) -> mpsc::Receiver<Result<Listed, ObjectError>> {
        let (sender, receiver) = mpsc::channel(LISTED_AHEAD);
        if let Some(root) = self.folder() {
            tokio::task::spawn_blocking(move || folder::walk(&root, &sender));
            return receiver;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let prefix = (!store.prefix.as_ref().is_empty()).then_some(&store.prefix);
            let mut objects = store.store.list(prefix);
            while let Some(next) = objects.next().await {
                let item = match next {
                    Ok(meta) => {
                        Ok(Listed::Object { key: store.key(&meta.location), bytes: meta.size })
                    }
                    Err(error) => Err(store.explained("list", "", &error)),
                };
                let is_last = item.is_err();
                if sender.send(item).await.is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }

    async fn read(&self, key: &str, bytes_max: u64) -> Result<Option<Whole>, ObjectError> {
        let found = match self.store.get_opts(&self.path(key)?, GetOptions::default()).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.explained("read", key, &error)),
        };
        if found.meta.size > bytes_max {
            let (url, bytes) = (self.url(key), found.meta.size);
            return Err(ObjectError::Unavailable(format!(
                "{url} has {bytes} bytes, more than the {bytes_max} that are read at once"
            )));
        }
        let version = Version(found.meta.e_tag.clone().unwrap_or_default());
        match found.bytes().await {
            Ok(bytes) => Ok(Some(Whole { bytes, version })),
            Err(error) => Err(self.explained("read", key, &error)),
        }
    }

    async fn replace(
        &self,
        key: &str,
        content: Bytes,
        expected: Option<&Version>,
    ) -> Result<Version, ObjectError> {
        let mode = match expected {
            None => object_store::PutMode::Create,
            Some(_) if self.folder.is_some() => object_store::PutMode::Overwrite,
            Some(Version(tag)) => {
                let e_tag = Some(tag.clone());
                object_store::PutMode::Update(UpdateVersion { e_tag, version: None })
            }
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(key)?, PutPayload::from(content), options).await {
            Ok(put) => Ok(Version(put.e_tag.unwrap_or_default())),
            Err(error) => Err(self.not_put(key, &error)),
        }
    }

    async fn lock(&self, key: &str) -> Result<PlaceLock, ObjectError> {
        let Some(root) = self.folder() else { return Ok(PlaceLock::Unknown) };
        let (path, url) = (root.join(key), self.url(key));
        let told = move |error: &dyn std::fmt::Display| {
            ObjectError::Unavailable(format!("cannot lock {url}: {error}"))
        };
        match tokio::task::spawn_blocking(move || lock_file(&path)).await {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err(error)) => Err(told(&error)),
            Err(error) => Err(told(&error)),
        }
    }
}

fn lock_file(path: &FilePath) -> std::io::Result<PlaceLock> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(PlaceLock::Held(HeldLock { _file: file })),
        Err(std::fs::TryLockError::WouldBlock) => Ok(PlaceLock::Taken),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

impl Store {
    /// The key of an object below the prefix.
    fn key(&self, location: &Path) -> String {
        let whole = location.as_ref();
        let below = whole.strip_prefix(self.prefix.as_ref()).unwrap_or(whole);
        below.trim_start_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::objects::{Location, S3Settings, open_source};

    fn source(path: &FilePath) -> Arc<dyn ObjectSource> {
        open_source(&Location::Folder(path.to_owned()), &S3Settings::default()).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_replaced_in_the_state_that_was_seen() {
        let temporary = tempfile::tempdir().unwrap();
        let source = source(temporary.path());
        let key = "a/state.json";
        assert_eq!(source.read(key, 100).await, Ok(None));
        let first = source.replace(key, Bytes::from_static(b"1"), None).await.unwrap();
        let again = source.replace(key, Bytes::from_static(b"2"), None).await;
        assert_eq!(again, Err(ObjectError::Exists));
        let read = source.read(key, 100).await.unwrap().unwrap();
        assert_eq!((&*read.bytes, &read.version), (&b"1"[..], &first));
        source.replace(key, Bytes::from_static(b"22"), Some(&first)).await.unwrap();
        let error = source.read(key, 1).await.unwrap_err().to_string();
        assert!(error.contains("a/state.json has 2 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_is_locked_until_the_lock_is_dropped() {
        let temporary = tempfile::tempdir().unwrap();
        let source = source(&temporary.path().join("new"));
        let held = source.lock("redrive/lock").await.unwrap();
        assert!(matches!(held, PlaceLock::Held(_)));
        assert!(matches!(source.lock("redrive/lock").await, Ok(PlaceLock::Taken)));
        drop(held);
        assert!(matches!(source.lock("redrive/lock").await, Ok(PlaceLock::Held(_))));
    }
}
