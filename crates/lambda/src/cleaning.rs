//! One invocation of `es-cleaner`: old indices are found and deleted, and the answer says which.

use baikonur_modules::es_cleaner::{CleanError, Cleaner};
use serde::Serialize;
use tracing::{info, warn};

/// What became of old indices, by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// They are gone.
    pub deleted: Vec<String>,
    /// They would be gone, if the function did more than to say so.
    pub would_be_deleted: Vec<String>,
}

/// Indices that are still there.
#[derive(Debug, thiserror::Error)]
pub enum CleaningError {
    /// The cluster does not say what there is.
    #[error(transparent)]
    Find(#[from] CleanError),
    /// Some could not be deleted; the others were.
    #[error("{left} of {all} old indices could not be deleted; the first: {first}")]
    Left {
        /// How many.
        left: usize,
        /// Of how many.
        all: usize,
        /// Why one of them was not.
        first: CleanError,
    },
}

/// Deletes what is old. One index that cannot be deleted keeps none of the others.
///
/// # Errors
/// What is still there; the next schedule tries again.
pub async fn clean(cleaner: &Cleaner) -> Result<Cleaned, CleaningError> {
    let mut cleaned = Cleaned::default();
    let mut failures = Vec::new();
    let old = cleaner.find().await?;
    let all = old.len();
    for index in old {
        if cleaner.is_dry_run() {
            info!(index = index.name, "would be deleted");
            cleaned.would_be_deleted.push(index.name);
            continue;
        }
        match cleaner.delete(&index).await {
            Ok(()) => {
                info!(index = index.name, "deleted");
                cleaned.deleted.push(index.name);
            }
            Err(why) => {
                warn!(index = index.name, %why, "not deleted");
                failures.push(why);
            }
        }
    }
    let left = failures.len();
    match failures.into_iter().next() {
        None => Ok(cleaned),
        Some(first) => Err(CleaningError::Left { left, all, first }),
    }
}
