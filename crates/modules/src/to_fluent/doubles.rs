//! For the tests of this module: settings, and a receiver on a real socket that reads messages with
//! the `rmp` decoder and acknowledges as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use rmp::Marker;
use rmp::decode::{
    RmpRead, read_array_len, read_bin_len, read_int, read_map_len, read_marker, read_str_from_slice,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;

use super::Settings;
use super::secured::Greeting;

pub(super) fn settings() -> Settings {
    Settings {
        destination: "fluent://127.0.0.1".to_owned(),
        fluent_tag: "lambda".to_owned(),
        ..Settings::default()
    }
}

/// A message as a receiver understands it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) tag: String,
    /// Seconds, nanoseconds if it had any, record.
    pub(super) entries: Vec<(i64, Option<u32>, Value)>,
    pub(super) size: u64,
    pub(super) chunk: String,
    pub(super) is_compressed: bool,
}

impl Message {
    /// Reads one message off `rest`; none when it is not whole.
    pub(super) fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut input = *rest;
        assert_eq!(read_array_len(&mut input).ok()?, 3);
        let tag = read_text(&mut input)?;
        let length = read_bin_len(&mut input).ok()? as usize;
        let packed = input.split_off(..length)?;
        let options = read_map_len(&mut input).ok()?;
        assert_eq!(read_text(&mut input)?, "size");
        let size = read_int(&mut input).ok()?;
        assert_eq!(read_text(&mut input)?, "chunk");
        let chunk = read_text(&mut input)?;
        if options == 3 {
            assert_eq!(read_text(&mut input)?, "compressed");
            assert_eq!(read_text(&mut input)?, "gzip");
        }
        let mut inflated = Vec::new();
        let mut packed = if options == 3 {
            std::io::copy(&mut GzDecoder::new(packed), &mut inflated).unwrap();
            inflated.as_slice()
        } else {
            packed
        };
        let mut entries = Vec::new();
        while !packed.is_empty() {
            entries.push(read_entry(&mut packed));
        }
        *rest = input;
        Some(Self { tag, entries, size, chunk, is_compressed: options == 3 })
    }
}

fn read_entry(packed: &mut &[u8]) -> (i64, Option<u32>, Value) {
    assert_eq!(read_array_len(packed).unwrap(), 2);
    let (seconds, nanoseconds) = if packed.starts_with(&[0xd7, 0x00]) {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let time = packed.split_off(..10).unwrap();
        (number(&time[2..6]).into(), Some(number(&time[6..])))
    } else {
        (read_int(packed).unwrap(), None)
    };
    (seconds, nanoseconds, read_value(packed))
}

fn read_text(input: &mut &[u8]) -> Option<String> {
    let (text, rest) = read_str_from_slice(*input).ok()?;
    *input = rest;
    Some(text.to_owned())
}

/// Reads any value that has a like in JSON.
pub(super) fn read_value(input: &mut &[u8]) -> Value {
    let start = *input;
    let list = |count: u32, input: &mut &[u8]| (0..count).map(|_| read_value(input)).collect();
    match read_marker(input).unwrap() {
        Marker::Null => Value::Null,
        Marker::True => json!(true),
        Marker::False => json!(false),
        Marker::F64 => json!(f64::from_bits(input.read_data_u64().unwrap())),
        Marker::U64 => json!(input.read_data_u64().unwrap()),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            *input = start;
            let count = read_array_len(input).unwrap();
            Value::Array(list(count, input))
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            *input = start;
            let count = read_map_len(input).unwrap();
            let member = |_| (read_text(input).unwrap(), read_value(input));
            Value::Object((0..count).map(member).collect())
        }
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            *input = start;
            json!(read_text(input).unwrap())
        }
        _ => {
            *input = start;
            json!(read_int::<i64, _>(input).unwrap())
        }
    }
}

/// What the receiver does when a message is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    Acknowledge,
    /// Says nothing, now and later.
    Silence,
    /// Closes the connection.
    Cut,
    /// Acknowledges and closes the connection.
    AcknowledgeAndCut,
    /// Acknowledges a message that nobody sent, then this one.
    AcknowledgeAnother,
    /// Acknowledges messages that nobody sent, without end.
    AcknowledgeOthers,
    /// Says this.
    Say(&'static [u8]),
}

