//! Forwarding again what was forwarded before, because an operator has reset a mapping's position.
//!
//! A target remembers how far a producer has put and leaves out what comes again. After a reset that is not wanted: the
//! producer goes on under another name, of which nothing is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_modules::forward::Producer;
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
    /// The name after the resets of the shard that the producer copies from.
    fn name(&self, name: &str) -> String {
        let resets_of =
            |producer: &Producer| self.resets.0.get(&producer.shard().to_string()).copied();
        match Producer::parse(name).map(|producer| (resets_of(&producer), producer)) {
            Some((Some(resets), producer)) => producer.after_resets(resets).to_string(),
            _ => name.to_owned(),
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

    fn record_bytes_max(&self, stream: &StreamName) -> Option<usize> {
        self.write.record_bytes_max(stream)
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        self.write.remembered(&self.name(producer)).await
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ConsumerName, Lane, ShardId};

    use super::*;

    struct Nowhere;

    #[async_trait]
    impl Write for Nowhere {
        async fn put(
            &self,
            _: &StreamName,
            _: Vec<PutEntry>,
            _: Option<ProducerPosition>,
        ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
            Ok(Vec::new())
        }

        async fn remembered(&self, _: &str) -> Result<Option<SequenceNumber>, PutError> {
            Ok(None)
        }
    }

    #[test]
    fn a_producer_goes_on_under_another_name_in_shards_that_were_reset_and_in_no_other() {
        let shard = |index| {
            let stream = StreamName::new("router").unwrap();
            ShardAddress { stream, shard: ShardId::new(index) }
        };
        let mut resets = Resets::default();
        resets.count(&shard(1));
        resets.count(&shard(1));
        let redelivery = Redelivery { resets, write: Arc::new(Nowhere) };
        let producer = |index| Producer::new(&ConsumerName::new("copy"), &shard(index));
        let lane = Lane::all(3).nth(2).unwrap();
        for (producer, expected) in [
            (producer(0), "copy/router/shardId-000000000000"),
            (producer(1), "copy/router/shardId-000000000001#2"),
            (producer(1).of_lane(lane), "copy/router/shardId-000000000001/2-of-3#2"),
            (
                producer(1).to(StreamName::new("b").unwrap()),
                "copy/router/shardId-000000000001/to/b#2",
            ),
        ] {
            assert_eq!(redelivery.name(&producer.to_string()), expected);
        }
        assert_eq!(redelivery.name("another"), "another");
    }
}
