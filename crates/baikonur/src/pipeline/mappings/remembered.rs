//! What operators said about mappings, kept over restarts in a small file of the data directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use baikonur_stream::ConsumerName;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::super::redelivery::Resets;

/// The file's name in the data directory.
const FILE: &str = "mappings.json";

/// What is kept of one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    /// It is to stay stopped.
    pub(super) paused: bool,
    /// How often the position in a shard was reset. What a target remembers of a forwarding module counts only within
    /// one of these: records that are asked for again are to be put again, and those of other shards are not.
    pub(super) resets: Resets,
}

/// What is kept of all of them. A change is durable when it returns.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    said: Mutex<BTreeMap<String, Said>>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path} to remember which mappings are paused: {error}")]
pub(super) struct RememberError {
    path: PathBuf,
    error: io::Error,
}

impl Remembered {
    /// What the data directory remembers; nothing if there is no file.
    pub(super) async fn open(data: &Path) -> Result<Self, RememberError> {
        let path = data.join(FILE);
        let said = match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        match said {
            Ok(said) => Ok(Self { path, said: Mutex::new(said) }),
            Err(error) => Err(RememberError { path, error }),
        }
    }

    /// What is kept of a mapping.
    pub(super) async fn of(&self, module: &ConsumerName) -> Said {
        self.said.lock().await.get(module.as_str()).cloned().unwrap_or_default()
    }

    /// Changes what is kept of a mapping.
    pub(super) async fn change(
        &self,
        module: &ConsumerName,
        change: impl FnOnce(&mut Said),
    ) -> Result<Said, RememberError> {
        let mut all = self.said.lock().await;
        let mut said = all.get(module.as_str()).cloned().unwrap_or_default();
        change(&mut said);
        let mut changed = all.clone();
        changed.insert(module.to_string(), said.clone());
        self.write(&changed)
            .await
            .map_err(|error| RememberError { path: self.path.clone(), error })?;
        *all = changed;
        Ok(said)
    }

    /// A new file beside the old one, then in its place: a kill leaves one of both.
    async fn write(&self, said: &BTreeMap<String, Said>) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(said)?;
        text.push(b'\n');
        let written = self.path.with_extension("json.new");
        let replaced = async {
            let mut file = tokio::fs::File::create(&written).await?;
            file.write_all(&text).await?;
            file.sync_all().await?;
            tokio::fs::rename(&written, &self.path).await
        };
        if let Err(error) = replaced.await {
            // On a full disk it would stand in the way; what cannot be removed is replaced by the next write.
            let _ = tokio::fs::remove_file(&written).await;
            return Err(error);
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        tokio::fs::File::open(directory).await?.sync_all().await
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ShardAddress, ShardId, StreamName};

    use super::*;

    #[tokio::test]
    async fn what_was_said_of_a_mapping_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (ConsumerName::new("one"), ConsumerName::new("two"));
        let remembered = Remembered::open(folder.path()).await.unwrap();
        assert_eq!(remembered.of(&one).await, Said::default());
        remembered.change(&one, |said| said.paused = true).await.unwrap();
        let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(3) };
        remembered.change(&two, |said| said.resets.count(&shard)).await.unwrap();
        remembered.change(&two, |said| said.resets.count(&shard)).await.unwrap();
        let remembered = Remembered::open(folder.path()).await.unwrap();
        assert_eq!(remembered.of(&one).await, Said { paused: true, ..Said::default() });
        let mut resets = Resets::default();
        resets.count(&shard);
        resets.count(&shard);
        assert_eq!(remembered.of(&two).await, Said { paused: false, resets });
    }

    #[tokio::test]
    async fn a_file_that_is_not_ours_is_an_error_and_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"one\":").unwrap();
        let error = Remembered::open(folder.path()).await.unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        std::fs::create_dir(folder.path().join("mappings.json.new")).unwrap();
        let remembered = Remembered::open(folder.path()).await.unwrap();
        let module = ConsumerName::new("one");
        assert!(remembered.change(&module, |said| said.paused = true).await.is_err());
        assert!(!remembered.of(&module).await.paused, "what is not durable does not count");
    }
}
