//! Where the stream is: in a store that is filled here, or behind an endpoint.

use std::sync::Arc;

use baikonur_engine::{Engine, EngineSettings};
use baikonur_kinesis::{AmazonKinesis, Connection, FanOut, FolderProgress, Polling};
use baikonur_stream::{
    Administer, Clock, CreateStream, PartitionKey, Progress, PutEntry, Read, StreamName,
    StreamProperties, Write,
};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{Arguments, Failure, From};

/// A stream with records in it.
pub(crate) struct Place {
    pub(crate) stream: StreamName,
    pub(crate) read: Arc<dyn Read>,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) records: u64,
}

/// Finds the stream, or makes and fills it.
pub(crate) async fn open(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<Place, Failure> {
    let stream = arguments.stream.clone();
    if arguments.from == From::Embedded {
        return embedded(arguments, stream, clock).await;
    }
    let connection =
        Connection::to_endpoint(arguments.endpoint.clone(), Some("us-east-1".to_owned()), None)
            .await?;
    let kinesis = AmazonKinesis::new(&connection);
    let polling: Arc<dyn Read> = Arc::new(Polling::new(&kinesis, Arc::clone(clock)));
    let progress =
        FolderProgress::open(&arguments.folder, Arc::clone(&polling), Arc::clone(clock))?;
    let read = match arguments.from {
        From::FanOut => {
            Arc::new(FanOut::new(&kinesis, "nobody".to_owned(), Arc::clone(clock))) as Arc<dyn Read>
        }
        _ => polling,
    };
    Ok(Place { stream, read, progress: Arc::new(progress), records: arguments.records })
}

/// Entries of a put.
const ENTRIES: u64 = 500;
/// Puts at once.
const WRITERS: u64 = 4;

async fn embedded(
    arguments: &Arguments,
    stream: StreamName,
    clock: &Arc<dyn Clock>,
) -> Result<Place, Failure> {
    let settings = EngineSettings::new(&arguments.folder);
    let (engine, _) = {
        let clock = Arc::clone(clock);
        tokio::task::spawn_blocking(move || Engine::open(settings, clock)).await??
    };
    let request = CreateStream {
        name: stream.clone(),
        shard_count: arguments.shards,
        properties: StreamProperties::default(),
    };
    engine.create_stream(request).await?;
    let puts = (arguments.megabytes * 1_000_000) / (ENTRIES * arguments.record_bytes as u64);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (engine, stream) = (engine.clone(), stream.clone());
        let data = Bytes::from(vec![b'x'; arguments.record_bytes]);
        writers.spawn(async move {
            for put in (writer..puts).step_by(WRITERS as usize) {
                let entry = |entry: u64| {
                    let key = Bytes::from(format!("{put}-{entry}"));
                    Ok(PutEntry {
                        partition_key: PartitionKey::new(key)?,
                        explicit_hash_key: None,
                        data: data.clone(),
                    })
                };
                let entries = (0..ENTRIES).map(entry).collect::<Result<Vec<_>, Failure>>()?;
                engine.put(&stream, entries, None).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let (read, progress) = (Arc::new(engine.clone()), Arc::new(engine));
    Ok(Place { stream, read, progress, records: puts * ENTRIES })
}
