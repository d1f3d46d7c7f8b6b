//! A mapping's position, moved by an operator: for each shard a checkpoint of its own.

use baikonur_stream::{
    Checkpoint, ConsumerName, Cursor, Progress, ProgressError, Read, SequenceNumber, Shard,
    ShardAddress, ShardId, ShardProgress, StartingPosition, StreamName,
};

use crate::control::Position;

/// A shard's new checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    shard: ShardAddress,
    checkpoint: Checkpoint,
}

/// Where each shard, or the one named, goes on when a mapping is reset to `to`. Nothing is changed yet.
///
/// # Errors
/// Words for an operator: what cannot be, and what to do.
pub(super) async fn moves(
    read: &dyn Read,
    stream: &StreamName,
    shard: Option<&str>,
    to: &Position,
) -> Result<Vec<Move>, String> {
    let mut listed = read.shards(stream).await.map_err(|error| error.to_string())?;
    if let Some(name) = shard {
        let id: ShardId = name.parse().map_err(|error| format!("{error}"))?;
        listed.retain(|shard| shard.id == id);
        if listed.is_empty() {
            return Err(format!(
                "{stream} has no shard {id}; `baikonur streams describe {stream}` lists them"
            ));
        }
    }
    let mut moves = Vec::new();
    for shard in &listed {
        let address = ShardAddress { stream: stream.clone(), shard: shard.id };
        let checkpoint = checkpoint(read, &address, shard, to).await?;
        moves.push(Move { shard: address, checkpoint });
    }
    Ok(moves)
}

async fn checkpoint(
    read: &dyn Read,
    address: &ShardAddress,
    shard: &Shard,
    to: &Position,
) -> Result<Checkpoint, String> {
    let position = match to {
        Position::TrimHorizon => StartingPosition::TrimHorizon,
        // Nothing arrives there any more.
        Position::Latest if shard.ending_sequence_number.is_some() => {
            return Ok(Checkpoint::ShardEnd);
        }
        Position::Latest => StartingPosition::Latest,
        Position::AtTimestamp(moment) => StartingPosition::AtTimestamp(*moment),
        Position::AtSequenceNumber(text) => {
            let number: SequenceNumber = text.parse().map_err(|error| format!("{error}"))?;
            StartingPosition::AtSequenceNumber(number)
        }
    };
    match read.seek(address, position).await {
        Ok(Cursor { since: Some(moment), .. }) => Ok(Checkpoint::AtTimestamp(moment)),
        Ok(Cursor { from, .. }) => Ok(Checkpoint::At(from)),
        Err(error) => Err(format!("{address}: {error}")),
    }
}

impl Move {
    /// The shard that is moved.
    pub(super) fn shard(&self) -> &ShardAddress {
        &self.shard
    }

    /// Makes it so.
    pub(super) async fn store(
        &self,
        progress: &dyn Progress,
        consumer: &ConsumerName,
    ) -> Result<(), ProgressError> {
        let state = ShardProgress { checkpoint: Some(self.checkpoint), intent: None };
        progress.store(consumer, &self.shard, &state).await
    }
}
