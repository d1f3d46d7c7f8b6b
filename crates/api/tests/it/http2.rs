//! HTTP/2 with prior knowledge: the same API, under the same limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use baikonur_api::ServerSettings;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::served::{AUTHORIZATION, Served, run_ahead, settings};

const MIB: usize = 1024 * 1024;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// `:method: POST`, `:scheme: http`, `:path: /`, `:authority: x` (HPACK).
const HEAD: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 1, b'x'];

/// A body that is sent part by part.
struct Parts(mpsc::Receiver<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// A connection whose windows are opened by reading alone.
struct Connection<B> {
    sender: SendRequest<B>,
    ended: JoinHandle<hyper::Result<()>>,
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    async fn open(served: &Served, stream_window: u32) -> Self {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(4 * MIB as u32)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        Self { sender, ended: tokio::spawn(connection) }
    }

    async fn send(&mut self, operation: &str, body: B) -> hyper::Result<Response<Incoming>> {
        let request = Request::post("http://kinesis.local/")
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", format!("Kinesis_20131202.{operation}"))
            .header("X-Amz-Date", "20240101T000000Z")
            .header("Authorization", AUTHORIZATION);
        self.sender.send_request(request.body(body).unwrap()).await
    }
}

fn whole(body: &Value) -> Full<Bytes> {
    Full::new(Bytes::from(body.to_string()))
}

async fn http2(served: &mut Served) {
    served.talk_as(reqwest::Client::builder().http2_prior_knowledge());
    let answer = served.request("ListStreams").body("{}").send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, 200));
    assert!(answer.headers().contains_key("x-amzn-requestid"));
}

/// Fills a stream with `count` records of a megabyte, and gives an iterator at its beginning.
async fn filled(served: &Served, count: usize) -> Value {
    served.create("s", 1).await;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; MIB - 16]);
    let records = vec![json!({ "Data": data, "PartitionKey": "0123456789abcdef" }); count];
    let answer = served.ok("PutRecords", json!({ "StreamName": "s", "Records": records })).await;
    assert_eq!(answer["FailedRecordCount"], 0);
    let body = json!({ "StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON" });
    served.ok("GetShardIterator", body).await["ShardIterator"].clone()
}

#[tokio::test]
async fn the_largest_calls_fit_and_many_go_at_once_on_one_connection() {
    let mut served = Served::start().await;
    http2(&mut served).await;
    let iterator = filled(&served, 10).await;
    let get = || served.ok("GetRecords", json!({ "ShardIterator": iterator }));
    let (one, other, third) = tokio::join!(get(), get(), get());
    assert_eq!(one["Records"].as_array().unwrap().len(), 10);
    assert!(one["Records"] == other["Records"] && one["Records"] == third["Records"]);
    let puts: Vec<_> = (0..300)
        .map(|n| {
            let body = json!({ "StreamName": "s", "Data": "aGk=", "PartitionKey": n.to_string() });
            tokio::spawn(served.request("PutRecord").body(body.to_string()).send())
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap().unwrap().status(), 200);
    }
    let response = served.request("PutRecords").body(vec![b' '; 16 * MIB + 1]).send().await;
    assert_eq!(response.unwrap().status(), 413);
    served.ok("ListStreams", json!({})).await;
}

