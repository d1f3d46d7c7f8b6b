//! What `kinesis-forward` does by itself: prepared batches, of all shards at once, into a store that makes them durable as
//! any other does. No mapping, no reading, no checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baikonur_engine::{Engine, EngineSettings};
use baikonur_mapping::Settings;
use baikonur_modules::forward::{Forward, Settings as ForwardSettings};
use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_stream::{
    Administer, Batch, Clock, ConsumerName, CreateStream, Deliver, Module, Outcome, PartitionKey,
    Record, SequenceNumber, ShardAddress, ShardId, StreamName, StreamProperties, Write,
};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{Arguments, Failure};

/// What it took.
pub(crate) struct Alone {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) batches: u64,
    pub(crate) time: Duration,
}

/// Delivers the lines of a file over and over, until there are enough bytes.
pub(crate) async fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<Alone, Failure> {
    let (target, source) = (StreamName::new("target")?, arguments.stream.clone());
    let engine = open(arguments, &target, clock).await?;
    let settings = ForwardSettings::to_stream(target);
    let decoding = IntakeSettings::default();
    let intake = Arc::new(Intake::new(&decoding, &ConsumerName::new("alone"))?);
    let write = |_: &_| Arc::new(engine.clone()) as Arc<dyn Write>;
    let module = Forward::new(&settings, &decoding, intake, write)?;
    let lines = lines(arguments.lines.as_deref())?;
    let share = arguments.megabytes * 1_000_000 / u64::from(arguments.shards);
    let mut shards = Vec::new();
    for index in 0..arguments.shards {
        let shard = ShardAddress { stream: source.clone(), shard: ShardId::new(index) };
        let batches = batches(&lines, &shard, arguments.batch_size, share)?;
        shards.push((module.open(&shard).await?, batches));
    }
    let started = clock.monotonic();
    let mut delivering = JoinSet::new();
    for (shard, batches) in shards {
        delivering.spawn(deliver(shard, batches, share));
    }
    let mut alone = Alone { records: 0, bytes: 0, batches: 0, time: Duration::ZERO };
    while let Some(done) = delivering.join_next().await {
        let (records, bytes, batches) = done??;
        alone.records += records;
        alone.bytes += bytes;
        alone.batches += batches;
    }
    alone.time = clock.monotonic() - started;
    engine.close().await;
    Ok(alone)
}

async fn open(
    arguments: &Arguments,
    target: &StreamName,
    clock: &Arc<dyn Clock>,
) -> Result<Engine, Failure> {
    let (settings, clock) = (EngineSettings::new(&arguments.folder), Arc::clone(clock));
    let opening = tokio::task::spawn_blocking(move || Engine::open(settings, clock));
    let (engine, _) = opening.await??;
    let request = CreateStream {
        name: target.clone(),
        shard_count: arguments.shards,
        properties: StreamProperties::default(),
    };
    engine.create_stream(request).await?;
    Ok(engine)
}

fn lines(file: Option<&Path>) -> Result<Vec<Bytes>, Failure> {
    let text = std::fs::read(file.ok_or("--lines is missing")?)?;
    let text = Bytes::from(text);
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err("there are no lines".into());
    }
    Ok(lines.into_iter().map(|line| text.slice_ref(line)).collect())
}

/// Batches as a mapping forms them of a backlog, of `bytes` at most: they are delivered round and round.
fn batches(
    lines: &[Bytes],
    shard: &ShardAddress,
    size: usize,
    bytes: u64,
) -> Result<Vec<Batch>, Failure> {
    let bytes_max = Settings::default().batch_bytes;
    let (mut batches, mut records, mut held, mut all) = (Vec::new(), Vec::new(), 0, 0);
    // As many rounds as it takes to fill a few batches.
    for (number, line) in (0..).zip(lines.iter().cycle()) {
        let key = Bytes::from(format!("{}-{number}", shard.shard.index()));
        let record = Record {
            sequence_number: SequenceNumber::new(0, 0, 0, 0),
            arrival: baikonur_stream::Timestamp::from_seconds(1_700_000_000),
            partition_key: PartitionKey::new(key)?,
            data: line.clone(),
        };
        if !records.is_empty() && (records.len() == size || held + record.size() > bytes_max) {
            let records = std::mem::take(&mut records);
            batches.push(Batch { shard: shard.clone(), records, attempt: 0 });
            held = 0;
            if all >= PREPARED_BYTES.min(bytes) {
                return Ok(batches);
            }
        }
        held += record.size();
        all += record.size() as u64;
        records.push(record);
    }
    Ok(batches)
}

/// What is prepared for each shard.
const PREPARED_BYTES: u64 = 32 << 20;

async fn deliver(
    mut shard: Box<dyn Deliver>,
    mut prepared: Vec<Batch>,
    enough: u64,
) -> Result<(u64, u64, u64), Failure> {
    let (mut records, mut bytes, mut batches) = (0, 0, 0);
    while bytes < enough {
        for batch in &mut prepared {
            for record in &mut batch.records {
                // What a module has put it leaves out.
                records += 1;
                bytes += record.data.len() as u64;
                record.sequence_number =
                    SequenceNumber::new(1_700_000_000, 0, records, 1_700_000_000);
            }
            let delivery = shard.deliver(batch).await;
            if delivery.outcome != Outcome::Delivered {
                return Err(format!("not delivered: {:?}", delivery.outcome).into());
            }
            batches += 1;
            if bytes >= enough {
                break;
            }
        }
    }
    Ok((records, bytes, batches))
}
