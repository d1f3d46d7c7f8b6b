//! Forwarding again what was forwarded before, because an operator has reset a mapping's position.
//!
//! A target remembers how far a producer has put and leaves out what comes again. After a reset that is not wanted: the
//! producer goes on under another name, of which nothing is remembered.

use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, StreamName, Write,
};

/// A `Write` for producers whose positions were reset so many times.
pub(super) fn after_resets(resets: u64, write: Arc<dyn Write>) -> Arc<dyn Write> {
    match resets {
        0 => write,
        _ => Arc::new(Redelivery { resets, write }),
    }
}

struct Redelivery {
    resets: u64,
    write: Arc<dyn Write>,
}

impl Redelivery {
    fn name(&self, producer: &str) -> String {
        format!("{producer}#{}", self.resets)
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
