//! Sizes, times and numbers that a server keeps to, and how it ends.

use std::time::Duration;

use baikonur_api::{ServeError, Server, ServerSettings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::served::{AUTHORIZATION, Served, settings};

const MIB: usize = 1024 * 1024;

pub(crate) fn head(operation: &str, rest: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20240101T000000Z\r\n\
         Authorization: {AUTHORIZATION}\r\n{rest}\r\n\r\n"
    )
}

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let listen = address.parse().unwrap();
        let error = Server::bind(ServerSettings { listen, ..settings() }).await.unwrap_err();
        assert!(matches!(error, ServeError::NotLoopback(_)), "{address}");
        assert!(error.to_string().contains("signatures are not verified"));
    }
    let taken = Server::bind(settings()).await.unwrap();
    let listen = taken.local_addr();
    let error = Server::bind(ServerSettings { listen, ..settings() }).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }));
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    for (wrong, name) in [
        (ServerSettings { account: "1".into(), ..settings() }, "account"),
        (ServerSettings { region: String::new(), ..settings() }, "region"),
        (ServerSettings { connections_max: 0, ..settings() }, "connections_max"),
        (ServerSettings { request_bytes_max: MIB, ..settings() }, "request_bytes_max"),
        (ServerSettings { answer_bytes_max: MIB, ..settings() }, "answer_bytes_max"),
    ] {
        let error = Server::bind(wrong).await.unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[tokio::test]
async fn the_largest_call_fits_and_a_larger_body_is_refused_with_an_answer() {
    let served = Served::start().await;
    served.create("s", 1).await;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; MIB - 16]);
    let records = vec![json!({ "Data": data, "PartitionKey": "0123456789abcdef" }); 10];
    let answer = served.ok("PutRecords", json!({ "StreamName": "s", "Records": records })).await;
    assert_eq!(answer["FailedRecordCount"], 0);
    // Announced, and found out.
    let body = vec![b' '; 16 * MIB + 1];
    let response = served.request("PutRecords").body(body.clone()).send().await.unwrap();
    assert_eq!(response.status(), 413);
    let mut request = head("PutRecords", "Transfer-Encoding: chunked").into_bytes();
    request.extend(format!("{:x}\r\n", body.len()).into_bytes());
    request.extend(&body);
    request.extend(b"\r\n0\r\n\r\n");
    let answer = served.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    served.ok("ListStreams", json!({})).await;
}

#[tokio::test]
async fn a_body_may_come_in_chunks_and_in_small_pieces() {
    let served = Served::start().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let rest = "Transfer-Encoding: chunked\r\nConnection: close";
    stream.write_all(head("CreateStream", rest).as_bytes()).await.unwrap();
    for piece in [r#"{"StreamName":"#, r#""s","ShardCou"#, r#"nt":1}"#] {
        stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn one_connection_serves_many_requests_pipelined_or_not() {
    let served = Served::start().await;
    let request = head("ListStreams", "Content-Length: 2") + "{}";
    let last = head("ListStreams", "Content-Length: 2\r\nConnection: close") + "{}";
    let answer = served.raw(request.repeat(50) + &last).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 51);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = Served::start().await;
    let answer = served.raw(head("ListStreams", &format!("X: {}", "x".repeat(MIB)))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    let answer = served.raw(head("ListStreams", &many.join("\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

// The clock runs ahead when all wait: a minute passes at once.
#[tokio::test(start_paused = true)]
async fn clients_that_do_not_finish_are_given_up() {
    let served = Served::start().await;
    let answer = served.raw("POST / HTTP/1.1\r\nHost:").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = served.raw(head("ListStreams", "Content-Length: 100") + "{").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("RequestTimeoutException") && answer.contains("connection: close"));
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_their_turn() {
    let served = Served::with(ServerSettings { connections_max: 1, ..settings() }).await;
    let first = TcpStream::connect(served.address).await.unwrap();
    // The server has taken it once it could have answered.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let request = head("ListStreams", "Content-Length: 2\r\nConnection: close") + "{}";
    let second = served.raw(request);
    tokio::pin!(second);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut second).await.is_err());
    drop(first);
    assert!(second.await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_under_way_and_closes_what_is_idle() {
    let mut served = Served::start().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    busy.write_all((head("ListStreams", "Content-Length: 2") + "{").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.stop();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(served.address).await.is_err());
    busy.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    served.stopped().await;
}
