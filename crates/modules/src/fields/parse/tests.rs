//! Envelopes and lines as the services and runtimes document them.

use baikonur_record::{Limits, for_each_payload_within};
use bytes::Bytes;

use super::members::MEMBERS_MAX;
use crate::fields::tests::fields;

/// What is read of each payload in `data`; the payload itself where nothing is recognised.
fn read(parse: &str, data: &str) -> Vec<String> {
    let fields = fields(&format!("parse = [{parse}]"));
    let mut all = Vec::new();
    let data = Bytes::copy_from_slice(data.as_bytes());
    for_each_payload_within(&data, &Limits::default(), |payload, within| {
        let payload = payload.unwrap().bytes;
        let event = within.map(|within| within.to_owned());
        let read = fields.read(&payload, event.as_ref(), 1 << 20).unwrap();
        all.push(String::from_utf8(read.unwrap_or_else(|| payload.to_vec())).unwrap());
    });
    all
}

fn one(parse: &str, data: &str) -> String {
    read(parse, data).remove(0)
}

const ENVELOPE: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/f","logStream":"2025/[$LATEST]0",
    "subscriptionFilters":["all"],"logEvents":[
    {"id":"1","timestamp":1510109208016,"message":"START RequestId: 1 \"x\"\n"},
    {"id":"2","timestamp":1510109208017,"message":"{\"level\":\"INFO\",\"time\":\"then\",\"cloudwatch\":\"mine\",\"n\":1.0}"},
    {"id":"3","timestamp":1510109208018,"message":"[1]"}]}"#;

#[test]
fn log_events_get_what_their_envelope_says() {
    let cloudwatch = |id, millis| {
        format!(
            r#""cloudwatch":{{"owner":"123456789012","logGroup":"/aws/lambda/f","logStream":"2025/[$LATEST]0","id":"{id}","timestamp":15101092080{millis}}}"#
        )
    };
    assert_eq!(
        read("'cloudwatch'", ENVELOPE),
        [
            format!(
                r#"{{"message":"START RequestId: 1 \"x\"\n",{},"time":"2017-11-08T02:46:48.016Z"}}"#,
                cloudwatch(1, 16)
            ),
            // The envelope's word stands: a message cannot claim to be from elsewhere.
            format!(r#"{{"level":"INFO","time":"then","n":1.0,{}}}"#, cloudwatch(2, 17)),
            format!(
                r#"{{"message":"[1]",{},"time":"2017-11-08T02:46:48.018Z"}}"#,
                cloudwatch(3, 18)
            ),
        ]
    );
    assert_eq!(read("'json'", ENVELOPE)[2], "[1]", "nobody asked for it");
    let bare = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"x","timestamp":1e99}]}"#;
    assert_eq!(one("'cloudwatch'", bare), r#"{"message":"x","cloudwatch":{"timestamp":1e99}}"#);
}

#[test]
fn lines_of_the_container_runtime_interface() {
    for (line, expected) in [
        (
            "2016-10-06T00:17:09.669794202Z stdout F log \"content\"",
            r#"{"message":"log \"content\"","time":"2016-10-06T00:17:09.669794202Z","container":{"stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}}"#,
        ),
        (
            "2016-10-06T00:17:10+02:00 stderr P:tag part\n",
            r#"{"message":"part","time":"2016-10-06T00:17:10+02:00","container":{"stream":"stderr","time":"2016-10-06T00:17:10+02:00","partial":true}}"#,
        ),
        (
            "2016-10-06T00:17:10Z stdout F",
            r#"{"message":"","time":"2016-10-06T00:17:10Z","container":{"stream":"stdout","time":"2016-10-06T00:17:10Z"}}"#,
        ),
    ] {
        assert_eq!(one("'container'", line), expected);
        assert_eq!(one("'cloudwatch', 'json'", line), line, "nobody asked for it");
    }
    for other in [
        "2016-10-06T00:17:10Z stdin F x",
        "2016-10-06T00:17:10Z stdout X x",
        "2016-10-06 stdout F x",
        "yesterdayT stdout F x",
        "plain text",
    ] {
        assert_eq!(one("'container'", other), other);
    }
}

