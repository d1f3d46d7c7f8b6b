//! What a delivery does when the cluster does not simply store everything.

use std::sync::Arc;

use baikonur_stream::{Batch, Cause, Deliver, Delivery, Module, Outcome, SystemClock};

use super::doubles::settings;
use super::{REFUSED_BY_ELASTICSEARCH, Settings, ToElasticsearch};
use crate::batches::{self, intake, shard};
use crate::cluster::doubles::{ClusterDouble, Reply};

/// A batch of documents with these ids; an empty one is no JSON.
fn batch(ids: &[&str]) -> Batch {
    let text = |id: &&str| match *id {
        "" => "not json".to_owned(),
        id => format!(r#"{{"log_type":"a","log_id":"{id}","time":"2025-01-02T03:04:05Z"}}"#),
    };
    batches::batch(&ids.iter().map(text).collect::<Vec<_>>())
}

async fn deliverer(settings: Settings) -> Box<dyn Deliver> {
    let intake = Arc::new(intake("es"));
    let module =
        ToElasticsearch::new(settings, intake, Arc::new(SystemClock::new()), None).unwrap();
    module.open(&shard()).await.unwrap()
}

async fn deliver(cluster: &ClusterDouble, settings: Settings, ids: &[&str]) -> Delivery {
    deliverer(at(&[&cluster.url], settings)).await.deliver(&batch(ids)).await
}

/// The same settings for a cluster of these nodes.
fn at(nodes: &[&str], mut settings: Settings) -> Settings {
    settings.cluster.destination = nodes.iter().map(|&node| node.to_owned()).collect();
    settings
}

/// An answer with one status a document.
fn items(statuses: &[(u16, &str)]) -> Reply {
    let item = |(status, kind): &(u16, &str)| {
        if *status < 300 {
            return format!(r#"{{"index":{{"status":{status}}}}}"#);
        }
        format!(r#"{{"index":{{"status":{status},"error":{{"type":"{kind}","reason":"why"}}}}}}"#)
    };
    let items: Vec<String> = statuses.iter().map(item).collect();
    Reply::Answer(200, format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(",")))
}

const BUSY: (u16, &str) = (429, "es_rejected_execution_exception");
const REFUSED: (u16, &str) = (400, "mapper_parsing_exception");
const BROKEN: (u16, &str) = (500, "null_pointer_exception");
const STORED: (u16, &str) = (201, "");

fn failed(delivery: &Delivery) -> (u64, Cause, &str) {
    match &delivery.outcome {
        Outcome::Failed { from, cause, reason } => (from.counter(), *cause, reason),
        other => panic!("{other:?}"),
    }
}

fn rejected(delivery: &Delivery) -> Vec<(u64, &str)> {
    let rejected = delivery.rejected.iter();
    rejected.map(|r| (r.sequence_number.counter(), r.reason.as_str())).collect()
}

#[tokio::test]
async fn only_busy_documents_are_sent_again() {
    let cluster = ClusterDouble::start(vec![items(&[STORED, BUSY, STORED, BUSY])]).await;
    let delivery = deliver(&cluster, settings(), &["a", "b", "c", "d"]).await;
    assert_eq!(delivery, Delivery::delivered());
    assert_eq!(cluster.ids(), [vec!["a", "b", "c", "d"], vec!["b", "d"]]);
}

#[tokio::test]
async fn documents_that_stay_busy_fail_from_the_first_of_them_on() {
    let replies = vec![items(&[REFUSED, STORED, BUSY, REFUSED, BUSY]), items(&[BUSY, STORED])];
    let cluster = ClusterDouble::start(replies).await;
    let settings = Settings { busy_retries: 1, ..settings() };
    let delivery = deliver(&cluster, settings, &["a", "b", "c", "d", "e"]).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (2, Cause::Destination));
    assert!(reason.contains("429 es_rejected_execution_exception: why"), "{reason}");
    // "d" was refused as well, but comes again.
    assert_eq!(rejected(&delivery), [(0, REFUSED_BY_ELASTICSEARCH)]);
}

#[tokio::test]
async fn documents_that_break_a_cluster_which_takes_the_others_are_rejected() {
    let cluster = ClusterDouble::start(vec![items(&[STORED, BROKEN]), items(&[BROKEN])]).await;
    let settings = Settings { busy_retries: 1, ..settings() };
    let delivery = deliver(&cluster, settings, &["a", "b"]).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(rejected(&delivery), [(1, REFUSED_BY_ELASTICSEARCH)]);
    assert!(delivery.rejected[0].detail.starts_with("500 null_pointer_exception"));
}

/// Documents of these log types, each with an index of its own.
fn of_types(log_types: &[&str]) -> Batch {
    let text = |log_type: &&str| {
        format!(r#"{{"log_type":"{log_type}","log_id":"x","time":"2025-01-02T03:04:05Z"}}"#)
    };
    batches::batch(&log_types.iter().map(text).collect::<Vec<_>>())
}

const CLOSED: (u16, &str) = (404, "index_not_found_exception");

#[tokio::test]
async fn a_document_of_a_closed_index_is_given_up_while_others_pass() {
    let settings = Settings { busy_retries: 1, ..settings() };
    let in_one = vec![items(&[STORED, CLOSED, STORED]), items(&[CLOSED])];
    // The closed one comes first, the proof in a later request.
    let in_several = vec![items(&[STORED]), items(&[CLOSED]), items(&[CLOSED]), items(&[STORED])];
    for (bulk_records, replies) in [(500, in_one), (1, in_several)] {
        let cluster = ClusterDouble::start(replies).await;
        let settings = Settings { bulk_records, ..settings.clone() };
        let mut deliverer = deliverer(at(&[&cluster.url], settings)).await;
        let delivery = deliverer.deliver(&of_types(&["a", "late", "b"])).await;
        assert_eq!(delivery.outcome, Outcome::Delivered);
        assert_eq!(rejected(&delivery), [(1, REFUSED_BY_ELASTICSEARCH)]);
        let detail = &delivery.rejected[0].detail;
        assert!(detail.starts_with("404 index_not_found_exception: why"), "{detail}");
    }
}

#[tokio::test]
async fn documents_of_closed_indices_wait_while_nothing_shows_that_others_are_open() {
    let settings = Settings { busy_retries: 0, ..settings() };
    for (log_types, answer, from) in [
        (["a", "b", "c"], [CLOSED, CLOSED, CLOSED], 0),
        (["a", "a", "a"], [STORED, CLOSED, STORED], 1),
        (["a", "b", "c"], [REFUSED, CLOSED, BUSY], 1),
    ] {
        let cluster = ClusterDouble::start(vec![items(&answer)]).await;
        let mut deliverer = deliverer(at(&[&cluster.url], settings.clone())).await;
        let delivery = deliverer.deliver(&of_types(&log_types)).await;
        assert_eq!((failed(&delivery).0, failed(&delivery).1), (from, Cause::Destination));
    }
}

#[tokio::test]
async fn a_batch_that_breaks_the_cluster_as_a_whole_is_given_up_in_the_end() {
    let settings = Settings { busy_retries: 0, ..settings() };
    let cluster = ClusterDouble::start(vec![items(&[BROKEN]), items(&[BROKEN])]).await;
    let mut deliverer = deliverer(at(&[&cluster.url], settings)).await;
    let (from, cause, _) = failed(&deliverer.deliver(&batch(&["a"])).await);
    assert_eq!((from, cause), (0, Cause::Batch));
    let again = Batch { attempt: super::ATTEMPTS_OF_BROKEN_MAX, ..batch(&["a"]) };
    let delivery = deliverer.deliver(&again).await;
    assert_eq!(rejected(&delivery), [(0, REFUSED_BY_ELASTICSEARCH)]);
}

#[tokio::test]
async fn refused_and_undecodable_records_are_rejected_with_their_reasons() {
    let cluster = ClusterDouble::start(vec![items(&[STORED, REFUSED])]).await;
    let delivery = deliver(&cluster, settings(), &["a", "", "b"]).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(rejected(&delivery), [(1, "not_json"), (2, REFUSED_BY_ELASTICSEARCH)]);
    assert_eq!(delivery.rejected[1].detail, "400 mapper_parsing_exception: why");
    assert!(delivery.rejected[1].data.starts_with(b"{\"log_type\":\"a\",\"log_id\":\"b\""));
}

#[tokio::test]
async fn a_conflict_means_that_the_document_is_there() {
    let conflict = (409, "version_conflict_engine_exception");
    let cluster = ClusterDouble::start(vec![items(&[conflict])]).await;
    assert_eq!(deliver(&cluster, settings(), &["a"]).await, Delivery::delivered());
}

#[tokio::test]
async fn what_is_too_large_is_halved_until_one_document_is_too_large_alone() {
    let too_large = || Reply::Answer(413, String::new());
    let fine = || items(&[STORED]);
    let replies = vec![too_large(), too_large(), too_large(), fine()];
    let cluster = ClusterDouble::start(replies).await;
    let delivery = deliver(&cluster, settings(), &["a", "b", "c", "d"]).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(rejected(&delivery), [(0, REFUSED_BY_ELASTICSEARCH)]);
    assert!(delivery.rejected[0].detail.contains("413"), "{}", delivery.rejected[0].detail);
    let requests = [vec!["a", "b", "c", "d"], vec!["a", "b"], vec!["a"], vec!["b"], vec!["c", "d"]];
    assert_eq!(cluster.ids(), requests);
}

#[tokio::test]
async fn a_failure_of_a_later_request_keeps_what_the_earlier_ones_stored() {
    let cut_off = vec![items(&[STORED, REFUSED]), Reply::Answer(503, String::new())];
    let cluster = ClusterDouble::start(cut_off).await;
    let settings = Settings { bulk_records: 2, busy_retries: 0, ..settings() };
    let delivery = deliver(&cluster, settings, &["a", "b", "c", "d", "e"]).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (2, Cause::Destination));
    assert!(reason.starts_with(&format!("{}/_bulk answers 503", cluster.url)), "{reason}");
    assert_eq!(rejected(&delivery), [(1, REFUSED_BY_ELASTICSEARCH)]);
}

#[tokio::test]
async fn a_cut_connection_is_the_destinations_fault_and_the_next_delivery_takes_a_new_one() {
    let cluster = ClusterDouble::start(vec![items(&[STORED]), Reply::Cut]).await;
    let mut deliverer = deliverer(at(&[&cluster.url], settings())).await;
    assert_eq!(deliverer.deliver(&batch(&["a"])).await, Delivery::delivered());
    let cut = deliverer.deliver(&batch(&["b"])).await;
    assert_eq!(failed(&cut).1, Cause::Destination);
    assert!(failed(&cut).2.contains("check that it runs"), "{cut:?}");
    assert_eq!(deliverer.deliver(&batch(&["b"])).await, Delivery::delivered());
}

#[tokio::test]
async fn a_cluster_that_is_not_there_or_is_none_is_told_with_its_url() {
    let page = Reply::Answer(200, "<html>Welcome</html>".to_owned());
    let cluster = ClusterDouble::start(vec![page]).await;
    let delivery = deliver(&cluster, settings(), &["a"]).await;
    assert_eq!(failed(&delivery).1, Cause::Destination);
    assert!(failed(&delivery).2.contains("Elasticsearch 7 or later"), "{delivery:?}");

    let settings = at(&["http://127.0.0.1:1"], settings());
    let delivery = deliverer(settings).await.deliver(&batch(&["a"])).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (0, Cause::Destination));
    assert!(reason.starts_with("http://127.0.0.1:1/: "), "{reason}");
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_slow_cluster_is_given_up_on_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = format!("http://{}", silent.local_addr().unwrap());
    let mut settings = at(&[&node], settings());
    settings.cluster.request_seconds = 1;
    let delivery = deliverer(settings).await.deliver(&batch(&["a"])).await;
    assert!(failed(&delivery).2.contains("request_seconds"), "{delivery:?}");
}

