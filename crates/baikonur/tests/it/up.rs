//! `baikonur up`, `put` and `tail`, together.

use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::running::{Up, baikonur, printed, refused, run};

/// All lines in gzipped files below a folder, sorted.
fn archived(folder: &Path) -> Vec<String> {
    let (mut lines, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "gz") {
                let file = GzDecoder::new(std::fs::File::open(path).unwrap());
                lines.extend(std::io::read_to_string(file).unwrap().lines().map(str::to_owned));
            }
        }
    }
    lines.sort();
    lines
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_routing_pattern_runs_without_a_file_and_stops_with_everything_written() {
    let folder = tempfile::tempdir().unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/logs.ndjson");
    let logs = std::fs::read_to_string(examples).unwrap();
    let up = Up::start(folder.path(), &[]);
    assert!(up.welcome.contains("baikonur-data/archive"), "{}", up.welcome);
    let endpoint = up.endpoint();
    let put = run(folder.path(), &["put", "router", examples, "--endpoint", &endpoint], b"");
    assert!(put.status.success(), "{put:?}");
    let summary = String::from_utf8(put.stderr).unwrap();
    assert!(summary.contains(&format!("records    {}", logs.lines().count())), "{summary}");
    let piped = b"{\"log_type\":\"piped\"}\n\nno json\n";
    run(folder.path(), &["put", "router", "--partition-key", "k", "--endpoint", &endpoint], piped);
    let tail =
        ["tail", "stream-c", "--from", "trim-horizon", "--no-follow", "--endpoint", &endpoint];
    let expected = sorted(&format!("{logs}{{\"log_type\":\"piped\"}}\n"));
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen = sorted(&printed(folder.path(), &tail, b""));
        if seen.len() == expected.len() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(seen, expected);
    let (status, health) = up.page("/health");
    assert_eq!((status, health.contains("\"ok\"")), (200, true), "{health}");
    let mut metrics = String::new();
    // The modules are not at the same place at the same time.
    for _ in 0..200 {
        metrics = up.page("/metrics").1;
        if metrics.contains("baikonur_failed_records_total{module=\"forward-a\"") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    for name in [
        "baikonur_stream_records_in_total{stream=\"router\",shard=\"shardId-00000000000",
        "baikonur_stream_bytes_out_total{stream=\"stream-c\"",
        "baikonur_delivered_records_total{module=\"forward-c\",stream=\"router\",shard=",
        "baikonur_iterator_age_seconds{module=",
        "baikonur_batch_seconds_bucket{module=\"forward-a\"",
        "baikonur_failed_records_total{module=\"forward-a\",stream=\"router\"",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert_eq!(up.stop(), 0);
    assert_eq!(archived(&folder.path().join("baikonur-data/archive")), expected);
    // One bad record, given up by each of the router's three modules.
    let failed = archived(&folder.path().join("baikonur-data/failed"));
    assert_eq!(failed.len(), 3, "{failed:?}");
    assert!(failed.iter().all(|line| line.contains("\"data\":\"no json\"")), "{failed:?}");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn what_was_put_before_a_kill_is_there_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let line = b"{\"log_type\":\"auth\",\"log_id\":\"1\",\"time\":\"2015-05-17\"}\n";
    let endpoint = up.endpoint();
    let put = run(folder.path(), &["put", "router", "--endpoint", &endpoint], line);
    assert!(put.status.success(), "{put:?}");
    // SIGKILL.
    drop(up);
    let up = Up::start(folder.path(), &[]);
    let endpoint = up.endpoint();
    let tail = [
        "tail",
        "router",
        "--from",
        "trim-horizon",
        "--no-follow",
        "--json",
        "--endpoint",
        &endpoint,
    ];
    let record: Value = serde_json::from_str(&printed(folder.path(), &tail, b"")).unwrap();
    assert_eq!(record["data"].as_str().unwrap().as_bytes(), line.trim_ascii());
    assert_eq!(up.stop(), 0);
}

#[test]
fn put_and_tail_speak_tls_to_a_server_with_a_generated_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let up = Up::start_with(path, &[], &[("BAIKONUR_SERVER__TLS", "generated")]);
    let endpoint = up.endpoint();
    assert!(endpoint.starts_with("https://127.0.0.1:"), "{}", up.welcome);
    let authority = path.join("baikonur-data/tls/ca.pem");
    let authority = authority.to_str().unwrap();
    for expected in [
        &format!("CA of clients   {authority}\n"),
        &format!(" put router --endpoint {endpoint} --ca-file {authority}\n"),
        &format!(" AWS_CA_BUNDLE={authority}\n"),
    ] {
        assert!(up.welcome.contains(expected), "{expected} is not in {}", up.welcome);
    }
    let line = "{\"log_type\":\"auth\"}\n";
    let put = ["put", "router", "--endpoint", &endpoint, "--ca-file", authority];
    assert_eq!(printed(path, &put, line.as_bytes()), "");
    let tail = ["tail", "router", "--from", "trim-horizon", "--no-follow", "--endpoint", &endpoint];
    assert_eq!(printed(path, &[&tail[..], &["--ca-file", authority]].concat(), b""), line);
    let streams = ["streams", "ls", "--endpoint", &endpoint, "--ca-file", authority];
    assert!(printed(path, &streams, b"").contains("router\n"));
    for (words, expected) in [
        (&[][..], "is not trusted: "),
        (&["--ca-file", "missing.pem"][..], "cannot read missing.pem"),
        (&["--ca-file", "log"][..], "log has no certificates in PEM"),
    ] {
        let told = refused(path, &[&put[..4], words].concat(), b"x\n");
        assert!(told.contains(expected), "{told}");
    }
    let http = endpoint.replace("https", "http");
    let told = refused(path, &["tail", "router", "--endpoint", &http], b"");
    assert!(told.contains("does not speak the Kinesis API (HTTP 400"), "{told}");
    assert_eq!(up.stop(), 0);
}

#[test]
fn what_cannot_be_done_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let endpoint = up.endpoint();
    let path = folder.path();
    let told = refused(path, &["up", "--listen", "127.0.0.1:0"], b"");
    assert!(told.contains("another process has the data directory"), "{told}");
    let told = refused(path, &["up", "--listen", &up.address, "--data", "other"], b"");
    assert!(told.contains("cannot listen on"), "{told}");
    let told = refused(path, &["up", "--listen", "0.0.0.0:4567", "--data", "other"], b"");
    assert!(told.contains("is not a loopback address"), "{told}");
    let told = refused(path, &["put", "rooter", "--endpoint", &endpoint], b"x\n");
    assert!(told.contains("there is no stream rooter"), "{told}");
    let told = refused(path, &["put", "router", "missing.ndjson", "--endpoint", &endpoint], b"");
    assert!(told.contains("cannot read missing.ndjson"), "{told}");
    let told = refused(path, &["tail", "router", "--endpoint", "http://127.0.0.1:9"], b"");
    assert!(told.contains("is `baikonur up` running there?"), "{told}");
    let long = [b"x".repeat(2 << 20), b"\n{}\n".to_vec()].concat();
    let told = refused(path, &["put", "router", "--endpoint", &endpoint], &long);
    assert!(
        told.contains("line 1 has 2097152 bytes")
            && told.contains("records                       1"),
        "{told}"
    );
}

