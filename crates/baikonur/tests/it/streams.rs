//! `baikonur streams` against a running server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::running::{Up, baikonur, printed, refused};

/// Streams of a running server, by the command.
struct Streams<'f> {
    folder: &'f Path,
    endpoint: String,
}

impl Streams<'_> {
    fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        [&["streams"], words, &["--endpoint", self.endpoint.as_str()]].concat()
    }

    fn printed(&self, words: &[&str]) -> String {
        printed(self.folder, &self.words(words), b"")
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.printed(words)).unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        refused(self.folder, &self.words(words), b"")
    }
}

#[test]
fn streams_are_made_listed_described_drawn_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let streams = Streams { folder: folder.path(), endpoint: up.endpoint() };
    let made = streams.printed(&["create", "orders", "--shards", "3", "--retention-hours", "48"]);
    assert_eq!(made, "stream orders made\n");
    assert_eq!(streams.printed(&["ls"]), "orders\nrouter\nstream-a\nstream-b\nstream-c\n");
    let long = streams.printed(&["ls", "--long"]);
    let line = long.lines().next().unwrap();
    assert_eq!(line, "orders    ACTIVE    PROVISIONED      3 shards    48 h", "{long}");
    let text = streams.printed(&["describe", "orders"]);
    assert!(
        text.contains("open shards     3\n") && text.contains("retention       48 h\n"),
        "{text}"
    );
    let json = streams.json(&["describe", "orders", "--json"]);
    assert_eq!((&json["openShards"], &json["retentionHours"]), (&3.into(), &48.into()));
    let drawn = streams.printed(&["scale", "report", "orders"]);
    assert!(drawn.starts_with("orders: 3 open shards\n██████"), "{drawn}");
    assert!(drawn.contains("▒ shardId-000000000001   33.333%  "), "{drawn}");
    assert!(!drawn.contains('\x1b'), "no colour but on a terminal: {drawn}");
    let report = streams.json(&["scale", "report", "orders", "--json"]);
    assert_eq!(report["endStatus"], "ReportOnly");
    assert_eq!(report["layout"]["shardId-000000000000"]["pctOfKeyspace"], 33.333_333_333_3);
    assert_eq!(streams.printed(&["delete", "orders"]), "stream orders deleted\n");
    assert!(!streams.printed(&["ls"]).contains("orders"));
    let told = streams.refused(&["create", "router"]);
    assert!(told.contains("stream router already exists"), "{told}");
    let told = streams.refused(&["describe", "orders"]);
    assert!(told.contains("stream orders not found"), "{told}");
    let told = streams.refused(&["scale", "up", "router", "--percent", "0.5"]);
    assert!(told.contains("--compat"), "{told}");
    let told = streams.refused(&["scale", "up", "router", "--count", "0"]);
    assert!(told.contains("a change by 0 is none"), "{told}");
    let told = streams.refused(&["scale", "to", "router", "2", "--min", "3", "--max", "2"]);
    assert!(told.contains("above the maximum"), "{told}");
    assert_eq!(up.stop(), 0);
    let told = streams.refused(&["ls"]);
    assert!(told.contains("is `baikonur up` running there?"), "{told}");
}

#[test]
fn a_stream_is_scaled_up_down_and_to_a_number_and_a_shard_into_parts() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let streams = Streams { folder: folder.path(), endpoint: up.endpoint() };
    streams.printed(&["create", "orders", "--shards", "2"]);
    let far = streams.json(&["scale", "to", "orders", "11", "--json"]);
    assert_eq!((&far["endStatus"], &far["scaleDirection"]), (&"Ok".into(), &"UP".into()));
    assert_eq!((&far["shards"], &far["updates"]), (&11.into(), &3.into()), "2, 4, 8, 11");
    let told = streams.printed(&["scale", "up", "orders", "--percent", "10", "--max", "12"]);
    assert!(told.starts_with("orders: 11 → 12 shards (1 update)\n██████"), "{told}");
    let told = streams.printed(&["scale", "up", "orders", "--count", "1", "--max", "12"]);
    assert!(told.starts_with("orders: 12 open shards, the maximum\n"), "{told}");
    let words = ["scale", "down", "orders", "--percent", "0.5", "--compat", "--no-wait"];
    let told = streams.printed(&words);
    assert!(told.starts_with("orders: 12 → 6 shards (1 update)\n"), "{told}");
    let down = streams.json(&["scale", "down", "orders", "--count", "9", "--min", "2", "--json"]);
    assert_eq!((&down["shards"], &down["operationsMade"]), (&2.into(), &2.into()), "3, 2");
    let layout = down["layout"].as_object().unwrap();
    let first = layout.keys().next().unwrap();
    let parted = streams.json(&["scale", "to", "orders", "3", "--shard", first, "--json"]);
    assert_eq!((&parted["shards"], &parted["splits"]), (&4.into(), &2.into()));
    let shares = |report: &Value| -> Vec<f64> {
        let shards = report["layout"].as_object().unwrap().values();
        let mut shares: Vec<_> =
            shards.map(|shard| shard["pctOfKeyspace"].as_f64().unwrap()).collect();
        shares.sort_by(f64::total_cmp);
        shares
    };
    assert_eq!(shares(&parted), [16.666_666_666_7, 16.666_666_666_7, 16.666_666_666_7, 50.0]);
    let thirds = parted["layout"].as_object().unwrap().values();
    let thirds: Vec<_> = thirds.filter(|shard| shard["pctOfKeyspace"] != 50.0).collect();
    let mut words = vec!["scale", "to", "orders", "1", "--json"];
    for shard in &thirds {
        words.extend(["--shard", shard["shardID"].as_str().unwrap()]);
    }
    let merged = streams.json(&words);
    assert_eq!((shares(&merged), &merged["merges"]), (vec![50.0, 50.0], &2.into()));
    streams.printed(&["create", "demand", "--on-demand"]);
    let told = streams.refused(&["scale", "up", "demand", "--count", "1"]);
    assert!(told.contains("error: stream demand is in on-demand mode"), "{told}");
    assert_eq!(up.stop(), 0);
}

const MONITOR: &str = r#"[{"streamName": "router",
    "scaleUp": {"scaleThresholdPct": 75, "scaleAfterMins": 5, "scalePct": 50, "coolOffMins": 10}}]"#;

#[test]
fn the_monitor_runs_beside_the_modules_and_its_mistakes_are_told_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    write("b.toml", "[server]\nautoscale = \"scale.json\"\n[streams.router]\n");
    let told = refused(path, &["check", "b.toml"], b"");
    assert!(told.contains("cannot read the autoscaling configuration scale.json"), "{told}");
    write("scale.json", &MONITOR.replace("coolOffMins", "coolOff"));
    let told = refused(path, &["check", "b.toml"], b"");
    assert!(told.contains("scale.json: unknown field `coolOff`"), "{told}");
    let alone = ["streams", "autoscale", "scale.json", "--check"];
    let told = refused(path, &alone, b"");
    assert!(told.contains("unknown field `coolOff`") && told.contains("line 2 column"), "{told}");
    write("scale.json", MONITOR);
    printed(path, &["check", "b.toml"], b"");
    assert!(printed(path, &alone, b"").contains("1 monitor"));
    let mut up = baikonur(path, &["up", "b.toml", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(up.stderr.take().unwrap());
    let started = log.lines().map(Result::unwrap).find(|line| line.contains("autoscaling starts"));
    up.kill().unwrap();
    up.wait().unwrap();
    assert!(started.is_some_and(|line| line.contains("router")));
}
