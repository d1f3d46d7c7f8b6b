//! Filters over the records of a Kinesis stream: their data, and what is known beside it.

use baikonur_pattern::{Data, FilterCriteria, FilterCriteriaError, Metadata};

const METADATA: Metadata<'static> = Metadata {
    partition_key: b"tenant-a",
    sequence_number: &"49590338271490256608559692538361571095921575989136588898",
    shard_id: "shardId-000000000006",
    arrival_millis: 1_545_084_650_987,
};

fn matches(patterns: &[&str], data: Data<'_>) -> bool {
    FilterCriteria::parse(patterns).unwrap().matches(&METADATA, data)
}

#[test]
fn without_filters_everything_is_delivered() {
    for data in [Data::Json(b"{}"), Data::NotJson, Data::Unknown] {
        assert!(matches(&[], data));
    }
    assert!(FilterCriteria::default().is_empty());
}

#[test]
fn one_of_the_filters_is_enough() {
    let filters =
        [r#"{"data":{"level":["ERROR"]}}"#, r#"{"data":{"status":[{"numeric":[">=",500]}]}}"#];
    assert!(matches(&filters, Data::Json(br#"{"level":"ERROR"}"#)));
    assert!(matches(&filters, Data::Json(br#"{"level":"INFO","status":503}"#)));
    assert!(!matches(&filters, Data::Json(br#"{"level":"INFO","status":200}"#)));
    let criteria = FilterCriteria::parse(filters).unwrap();
    assert!(criteria.texts().eq(filters));
}

#[test]
fn metadata_stands_beside_data() {
    for (pattern, expected) in [
        (r#"{"partitionKey":["tenant-a"]}"#, true),
        (r#"{"partitionKey":["tenant-b"]}"#, false),
        (r#"{"partitionKey":[{"prefix":"tenant-"}],"data":{"a":[1]}}"#, true),
        (r#"{"partitionKey":[{"prefix":"tenant-"}],"data":{"a":[2]}}"#, false),
        (r#"{"sequenceNumber":[{"prefix":"4959033827149025660855969253836157"}]}"#, true),
        (r#"{"sequenceNumber":[{"numeric":[">",0]}]}"#, false),
        (r#"{"approximateArrivalTimestamp":[1545084650.987]}"#, true),
        (r#"{"approximateArrivalTimestamp":[{"numeric":[">=",1545084650,"<",1545084651]}]}"#, true),
        (r#"{"approximateArrivalTimestamp":[{"numeric":[">",1545084651]}]}"#, false),
        (r#"{"eventName":["aws:kinesis:record"],"eventSource":["aws:kinesis"]}"#, true),
        (r#"{"eventVersion":["1.0"],"kinesisSchemaVersion":["1.0"]}"#, true),
        (r#"{"eventID":[{"prefix":"shardId-000000000006:4959"}]}"#, true),
        (r#"{"eventID":[{"suffix":"6588898"}]}"#, true),
        (r#"{"partitionKey":[{"exists":false}]}"#, false),
        (r#"{"$or":[{"partitionKey":["tenant-b"]},{"data":{"a":[1]}}]}"#, true),
        (r#"{"$or":[{"partitionKey":["tenant-b"]},{"data":{"a":[2]}}]}"#, false),
        (r#"{"data.a":[1]}"#, true),
        (r#"{"data":{"b":[{"exists":false}]}}"#, true),
    ] {
        assert_eq!(matches(&[pattern], Data::Json(br#"{"a":1}"#)), expected, "{pattern}");
    }
}

#[test]
fn data_that_is_no_json_object_is_dropped_where_the_pattern_speaks_of_data() {
    for data in [
        Data::NotJson,
        Data::Json(b"plain"),
        Data::Json(b"123"),
        Data::Json(b"\"x\""),
        Data::Json(b"[{\"a\":1}]"),
        Data::Json(b""),
        Data::Json(b"{\"a\":\"\xff\"}"),
        Data::Json(b"\xef\xbb\xbf{\"a\":1}"),
    ] {
        for (pattern, expected) in [
            (r#"{"data":{"a":[1]}}"#, false),
            (r#"{"data":{"a":[{"exists":false}]}}"#, false),
            (r#"{"data":{"a":[{"anything-but":"x"},{"exists":false}]}}"#, false),
            (r#"{"partitionKey":["tenant-a"]}"#, true),
            (r#"{"partitionKey":["tenant-b"]}"#, false),
            (r#"{"partitionKey":["tenant-a"],"data":{"a":[{"exists":false}]}}"#, false),
            (r#"{"$or":[{"partitionKey":["tenant-a"]},{"data":{"a":[1]}}]}"#, true),
        ] {
            assert_eq!(matches(&[pattern], data), expected, "{pattern} on {data:?}");
        }
    }
}

#[test]
fn what_could_not_be_decoded_is_judged_by_its_metadata_alone() {
    for (pattern, expected) in [
        (r#"{"data":{"a":[1]}}"#, true),
        (r#"{"data":{"a":[{"exists":false}]}}"#, true),
        (r#"{"partitionKey":["tenant-a"],"data":{"a":[1]}}"#, true),
        (r#"{"partitionKey":["tenant-b"],"data":{"a":[1]}}"#, false),
        (r#"{"partitionKey":[{"exists":false}],"data":{"a":[1]}}"#, false),
    ] {
        assert_eq!(matches(&[pattern], Data::Unknown), expected, "{pattern}");
    }
}

#[test]
fn mistakes_are_explained() {
    for (pattern, words) in [
        (r#"{"data":["plain text"]}"#, "data: the data of a Kinesis record is matched as JSON"),
        (r#"{"data":[{"exists":true}]}"#, "data: the data of a Kinesis record is matched as JSON"),
        (
            r#"{"level":["ERROR"]}"#,
            r#"level is no key of a Kinesis record, so the pattern could not match. What is in a record's data stands below `data`: {"data": {"level": [...]}}"#,
        ),
        (r#"{"Data":{"level":["ERROR"]}}"#, "Data is no key of a Kinesis record"),
        (r#"{"data":{"level":"ERROR"}}"#, r#"data: "level" must be an object or an array"#),
        ("{", "not JSON at byte 1"),
    ] {
        let error = FilterCriteria::parse([pattern]).unwrap_err().to_string();
        let expected = format!("Invalid filter pattern definition. {words}");
        assert!(error.starts_with(&expected), "{pattern}: {error}");
    }
    let eleven = [r#"{"data":{"a":[1]}}"#; 11];
    assert_eq!(FilterCriteria::parse(eleven), Err(FilterCriteriaError::TooMany(11)));
    assert!(FilterCriteria::parse(&eleven[1..]).is_ok());
}