#[test]
fn with_credentials_put_is_taken_when_it_signs() {
    let folder = tempfile::tempdir().unwrap();
    let profile = "[default]\naws_access_key_id = AKIDOWNER\naws_secret_access_key = hidden\n";
    std::fs::write(folder.path().join("credentials"), profile).unwrap();
    let variables = [("BAIKONUR_SERVER__CREDENTIALS_FILE", "credentials")];
    let up = Up::start_with(folder.path(), &[], &variables);
    assert!(up.welcome.contains("AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…"), "{}", up.welcome);
    std::fs::write(folder.path().join("lines"), "{\"log_type\":\"auth\"}\n").unwrap();
    let endpoint = up.endpoint();
    let put = |keys: &[(&str, &str)]| {
        let mut command =
            baikonur(folder.path(), &["put", "router", "lines", "--endpoint", &endpoint]);
        let output = command.envs(keys.iter().copied()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let id = ("AWS_ACCESS_KEY_ID", "AKIDOWNER");
    let (taken, told) = put(&[id, ("AWS_SECRET_ACCESS_KEY", "hidden")]);
    assert!(taken, "{told}");
    for (keys, expected) in [
        (&[][..], "verifies signatures: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (&[id, ("AWS_SECRET_ACCESS_KEY", "another")], "InvalidSignatureException: "),
    ] {
        let (taken, told) = put(keys);
        assert!(!taken && told.contains(expected), "{told}");
    }
    assert_eq!(up.stop(), 0);
}
