//! For the tests of this module: settings, and a receiver on a real socket that reads messages with
//! the `rmp` decoder and acknowledges as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rmp::decode::{read_array_len, read_bin_len, read_int, read_map_len, read_str_from_slice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Settings;

pub(super) fn settings() -> Settings {
    Settings {
        destination: "fluent://127.0.0.1".to_owned(),
        fluent_tag: "lambda".to_owned(),
        ..Settings::default()
    }
}

/// A message as a receiver understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) tag: String,
    /// Seconds, nanoseconds if it had any, text.
    pub(super) entries: Vec<(i64, Option<u32>, String)>,
    pub(super) size: u64,
    pub(super) chunk: String,
}

impl Message {
    /// Reads one message off `rest`; none when it is not whole.
    pub(super) fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut input = *rest;
        assert_eq!(read_array_len(&mut input).ok()?, 3);
        let tag = read_text(&mut input)?;
        let length = read_bin_len(&mut input).ok()? as usize;
        let mut packed = input.split_off(..length)?;
        assert_eq!(read_map_len(&mut input).ok()?, 2);
        assert_eq!(read_text(&mut input)?, "size");
        let size = read_int(&mut input).ok()?;
        assert_eq!(read_text(&mut input)?, "chunk");
        let chunk = read_text(&mut input)?;
        let mut entries = Vec::new();
        while !packed.is_empty() {
            entries.push(read_entry(&mut packed));
        }
        *rest = input;
        Some(Self { tag, entries, size, chunk })
    }
}

fn read_entry(packed: &mut &[u8]) -> (i64, Option<u32>, String) {
    assert_eq!(read_array_len(packed).unwrap(), 2);
    let (seconds, nanoseconds) = if packed.starts_with(&[0xd7, 0x00]) {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let time = packed.split_off(..10).unwrap();
        (number(&time[2..6]).into(), Some(number(&time[6..])))
    } else {
        (read_int(packed).unwrap(), None)
    };
    assert_eq!(read_map_len(packed).unwrap(), 1);
    assert_eq!(read_text(packed).unwrap(), "message");
    (seconds, nanoseconds, read_text(packed).unwrap())
}

fn read_text(input: &mut &[u8]) -> Option<String> {
    let (text, rest) = read_str_from_slice(*input).ok()?;
    *input = rest;
    Some(text.to_owned())
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
    /// Says this.
    Say(&'static [u8]),
}

/// A receiver that replies as told, in order, and then acknowledges everything.
pub(super) struct ReceiverDouble {
    pub(super) url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    connections: Arc<Mutex<usize>>,
}

impl ReceiverDouble {
    pub(super) async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("fluent://{}", listener.local_addr().unwrap());
        let messages = Arc::<Mutex<Vec<Message>>>::default();
        let connections = Arc::<Mutex<usize>>::default();
        let replies: VecDeque<Reply> = replies.iter().copied().collect();
        let replies = Arc::new(Mutex::new(replies));
        let (seen, count) = (messages.clone(), connections.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *count.lock().unwrap() += 1;
                tokio::spawn(receive(socket, replies.clone(), seen.clone()));
            }
        });
        Self { url, messages, connections }
    }

    /// The texts of each message so far, one after the other.
    pub(super) fn texts(&self) -> Vec<Vec<String>> {
        let messages = self.messages.lock().unwrap();
        let texts = |message: &Message| message.entries.iter().map(|e| e.2.clone()).collect();
        messages.iter().map(texts).collect()
    }

    pub(super) fn chunks(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|message| message.chunk.clone()).collect()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn receive(
    mut socket: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Message>>>,
) {
    let mut buffer = Vec::new();
    let mut silent = false;
    while socket.read_buf(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
        let mut rest = buffer.as_slice();
        let mut said = Vec::new();
        let mut cut = false;
        while !cut && let Some(message) = Message::read(&mut rest) {
            let reply = replies.lock().unwrap().pop_front().unwrap_or(Reply::Acknowledge);
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
                Reply::Say(words) => said.extend_from_slice(words),
            }
            seen.lock().unwrap().push(message);
        }
        let left = rest.len();
        buffer.drain(..buffer.len() - left);
        if !silent {
            socket.write_all(&said).await.unwrap();
        }
        if cut {
            return;
        }
    }
}

fn ack(chunk: &str) -> Vec<u8> {
    let mut ack = vec![0x81, 0xa3, b'a', b'c', b'k', 0xa0 + u8::try_from(chunk.len()).unwrap()];
    ack.extend_from_slice(chunk.as_bytes());
    ack
}
