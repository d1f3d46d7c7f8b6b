//! One target of a module, and how far the delivery of a shard has come with it.

use std::sync::Arc;

use baikonur_stream::{Lane, OpenError, SequenceNumber, ShardAddress, StreamName, Write};

use super::encode::{Cutter, Done, Encoding, Put, origin};
use super::producer::Producer;
use super::put_before::PutBefore;
use super::send::{NotPut, Refused, send};
use super::{RECORD_BYTES_MAX, TOO_LARGE_FOR_STREAM};
use crate::intake::TakenPayload;

/// A target, as all shards share it.
pub(super) struct Target {
    pub(super) stream: StreamName,
    pub(super) encoding: Encoding,
    pub(super) write: Arc<dyn Write>,
    /// Whether it is where the source is.
    pub(super) is_here: bool,
    /// Whether it is one of several, and so remembers a position of its own.
    pub(super) is_one_of_several: bool,
}

impl Target {
    /// Begins the delivery of `lane` of a shard, whose whole is `whole`.
    ///
    /// # Errors
    /// The target would be its own source, or cannot say what it remembers.
    pub(super) async fn open(
        self: &Arc<Self>,
        shard: &ShardAddress,
        whole: Producer,
        lane: Lane,
    ) -> Result<Course, OpenError> {
        let stream = &self.stream;
        if self.is_here && shard.stream == *stream {
            return Err(OpenError(format!(
                "{stream} would be forwarded to itself: target_stream_name must be another stream"
            )));
        }
        let whole = if self.is_one_of_several { whole.to(stream.clone()) } else { whole };
        let before = PutBefore::load(&*self.write, &whole).await.map_err(|error| {
            OpenError(format!("how far {whole} has put into {stream} is not known: {error}"))
        })?;
        Ok(Course {
            target: Arc::clone(self),
            producer: self.is_here.then(|| whole.of_lane(lane).to_string()),
            done: Done { before, ..Done::default() },
            cutter: Cutter::default(),
            full: Vec::new(),
            refused: Vec::new(),
            failed: None,
            record_bytes_max: RECORD_BYTES_MAX,
        })
    }
}

/// How far a delivery has come with one target.
pub(super) struct Course {
    target: Arc<Target>,
    /// None elsewhere: a name may stand for streams in several places there, so that a position would be that of all.
    producer: Option<String>,
    done: Done,
    cutter: Cutter,
    /// What is to be put next.
    full: Vec<Put>,
    /// What the target refused and nobody was told of.
    refused: Vec<Refused>,
    /// Why no more is put of the present batch.
    failed: Option<NotPut>,
    /// What the target takes of the present batch, as far as it is known before a put.
    record_bytes_max: usize,
}

impl Course {
    pub(super) fn target(&self) -> &StreamName {
        &self.target.stream
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.cutter = Cutter::default();
        self.full.clear();
        self.failed = None;
        let Target { stream, write, .. } = &*self.target;
        self.record_bytes_max = write.record_bytes_max(stream).unwrap_or(RECORD_BYTES_MAX);
    }

    /// An event is for this target.
    pub(super) fn push(&mut self, taken: &TakenPayload) {
        if taken.payload.bytes.len() > self.record_bytes_max {
            self.refuse(taken);
        } else if self.failed.is_none() {
            let full = self.cutter.push(taken, &self.target.encoding, &self.done);
            self.full.extend(full);
        }
    }

    /// An event is larger than the target takes. It is told whenever it comes, also if the target remembers what came behind
    /// it: whether it was told before a crash is not known.
    fn refuse(&mut self, taken: &TakenPayload) {
        let origin = origin(taken);
        if self.refused.iter().all(|one| one.origin != origin) {
            let (bytes, most) = (taken.payload.bytes.len(), self.record_bytes_max);
            let told =
                format!("it has {bytes} bytes, and the stream takes {most} (MaxRecordSizeInKiB)");
            self.refused.push(Refused { origin, reason: TOO_LARGE_FOR_STREAM, told });
        }
    }

    /// Puts what is full, one put after the other.
    pub(super) async fn put_full(&mut self) {
        for put in std::mem::take(&mut self.full) {
            if self.failed.is_none() {
                self.put(put).await;
            }
        }
    }

    /// Puts what is left of the batch.
    pub(super) async fn put_rest(&mut self) {
        self.put_full().await;
        let rest = self.cutter.rest(&self.target.encoding);
        if let (Some(put), None) = (rest, &self.failed) {
            self.put(put).await;
        }
    }

    async fn put(&mut self, put: Put) {
        let Target { stream, write, .. } = &*self.target;
        let sent = send(&**write, stream, self.producer.as_deref(), put).await;
        let Done { up_to, ahead, .. } = &mut self.done;
        *up_to = (*up_to).max(sent.up_to);
        ahead.extend(sent.ahead);
        if let Some(up_to) = *up_to {
            ahead.retain(|(source, ..)| *source > up_to);
        }
        self.refused.extend(sent.refused);
        self.failed = sent.failed;
    }

    /// What was not put of the batch, if not all was.
    pub(super) fn failed(&self) -> Option<&NotPut> {
        self.failed.as_ref()
    }

    /// What the target will never take, of the source records before `behind`. Of those that come again, because
    /// another target lacks them, it is told when they have come: this target does not get them again.
    pub(super) fn take_refused(&mut self, behind: SequenceNumber) -> Vec<Refused> {
        self.refused.extract_if(.., |one| one.origin.0 < behind).collect()
    }
}
