//! One invocation of `es-cleaner`: old indices are found and deleted, and the answer says which.

use baikonur_modules::es_cleaner::{CleanError, Cleaner};
use serde::Serialize;
use tracing::info;

/// What was deleted, or what would be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// Names of indices that are gone.
    pub deleted: Vec<String>,
    /// Names of indices that would be gone, if `dry_run_only` did not keep them.
    pub would_be_deleted: Vec<String>,
}

/// Deletes what is old, or only tells of it where the settings say `dry_run_only`.
///
/// # Errors
/// The first call that the cluster refused; what was deleted before stays deleted, and the next schedule goes on.
pub async fn clean(cleaner: &Cleaner) -> Result<Cleaned, CleanError> {
    let mut cleaned = Cleaned::default();
    for index in cleaner.find().await? {
        if cleaner.is_dry_run() {
            info!(index = index.name, "would be deleted");
            cleaned.would_be_deleted.push(index.name);
            continue;
        }
        cleaner.delete(&index).await?;
        info!(index = index.name, "deleted");
        cleaned.deleted.push(index.name);
    }
    Ok(cleaned)
}
