//! Directories written by released versions, and ones that no version has written.

use baikonur_engine::{Engine, EngineSettings, OpenError};

use crate::simulated::{Random, SimulatedDisk};
use crate::world::*;

/// `BAIKONUR_WRITE_FIXTURE=1` writes it anew: only ever for a new format.
#[tokio::test]
async fn a_directory_of_format_1_is_read_as_it_was_written() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let clock = TestClock::at(START);
    if std::env::var_os("BAIKONUR_WRITE_FIXTURE").is_some() {
        let disk = SimulatedDisk::default();
        let (engine, _) = open(&disk, &clock);
        create(&engine, "s", 2).await;
        for n in 0..60 {
            put(&engine, "s", n % 2, &format!("record {n}")).await.unwrap();
        }
        engine.close().await;
        for (name, bytes) in disk.files() {
            let path = fixture.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let disk = SimulatedDisk::default();
    for folder in ["", "log"] {
        for entry in std::fs::read_dir(fixture.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(&fixture).unwrap().display().to_string();
                disk.put_file(&name, std::fs::read(&path).unwrap());
            }
        }
    }
    let (engine, report) = open(&disk, &clock);
    assert!(report.torn_tail.is_none() && report.damaged.is_empty(), "{report:?}");
    let even: Vec<String> = (0..30).map(|n| format!("record {}", n * 2)).collect();
    assert_eq!(texts(&engine, "s", 0).await, even);
    put(&engine, "s", 0, "and it takes more").await.unwrap();
}

#[tokio::test]
async fn a_directory_of_another_format_is_refused_by_name() {
    let disk = SimulatedDisk::default();
    disk.put_file("FORMAT", b"baikonur streams, format 7\n".to_vec());
    let opened =
        Engine::open_on(std::sync::Arc::new(disk), EngineSettings::new("d"), TestClock::at(START));
    let Err(OpenError::Format { found, .. }) = opened else { panic!("it was opened") };
    assert_eq!(found, "baikonur streams, format 7");
}

#[tokio::test]
async fn any_bytes_as_segments_are_opened_or_refused_but_never_a_panic() {
    let good = {
        let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let (engine, _) = open(&disk, &clock);
        create(&engine, "s", 2).await;
        for n in 0..60 {
            put(&engine, "s", n % 2, &format!("record {n}")).await.unwrap();
        }
        engine.close().await;
        disk
    };
    for seed in 0..300 {
        let mut random = Random(seed);
        let disk = good.after_kill();
        for (name, bytes) in disk.files() {
            if name.starts_with("log/") {
                for _ in 0..random.below(6) {
                    disk.flip(&name, random.below(bytes.len() as u64 * 8) as usize);
                }
                if random.below(4) == 0 {
                    disk.cut(&name, random.below(bytes.len() as u64) as usize);
                }
            }
        }
        let clock = TestClock::at(START);
        let clock: std::sync::Arc<dyn baikonur_stream::Clock> = clock;
        if let Ok((engine, _)) = Engine::open_on(std::sync::Arc::new(disk), settings(), clock) {
            for index in 0..2 {
                let start = baikonur_stream::StartingPosition::TrimHorizon;
                let _ = read_from(&engine, &shard("s", index), start).await;
            }
        }
    }
}
