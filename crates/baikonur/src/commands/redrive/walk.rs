//! The objects of a store, one after the other, a few of them read ahead.

use std::sync::Arc;

use anyhow::Context;
use baikonur_modules::failed_store::{Mark, is_of_redrive, key_folders};
use baikonur_modules::objects::{Listed, ObjectSource};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::choice::Prepared;

/// Objects that are read at the same time.
const AHEAD: usize = 8;
/// Bytes of objects, as they are stored, that are read ahead; a larger object is alone.
const AHEAD_BYTES: u32 = 64 << 20;
/// Larger objects are told and passed over.
const OBJECT_BYTES_MAX: u64 = 512 << 20;

/// An object that may hold records.
pub(super) struct Opened {
    pub(super) key: String,
    pub(super) object: Bytes,
    pub(super) mark: Mark,
    /// Its share of what is read ahead.
    _room: OwnedSemaphorePermit,
}

/// What the walk meets.
pub(super) enum Visit {
    Object(Box<Opened>),
    /// Something that is no object of a failed store.
    Foreign(String),
    /// An object that cannot be read.
    Broken(String),
    /// An object that was there a moment ago.
    Gone,
}

/// The visits to come.
pub(super) type Visits = mpsc::Receiver<JoinHandle<anyhow::Result<Visit>>>;

/// Walks through `source`; objects that cannot have chosen records are passed over.
pub(super) fn walk(source: Arc<dyn ObjectSource>, choice: Arc<Prepared>) -> Visits {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let room = Arc::new(Semaphore::new(AHEAD_BYTES as usize));
    tokio::spawn(async move {
        let mut listed = source.list();
        while let Some(next) = listed.recv().await {
            let visit = match next {
                Ok(Listed::Object { key, .. }) if is_of_redrive(&key) || !choice.may_hold(&key) => {
                    continue;
                }
                Ok(Listed::Object { key, bytes }) => {
                    let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, AHEAD_BYTES);
                    let Ok(permit) = Arc::clone(&room).acquire_many_owned(wanted).await else {
                        return;
                    };
                    let source = Arc::clone(&source);
                    tokio::spawn(async move { Ok(open(&*source, key, permit).await) })
                }
                Ok(Listed::Strange(what)) => tokio::spawn(async { Ok(Visit::Foreign(what)) }),
                Err(error) => tokio::spawn(async { Err(error.into()) }),
            };
            if sender.send(visit).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next visit; none at the end.
pub(super) async fn next(visits: &mut Visits) -> anyhow::Result<Option<Visit>> {
    match visits.recv().await {
        Some(visit) => visit.await.context("reading an object broke off")?.map(Some),
        None => Ok(None),
    }
}

async fn open(source: &dyn ObjectSource, key: String, room: OwnedSemaphorePermit) -> Visit {
    let object = match source.read(&key, OBJECT_BYTES_MAX).await {
        Ok(Some(whole)) => whole.bytes,
        Ok(None) => return Visit::Gone,
        Err(error) => return unreadable(&key, error.to_string()),
    };
    match Mark::load(source, &key).await {
        Ok(mark) => Visit::Object(Box::new(Opened { key, object, mark, _room: room })),
        // What was replayed of it is not known, so that nothing of it is.
        Err(error) => Visit::Broken(error.to_string()),
    }
}

/// An object is one of ours by its key, or foreign.
pub(super) fn unreadable(key: &str, what: String) -> Visit {
    match key_folders(key) {
        Some(_) => Visit::Broken(what),
        None => Visit::Foreign(what),
    }
}
