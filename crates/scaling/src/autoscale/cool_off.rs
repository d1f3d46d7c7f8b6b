//! When each stream was last scaled in which direction, kept over restarts in a small file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use baikonur_stream::{StreamName, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::decide::Vote;

/// That the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CoolOffError {
    /// It cannot be read or written.
    #[error("cannot use {path} to remember when streams were scaled: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct LastScaled {
    up: Option<Timestamp>,
    down: Option<Timestamp>,
}

/// The last scalings of all monitors of a process.
#[derive(Debug)]
pub struct CoolOffs {
    /// None in tests alone.
    path: Option<PathBuf>,
    last: Mutex<BTreeMap<String, LastScaled>>,
}

impl CoolOffs {
    /// Remembers nothing beyond this process.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self { path: None, last: Mutex::default() }
    }

    /// What the file at `path` remembers; nothing if there is none. A file that was cut off while
    /// it was written counts as none: at worst a stream is scaled again too early.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub async fn open(path: PathBuf) -> Result<Self, CoolOffError> {
        let last = match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "no record of earlier scalings could be read");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CoolOffError::File { path, error }),
        };
        Ok(Self { path: Some(path), last: Mutex::new(last) })
    }

    /// How much longer a direction rests; none if it does not.
    pub(crate) async fn rests(
        &self,
        stream: &Key<'_>,
        vote: Vote,
        cool_off: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        let last = self.last.lock().await.get(&stream.text()).copied().unwrap_or_default();
        let last = match vote {
            Vote::Up => last.up?,
            Vote::Down => last.down?,
            Vote::None => return None,
        };
        cool_off.checked_sub(now.since(last)).filter(|rest| !rest.is_zero())
    }

    /// Remembers that a stream was scaled.
    pub(crate) async fn scaled(
        &self,
        stream: &Key<'_>,
        vote: Vote,
        now: Timestamp,
    ) -> Result<(), CoolOffError> {
        let mut last = self.last.lock().await;
        let entry = last.entry(stream.text()).or_default();
        match vote {
            Vote::Up => entry.up = Some(now),
            Vote::Down => entry.down = Some(now),
            Vote::None => {}
        }
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&*last).unwrap_or_default();
        let written = tokio::fs::write(path, text).await;
        written.map_err(|error| CoolOffError::File { path: path.clone(), error })
    }
}

/// A stream in its region.
pub(crate) struct Key<'a> {
    pub(crate) region: &'a str,
    pub(crate) stream: &'a StreamName,
}

impl Key<'_> {
    fn text(&self) -> String {
        format!("{}/{}", self.region, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_direction_rests_on_its_own_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scaled.json");
        let stream = StreamName::new("router").unwrap();
        let key = Key { region: "eu-west-1", stream: &stream };
        let other = Key { region: "us-east-1", stream: &stream };
        let (at, minute) = (Timestamp::from_seconds(1000), Duration::from_secs(60));
        let later = |seconds: u64| Timestamp::from_seconds(1000 + seconds);
        CoolOffs::open(path.clone()).await.unwrap().scaled(&key, Vote::Up, at).await.unwrap();
        let again = CoolOffs::open(path.clone()).await.unwrap();
        assert_eq!(
            again.rests(&key, Vote::Up, minute, later(20)).await,
            Some(Duration::from_secs(40))
        );
        assert_eq!(again.rests(&key, Vote::Up, minute, later(60)).await, None);
        assert_eq!(again.rests(&key, Vote::Down, minute, later(20)).await, None);
        assert_eq!(again.rests(&other, Vote::Up, minute, later(20)).await, None);
        assert_eq!(again.rests(&key, Vote::Up, Duration::ZERO, at).await, None);
        std::fs::write(&path, "{\"eu-we").unwrap();
        let cut = CoolOffs::open(path).await.unwrap();
        assert_eq!(cut.rests(&key, Vote::Up, minute, later(20)).await, None);
        assert!(CoolOffs::open(folder.path().to_owned()).await.is_err());
    }
}
