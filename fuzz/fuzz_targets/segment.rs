//! Arbitrary frames and bytes as the segments of a store: opening and reading report, and never panic.
//!
//! Frames get a fitting header and checksum, so that what is behind the checksum is reached too.

#![no_main]

use std::sync::Arc;

use baikonur_engine::{Engine, EngineSettings, SimulatedDisk};
use baikonur_stream::{
    Administer, CreateStream, Cursor, Read, ReadError, ReadLimits, RetentionHours, ShardAddress,
    ShardId, StartingPosition, StreamName, StreamProperties, SystemClock,
};
use libfuzzer_sys::fuzz_target;

/// A kind of frame and its body; other kinds stand for bytes as they are.
type Piece = (u8, Vec<u8>);

const COMMIT: u8 = 4;

fuzz_target!(|segments: Vec<Vec<Piece>>| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = segments.iter().zip(1..).map(|(pieces, number)| segment(number, pieces)).collect();
    runtime.block_on(open_and_read(bytes));
});

fn segment(number: u64, pieces: &[Piece]) -> Vec<u8> {
    let (mut bytes, mut start, mut group) = (Vec::new(), 0u64, 0u64);
    for (kind, body) in pieces {
        match *kind % 8 {
            COMMIT if body.is_empty() => {
                group += 1;
                let body = [&group.to_le_bytes()[..], &start.to_le_bytes(), &[0]].concat();
                frame(&mut bytes, number, COMMIT, &body);
                start = bytes.len() as u64;
            }
            kind @ 1..=6 => frame(&mut bytes, number, kind, body),
            _ => bytes.extend_from_slice(body),
        }
    }
    bytes
}

fn frame(out: &mut Vec<u8>, number: u64, kind: u8, body: &[u8]) {
    let head = [&[kind, 0, 0, 0][..], &(body.len() as u32).to_le_bytes()].concat();
    let offset = out.len() as u64;
    let crc = [&number.to_le_bytes(), &offset.to_le_bytes(), &head[..], body]
        .iter()
        .fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    out.extend_from_slice(b"BKF1");
    out.extend_from_slice(&head);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
}

async fn open_and_read(segments: Vec<Vec<u8>>) {
    let disk = SimulatedDisk::default();
    let open = || {
        let clock = Arc::new(SystemClock::new());
        Engine::open_on(Arc::new(disk.clone()), EngineSettings::default(), clock)
    };
    let name = StreamName::new("s").unwrap();
    let (engine, _) = open().unwrap();
    let stream = CreateStream {
        name: name.clone(),
        shard_count: 1,
        properties: StreamProperties { retention: RetentionHours::MAX, ..Default::default() },
    };
    engine.create_stream(stream).await.unwrap();
    engine.close().await;
    drop(engine);
    for (number, bytes) in segments.into_iter().take(4).enumerate() {
        disk.put_file(&format!("log/{:020}.segment", number + 1), bytes);
    }
    let Ok((engine, _)) = open() else { return };
    let shard = ShardAddress { stream: name, shard: ShardId::new(0) };
    let mut cursor: Cursor = engine.seek(&shard, StartingPosition::TrimHorizon).await.unwrap();
    loop {
        match engine.read(&cursor, ReadLimits { records: 100, bytes: 100_000 }).await {
            Ok(page) if page.millis_behind_latest == 0 => break,
            Ok(page) => cursor = page.next.unwrap(),
            Err(ReadError::Damaged { resume: Some(resume), .. }) => cursor = resume,
            Err(_) => break,
        }
    }
}
