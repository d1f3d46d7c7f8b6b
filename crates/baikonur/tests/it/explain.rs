//! `baikonur explain`.

use std::path::Path;

use base64_simd::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::running::printed;

fn explained(words: &[&str], input: &[u8]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let words = [&["explain", "--json"], words].concat();
    let printed = printed(folder.path(), &words, input);
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_event_has_its_fields_and_the_names_that_it_would_get() {
    let line = br#"{"log_type":"auth","log_id":"a/b","time":"2015-05-17T10:05:03+09:00"}"#;
    let expected = json!({
        "record": 1,
        "events": [{
            "log_type": "auth",
            "log_id": "a/b",
            "time": "2015-05-17T10:05:03+09:00",
            "key": "auth/2015-05/17/2015-05-17-10:05:03-a%2Fb.gz",
            "index": "logs-auth-20150517",
            "tag": "auth.baikonur",
        }],
        "filtered": 0,
        "rejected": [],
    });
    assert_eq!(explained(&[], line), [expected]);
}

#[test]
fn rejections_have_a_reason_and_are_no_failure() {
    let told = explained(&[], b"nope\n\n[1]\n{\"a\":1}\n");
    let reasons: Vec<_> = told.iter().map(|told| told["rejected"][0]["reason"].clone()).collect();
    assert_eq!(reasons, [json!("not_json"), json!("empty"), json!("not_an_object"), Value::Null]);
    assert_eq!(told[3]["events"][0]["log_type"], "unknown/unknown_type/no_timestamp");
}

#[test]
fn raw_kinesis_data_is_read_from_base64() {
    let envelope = br#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"{\"log_type\":\"a\"}"},{"id":"2","message":"x"}]}"#;
    let lines = format!("{}\nno base64!\n", BASE64.encode_to_string(envelope));
    let told = explained(&["--base64"], lines.as_bytes());
    assert_eq!(told[0]["events"][0]["log_type"], "unknown/a/no_timestamp");
    assert_eq!(told[0]["rejected"][0]["event_index"], 1);
    assert_eq!(told[1]["error"], "the line is no base64");
}

#[test]
fn every_module_of_a_configuration_says_what_it_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"
        [streams.a]
        [streams.b]
        [modules.forward]
        type = "kinesis-forward"
        source = "a"
        target_stream_name = "b"
        log_type_field_whitelist = ["web"]
        [modules.archive]
        type = "kinesis-to-s3"
        source = "a"
        destination = "s3://logs/archive"
        log_type_field = "kind"
        [modules.index]
        type = "kinesis-to-es"
        source = "a"
        destination = "https://es"
        index_name_prefix = "app"
        write_to = "data_streams"
        data_stream_namespace = "prod"
    "#;
    let file = folder.path().join("own.toml");
    std::fs::write(&file, config).unwrap();
    let line = br#"{"log_type":"auth","kind":"web","log_id":"1","time":"2015-05-17"}"#;
    let told = explained(&["--config", file.to_str().unwrap()], line);
    assert_eq!(told[0]["module"], "archive");
    let key = &told[0]["events"][0]["key"];
    assert_eq!(key, "s3://logs/archive/web/2015-05/17/2015-05-17-00:00:00-1.gz");
    assert_eq!((&told[1]["module"], &told[1]["filtered"]), (&json!("forward"), &json!(1)));
    let event = &told[2]["events"][0];
    assert_eq!((&event["index"], &event["id"]), (&json!("app-auth-prod"), &json!("1")));
}

#[test]
fn words_for_people_name_the_place_in_the_failed_store() {
    let folder = tempfile::tempdir().unwrap();
    let told = printed(
        folder.path(),
        &["explain"],
        b"{\"log_type\":\"../../etc\",\"log_id\":7,\"time\":0}\nx\n",
    );
    assert!(told.contains("key      ..%2F..%2Fetc/1970-01/01/1970-01-01-00:00:00-7.gz"), "{told}");
    assert!(told.contains("failed store: unknown/not_json/"), "{told}");
}

#[test]
fn times_are_those_of_dateutil() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../record/tests/data/timestamps.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(cases).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| json!({"log_type": "t", "log_id": "1", "time": case["in"]}).to_string() + "\n")
        .collect();
    let told = explained(&[], lines.as_bytes());
    assert_eq!(told.len(), cases.len());
    for (case, told) in cases.iter().zip(&told) {
        let event = &told["events"][0];
        let rejected = event["log_type"] == "unknown/t/bad_timestamp";
        assert_eq!(rejected, !case["err"].is_null(), "{case} {event}");
        // What a stamp does not say comes from the day of arrival, elsewhere from a fixed day: compare what it says.
        if let (Some(out), false) = (case["out"].as_str(), rejected) {
            let (time, clock) = (event["time"].as_str().unwrap(), &out[11..19]);
            assert_eq!(&time[11..19], clock, "{case} {event}");
            let offset = case["off"].as_f64().unwrap_or(0.0) as i64;
            let minutes = offset.abs() / 60;
            let sign = if offset < 0 { '-' } else { '+' };
            let shown = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
            assert!(time.ends_with(&shown), "{case} {event}");
        }
    }
}
