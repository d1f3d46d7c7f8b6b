//! An object to its destination: over itself when it comes again, never over another one.
//!
//! The wanted key comes from the object's first event, and another object may have it: the same line
//! sent twice, through two streams or in two cuts, has the same type, time and id. So each object
//! says in its gzip header where it is from, and who finds a key taken by another origin goes to a
//! second key, made from the wanted one and a hash of the own origin: that one is nobody else's. Layouts that name the
//! origin in every key do without all of this.
//!
//! Between looking and writing nothing may come in between: within this process a lock sees to it,
//! and across processes a conditional write where the server has one.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::objects::{ObjectDestination, ObjectError, PutMode, gzip, hash};

/// What is read of an object to find its origin: more than any header of ours has.
const HEAD_BYTES: usize = 1024;
/// How often a key may be taken and vanish, or a server answer 409, before it is given up for now.
const ROUNDS_MAX: usize = 4;

/// The objects that this process is writing, by URL: modules may share a destination.
static WRITING: LazyLock<std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>> =
    LazyLock::new(Default::default);

/// Stores an object; gives the key that it has now.
pub(super) async fn store(
    destination: &dyn ObjectDestination,
    wanted: &str,
    content: Vec<Bytes>,
    origin: &str,
) -> Result<String, ObjectError> {
    let url = destination.url(wanted);
    let _alone = alone(&url).await;
    for _ in 0..ROUNDS_MAX {
        let owner = owner(destination, wanted, origin).await?;
        let key = match owner {
            Owner::Another => key_beside(wanted, origin),
            Owner::Nobody | Owner::We | Owner::Hidden(_) => wanted.to_owned(),
        };
        let mode = match owner {
            Owner::Nobody | Owner::Hidden(_) => PutMode::Create,
            Owner::We | Owner::Another => PutMode::Overwrite,
        };
        match (destination.put(&key, content.clone(), mode).await, owner) {
            (Ok(()), _) => return Ok(key),
            (Err(ObjectError::NoCreate), Owner::Nobody) => {
                destination.put(&key, content, PutMode::Overwrite).await?;
                return Ok(key);
            }
            (Err(ObjectError::NoCreate | ObjectError::Exists), Owner::Hidden(error)) => {
                return Err(error);
            }
            // Written since we looked: look again.
            (Err(ObjectError::Exists), _) => {}
            (Err(error), _) => return Err(error),
        }
    }
    Err(ObjectError::Unavailable(format!("cannot write {url}: others write it at the same time")))
}

/// Waits until nobody else in this process writes `url`.
async fn alone(url: &str) -> OwnedMutexGuard<()> {
    let lock = {
        let mut writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        writing.retain(|_, lock| lock.strong_count() > 0);
        match writing.get(url).and_then(Weak::upgrade) {
            Some(lock) => lock,
            None => {
                let lock = Arc::new(Mutex::new(()));
                writing.insert(url.to_owned(), Arc::downgrade(&lock));
                lock
            }
        }
    };
    lock.lock_owned().await
}

/// `{wanted}-{hash of the origin}.gz`.
fn key_beside(wanted: &str, origin: &str) -> String {
    format!("{}-{}.gz", wanted.strip_suffix(".gz").unwrap_or(wanted), hash(origin))
}

/// Whose object a key has.
enum Owner {
    Nobody,
    We,
    Another,
    /// We may not look. S3 says so, too, of an object that is not there, to who may not list.
    Hidden(ObjectError),
}

async fn owner(
    destination: &dyn ObjectDestination,
    key: &str,
    origin: &str,
) -> Result<Owner, ObjectError> {
    match destination.head(key, HEAD_BYTES).await {
        Ok(None) => Ok(Owner::Nobody),
        Ok(Some(head)) if gzip::origin(&head) == Some(origin) => Ok(Owner::We),
        Ok(Some(_)) => Ok(Owner::Another),
        Err(error @ ObjectError::Forbidden(_)) => Ok(Owner::Hidden(error)),
        Err(error) => Err(error),
    }
}
