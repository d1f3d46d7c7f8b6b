//! Speed of a pattern on one core, in MB (10⁶ bytes) of log text a second, beside the same question asked of a tree of
//! serde_json. `BAIKONUR_REAL_LOGS` names a file of one JSON object a line to use instead of the sample.

use std::hint::black_box;
use std::time::{Duration, Instant};

use baikonur_pattern::{Data, FilterCriteria, Metadata, Pattern};
use serde_json::Value;

const SAMPLE: &[u8] = include_bytes!("../../record/tests/data/real-logs.ndjson");

const THREE_KEYS: &str = r#"{"log_type": [{"prefix": "apache"}], "status": [{"numeric": [">=", 400]}], "request": [{"anything-but": {"prefix": "HEAD"}}]}"#;
const DEEP: &str = r#"{"status": {"connections": {"active": [{"numeric": [">", 2]}]}, "ssl": {"handshakes": [{"exists": true}]}}}"#;
const ALTERNATIVES: &str = r#"{"$or": [{"log_type": [{"wildcard": "*_access"}], "status": [404]}, {"agent": [{"wildcard": "*bot*"}]}, {"remote_ip": [{"cidr": "66.249.0.0/16"}]}]}"#;

fn main() {
    let text = match std::env::var_os("BAIKONUR_REAL_LOGS") {
        Some(path) => std::fs::read(path).expect("the file of real logs can be read"),
        None => SAMPLE.to_vec(),
    };
    let lines: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    let bytes = lines.iter().map(|line| line.len()).sum::<usize>();
    println!("{} records, {bytes} bytes, {} bytes each", lines.len(), bytes / lines.len());
    for (name, pattern) in [
        ("3 keys", THREE_KEYS),
        ("nested keys", DEEP),
        ("alternatives, wildcards, cidr", ALTERNATIVES),
    ] {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let matched = lines.iter().filter(|line| pattern.matches(line)).count();
        measure(&format!("{name} ({matched} match)"), bytes, || {
            lines.iter().filter(|line| pattern.matches(black_box(line))).count()
        });
    }
    let criteria = format!(r#"{{"partitionKey": [{{"prefix": "k"}}], "data": {THREE_KEYS}}}"#);
    let criteria = FilterCriteria::parse([criteria]).expect("a pattern");
    let metadata = Metadata {
        partition_key: b"key",
        sequence_number: &"49590338271490256608559692538361571095921575989136588898",
        shard_id: "shardId-000000000000",
        arrival_millis: 1_700_000_000_000,
    };
    measure("3 keys, as filter criteria", bytes, || {
        lines.iter().filter(|line| criteria.matches(&metadata, Data::Json(black_box(line)))).count()
    });
    measure("3 keys, asked of a tree of serde_json", bytes, || {
        lines.iter().filter(|line| asked_of_a_tree(black_box(line))).count()
    });
}

/// [`THREE_KEYS`] by hand.
fn asked_of_a_tree(line: &[u8]) -> bool {
    let Ok(tree) = serde_json::from_slice::<Value>(line) else { return false };
    tree["log_type"].as_str().is_some_and(|text| text.starts_with("apache"))
        && tree["status"].as_f64().is_some_and(|status| status >= 400.0)
        && tree.get("request").is_some_and(|request| {
            !request.as_str().is_some_and(|request| request.starts_with("HEAD"))
        })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure<F: FnMut() -> usize>(name: &str, bytes: usize, mut work: F) {
    black_box(work());
    let mut best = Duration::MAX;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let start = Instant::now();
        black_box(work());
        best = best.min(start.elapsed());
    }
    println!("{name:50} {:8.0} MB/s", bytes as f64 / 1e6 / best.as_secs_f64());
}
