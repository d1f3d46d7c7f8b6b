//! Directories written by released versions, and ones that no version has written.

use baikonur_stream::Administer;

use super::world::*;
use crate::{Engine, EngineSettings, OpenError, SimulatedDisk};

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
async fn a_directory_without_its_catalog_is_refused_and_not_taken_for_an_empty_one() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "precious").await.unwrap();
    engine.close().await;
    for missing in ["catalog.json", "FORMAT"] {
        let without = SimulatedDisk::default();
        for (name, bytes) in disk.files() {
            if name != missing {
                without.put_file(&name, bytes);
            }
        }
        let opened =
            Engine::open_on(std::sync::Arc::new(without.clone()), settings(), clock.clone());
        let Err(OpenError::Incomplete { missing: named, .. }) = opened else { panic!("opened") };
        assert_eq!(named, missing);
        assert_eq!(without.files().len(), disk.files().len() - 1, "nothing was made or removed");
    }
}

#[tokio::test]
async fn a_catalog_with_a_flipped_bit_is_refused_or_means_the_same() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let described = engine.describe_stream(&stream("s")).await.unwrap();
    engine.close().await;
    let bits = disk.files()["catalog.json"].len() * 8;
    for bit in (0..bits).step_by(7) {
        let disk = disk.after_kill();
        disk.flip("catalog.json", bit);
        // Blanks between values, and names of fields that are empty anyway, change nothing.
        match Engine::open_on(std::sync::Arc::new(disk), settings(), clock.clone()) {
            Ok((engine, _)) => {
                let found = engine.describe_stream(&stream("s")).await.unwrap();
                assert_eq!(found, described, "bit {bit}");
            }
            Err(error) => assert!(matches!(error, OpenError::Io { .. }), "bit {bit}: {error}"),
        }
    }
}
