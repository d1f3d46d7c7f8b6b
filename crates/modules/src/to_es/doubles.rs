//! For the tests of this module: settings, and a cluster that answers as told on a real socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Settings;

pub(super) fn settings() -> Settings {
    Settings {
        destination: "http://127.0.0.1:9200".to_owned(),
        index_name_prefix: "logs".to_owned(),
        ..Settings::default()
    }
}

/// What the cluster does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Reads the request and closes the connection.
    Cut,
}

/// A cluster that gives the replies that it was told, in order, then stores everything.
pub(super) struct ClusterDouble {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ClusterDouble {
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let seen = requests.clone();
        tokio::spawn(async move {
            let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(socket, replies.clone(), seen.clone()));
            }
        });
        Self { url, requests }
    }

    /// The ids in each request so far.
    pub(super) fn ids(&self) -> Vec<Vec<String>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|body| ids(body)).collect()
    }
}

fn ids(body: &[u8]) -> Vec<String> {
    let lines = body.split(|&byte| byte == b'\n').step_by(2).filter(|line| !line.is_empty());
    let id = |line| {
        let action: serde_json::Value = serde_json::from_slice(line).unwrap();
        action["index"]["_id"].as_str().unwrap().to_owned()
    };
    lines.map(id).collect()
}

async fn serve(
    mut socket: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut buffer = Vec::new();
    while let Some(body) = read_request(&mut socket, &mut buffer).await {
        seen.lock().unwrap().push(body);
        let reply = replies.lock().unwrap().pop_front();
        let reply = reply.unwrap_or(Reply::Answer(200, r#"{"errors":false}"#.to_owned()));
        let Reply::Answer(status, body) = reply else { return };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = end_of_head(buffer) {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().trim().parse().unwrap();
            if buffer.len() >= end + length {
                let body = buffer[end..end + length].to_vec();
                buffer.drain(..end + length);
                return Some(body);
            }
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn end_of_head(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4)
}
