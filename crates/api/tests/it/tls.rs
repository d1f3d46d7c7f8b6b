//! TLS: which HTTP is spoken over it, what happens to who speaks something else, and renewals.

use std::time::Duration;

use baikonur_api::{Certificates, Tls};
use hyper::Version;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::served::{Served, run_ahead};

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_the_client_chooses() {
    let mut served = Served::secured().await;
    let version = async |served: &Served| {
        let answer = served.request("ListStreams").body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.version()
    };
    assert_eq!(version(&served).await, Version::HTTP_2);
    served.create("s", 1).await;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; 1_000_000]);
    for client in [reqwest::Client::builder(), reqwest::Client::builder().http1_only()] {
        let client = served.trusting(client);
        served.talk_as(client);
        let records = vec![json!({ "Data": data, "PartitionKey": "a" }); 10];
        let answer = served.ok("PutRecords", json!({ "StreamName": "s", "Records": records }));
        assert_eq!(answer.await["FailedRecordCount"], 0);
        let body =
            json!({ "StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON" });
        let iterator = served.ok("GetShardIterator", body).await["ShardIterator"].clone();
        let answer = served.ok("GetRecords", json!({ "ShardIterator": iterator })).await;
        assert_eq!(answer["Records"].as_array().unwrap().len(), 10);
    }
    assert_eq!(version(&served).await, Version::HTTP_11);
}

#[tokio::test]
async fn who_does_not_trust_the_certificate_gets_nothing() {
    let mut served = Served::secured().await;
    served.talk_as(reqwest::Client::builder());
    let error = served.request("ListStreams").body("{}").send().await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn plain_http_is_told_what_is_wrong_and_nonsense_is_cut_off() {
    let served = Served::secured().await;
    let answer = served.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("use https"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    for nonsense in [&b"\xff\xff\xff\xff\xff\xff"[..], b"\x16\x03\x01\x00\x05hello"] {
        assert!(!served.raw(nonsense).await.contains("HTTP"), "{nonsense:?}");
    }
    served.ok("ListStreams", json!({})).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_stops_nobody_and_is_given_up() {
    let mut served = Served::secured().await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.ok("ListStreams", json!({})).await;
    tokio::time::pause();
    run_ahead();
    let started = tokio::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(started.elapsed() <= Duration::from_secs(11));
    tokio::time::resume();
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.stop();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    served.stopped().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_client() {
    let mut served = Served::secured().await;
    served.ok("ListStreams", json!({})).await;
    let directory = served.certificates();
    let old = served.trusting(reqwest::Client::builder());
    let host = Some("logs.example.com".to_owned());
    Certificates::open(&Tls::Generated { directory, host }).unwrap();
    let new = served.trusting(reqwest::Client::builder());
    served.talk_as(new);
    served.ok("ListStreams", json!({})).await;
    served.talk_as(old);
    assert!(served.request("ListStreams").body("{}").send().await.is_err());
}
