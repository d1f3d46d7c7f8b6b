//! A server on a free port over streams in a folder, and ways to talk to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use baikonur_api::{Certificates, Page, Pages, Server, ServerSettings, Streams, Tls};
use baikonur_engine::{Durability, Engine, EngineSettings};
use baikonur_stream::SystemClock;
use bytes::Bytes;
use reqwest::{Certificate, ClientBuilder, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    folder: TempDir,
}

pub(crate) const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=a/20240101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0";

struct Health;

impl Pages for Health {
    fn get(&self, path: &str) -> Option<Page> {
        let body = Bytes::from_static(b"well");
        (path == "/health").then_some(Page { status: 200, content_type: "text/plain", body })
    }
}

pub(crate) fn settings() -> ServerSettings {
    ServerSettings { listen: ([127, 0, 0, 1], 0).into(), ..ServerSettings::default() }
}

/// Lets a clock that is paused run ahead when all wait, in steps between which there is time for what
/// is on its way through the sockets: it comes to its turn before minutes have passed.
pub(crate) fn run_ahead() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: ServerSettings) -> Self {
        Self::on(Server::bind(settings).await.unwrap(), "http", TempDir::new().unwrap())
    }

    /// With TLS and a certificate of its own making, which the client trusts.
    pub(crate) async fn secured() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("tls");
        let certificates = Certificates::open(&Tls::Generated { directory, host: None }).unwrap();
        let server = Server::bind(settings()).await.unwrap().with_tls(certificates);
        let mut served = Self::on(server, "https", folder);
        let trusting = served.trusting(reqwest::Client::builder());
        served.talk_as(trusting);
        served
    }

    fn on(server: Server, scheme: &'static str, folder: TempDir) -> Self {
        let clock = Arc::new(SystemClock::new());
        let store = EngineSettings {
            durability: Durability::OsBuffer,
            ..EngineSettings::new(folder.path())
        };
        let (engine, _) = Engine::open(store, Arc::clone(&clock) as _).unwrap();
        let engine = Arc::new(engine);
        let streams = Streams {
            read: Arc::clone(&engine) as _,
            write: Arc::clone(&engine) as _,
            administer: engine,
            clock,
        };
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(streams, Arc::new(Health), async {
            let _ = stopped.await;
        }));
        let client = reqwest::Client::new();
        Self { address, scheme, client, stop: Some(stop), running, folder }
    }

    /// Where its certificate lies.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.path().join("tls")
    }

    /// A client that trusts its certificate as it is now, and no other.
    pub(crate) fn trusting(&self, client: ClientBuilder) -> ClientBuilder {
        let authority = std::fs::read(self.certificates().join("ca.pem")).unwrap();
        client.tls_certs_only([Certificate::from_pem(&authority).unwrap()])
    }

    /// Sends requests with another client from now on.
    pub(crate) fn talk_as(&mut self, client: ClientBuilder) {
        self.client = client.build().unwrap();
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until it has.
    pub(crate) async fn stopped(self) {
        self.running.await.unwrap();
    }

    /// A request as an SDK sends it, without a body.
    pub(crate) fn request(&self, operation: &str) -> RequestBuilder {
        self.client
            .post(format!("{}://{}/", self.scheme, self.address))
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", format!("Kinesis_20131202.{operation}"))
            .header("X-Amz-Date", "20240101T000000Z")
            .header("Authorization", AUTHORIZATION)
    }

    /// Status and body of a call; null for an empty body.
    pub(crate) async fn call(&self, operation: &str, body: Value) -> (u16, Value) {
        let response = self.request(operation).body(body.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let empty = bytes.is_empty();
        (status, if empty { Value::Null } else { serde_json::from_slice(&bytes).unwrap() })
    }

    /// The answer of a call that succeeds.
    pub(crate) async fn ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    pub(crate) async fn create(&self, stream: &str, shards: u32) {
        self.ok("CreateStream", json!({ "StreamName": stream, "ShardCount": shards })).await;
    }

    /// Sends bytes on a connection of their own, and reads until the server closes it.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        String::from_utf8_lossy(&self.raw_bytes(request).await).into_owned()
    }

    /// The same, as bytes.
    pub(crate) async fn raw_bytes(&self, request: impl AsRef<[u8]>) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        loop {
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => return answer,
                Ok(count) => answer.extend_from_slice(&part[..count]),
            }
        }
    }
}
