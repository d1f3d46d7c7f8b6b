//! A service that notes calls and answers as a test says.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connect::Connection;

/// Operation and body of each call.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;
/// From operation and body to status and answer.
pub(crate) type Script = fn(&str, &Value) -> (u16, Value);

/// Serves `script`; gives a connection to it and the calls that come.
pub(crate) async fn serve(script: Script) -> (Connection, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    tokio::spawn({
        let calls = Arc::clone(&calls);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, script, Arc::clone(&calls)));
            }
        }
    });
    (Connection::to_endpoint(endpoint, None, None).await.unwrap(), calls)
}

/// Answers one call after the other, until the connection ends.
async fn answer(mut stream: TcpStream, script: Script, calls: Calls) {
    let mut received = Vec::new();
    loop {
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&received).to_ascii_lowercase();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let header = |name: &str| {
                    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
                };
                let length = header("content-length").map_or(0, |value| value.parse().unwrap());
                if received.len() >= head.len() + 4 + length {
                    break (head.len(), length);
                }
            }
            let mut more = [0; 4096];
            match stream.read(&mut more).await {
                Ok(count) if count > 0 => received.extend(&more[..count]),
                _ => return,
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
        let body = answer.to_string();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
