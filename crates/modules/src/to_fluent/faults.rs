//! What a delivery does when the receiver does not simply acknowledge everything.

use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{Batch, Cause, Deliver, Delivery, Module, Outcome, SystemClock};

use super::TOO_LARGE_FOR_RECEIVER;
use super::doubles::{ReceiverDouble, Reply, Ways, settings};
use super::{Settings, ToFluent};
use crate::batches::{self, intake, sequence_number, shard};

pub(super) fn line(log_type: &str) -> String {
    format!(r#"{{"log_type":"{log_type}","time":0}}"#)
}

/// A batch of records with these log types; an empty one is no JSON.
pub(super) fn batch(log_types: &[&str]) -> Batch {
    let text = |log_type: &&str| match *log_type {
        "" => "not json".to_owned(),
        log_type => line(log_type),
    };
    batches::batch(&log_types.iter().map(text).collect::<Vec<_>>())
}

pub(super) async fn deliverer(settings: Settings) -> Box<dyn Deliver> {
    let intake = Arc::new(intake("fluent"));
    let module = ToFluent::new(settings, intake, Arc::new(SystemClock::new())).unwrap();
    module.open(&shard()).await.unwrap()
}

async fn deliver(receiver: &ReceiverDouble, settings: Settings, log_types: &[&str]) -> Delivery {
    let settings = Settings { destination: receiver.url.clone(), ..settings };
    deliverer(settings).await.deliver(&batch(log_types)).await
}

fn failed(delivery: &Delivery) -> (u64, Cause, &str) {
    match &delivery.outcome {
        Outcome::Failed { from, cause, reason } => (from.counter(), *cause, reason),
        other => panic!("{other:?}"),
    }
}

/// Gives up after a second of silence.
fn impatient() -> Settings {
    Settings { ack_seconds: 1, ..settings() }
}

#[tokio::test]
async fn a_batch_is_delivered_when_all_of_it_is_acknowledged() {
    let receiver = ReceiverDouble::start(&[]).await;
    let settings = Settings { destination: receiver.url.clone(), ..settings() };
    let mut deliverer = deliverer(settings).await;
    for _ in 0..3 {
        assert_eq!(deliverer.deliver(&batch(&["a", "b", "a"])).await, Delivery::delivered());
    }
    assert_eq!(receiver.texts()[..2], [vec![line("a"), line("a")], vec![line("b")]]);
    assert_eq!((receiver.texts().len(), receiver.connections()), (6, 1));
}

#[tokio::test]
async fn a_batch_with_nothing_to_send_costs_no_connection() {
    let receiver = ReceiverDouble::start(&[]).await;
    let settings = Settings { destination: receiver.url.clone(), ..settings() };
    let mut deliverer = deliverer(settings).await;
    for log_types in [&[""][..], &["a"], &[""], &["b"]] {
        let delivery = deliverer.deliver(&batch(log_types)).await;
        assert_eq!(delivery.outcome, Outcome::Delivered);
    }
    assert_eq!((receiver.texts().len(), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn what_was_not_acknowledged_goes_again_over_a_new_connection_under_the_same_id() {
    let receiver = ReceiverDouble::start(&[Reply::AcknowledgeAndCut]).await;
    assert_eq!(deliver(&receiver, settings(), &["a", "b", "c"]).await, Delivery::delivered());
    // The first message arrived once; the others were lost with the connection and came again.
    assert_eq!(receiver.texts(), [[line("a")], [line("b")], [line("c")]]);
    assert_eq!(receiver.connections(), 2);

    let receiver = ReceiverDouble::start(&[Reply::Silence]).await;
    assert_eq!(deliver(&receiver, impatient(), &["a"]).await, Delivery::delivered());
    let chunks = receiver.chunks();
    assert_eq!((chunks.len(), &chunks[0]), (2, &chunks[1]));
}

#[tokio::test]
async fn a_receiver_that_never_acknowledges_fails_from_the_first_record_on() {
    let receiver = ReceiverDouble::start(&[Reply::Silence; 9]).await;
    let delivery = deliver(&receiver, impatient(), &["", "a", ""]).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (1, Cause::Destination));
    assert!(reason.contains("acknowledged nothing for 1 s"), "{reason}");
    assert_eq!(receiver.connections(), 2);
    // The record behind comes again with the rest.
    assert_eq!(delivery.rejected.len(), 1);
    assert_eq!(delivery.rejected[0].sequence_number, sequence_number(0));
}

#[tokio::test]
async fn acknowledged_messages_before_a_failure_stay_delivered() {
    let replies = [Reply::Acknowledge, Reply::Acknowledge, Reply::Cut, Reply::Cut];
    let receiver = ReceiverDouble::start(&replies).await;
    let delivery = deliver(&receiver, settings(), &["a", "b", "c", "d", "b"]).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (2, Cause::Destination));
    assert!(reason.contains("the connection broke"), "{reason}");
}

/// Delivers a small event, a large one and a small one; the receiver does this twice with the large one.
async fn deliver_with_a_large_one(reply: Reply, attempt: u32) -> (ReceiverDouble, Delivery) {
    let receiver = ReceiverDouble::start(&[Reply::Acknowledge, reply, reply]).await;
    let destination = receiver.url.clone();
    let settings = Settings { chunk_bytes: 300, destination, ..impatient() };
    let large = format!("b{}", "x".repeat(300));
    let batch = Batch { attempt, ..batch(&["a", &large, "c"]) };
    let delivery = deliverer(settings).await.deliver(&batch).await;
    (receiver, delivery)
}

#[tokio::test]
async fn an_oversized_event_that_the_receiver_cuts_off_is_rejected_and_the_others_arrive() {
    let (receiver, delivery) = deliver_with_a_large_one(Reply::Cut, 2).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    let [rejected] = &*delivery.rejected else { panic!("{delivery:?}") };
    assert_eq!(rejected.reason, TOO_LARGE_FOR_RECEIVER);
    assert_eq!(rejected.sequence_number, sequence_number(1));
    let texts = receiver.texts();
    assert_eq!((&texts[0], texts.last().unwrap()), (&vec![line("a")], &vec![line("c")]));
}

#[tokio::test]
async fn a_receiver_that_is_silent_or_fails_for_a_moment_rejects_no_large_event() {
    for (reply, attempt) in [(Reply::Silence, 9), (Reply::Cut, 0), (Reply::Cut, 1)] {
        let (_receiver, delivery) = deliver_with_a_large_one(reply, attempt).await;
        assert_eq!((failed(&delivery).0, failed(&delivery).1), (1, Cause::Destination));
        assert!(delivery.rejected.is_empty(), "{delivery:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_no_attempt_of_a_large_event() {
    let replies = [Reply::Acknowledge, Reply::Cut, Reply::Cut];
    let receiver = ReceiverDouble::start(&replies).await;
    let destination = receiver.url.clone();
    let settings = Settings { chunk_bytes: 300, destination, send_attempts: 2, ..settings() };
    let mut deliverer = deliverer(settings).await;
    assert_eq!(deliverer.deliver(&batch(&["a"])).await, Delivery::delivered());
    let large = format!("b{}", "x".repeat(300));
    let batch = Batch { attempt: 2, ..batch(&[&large]) };
    assert_eq!(deliverer.deliver(&batch).await, Delivery::delivered());
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn a_large_event_does_not_pay_for_what_was_lost_before_it() {
    let replies = [Reply::Cut, Reply::Acknowledge, Reply::Acknowledge, Reply::Cut];
    let receiver = ReceiverDouble::start(&replies).await;
    let settings = Settings { chunk_bytes: 300, ..settings() };
    let large = format!("c{}", "x".repeat(300));
    let delivery = deliver(&receiver, settings, &["a", "b", &large]).await;
    assert_eq!(delivery, Delivery::delivered());
    assert_eq!(receiver.texts().last(), Some(&vec![line(&large)]));
}

#[tokio::test]
async fn foreign_acknowledgements_settle_nothing() {
    let receiver = ReceiverDouble::start(&[Reply::AcknowledgeAnother, Reply::Acknowledge]).await;
    assert_eq!(deliver(&receiver, settings(), &["a", "b"]).await, Delivery::delivered());
    assert_eq!(receiver.texts().len(), 2);
}

#[tokio::test]
async fn answers_without_end_are_given_up() {
    const LONG: &[u8] = &{
        let mut long = [b'x'; 5000];
        // The head of an acknowledgement of 65,535 bytes.
        (long[0], long[1], long[5], long[6], long[7]) = (0x81, 0xa3, 0xda, 0xff, 0xff);
        (long[2], long[3], long[4]) = (b'a', b'c', b'k');
        long
    };
    for (reply, words) in [
        (Reply::AcknowledgeOthers, "acknowledges messages that nobody sent"),
        (Reply::Say(LONG), "says more than the protocol has"),
        (Reply::Say(b"HTTP/1.1 400 Bad Request"), "check that it is a receiver"),
    ] {
        let receiver = ReceiverDouble::start(&[reply; 9]).await;
        let delivery = deliver(&receiver, settings(), &["a"]).await;
        assert!(failed(&delivery).2.contains(words), "{delivery:?}");
        assert_eq!(receiver.connections(), 1, "what does not speak the protocol will not learn it");
    }
}

/// Twelve messages of 0.9 MB: more than the buffers of a connection take.
fn large_batch() -> Batch {
    let text = "x".repeat(900_000);
    let event = |n| format!(r#"{{"log_type":"type{n}","time":0,"text":"{text}"}}"#);
    batches::batch(&(0..12).map(event).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_slow_receiver_gets_all_of_it() {
    let pause = Some(Duration::from_millis(20));
    let receiver = ReceiverDouble::start_in(Ways { pause, ..Ways::default() }, &[]).await;
    let settings = Settings { destination: receiver.url.clone(), ..settings() };
    let delivery = deliverer(settings).await.deliver(&large_batch()).await;
    assert_eq!(delivery, Delivery::delivered());
    assert_eq!((receiver.texts().len(), receiver.connections()), (12, 1));
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_told() {
    let pause = Some(Duration::from_secs(3600));
    let receiver = ReceiverDouble::start_in(Ways { pause, ..Ways::default() }, &[]).await;
    let settings = Settings { destination: receiver.url.clone(), ..impatient() };
    let delivery = deliverer(settings).await.deliver(&large_batch()).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (0, Cause::Destination));
    assert!(reason.contains("took too little for 1 s"), "{reason}");
}

#[tokio::test]
async fn more_messages_than_may_be_on_their_way_all_arrive() {
    let receiver = ReceiverDouble::start(&[]).await;
    let log_types: Vec<String> = (0..300).map(|number| format!("type{number}")).collect();
    let log_types: Vec<&str> = log_types.iter().map(String::as_str).collect();
    assert_eq!(deliver(&receiver, settings(), &log_types).await, Delivery::delivered());
    assert_eq!(receiver.texts().len(), 300);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used_again() {
    let receiver = ReceiverDouble::start(&[Reply::AcknowledgeAndCut]).await;
    let destination = receiver.url.clone();
    let settings = Settings { destination, send_attempts: 1, ..settings() };
    let mut deliverer = deliverer(settings).await;
    assert_eq!(deliverer.deliver(&batch(&["a"])).await, Delivery::delivered());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(deliverer.deliver(&batch(&["b"])).await, Delivery::delivered());
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_or_wants_more_is_told() {
    let settings = Settings { destination: "fluent://127.0.0.1:1".to_owned(), ..settings() };
    let delivery = deliverer(settings.clone()).await.deliver(&batch(&["a"])).await;
    let (from, cause, reason) = failed(&delivery);
    assert_eq!((from, cause), (0, Cause::Destination));
    assert!(reason.starts_with("fluent://127.0.0.1:1: cannot connect: "), "{reason}");

    let receiver = ReceiverDouble::start(&[Reply::Say(b"\x92\xa4HELO\x80"); 9]).await;
    let delivery = deliver(&receiver, settings, &["a"]).await;
    assert!(failed(&delivery).2.contains("shared key"), "{delivery:?}");
}
