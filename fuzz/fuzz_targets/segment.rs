//! Arbitrary frames and bytes as the files of a store: checking it, opening it and reading it report, and never
//! panic.
//!
//! Frames get a fitting header and checksum, so that what is behind the checksum is reached too.

#![no_main]

use std::path::Path;
use std::sync::Arc;

use baikonur_engine::{Durability, Engine, EngineSettings, SimulatedDisk, verify_on};
use baikonur_stream::{
    Administer, Clock, CreateStream, Cursor, HashKey, PartitionKey, PutEntry, Read, ReadError,
    ReadLimits, RetentionHours, ShardAddress, ShardId, StartingPosition, StreamName,
    StreamProperties, SystemClock, Write,
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// A kind of frame and its body; other kinds stand for bytes as they are.
type Piece = (u8, Vec<u8>);

const COMMIT: u8 = 4;
const FOOTER: u8 = 6;
/// Behind a footer stands where it is.
const TRAILER: u8 = 7;

/// Segments, and bytes for FORMAT, the catalog, and a file of any of the names below.
type Files = (Vec<Vec<Piece>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<(u8, Vec<u8>)>);

const NAMES: [&str; 4] =
    ["RESERVE", "LOCK", "log/00000000000000000000.segment", "log/18446744073709551615.segment"];

fuzz_target!(|files: Files| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check_open_and_read(files));
});

fn segment(number: u64, pieces: &[Piece]) -> Vec<u8> {
    let (mut bytes, mut start, mut group, mut footer) = (Vec::new(), 0u64, 0u64, 0u64);
    for (kind, body) in pieces {
        match *kind % 9 {
            COMMIT if body.is_empty() => {
                group += 1;
                let body = [&group.to_le_bytes()[..], &start.to_le_bytes(), &[0]].concat();
                frame(&mut bytes, number, COMMIT, &body);
                start = bytes.len() as u64;
            }
            kind @ 1..=6 => {
                if kind == FOOTER {
                    footer = bytes.len() as u64;
                }
                frame(&mut bytes, number, kind, body);
            }
            TRAILER if body.is_empty() => {
                let trailer = [&footer.to_le_bytes()[..], b"BKT1"].concat();
                bytes.extend_from_slice(&trailer);
                bytes.extend_from_slice(&crc32c::crc32c(&trailer).to_le_bytes());
            }
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

/// A small disk: whatever is stored, no more is written than this.
const SPACE: u64 = 1 << 20;

fn open(disk: &SimulatedDisk, durability: Durability) -> Option<Engine> {
    let clock = Arc::new(SystemClock::new());
    let settings = EngineSettings { durability, segment_bytes: 4096, ..EngineSettings::default() };
    Engine::open_on(Arc::new(disk.clone()), settings, clock).ok().map(|(engine, _)| engine)
}

/// A check changes nothing.
fn check(disk: &SimulatedDisk) {
    let before = disk.files();
    let _ = verify_on(disk, Path::new("fuzzed"), SystemClock::new().now(), |_| ());
    assert!(disk.files() == before);
}

async fn check_open_and_read((segments, format, catalog, other): Files) {
    let disk = SimulatedDisk::default();
    let name = StreamName::new("s").unwrap();
    let engine = open(&disk, Durability::Fsync).unwrap();
    let properties = StreamProperties { retention: RetentionHours::MAX, ..Default::default() };
    let stream = CreateStream { name: name.clone(), shard_count: 1, properties };
    engine.create_stream(stream).await.unwrap();
    engine.close().await;
    drop(engine);
    for (pieces, number) in segments.iter().take(4).zip(1..) {
        disk.put_file(&format!("log/{number:020}.segment"), segment(number, pieces));
    }
    for (name, bytes) in [("FORMAT", format), ("catalog.json", catalog)] {
        if let Some(bytes) = bytes {
            disk.put_file(name, bytes);
        }
    }
    if let Some((which, bytes)) = other {
        disk.put_file(NAMES[which as usize % NAMES.len()], bytes);
    }
    disk.set_space(Some(SPACE));
    check(&disk);
    let Some(engine) = open(&disk, Durability::OsBuffer) else { return };
    let shard = ShardAddress { stream: name.clone(), shard: ShardId::new(0) };
    let Ok(mut cursor) = engine.seek(&shard, StartingPosition::TrimHorizon).await else { return };
    read(&engine, &mut cursor).await;
    // What was opened takes records, or says why not.
    let entry = PutEntry {
        partition_key: PartitionKey::new(Bytes::from_static(b"key")).unwrap(),
        explicit_hash_key: Some(HashKey::new(0)),
        data: Bytes::from_static(b"data"),
    };
    let _ = engine.put(&name, vec![entry], None).await;
    read(&engine, &mut cursor).await;
    engine.close().await;
    drop(engine);
    check(&disk);
}

async fn read(engine: &Engine, cursor: &mut Cursor) {
    loop {
        match engine.read(cursor, ReadLimits { records: 100, bytes: 100_000 }).await {
            Ok(page) if page.millis_behind_latest == 0 => return *cursor = page.next.unwrap(),
            Ok(page) => *cursor = page.next.unwrap(),
            Err(ReadError::Damaged { resume: Some(resume), .. }) => *cursor = resume,
            Err(_) => return,
        }
    }
}
