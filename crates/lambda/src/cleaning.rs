//! One invocation of `es-cleaner`: old indices are found and deleted, and the answer says which.

use baikonur_modules::es_cleaner::{CleanError, Cleaner};
use serde::Serialize;
use tracing::info;

/// What was deleted.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// Names of indices.
    pub deleted: Vec<String>,
}

/// Deletes what is old.
///
/// # Errors
/// The first call that the cluster refused; what was deleted before stays deleted, and the next schedule goes on.
pub async fn clean(cleaner: &Cleaner) -> Result<Cleaned, CleanError> {
    let mut cleaned = Cleaned::default();
    for index in cleaner.find().await? {
        cleaner.delete(&index).await?;
        info!(index = index.name, "deleted");
        cleaned.deleted.push(index.name);
    }
    Ok(cleaned)
}
