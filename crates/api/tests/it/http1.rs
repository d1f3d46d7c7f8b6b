//! HTTP/1.1 and 1.0 as clients of all kinds write them, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits::head;
use crate::served::{Served, run_ahead};

const KIB: usize = 1024;

/// Reads until `end` has come.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "closed after {answer}");
        answer += str::from_utf8(&part[..count]).unwrap();
    }
    answer
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told_if_its_body_is_wanted() {
    let served = Served::start().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let rest = "Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2";
    stream.write_all(head("ListStreams", rest).as_bytes()).await.unwrap();
    assert_eq!(read_to(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    assert!(read_to(&mut stream, "}").await.starts_with("HTTP/1.1 200"));
    let large = format!("Expect: 100-continue\r\nContent-Length: {}", 1u64 << 40);
    let answer = served.raw(head("ListStreams", &large)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "not told to go on: {answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn http_1_0_is_answered_and_its_connection_closed_unless_it_asks() {
    let served = Served::start().await;
    let old = |rest: &str| head("ListStreams", rest).replace("HTTP/1.1", "HTTP/1.0") + "{}";
    let answer = served.raw(old("Content-Length: 2")).await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"StreamNames\""), "{answer}");
    let kept = old("Content-Length: 2\r\nConnection: keep-alive");
    let answer = served.raw(kept + &old("Content-Length: 2")).await;
    assert_eq!(answer.matches("HTTP/1.0 200").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_target_may_name_the_host() {
    let served = Served::start().await;
    let request = head("ListStreams", "Content-Length: 2\r\nConnection: close") + "{}";
    let absolute = request.replace("POST / ", "POST http://kinesis.example.com:80/ ");
    assert!(served.raw(absolute).await.starts_with("HTTP/1.1 200"));
    let page = "GET http://x/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(served.raw(page).await.ends_with("well"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_closed() {
    let served = Served::start().await;
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    let answer = served.raw(hello).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    for rest in [
        format!("Content-Length: {}0", u64::MAX),
        "Content-Length: -1".to_owned(),
        "Content-Length: 2\r\nContent-Length: 3".to_owned(),
        "Transfer-Encoding: gzip".to_owned(),
        "A B: c".to_owned(),
    ] {
        let answer = served.raw(head("ListStreams", &rest) + "{}").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{rest}: {answer}");
    }
    let answer = served.raw("GET / HTTP/3.7\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 505"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_or_nothing_more_is_given_up() {
    run_ahead();
    let served = Served::start().await;
    for begun in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let started = tokio::time::Instant::now();
        let answer = served.raw(begun).await;
        assert!(!answer.contains("200"), "{begun:?}: {answer}");
        assert!(started.elapsed() >= Duration::from_secs(60), "{begun:?}");
    }
    let answer = served.raw(head("ListStreams", "Content-Length: 2") + "{}").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "idle after it: {answer}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_taken_and_a_trickle_is_not() {
    run_ahead();
    let served = Served::start().await;
    let send = async |length: usize, part: usize, pause: u64| {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let rest = format!("Connection: close\r\nContent-Length: {length}");
        stream.write_all(head("ListStreams", &rest).as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            let body = [vec![b' '; length - 2], b"{}".to_vec()].concat();
            for part in body.chunks(part) {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                if writer.write_all(part).await.is_err() {
                    break;
                }
            }
            // Kept until it is aborted: half a connection closed would end all of it.
            std::future::pending::<()>().await;
        });
        let started = tokio::time::Instant::now();
        let mut answer = String::new();
        // A reset after the answer is no matter.
        let _ = reader.read_to_string(&mut answer).await;
        writing.abort();
        (answer, started.elapsed().as_secs())
    };
    // A minute and a half for 15 MiB.
    let (answer, seconds) = send(15 * KIB * KIB, 170 * KIB, 1).await;
    assert!(answer.starts_with("HTTP/1.1 200") && seconds > 80, "{seconds} s: {answer}");
    let (answer, seconds) = send(15 * KIB * KIB, 100, 5).await;
    assert!(answer.starts_with("HTTP/1.1 408") && seconds < 70, "{seconds} s: {answer}");
    // Much at first earns no pause without end.
    let (answer, seconds) = send(8 * KIB * KIB, 7 * KIB * KIB, 100).await;
    assert!(answer.starts_with("HTTP/1.1 408") && seconds < 170, "{seconds} s: {answer}");
}