/// How a receiver listens.
#[derive(Clone, Default)]
pub(super) struct Ways {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) greeting: Option<Greeting>,
    /// It takes a few bytes at a time, with such a pause.
    pub(super) pause: Option<Duration>,
}

/// A receiver that replies as told, in order, and then acknowledges everything.
pub(super) struct ReceiverDouble {
    pub(super) url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    connections: Arc<Mutex<usize>>,
    /// Of the connections over TLS, those that went on with a session of another.
    resumed: Arc<Mutex<usize>>,
}

impl ReceiverDouble {
    pub(super) async fn start(replies: &[Reply]) -> Self {
        Self::start_in(Ways::default(), replies).await
    }

    pub(super) async fn start_in(ways: Ways, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if ways.tls.is_some() { "fluents" } else { "fluent" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let messages = Arc::<Mutex<Vec<Message>>>::default();
        let connections = Arc::<Mutex<usize>>::default();
        let replies: VecDeque<Reply> = replies.iter().copied().collect();
        let talk = Talk { replies: Arc::new(Mutex::new(replies)), seen: messages.clone(), ways };
        let resumed = Arc::<Mutex<usize>>::default();
        let (count, resumptions) = (connections.clone(), resumed.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *count.lock().unwrap() += 1;
                let (talk, resumptions) = (talk.clone(), resumptions.clone());
                tokio::spawn(async move {
                    match talk.ways.tls.clone() {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                let kind = stream.get_ref().1.handshake_kind();
                                *resumptions.lock().unwrap() +=
                                    usize::from(kind == Some(HandshakeKind::Resumed));
                                talk.hold(stream).await;
                            }
                        }
                        None => talk.hold(socket).await,
                    }
                });
            }
        });
        Self { url, messages, connections, resumed }
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// The texts of each message so far, one after the other.
    pub(super) fn texts(&self) -> Vec<Vec<String>> {
        let text = |record: &Value| record["message"].as_str().unwrap().to_owned();
        let texts = |message: &Message| message.entries.iter().map(|e| text(&e.2)).collect();
        self.messages.lock().unwrap().iter().map(texts).collect()
    }

    pub(super) fn chunks(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|message| message.chunk.clone()).collect()
    }

    pub(super) fn resumed(&self) -> usize {
        *self.resumed.lock().unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// One connection, as the receiver sees it.
#[derive(Clone)]
struct Talk {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Message>>>,
    ways: Ways,
}

impl Talk {
    async fn hold<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S) {
        let mut buffer = Vec::new();
        let mut keeps_alive = true;
        if let Some(greeting) = &self.ways.greeting {
            match greeting.greet(&mut stream, &mut buffer).await {
                Some(answer) => keeps_alive = answer,
                None => return,
            }
        }
        let mut silent = false;
        loop {
            if let Some(pause) = self.ways.pause {
                tokio::time::sleep(pause).await;
            }
            if !stream.read_buf(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
                return;
            }
            let mut rest = buffer.as_slice();
            let mut said = Vec::new();
            let mut cut = false;
            while !cut && let Some(message) = Message::read(&mut rest) {
                let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Acknowledge);
                cut = !keeps_alive;
                match reply {
                    Reply::Acknowledge => said.extend(ack(&message.chunk)),
                    Reply::Silence => silent = true,
                    Reply::Cut => cut = true,
                    Reply::AcknowledgeAndCut => {
                        said.extend(ack(&message.chunk));
                        cut = true;
                    }
                    Reply::AcknowledgeAnother => {
                        said.extend([ack("AAAA"), ack(&message.chunk)].concat());
                    }
                    Reply::AcknowledgeOthers => said.extend(ack("AAAA").repeat(10_000)),
                    Reply::Say(words) => said.extend_from_slice(words),
                }
                self.seen.lock().unwrap().push(message);
            }
            let left = rest.len();
            buffer.drain(..buffer.len() - left);
            // Who is gone hears nothing.
            if !silent && (stream.write_all(&said).await.is_err() || stream.flush().await.is_err())
            {
                return;
            }
            if cut {
                return;
            }
        }
    }
}

fn ack(chunk: &str) -> Vec<u8> {
    let mut ack = vec![0x81, 0xa3, b'a', b'c', b'k', 0xa0 + u8::try_from(chunk.len()).unwrap()];
    ack.extend_from_slice(chunk.as_bytes());
    ack
}
