//! The second way through the store: what is chosen and not replayed yet goes to the sender.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use baikonur_modules::failed_store::{Claim, Entry as Line, Found, entries};
use baikonur_modules::objects::ObjectSource;
use baikonur_stream::{Clock, HashKey, PartitionKey, StreamName};
use indicatif::ProgressBar;
use tokio::sync::watch;

use super::choice::{Prepared, State};
use super::send::{Origin, Pending, Sender, Sent, Target};
use super::walk::{self, Visit};
use crate::put_records::{CALL_BYTES_MAX, CALL_RECORDS_MAX, Entry};

/// The largest record of any stream, with its key (`MaxRecordSizeInKiB` of 10 MiB).
const RECORD_BYTES_MAX: usize = 10 << 20;

/// What a call may have, and how it is repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLimits {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Before what failed is tried again for the first time.
    pub(super) pause: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        let pause = Duration::from_millis(50);
        Self { records: CALL_RECORDS_MAX, bytes: CALL_BYTES_MAX, pause }
    }
}

/// A replay that is to be done.
pub(super) struct Replay {
    pub(super) source: Arc<dyn ObjectSource>,
    pub(super) choice: Arc<Prepared>,
    pub(super) into: Option<StreamName>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: CallLimits,
    pub(super) progress: ProgressBar,
    /// Turns true when the user wants it to end.
    pub(super) stop: watch::Receiver<bool>,
}

impl Replay {
    /// Sends everything; gives what was sent, and why it ended before the end, if it did.
    pub(super) async fn run(
        self,
        target: &dyn Target,
        claim: Claim,
    ) -> (Sent, Option<anyhow::Error>) {
        let (source, clock) = (Arc::clone(&self.source), Arc::clone(&self.clock));
        let progress = self.progress.clone();
        let mut sender = Sender::new(source, clock, target, claim, self.limits, progress);
        let result = self.send_all(&mut sender).await;
        self.progress.finish_and_clear();
        sender.end(result).await
    }

    async fn send_all(&self, sender: &mut Sender<'_>) -> anyhow::Result<()> {
        let mut visits = walk::walk(Arc::clone(&self.source), Arc::clone(&self.choice));
        while let Some(visit) = walk::next(&mut visits).await? {
            sender.stay().await?;
            // What cannot be read was told on the first way.
            let Visit::Object(opened) = visit else { continue };
            let Ok(lines) = entries(&opened.object) else { continue };
            sender.open(&opened.key, opened.mark.clone());
            let object: Arc<str> = opened.key.as_str().into();
            for line in lines {
                tokio::task::consume_budget().await;
                let Line::Record(found) = line else { continue };
                let state = self.choice.state(&opened.mark, found.place);
                if matches!(state, State::Done | State::Left)
                    || self.choice.chosen_type(&found).is_none()
                {
                    continue;
                }
                let Ok((stream, entry)) = candidate(&found, self.into.as_ref()) else { continue };
                if *self.stop.borrow() {
                    sender.flush().await?;
                    bail!("interrupted");
                }
                let origin = Origin {
                    object: Arc::clone(&object),
                    shard: found.shard,
                    sequence_number: found.sequence_number,
                    is_first: (found.sub_sequence, found.event_index) == (0, 0),
                    arrival: found.arrival,
                };
                let is_doubtful = state == State::Doubtful;
                let place = found.place;
                sender.push(Pending { place, stream, entry, origin, is_doubtful }).await?;
            }
        }
        sender.flush().await
    }
}

/// A record as it is put.
///
/// # Errors
/// Why no stream can take it.
pub(super) fn candidate(
    found: &Found,
    into: Option<&StreamName>,
) -> Result<(StreamName, Entry), String> {
    if found.data.is_empty() && found.partition_key.is_empty() {
        return Err("it marks a place where stored data was damaged".to_owned());
    }
    let stream = match into {
        Some(stream) => stream.clone(),
        None => StreamName::new(&found.stream).map_err(|error| error.to_string())?,
    };
    let key = match PartitionKey::new(found.partition_key.clone()) {
        Ok(key) => key.as_str().to_owned(),
        // An aggregate may have keys that no record can: what takes their place keeps them apart as well.
        Err(_) => HashKey::of_partition_key(&found.partition_key).to_string(),
    };
    let entry = Entry { key, data: found.data.clone() };
    if entry.size() > RECORD_BYTES_MAX {
        return Err(format!("it has {} bytes, more than a record of any stream", entry.size()));
    }
    Ok((stream, entry))
}
