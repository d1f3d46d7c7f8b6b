//! Forwarding again what was forwarded before, because an operator has reset a mapping's position.
//!
//! A target remembers how far a producer has put and leaves out what comes again. After a reset that is not wanted: the
//! producer goes on under another name, of which nothing is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, ShardAddress, StreamName, Write,
};
use serde::{Deserialize, Serialize};

/// How often the position in each shard was reset; shards that never were are not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Resets(BTreeMap<String, u64>);

impl Resets {
    /// Counts one more.
    pub(super) fn count(&mut self, shard: &ShardAddress) {
        *self.0.entry(shard.to_string()).or_default() += 1;
    }
}

/// A `Write` for the producers of a mapping whose positions were reset so often.
pub(super) fn after_resets(resets: &Resets, write: Arc<dyn Write>) -> Arc<dyn Write> {
    if resets.0.is_empty() {
        return write;
    }
    Arc::new(Redelivery { resets: resets.clone(), write })
}

struct Redelivery {
    resets: Resets,
    write: Arc<dyn Write>,
}

impl Redelivery {
    /// A forwarding module's producer is called CONSUMER/STREAM/SHARD, with more behind it for a lane.
    fn name(&self, producer: &str) -> String {
        let mut parts = producer.splitn(4, '/').skip(1);
        let (stream, shard) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        match self.resets.0.get(&format!("{stream}/{shard}")) {
            Some(resets) => format!("{producer}#{resets}"),
            None => producer.to_owned(),
        }
    }
}

#[async_trait]
impl Write for Redelivery {
    async fn put(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let remember = remember.map(|position| ProducerPosition {
            producer: self.name(&position.producer),
            ..position
        });
        self.write.put(stream, entries, remember).await
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        self.write.remembered(&self.name(producer)).await
    }
}
