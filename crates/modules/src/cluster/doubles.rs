//! For the tests of those who call a cluster: one that answers as told on a real socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the cluster does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Reads the request and closes the connection.
    Cut,
}

/// A request as it came: `POST /_bulk?a=b`, its other lines of the head in lower case, its body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What `GET /` answers.
const ROOT: &str = r#"{"version":{"number":"3.3.0","distribution":"opensearch"}}"#;

/// A cluster that gives the replies that it was told, in order, then stores everything; `GET /` is beside that.
pub(crate) struct ClusterDouble {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ClusterDouble {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
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

    /// All requests so far, those for `/` left out.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The ids in each request so far.
    pub(crate) fn ids(&self) -> Vec<Vec<String>> {
        self.requests().iter().map(|request| ids(&request.body)).collect()
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
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut buffer).await {
        let reply = if request.line == "GET / HTTP/1.1" {
            Reply::Answer(200, ROOT.to_owned())
        } else {
            seen.lock().unwrap().push(request);
            let reply = replies.lock().unwrap().pop_front();
            reply.unwrap_or(Reply::Answer(200, r#"{"errors":false}"#.to_owned()))
        };
        let Reply::Answer(status, body) = reply else { return };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = end_of_head(buffer) {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let (line, head) = head.split_once("\r\n").unwrap();
            let (line, head) = (line.to_owned(), head.to_lowercase());
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if buffer.len() >= end + length {
                let body = buffer[end..end + length].to_vec();
                buffer.drain(..end + length);
                return Some(Request { line, head, body });
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
