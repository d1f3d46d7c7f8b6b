//! Several targets of one module: who gets what, and what becomes of it when one of them fails.

use super::*;

fn module_with(settings: &str, streams: &HashMap<&str, Arc<Target>>) -> Forward {
    let settings: Settings = toml::from_str(settings).unwrap();
    let decoding = IntakeSettings::default();
    let intake = Arc::new(Intake::new(&decoding, &ConsumerName::new("router")).unwrap());
    let write = |target: &TargetSettings| {
        Arc::clone(&streams[target.target_stream_name.as_str()]) as Arc<dyn Write>
    };
    Forward::new(&settings, &decoding, intake, write).unwrap()
}

fn streams(names: &[&'static str]) -> HashMap<&'static str, Arc<Target>> {
    names.iter().map(|name| (*name, Arc::new(Target::default()))).collect()
}

const TARGETS: &str = r#"
    [[targets]]
    target_stream_name = "b"
    log_type_field_whitelist = ["a"]
    [[targets]]
    target_stream_name = "c"
    filter_criteria = ['{"data": {"n": [1]}}']
    [[targets]]
    target_stream_name = "d"
"#;

#[tokio::test]
async fn a_record_goes_into_each_target_whose_rule_takes_it() {
    let streams = streams(&["b", "c", "d"]);
    let mut forwarding = module_with(TARGETS, &streams).open(&shard("a")).await.unwrap();
    let delivery = forwarding.deliver(&batch(1, &[A1, B1, "no json", A2])).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(delivery.rejected.len(), 1, "once, and not once for each target");
    assert_eq!(streams["b"].lines(), [A1, A2]);
    assert_eq!(streams["c"].lines(), [A1, B1]);
    assert_eq!(streams["d"].lines(), [A1, B1, A2]);
    let remembered = streams["c"].lock().remembered.clone();
    let name = "router/a/shardId-000000000000/to/c".to_owned();
    assert_eq!(remembered, HashMap::from([(name, number(2))]));
}

#[tokio::test]
async fn streams_of_one_name_in_several_places_share_no_position() {
    let settings = r#"
        [[targets]]
        target_stream_name = "b"
        target_region = "eu-west-1"
        [[targets]]
        target_stream_name = "b"
        target_region = "us-east-1"
    "#;
    // As if both were one store that remembers.
    let streams = streams(&["b"]);
    let module = module_with(settings, &streams);
    module.open(&shard("b")).await.unwrap().deliver(&batch(1, &[A1])).await;
    assert_eq!(streams["b"].lines(), [A1, A1]);
    assert!(streams["b"].lock().remembered.is_empty());
    module.open(&shard("b")).await.unwrap().deliver(&batch(1, &[A1])).await;
    assert_eq!(streams["b"].lines().len(), 4, "at least once");
}

#[tokio::test]
async fn with_first_target_only_it_goes_into_the_first_of_them() {
    let streams = streams(&["b", "c", "d"]);
    let settings = format!("first_target_only = true\n{TARGETS}");
    let mut forwarding = module_with(&settings, &streams).open(&shard("a")).await.unwrap();
    let other = r#"{"log_type":"b","n":2}"#;
    forwarding.deliver(&batch(1, &[A1, B1, A2, other])).await;
    assert_eq!(streams["b"].lines(), [A1, A2]);
    assert_eq!(streams["c"].lines(), [B1]);
    assert_eq!(streams["d"].lines(), [other]);
}

#[tokio::test]
async fn a_target_that_fails_gets_its_records_again_and_the_others_do_not() {
    let streams = streams(&["b", "c", "d"]);
    let module = module_with(TARGETS, &streams);
    let mut forwarding = module.open(&shard("a")).await.unwrap();
    streams["c"].fail_next(Fault::Whole(PutError::StorageFull("0 bytes left".to_owned())));
    let delivery = forwarding.deliver(&batch(1, &[A2, A1, B1])).await;
    let Outcome::Failed { from, cause: Cause::Destination, reason } = delivery.outcome else {
        panic!("{delivery:?}");
    };
    assert_eq!(from, number(2), "the first record that c lacks");
    assert!(reason.contains("target stream c"), "{reason}");
    // Once by the same process, once after a stop, and each is there once.
    forwarding.deliver(&batch(2, &[A1, B1])).await;
    module.open(&shard("a")).await.unwrap().deliver(&batch(1, &[A2, A1, B1])).await;
    assert_eq!(streams["b"].lines(), [A2, A1]);
    assert_eq!(streams["c"].lines(), [A1, B1]);
    assert_eq!(streams["d"].lines(), [A2, A1, B1]);
}

#[tokio::test]
async fn what_one_target_refuses_is_told_also_when_another_one_fails_before_it() {
    let streams = streams(&["b", "c", "d"]);
    let mut forwarding = module_with(TARGETS, &streams).open(&shard("a")).await.unwrap();
    streams["c"].fail_next(Fault::Whole(PutError::Unavailable("down".to_owned())));
    streams["d"].fail_next(Fault::AtPlace(2, PutError::RecordRefused("no".to_owned())));
    let delivery = forwarding.deliver(&batch(1, &[A1, B1, A2])).await;
    assert!(matches!(delivery.outcome, Outcome::Failed { from, .. } if from == number(1)));
    let delivery = forwarding.deliver(&batch(1, &[A1, B1, A2])).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    let [rejected] = &*delivery.rejected else { panic!("{delivery:?}") };
    assert_eq!((rejected.sequence_number, &*rejected.detail), (number(3), "d refused it: no"));
    assert_eq!(streams["d"].lines(), [A1, B1]);
    assert_eq!(streams["b"].lines(), [A1, A2]);
    let delivery = forwarding.deliver(&batch(4, &[A3])).await;
    assert!(delivery.rejected.is_empty(), "told once");
}

#[tokio::test]
async fn records_get_another_key_and_go_together() {
    let streams = streams(&["b"]);
    let settings =
        "target_stream_name = 'b'\npartition_key = '{log_type}'\naggregation_enabled = true";
    let mut forwarding = module_with(settings, &streams).open(&shard("a")).await.unwrap();
    forwarding.deliver(&batch(1, &[A1, B1, A2])).await;
    let entries = streams["b"].lock().entries.clone();
    let [a, b] = &*entries else { panic!("{entries:?}") };
    assert_eq!((a.partition_key.as_str(), b.partition_key.as_str()), ("a", "b"));
    assert_eq!(b.data, B1, "alone it is no aggregate");
    let opened = baikonur_record::payloads(&a.data, &baikonur_record::Limits::default());
    let texts: Vec<_> = opened.into_iter().map(|payload| payload.unwrap().bytes).collect();
    assert_eq!(texts, [A1, A2]);
}

#[tokio::test]
async fn what_one_stream_is_too_small_for_goes_into_the_others_and_is_told_also_after_a_crash() {
    let streams = streams(&["b", "c", "d"]);
    let module = module_with(TARGETS, &streams);
    streams["d"].lock().record_bytes_max = Some(1000);
    let large = format!(r#"{{"log_type":"a","n":3,"x":"{}"}}"#, "x".repeat(2 << 20));
    for _ in 0..2 {
        // The second time d remembers that it has what is behind the large one.
        let mut forwarding = module.open(&shard("a")).await.unwrap();
        let delivery = forwarding.deliver(&batch(1, &[A1, &large, A2])).await;
        assert_eq!(delivery.outcome, Outcome::Delivered);
        let [rejected] = &*delivery.rejected else { panic!("{}", delivery.rejected.len()) };
        assert_eq!(
            (rejected.sequence_number, &*rejected.reason),
            (number(2), TOO_LARGE_FOR_STREAM)
        );
        let told = format!(
            "d refused it: it has {} bytes, and the stream takes 1000 (MaxRecordSizeInKiB)",
            large.len()
        );
        assert_eq!(rejected.detail, told);
        assert!(forwarding.deliver(&batch(4, &[A3])).await.rejected.is_empty(), "told once");
    }
    assert_eq!(streams["d"].lines(), [A1, A2, A3]);
    assert_eq!(streams["b"].lines(), [A1, &large, A2, A3]);
}

#[tokio::test]
async fn what_no_stream_takes_is_rejected_once() {
    let streams = streams(&["b", "c", "d"]);
    let mut forwarding = module_with(TARGETS, &streams).open(&shard("a")).await.unwrap();
    let large = format!(r#"{{"log_type":"a","n":1,"x":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
    for _ in 0..2 {
        let delivery = forwarding.deliver(&batch(1, &[A1, &large, A2])).await;
        assert_eq!(delivery.outcome, Outcome::Delivered);
        let [rejected] = &*delivery.rejected else { panic!("{delivery:?}") };
        assert_eq!(
            (rejected.sequence_number, &*rejected.reason),
            (number(2), TOO_LARGE_FOR_STREAM)
        );
    }
    assert_eq!(streams["b"].lines(), [A1, A2], "also when it was seen before");
}
