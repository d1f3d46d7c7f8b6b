//! A bucket in memory for tests, with conditional writes and no locks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::objects::{
    Listed, ObjectDestination, ObjectError, ObjectSource, PlaceLock, PutMode, Version, Whole,
};

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<String, Whole>,
    writes: u64,
    repeat_next_replace: bool,
}

/// The bucket.
#[derive(Default)]
pub(super) struct MemoryBucket(Mutex<Objects>);

impl MemoryBucket {
    /// The next replacement is done twice, as by a client that did not see the first answer.
    pub(super) fn repeat_next_replace(&self) {
        self.0.lock().unwrap().repeat_next_replace = true;
    }
}

impl Objects {
    fn write(&mut self, key: &str, bytes: Bytes) -> Version {
        self.writes += 1;
        let version = Version(format!("\"{}\"", self.writes));
        self.by_key.insert(key.to_owned(), Whole { bytes, version: version.clone() });
        version
    }

    fn replace(
        &mut self,
        key: &str,
        content: Bytes,
        expected: Option<&Version>,
    ) -> Result<Version, ObjectError> {
        if self.by_key.get(key).map(|whole| &whole.version) != expected {
            return Err(ObjectError::Exists);
        }
        Ok(self.write(key, content))
    }
}

#[async_trait]
impl ObjectDestination for MemoryBucket {
    async fn head(&self, key: &str, bytes_max: usize) -> Result<Option<Bytes>, ObjectError> {
        let objects = self.0.lock().unwrap();
        let whole = objects.by_key.get(key);
        Ok(whole.map(|whole| whole.bytes.slice(..whole.bytes.len().min(bytes_max))))
    }

    async fn put(&self, key: &str, content: Vec<Bytes>, mode: PutMode) -> Result<(), ObjectError> {
        let mut objects = self.0.lock().unwrap();
        if mode == PutMode::Create && objects.by_key.contains_key(key) {
            return Err(ObjectError::Exists);
        }
        objects.write(key, content.concat().into());
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        format!("memory://{key}")
    }
}

#[async_trait]
impl ObjectSource for MemoryBucket {
    fn list(&self) -> mpsc::Receiver<Result<Listed, ObjectError>> {
        let objects = self.0.lock().unwrap();
        let (sender, receiver) = mpsc::channel(objects.by_key.len().max(1));
        for (key, whole) in &objects.by_key {
            let bytes = whole.bytes.len() as u64;
            let item = Listed::Object { key: key.clone(), bytes };
            sender.try_send(Ok(item)).expect("there is room for all");
        }
        receiver
    }

    async fn read(&self, key: &str, _bytes_max: u64) -> Result<Option<Whole>, ObjectError> {
        Ok(self.0.lock().unwrap().by_key.get(key).cloned())
    }

    async fn replace(
        &self,
        key: &str,
        content: Bytes,
        expected: Option<&Version>,
    ) -> Result<Version, ObjectError> {
        let mut objects = self.0.lock().unwrap();
        let first = objects.replace(key, content.clone(), expected);
        match std::mem::take(&mut objects.repeat_next_replace) {
            true => objects.replace(key, content, expected),
            false => first,
        }
    }

    async fn lock(&self, _key: &str) -> Result<PlaceLock, ObjectError> {
        Ok(PlaceLock::Unknown)
    }
}