// With room for two such bodies.
#[tokio::test]
async fn bodies_that_wait_for_room_do_not_keep_away_those_that_have_it() {
    let request_bytes_max = 56 * MIB;
    let mut served = Served::with(ServerSettings { request_bytes_max, ..settings() }).await;
    http2(&mut served).await;
    let large = [vec![b' '; 13 * MIB], b"{}".to_vec()].concat();
    let calls: Vec<_> = (0..8)
        .map(|_| tokio::spawn(served.request("ListStreams").body(large.clone()).send()))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn heads_have_the_limits_of_http_1() {
    let mut served = Served::start().await;
    http2(&mut served).await;
    let request = served.request("ListStreams").header("x-long", "x".repeat(100_000)).body("{}");
    assert_eq!(request.send().await.unwrap().status(), 431);
    let mut request = served.request("ListStreams").body("{}");
    for n in 0..100 {
        request = request.header(format!("x-{n}"), "1");
    }
    assert_eq!(request.send().await.unwrap().status(), 431);
    served.ok("ListStreams", json!({})).await;
}

#[tokio::test]
async fn a_client_that_opens_and_resets_streams_is_sent_away() {
    let served = Served::start().await;
    let mut bytes = [PREFACE, &SETTINGS].concat();
    for stream in (1..1000u32).step_by(2) {
        let id = stream.to_be_bytes();
        bytes.extend([&[0, 0, HEAD.len() as u8, 1, 4], &id[..], &HEAD].concat());
        bytes.extend([&[0, 0, 4, 3, 0], &id[..], &[0, 0, 0, 8]].concat());
    }
    let answer = served.raw(bytes).await;
    assert!(answer.contains("too_many_resets"), "GOAWAY with a reason: {answer:?}");
    served.ok("ListStreams", json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_or_stops_in_a_head_is_closed() {
    run_ahead();
    let served = Served::start().await;
    let begun = [PREFACE, &SETTINGS].concat();
    let half = [&begun[..], &[0, 0, HEAD.len() as u8, 1, 0, 0, 0, 0, 1], &HEAD].concat();
    for bytes in [PREFACE, &begun, &half] {
        let started = tokio::time::Instant::now();
        served.raw(bytes).await;
        let seconds = started.elapsed().as_secs();
        assert!((60..=121).contains(&seconds), "{seconds} s after {bytes:?}");
    }
    let mut connection = Connection::open(&served, 65_535).await;
    let answer = connection.send("ListStreams", whole(&json!({}))).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let started = tokio::time::Instant::now();
    connection.ended.await.unwrap().unwrap();
    assert_eq!(started.elapsed().as_secs(), 60, "told to go, having answered pings until then");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_on_its_stream_alone() {
    run_ahead();
    let served = Served::start().await;
    let mut connection = Connection::open(&served, 65_535).await;
    let (parts, body) = mpsc::channel(1);
    parts.send(Bytes::from_static(b"{")).await.unwrap();
    let answer = connection.send("ListStreams", Parts(body)).await.unwrap();
    assert_eq!(answer.status(), 408);
    assert!(!answer.headers().contains_key("connection"));
    let (parts, body) = mpsc::channel(1);
    parts.send(Bytes::from_static(b"{}")).await.unwrap();
    drop(parts);
    assert_eq!(connection.send("ListStreams", Parts(body)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_gives_its_memory_back() {
    // Room for one large answer.
    let answer_bytes_max = 28 * MIB;
    let served = Served::with(ServerSettings { answer_bytes_max, ..settings() }).await;
    let iterator = filled(&served, 10).await;
    let get = json!({ "ShardIterator": iterator });
    // No multiple of the pieces: some of it stays in the protocol's hands.
    let mut connection = Connection::open(&served, 70_000).await;
    let stuck = connection.send("GetRecords", whole(&get)).await.unwrap();
    assert_eq!(stuck.status(), 200);
    tokio::time::pause();
    run_ahead();
    let started = tokio::time::Instant::now();
    let answer = served.ok("GetRecords", get).await;
    assert_eq!(answer["Records"].as_array().unwrap().len(), 10);
    assert!(started.elapsed() >= Duration::from_secs(60), "it waited for the room");
    let error = stuck.into_body().collect().await.unwrap_err();
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    let answer = connection.send("ListStreams", whole(&json!({}))).await.unwrap();
    assert_eq!(answer.status(), 200, "the others of the connection go on");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_takes_the_end_of_an_answer_loses_its_connection() {
    run_ahead();
    let served = Served::start().await;
    let mut connection = Connection::open(&served, 1).await;
    let answer = connection.send("ListStreams", whole(&json!({}))).await.unwrap();
    assert_eq!(answer.status(), 200);
    let started = tokio::time::Instant::now();
    // Closed without a word: an error or not, it is over.
    let _ = connection.ended.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_answers_what_is_under_way() {
    let mut served = Served::start().await;
    let mut idle = Connection::<Full<Bytes>>::open(&served, 65_535).await;
    assert_eq!(idle.send("ListStreams", whole(&json!({}))).await.unwrap().status(), 200);
    let mut busy = Connection::open(&served, 65_535).await;
    let (parts, body) = mpsc::channel(1);
    parts.send(Bytes::from_static(b"{")).await.unwrap();
    let sending = {
        let mut sender =
            Connection { sender: busy.sender.clone(), ended: tokio::spawn(async { Ok(()) }) };
        tokio::spawn(async move { sender.send("ListStreams", Parts(body)).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.stop();
    idle.ended.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_, late) = mpsc::channel(1);
    assert!(busy.send("ListStreams", Parts(late)).await.is_err(), "told to go");
    parts.send(Bytes::from_static(b"}")).await.unwrap();
    drop(parts);
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
    busy.ended.await.unwrap().unwrap();
    served.stopped().await;
}