#[tokio::test]
async fn a_storm_of_429_and_500_passes_and_nothing_else_is_sent_meanwhile() {
    let storm = [429, 500, 429].map(|status| Reply::Answer(status, String::new()));
    let cluster = ClusterDouble::start(storm.to_vec()).await;
    let settings = Settings { busy_retries: 3, ..settings() };
    assert_eq!(deliver(&cluster, settings, &["a", "b"]).await, Delivery::delivered());
    assert_eq!(cluster.ids(), vec![vec!["a", "b"]; 4]);
}

#[tokio::test]
async fn a_storm_that_lasts_is_told_to_the_mapping() {
    let storm = vec![Reply::Answer(429, String::new()); 100];
    let cluster = ClusterDouble::start(storm).await;
    let settings = Settings { busy_retries: 1, ..settings() };
    let delivery = deliver(&cluster, settings, &["a", "b"]).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (0, Cause::Destination));
    assert!(reason.contains("429") && reason.contains("overloaded"), "{reason}");
}

#[tokio::test]
async fn one_document_that_fails_each_request_it_is_in_is_found_and_given_up() {
    let breaks = || Reply::Answer(500, String::new());
    let replies = vec![breaks(), breaks(), breaks(), breaks(), breaks()];
    let cluster = ClusterDouble::start(replies).await;
    let settings = Settings { busy_retries: 1, ..settings() };
    let delivery = deliver(&cluster, settings, &["a", "b", "c", "d"]).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(rejected(&delivery), [(0, REFUSED_BY_ELASTICSEARCH)]);
    assert!(delivery.rejected[0].detail.contains("500"), "{}", delivery.rejected[0].detail);
    let all = vec!["a", "b", "c", "d"];
    let requests =
        [all.clone(), all, vec!["a", "b"], vec!["a"], vec!["a"], vec!["b"], vec!["c", "d"]];
    assert_eq!(cluster.ids(), requests);
}