#[test]
fn objects_of_runtimes_and_routers() {
    for (text, expected) in [
        // Docker, json-file.
        (
            r#"{"log":"a line\\n\n","stream":"stdout","attrs":{"tag":"x"},"time":"2015-05-17T10:05:03.1Z"}"#,
            r#"{"attrs":{"tag":"x"},"time":"2015-05-17T10:05:03.1Z","message":"a line\\n","container":{"stream":"stdout","time":"2015-05-17T10:05:03.1Z"}}"#,
        ),
        // FireLens on ECS.
        (
            r#"{"source":"stderr","log":"\u00e9\r\u000A","container_id":"43","container_name":"/app","ecs_cluster":"c","ecs_task_arn":"arn","ecs_task_definition":"t:1"}"#,
            r#"{"message":"\u00e9","container":{"id":"43","name":"/app","stream":"stderr"},"ecs":{"cluster":"c","task_arn":"arn","task_definition":"t:1"}}"#,
        ),
        // Fluent Bit on Kubernetes.
        (
            r#"{"kubernetes":{"pod_name":"p","labels":{"a":"b"}},"log":"x"}"#,
            r#"{"kubernetes":{"pod_name":"p","labels":{"a":"b"}},"message":"x"}"#,
        ),
    ] {
        assert_eq!(one("'container'", text), expected);
    }
    for other in [
        r#"{"log":"x"}"#,
        r#"{"log":{"level":"x"},"stream":"stdout"}"#,
        r#"{"log":"x","stream":"other"}"#,
        r#"{"log":"x","stream":"stdout","message":"unwrapped before"}"#,
        r#"{"stream":"stdout"}"#,
        r#"[{"log":"x","stream":"stdout"}]"#,
        r#"{"log":"x","stream":"stdout""#,
    ] {
        assert_eq!(one("'container', 'json'", other), other);
    }
}

#[test]
fn the_fields_of_an_application_win_but_not_over_where_they_are_from() {
    let docker = |json: &str| {
        let log = serde_json::to_string(&format!("{json}\n")).unwrap();
        format!(r#"{{"log":{log},"stream":"stdout","time":"outer","kubernetes":{{"pod":"real"}}}}"#)
    };
    let inner = r#"{"time":"inner","log_type":"a","n":1.50,"container":"fake","kubernetes":0}"#;
    let container = r#""container":{"stream":"stdout","time":"outer"}"#;
    assert_eq!(
        one("'container', 'json'", &docker(inner)),
        format!(
            r#"{{"time":"inner","log_type":"a","n":1.50,"kubernetes":{{"pod":"real"}},{container}}}"#
        )
    );
    assert_eq!(
        one("'container', 'json'", &docker(r#"{"broken":"#)),
        format!(
            r#"{{"time":"outer","kubernetes":{{"pod":"real"}},"message":"{{\"broken\":",{container}}}"#
        )
    );
    assert_eq!(one("'json'", r#"{"message":"{\"a\":1,\n\"b\":2}","b":3}"#), r#"{"a":1,"b":2}"#);
    assert_eq!(
        one("'json'", r#"{"message":"text","log":" {\"a\":1}"}"#),
        r#"{"a":1,"message":"text"}"#
    );
    assert_eq!(one("'json'", r#"{"message":{"a":1}}"#), r#"{"message":{"a":1}}"#);
}

#[test]
fn wrappers_are_opened_from_the_outside_to_the_inside() {
    let line = r#"2016-10-06T00:17:09Z stdout F {\"log_type\":\"a\"}"#;
    let envelope = format!(
        r#"{{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{{"id":"1","timestamp":5,"message":"{line}"}}]}}"#
    );
    assert_eq!(
        one("'json', 'container', 'cloudwatch'", &envelope),
        r#"{"log_type":"a","time":"2016-10-06T00:17:09Z","container":{"stream":"stdout","time":"2016-10-06T00:17:09Z"},"cloudwatch":{"logGroup":"g","id":"1","timestamp":5}}"#
    );
}

/// An object with so many members, `a` twice among them.
fn object_of(members: usize, more: &str) -> String {
    let names = (2..members).map(|number| format!(r#","k{number}":0"#)).collect::<String>();
    format!(r#"{{"a":1,"a":2{names}{more}}}"#)
}

#[test]
fn objects_with_very_many_members_stay_as_they_are() {
    let (most, too_many) = (object_of(MEMBERS_MAX, ""), object_of(MEMBERS_MAX + 1, ""));
    let text = |object: &str| serde_json::to_string(object).unwrap();
    // Inside: the text stays a text.
    let around = |object: &str| format!(r#"{{"a":0,"b":3,"message":{}}}"#, text(object));
    assert_eq!(
        one("'json'", &around(&most)),
        format!(r#"{},"b":3}}"#, most.strip_suffix('}').unwrap()),
        "the application's own win, each of equal ones"
    );
    assert_eq!(one("'json'", &around(&too_many)), around(&too_many));
    // Outside: also in an envelope the object stays one, whose fields can be redacted.
    let envelope = |object: &str| {
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logEvents":[{{"id":"1","timestamp":5,"message":{}}}]}}"#,
            text(object)
        )
    };
    assert!(one("'cloudwatch'", &envelope(&most)).contains(r#""cloudwatch":{"id":"1""#));
    assert_eq!(one("'cloudwatch'", &envelope(&too_many)), too_many);
    let docker = |members| object_of(members, r#","log":"x","stream":"stdout""#);
    assert!(one("'container'", &docker(MEMBERS_MAX - 2)).contains(r#""container":{"#));
    assert_eq!(one("'container'", &docker(MEMBERS_MAX)), docker(MEMBERS_MAX));
}
