//! The place of an archive: listed, read in pieces, and never written.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResultPayload, ObjectStore};
use tokio::runtime::Handle;

use crate::QueryError;

/// Where an archive is, opened by whoever knows how its store is reached.
#[derive(Debug, Clone)]
pub struct ArchiveStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: Arc<str>,
    runtime: Handle,
}

/// An object that was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Below the prefix.
    pub(crate) key: String,
    pub(crate) bytes: u64,
}

impl ArchiveStore {
    /// What is below `prefix` in `store`; `shown` is how messages call it. Requests are made on `runtime`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, shown: &str, runtime: Handle) -> Self {
        Self { store, prefix, shown: shown.into(), runtime }
    }

    /// How messages call the archive.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.shown)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The folders and the objects at the top.
    pub(crate) fn top(&self) -> Result<(Vec<String>, Vec<Listed>), QueryError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&self.prefix)));
        let listed = listed.map_err(|error| self.unavailable("list", None, &error))?;
        let folders = listed.common_prefixes.iter().map(|path| self.key(path)).collect();
        let objects = listed.objects.iter();
        let objects = objects
            .map(|meta| Listed { key: self.key(&meta.location), bytes: meta.size })
            .collect();
        Ok((folders, objects))
    }

    /// All objects below a folder; `met` is told how many there are so far.
    pub(crate) fn below(&self, folder: &str, met: &dyn Fn(u64)) -> Result<Vec<Listed>, QueryError> {
        let prefix = self.path(folder)?;
        let mut found = Vec::new();
        let mut objects = self.store.list(Some(&prefix));
        while let Some(next) = self.runtime.block_on(objects.next()) {
            let meta = next.map_err(|error| self.unavailable("list", Some(folder), &error))?;
            found.push(Listed { key: self.key(&meta.location), bytes: meta.size });
            if found.len() % 1000 == 0 {
                met(1000);
            }
        }
        met((found.len() % 1000) as u64);
        Ok(found)
    }

    /// A piece of an object, shorter where the object ends.
    pub(crate) async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, QueryError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options = GetOptions::default().with_range(Some(GetRange::Bounded(range)));
        let found = match self.store.get_opts(&self.path(key)?, options).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        found.map_err(|error| self.unavailable("read", Some(key), &error))
    }

    /// An object from its beginning to its end.
    pub(crate) async fn open(&self, key: &str) -> Result<Stored, QueryError> {
        let found = self.store.get_opts(&self.path(key)?, GetOptions::default()).await;
        let found = found.map_err(|error| self.unavailable("read", Some(key), &error))?;
        let body = match found.payload {
            GetResultPayload::File(file, _) => Body::File(file),
            GetResultPayload::Stream(stream) => Body::Stream { stream, piece: Bytes::new() },
        };
        Ok(Stored { store: self.clone(), key: key.to_owned(), body })
    }

    fn path(&self, key: &str) -> Result<Path, QueryError> {
        let whole = match self.prefix.as_ref() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        };
        Path::parse(whole).map_err(|error| QueryError::Unavailable {
            doing: "read",
            url: self.url(key),
            why: error.to_string(),
        })
    }

    fn key(&self, location: &Path) -> String {
        let whole = location.as_ref();
        let below = whole.strip_prefix(self.prefix.as_ref()).unwrap_or(whole);
        below.trim_start_matches('/').to_owned()
    }

    fn unavailable(&self, doing: &'static str, key: Option<&str>, error: &Error) -> QueryError {
        let url = key.map_or_else(|| self.shown.to_string(), |key| self.url(key));
        let text = error.to_string();
        let why = match (element(&text, "Code"), element(&text, "Message")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ if matches!(error, Error::NotFound { .. }) => {
                "there is no such object any more".to_owned()
            }
            _ => text.clone(),
        };
        QueryError::Unavailable { doing, url, why }
    }
}

/// The bytes of an object, read on a thread that is none of the runtime's.
pub(crate) struct Stored {
    store: ArchiveStore,
    key: String,
    body: Body,
}

enum Body {
    File(File),
    Stream { stream: BoxStream<'static, object_store::Result<Bytes>>, piece: Bytes },
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Body::File(file) => file.read(buffer),
            Body::Stream { stream, piece } => {
                while piece.is_empty() {
                    match self.store.runtime.block_on(stream.next()) {
                        None => return Ok(0),
                        Some(Ok(next)) => *piece = next,
                        Some(Err(error)) => {
                            let error = self.store.unavailable("read", Some(&self.key), &error);
                            return Err(io::Error::other(error));
                        }
                    }
                }
                let length = buffer.len().min(piece.len());
                buffer[..length].copy_from_slice(&piece.split_to(length));
                Ok(length)
            }
        }
    }
}

/// The text of an element in an S3 error document.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}