#[tokio::test]
async fn a_cluster_that_fails_every_piece_is_left_alone_soon_and_refuses_nothing() {
    let ids: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for status in [429, 500] {
        let cluster = ClusterDouble::start(vec![Reply::Answer(status, String::new()); 999]).await;
        let settings = Settings { busy_retries: 0, ..settings() };
        let delivery = deliver(&cluster, settings, &ids).await;
        assert_eq!((failed(&delivery).0, failed(&delivery).1), (0, Cause::Destination));
        assert!(delivery.rejected.is_empty() && cluster.ids().len() < 30);
    }
}

#[tokio::test]
async fn a_node_that_is_down_or_not_ready_leaves_its_requests_to_the_others() {
    let sick = ClusterDouble::start(vec![Reply::Answer(503, String::new()); 100]).await;
    let well = ClusterDouble::start(Vec::new()).await;
    let nodes = ["http://127.0.0.1:1", &sick.url, &well.url];
    let mut deliverer = deliverer(at(&nodes, settings())).await;
    for id in ["a", "b", "c", "d"] {
        assert_eq!(deliverer.deliver(&batch(&[id])).await, Delivery::delivered());
    }
    assert_eq!(well.ids(), [["a"], ["b"], ["c"], ["d"]]);
    // It rests after the first, however long that takes here: nobody waits for it at each call.
    assert!(sick.ids().len() < 4);
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_moves_on_to_another_node() {
    let cutting = ClusterDouble::start(vec![Reply::Cut; 100]).await;
    let well = ClusterDouble::start(Vec::new()).await;
    let mut deliverer = deliverer(at(&[&cutting.url, &well.url], settings())).await;
    for id in ["a", "b"] {
        assert_eq!(deliverer.deliver(&batch(&[id])).await, Delivery::delivered());
    }
    assert_eq!(well.ids(), [["a"], ["b"]]);
}

#[tokio::test]
async fn all_nodes_down_is_told_as_that() {
    let nodes = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
    let delivery = deliverer(at(&nodes, settings())).await.deliver(&batch(&["a"])).await;
    assert!(failed(&delivery).2.starts_with("none of the 2 nodes answers; "), "{delivery:?}");
}

#[tokio::test]
async fn a_request_carries_the_pipeline_and_is_compressed_when_told() {
    let cluster = ClusterDouble::start(Vec::new()).await;
    let mut settings = Settings { pipeline: Some("a b".to_owned()), ..settings() };
    settings.cluster.gzip = Some(true);
    assert_eq!(deliver(&cluster, settings, &["a"]).await, Delivery::delivered());
    let request = cluster.requests().remove(0);
    assert!(request.line.contains("pipeline=a%20b"), "{}", request.line);
    assert!(request.head.contains("content-encoding: gzip"), "{}", request.head);
    assert!(request.body.starts_with(&[0x1f, 0x8b]));
}
