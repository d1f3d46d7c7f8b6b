//! A module that counts what it gets and does nothing with it, and a failed store that nothing may reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Deliver, Delivery, FailedBatch, FailedStore, KeepError, Lane, Module, OpenError, Record,
    ShardAddress,
};

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Count {
    records: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
}

impl Count {
    /// Records so far.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of payloads and partition keys so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Batches so far.
    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
}

/// Takes everything.
pub(crate) struct Nothing {
    pub(crate) count: Arc<Count>,
}

struct Counting(Arc<Count>);

#[async_trait]
impl Module for Nothing {
    async fn open(&self, _: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        Ok(Box::new(Counting(Arc::clone(&self.count))))
    }

    async fn open_lane(&self, _: &ShardAddress, _: Lane) -> Result<Box<dyn Deliver>, OpenError> {
        Ok(Box::new(Counting(Arc::clone(&self.count))))
    }
}

#[async_trait]
impl Deliver for Counting {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let bytes: usize = batch.records.iter().map(Record::size).sum();
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.batches.fetch_add(1, Ordering::Relaxed);
        self.0.records.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
        Delivery::delivered()
    }
}

/// Takes nothing.
pub(crate) struct Refusing;

#[async_trait]
impl FailedStore for Refusing {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        Err(KeepError(format!("{} records failed, and none should", batch.records.len())))
    }
}
