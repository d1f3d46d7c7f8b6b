//! `kinesis-to-s3` in every format and codec, beside the codec alone on the same bytes.
//!
//! *Alone* is the codec in one stream over all lines at once, with nothing else done: the floor of what an archive in it
//! can cost. *Ratio* is the module's time over the codec's; the target is 1.5. The module also decodes, which is the
//! larger part beside a fast codec. Parquet has no codec alone.
//!
//! A pass takes all lines once and writes them as one cut: lines that came twice would make dictionaries of Parquet look
//! better than they are. *Objects/GB* are those of cuts of the default `buffer_bytes`.

use std::cell::Cell;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_modules::objects::{ObjectDestination, ObjectError, PutMode};
use baikonur_modules::to_s3::{Settings, ToS3};
use baikonur_stream::{Clock, Close, Module, Outcome};
use bytes::Bytes;

use crate::{Bench, shard};

/// How long one of them is measured.
const MEASURE: Duration = Duration::from_secs(3);

pub(crate) fn run(bench: &Bench) {
    println!(
        "{:<44} {:>11} {:>10} {:>6} {:>7} {:>11}",
        "", "", "alone MB/s", "ratio", "size %", "objects/GB"
    );
    for level in [1, 2, 3, 4, 5, 6, 9] {
        let settings = format!("compression_level = {level}");
        let alone = alone(bench, |text| gzip(text, level));
        archive(bench, &format!("gzip, level {level}"), &settings, Some(alone));
    }
    for level in [1, 3, 6, 9] {
        let settings = format!("compression = 'zstd'\ncompression_level = {level}");
        let alone = alone(bench, |text| zstd::bulk::compress(text, level).unwrap());
        archive(bench, &format!("zstd, level {level}"), &settings, Some(alone));
    }
    let snappy = alone(bench, snappy);
    archive(bench, "snappy", "compression = 'snappy'", Some(snappy));
    archive(bench, "hadoop-snappy", "compression = 'hadoop-snappy'", Some(snappy));
    archive(bench, "none", "compression = 'none'", Some(alone(bench, <[u8]>::to_vec)));
    for codec in ["zstd", "snappy", "none"] {
        let settings = format!("format = 'parquet'\ncompression = '{codec}'");
        archive(bench, &format!("Parquet, {codec}"), &settings, None);
    }
    archive(
        bench,
        "Parquet, zstd, objects as text",
        "format = 'parquet'\nnested_objects = 'json'",
        None,
    );
    archive(bench, "gzip, level 3, hive", "key_layout = 'hive'", None);
}

/// Seconds of a codec for all lines.
fn alone(bench: &Bench, pack: impl Fn(&[u8]) -> Vec<u8>) -> f64 {
    let mut text = Vec::new();
    for record in bench.batches.iter().flat_map(|batch| &batch.records) {
        text.extend_from_slice(&record.data);
        text.push(b'\n');
    }
    best(bench, || _ = black_box(pack(&text)))
}

fn gzip(text: &[u8], level: u32) -> Vec<u8> {
    let level = flate2::Compression::new(level);
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

fn snappy(text: &[u8]) -> Vec<u8> {
    let mut writer = snap::write::FrameEncoder::new(Vec::new());
    writer.write_all(text).unwrap();
    writer.into_inner().unwrap()
}

fn best(bench: &Bench, mut pass: impl FnMut()) -> f64 {
    let until = bench.clock.monotonic() + MEASURE;
    let best = Cell::new(Duration::MAX);
    while bench.clock.monotonic() < until {
        let started = bench.clock.monotonic();
        pass();
        best.set(best.get().min(bench.clock.monotonic() - started));
    }
    best.get().as_secs_f64()
}

fn archive(bench: &Bench, name: &str, settings: &str, alone: Option<f64>) {
    let mut settings: Settings = toml::from_str(settings).unwrap();
    let cut_bytes = settings.buffer_bytes as f64;
    let records = || bench.batches.iter().flat_map(|batch| &batch.records);
    settings.buffer_bytes = records().map(|record| record.data.len() as u64 + 1).sum();
    let counted = Arc::new(Counted::default());
    let module = ToS3::new(settings, bench.intake(), counted.clone(), bench.clock.clone()).unwrap();
    let mut shard = bench.runtime.block_on(module.open(&shard())).unwrap();
    let passes = Cell::new(0_u32);
    let seconds = best(bench, || {
        passes.set(passes.get() + 1);
        bench.runtime.block_on(async {
            for batch in &bench.batches {
                if shard.deliver(batch).await.outcome == Outcome::Held(Close::Now) {
                    assert_eq!(shard.close().await.outcome, Outcome::Delivered);
                }
            }
            assert_eq!(shard.close().await.outcome, Outcome::Delivered);
        });
    });
    let passes = f64::from(passes.get());
    let (objects, bytes) =
        (counted.objects.load(Ordering::Relaxed), counted.bytes.load(Ordering::Relaxed));
    let speed = |seconds: f64| bench.bytes as f64 / 1e6 / seconds;
    let beside = alone.map_or_else(String::new, |alone| format!("{:.0}", speed(alone)));
    let ratio = alone.map_or_else(String::new, |alone| format!("{:.2}", seconds / alone));
    let name = format!("kinesis-to-s3, {name}");
    println!(
        "{name:<44} {:>6.0} MB/s {beside:>10} {ratio:>6} {:>7.1} {:>11.0}",
        speed(seconds),
        bytes as f64 * 100.0 / (bench.bytes as f64 * passes),
        objects as f64 / passes * 1e9 / cut_bytes
    );
}

/// Takes everything at once and counts it.
#[derive(Default)]
struct Counted {
    objects: AtomicU64,
    bytes: AtomicU64,
}

#[async_trait]
impl ObjectDestination for Counted {
    async fn head(&self, _: &str, _: usize) -> Result<Option<Bytes>, ObjectError> {
        Ok(None)
    }

    async fn put(&self, _: &str, content: Vec<Bytes>, _: PutMode) -> Result<(), ObjectError> {
        self.objects.fetch_add(1, Ordering::Relaxed);
        let bytes: usize = black_box(content).iter().map(Bytes::len).sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        key.to_owned()
    }
}
