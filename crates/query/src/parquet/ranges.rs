//! A Parquet object in a store, of which only the parts that are read are fetched.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::try_join_all;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::QueryError;
use crate::progress::Progress;
use crate::store::ArchiveStore;

/// Smaller objects are fetched by one request.
const WHOLE_BYTES: u64 = 4 << 20;
/// The end of a larger one, where its schema and the places of its columns most likely are.
const END_BYTES: u64 = 64 << 10;
/// Columns of a row group that have more bytes together are fetched in steps.
const HELD_BYTES_MAX: u64 = 64 << 20;
const STEP_BYTES: u64 = 1 << 20;
/// Ranges that are nearer to each other are fetched by one request.
const GAP_BYTES: u64 = 64 << 10;

/// A Parquet object; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    object: Arc<Object>,
}

#[derive(Debug)]
struct Object {
    store: ArchiveStore,
    key: String,
    bytes: u64,
    progress: Arc<Progress>,
    /// The end of the object.
    end: Piece,
    held: Mutex<Vec<Piece>>,
}

#[derive(Debug, Clone)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Piece {
    /// What it has from a place on.
    fn from(&self, start: u64) -> Option<Bytes> {
        let within = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (within < self.bytes.len()).then(|| self.bytes.slice(within..))
    }
}

impl Ranges {
    /// Fetches the end of an object, or all of a small one.
    pub(crate) async fn fetch(
        store: ArchiveStore,
        key: String,
        bytes: u64,
        progress: Arc<Progress>,
    ) -> std::result::Result<Self, QueryError> {
        let start = if bytes <= WHOLE_BYTES { 0 } else { bytes - END_BYTES };
        let end = store.range(&key, start..bytes).await?;
        progress.fetched(end.len() as u64);
        let end = Piece { start, bytes: end };
        let held = Mutex::new(Vec::new());
        Ok(Self { object: Arc::new(Object { store, key, bytes, progress, end, held }) })
    }

    /// Fetches the columns of a row group ahead, and forgets those of the one before.
    pub(super) fn hold(&self, mut wanted: Vec<Range<u64>>) -> Result<()> {
        let object = &*self.object;
        let mut held = object.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clear();
        wanted.retain(|range| range.start < object.end.start);
        let total: u64 = wanted.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        if total > HELD_BYTES_MAX {
            return Ok(());
        }
        wanted.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in wanted {
            match joined.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                    last.end = last.end.max(range.end);
                }
                _ => joined.push(range),
            }
        }
        let requests = joined.into_iter().map(|range| async move {
            let start = range.start;
            let bytes = object.store.range(&object.key, range).await?;
            object.progress.fetched(bytes.len() as u64);
            Ok::<_, QueryError>(Piece { start, bytes })
        });
        *held = object.store.runtime().block_on(try_join_all(requests)).map_err(external)?;
        Ok(())
    }

    /// Some bytes from a place on; none at the end.
    fn some_from(&self, start: u64, wanted: u64) -> Result<Bytes> {
        let object = &*self.object;
        if let Some(bytes) = object.end.from(start) {
            return Ok(bytes);
        }
        let held = object.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = held.iter().find_map(|piece| piece.from(start)) {
            return Ok(bytes);
        }
        drop(held);
        let range = start..start.saturating_add(wanted).min(object.bytes);
        let fetched = object.store.runtime().block_on(object.store.range(&object.key, range));
        let fetched = fetched.map_err(external)?;
        object.progress.fetched(fetched.len() as u64);
        Ok(fetched)
    }
}

fn external(error: QueryError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.object.bytes
    }
}

impl ChunkReader for Ranges {
    type T = Reading;

    fn get_read(&self, start: u64) -> Result<Reading> {
        Ok(Reading { ranges: self.clone(), at: start, piece: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let left = self.object.bytes.saturating_sub(start);
        if length as u64 > left {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start}, where {left} are left"
            )));
        }
        let some = self.some_from(start, length as u64)?;
        if some.len() >= length {
            return Ok(some.slice(..length));
        }
        let mut whole = Vec::with_capacity(length);
        whole.extend_from_slice(&some);
        while whole.len() < length {
            let left = (length - whole.len()) as u64;
            let some = self.some_from(start + whole.len() as u64, left)?;
            if some.is_empty() {
                return Err(ParquetError::EOF(format!("{length} bytes at {start}")));
            }
            whole.extend_from_slice(&some[..some.len().min(length - whole.len())]);
        }
        Ok(whole.into())
    }
}

/// The object from a place on.
#[derive(Debug)]
pub(crate) struct Reading {
    ranges: Ranges,
    at: u64,
    piece: Bytes,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.ranges.object.bytes {
            self.piece = self.ranges.some_from(self.at, STEP_BYTES).map_err(io::Error::other)?;
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        self.at += length as u64;
        Ok(length)
    }
}
