//! A service that notes calls and answers as a test says.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connect::Connection;

/// Operation and body of each call.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;
/// From operation and body to status and answer. A list is an event stream of its items, which are
/// `[type, payload]`: an event, or an exception where the type ends in `Exception`.
type Script = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// Serves `script`; gives a connection to it and the calls that come.
pub(crate) async fn serve(
    script: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (Connection, Calls) {
    let script: Arc<Script> = Arc::new(script);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    tokio::spawn({
        let calls = Arc::clone(&calls);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&script), Arc::clone(&calls)));
            }
        }
    });
    (Connection::to_endpoint(endpoint, None, None).await.unwrap(), calls)
}

/// How long the head of a request and its body are, once the head is whole.
fn lengths(received: &[u8]) -> Option<(usize, usize)> {
    let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let mut lines = text.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| *name == "content-length");
    Some((head, length.map_or(0, |(_, value)| value.parse().unwrap())))
}

/// Answers one call after the other, until the connection ends.
async fn answer(mut stream: TcpStream, script: Arc<Script>, calls: Calls) {
    let mut received: Vec<u8> = Vec::new();
    loop {
        let mut known = None;
        let (head, length) = loop {
            known = known.or_else(|| lengths(&received));
            if let Some((head, length)) = known
                && received.len() >= head + 4 + length
            {
                break (head, length);
            }
            if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                return;
            }
        };
        let request: Vec<u8> = received.drain(..head + 4 + length).collect();
        let (status, answer) = {
            let text = String::from_utf8(request[..head].to_vec()).unwrap();
            let target = text.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("x-amz-target").then(|| value.to_owned())
            });
            let target = target.unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body = serde_json::from_slice(&request[head + 4..]).unwrap_or(Value::Null);
            let answer = script(&operation, &body);
            calls.lock().unwrap().push((operation, body));
            answer
        };
        let (kind, body) = match answer {
            Value::Array(items) => ("vnd.amazon.eventstream", events(&items)),
            answer => ("x-amz-json-1.1", answer.to_string().into_bytes()),
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/{kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = [head.as_bytes(), &body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The frames of an event stream, with the initial response before them.
fn events(items: &[Value]) -> Vec<u8> {
    let mut frames = frame("initial-response", &Value::Object(serde_json::Map::new()));
    for item in items {
        frames.extend(frame(item[0].as_str().unwrap(), &item[1]));
    }
    frames
}

fn frame(kind: &str, payload: &Value) -> Vec<u8> {
    let is_exception = kind.ends_with("Exception");
    let message = if is_exception { "exception" } else { "event" };
    let type_header = if is_exception { ":exception-type" } else { ":event-type" };
    let headers =
        [(":message-type", message), (type_header, kind), (":content-type", "application/json")];
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(name.len() as u8);
        block.extend(name.as_bytes());
        block.push(7);
        block.extend((value.len() as u16).to_be_bytes());
        block.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let total = 12 + block.len() + payload.len() + 4;
    let mut frame = Vec::new();
    frame.extend((total as u32).to_be_bytes());
    frame.extend((block.len() as u32).to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(block);
    frame.extend(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}
