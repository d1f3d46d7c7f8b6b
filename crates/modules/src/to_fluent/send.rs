//! One connection to a receiver: messages out, acknowledgements in.

use std::io;
use std::time::Duration;

use rmp::Marker;
use rmp::decode::{RmpRead, read_marker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::settings::{Endpoint, Settings};

/// Bytes of an acknowledgement at most; those of our ids take 32.
const ACK_BYTES_MAX: usize = 4096;

/// A connection over which messages may go.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// The receiver, for messages.
    endpoint: Endpoint,
    /// The receiver may take or say nothing for so long.
    patience: Duration,
    /// What came from the receiver and was not read yet.
    received: Vec<u8>,
}

/// Messages did not arrive, or nothing shows that they did.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error(
        "{endpoint}: cannot connect: {source}; check that the receiver runs and that `destination` is right"
    )]
    Unreachable { endpoint: Endpoint, source: io::Error },
    /// There was a connection, but it broke.
    #[error("{endpoint}: the connection broke before all was acknowledged: {source}")]
    Lost { endpoint: Endpoint, source: io::Error },
    /// The receiver is silent.
    #[error(
        "{endpoint} acknowledged nothing for {} s; check that it supports acknowledgements, or raise `ack_seconds`",
        patience.as_secs()
    )]
    Silent { endpoint: Endpoint, patience: Duration },
    /// The receiver wants more than messages.
    #[error("{endpoint} says something that is no acknowledgement: {what}")]
    NotAnAck { endpoint: Endpoint, what: NotAnAck },
}

impl SendError {
    /// Whether somebody listened, so that the message itself may have been too much.
    pub(super) fn is_of_a_receiver_that_is_there(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Silent { .. })
    }
}

/// What a receiver said instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAnAck {
    #[error("it asks for a shared key, and this module has none to give")]
    Helo,
    #[error("check that `destination` is a receiver of the Fluent Forward protocol")]
    Unknown,
}

impl Connection {
    pub(super) async fn open(settings: &Settings, endpoint: &Endpoint) -> Result<Self, SendError> {
        let unreachable = |source| SendError::Unreachable { endpoint: endpoint.clone(), source };
        let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let stream = timeout(settings.connect_timeout(), connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        // A message is written at once: there is nothing to wait for before it is sent.
        stream.set_nodelay(true).map_err(unreachable)?;
        let (endpoint, patience) = (endpoint.clone(), settings.ack_timeout());
        Ok(Self { stream, endpoint, patience, received: Vec::new() })
    }

    /// False when the receiver has closed the connection meanwhile: better to know before a
    /// message is lost in it.
    pub(super) fn is_open(&mut self) -> bool {
        match self.stream.try_read_buf(&mut self.received) {
            Ok(bytes) => bytes > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        let mut rest = message;
        while !rest.is_empty() {
            let written = timeout(self.patience, self.stream.write(rest)).await;
            let written = written.map_err(|_| self.silent())?.map_err(|error| self.lost(error))?;
            if written == 0 {
                return Err(self.lost(io::ErrorKind::WriteZero.into()));
            }
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Waits for the next acknowledgement; gives the chunk's id.
    pub(super) async fn acknowledged(&mut self) -> Result<String, SendError> {
        loop {
            let parsed = parse_ack(&self.received);
            if let Some((id, length)) = parsed.map_err(|what| self.not_an_ack(what))? {
                self.received.drain(..length);
                return Ok(id);
            }
            if self.received.len() > ACK_BYTES_MAX {
                return Err(self.not_an_ack(NotAnAck::Unknown));
            }
            self.hurry_receiver();
            let read = timeout(self.patience, self.stream.read_buf(&mut self.received)).await;
            let bytes = read.map_err(|_| self.silent())?.map_err(|error| self.lost(error))?;
            if bytes == 0 {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Receivers that write small packets through Nagle's algorithm hold an acknowledgement back
    /// until TCP has confirmed the one before, which Linux delays by 40 ms unless told at each read.
    fn hurry_receiver(&self) {
        #[cfg(target_os = "linux")]
        // Only a matter of speed: whatever is wrong with the socket shows when it is read.
        let _ = self.stream.set_quickack(true);
    }

    fn silent(&self) -> SendError {
        SendError::Silent { endpoint: self.endpoint.clone(), patience: self.patience }
    }

    fn lost(&self, source: io::Error) -> SendError {
        SendError::Lost { endpoint: self.endpoint.clone(), source }
    }

    fn not_an_ack(&self, what: NotAnAck) -> SendError {
        SendError::NotAnAck { endpoint: self.endpoint.clone(), what }
    }
}

/// Reads `{"ack": id}`; gives the id and the bytes that it took, none when there are not enough yet.
fn parse_ack(received: &[u8]) -> Result<Option<(String, usize)>, NotAnAck> {
    let mut rest = received;
    let Ok(marker) = read_marker(&mut rest) else { return Ok(None) };
    match marker {
        Marker::FixMap(1) => {}
        Marker::FixArray(_) => return Err(NotAnAck::Helo),
        _ => return Err(NotAnAck::Unknown),
    }
    let Some(key) = parse_text(&mut rest)? else { return Ok(None) };
    let Some(id) = parse_text(&mut rest)? else { return Ok(None) };
    if key != b"ack" {
        return Err(NotAnAck::Unknown);
    }
    let id = str::from_utf8(id).map_err(|_| NotAnAck::Unknown)?;
    Ok(Some((id.to_owned(), received.len() - rest.len())))
}

/// Reads a text, or binary data as some receivers write texts; none when there is not enough yet.
fn parse_text<'b>(rest: &mut &'b [u8]) -> Result<Option<&'b [u8]>, NotAnAck> {
    let Ok(marker) = read_marker(rest) else { return Ok(None) };
    let length = match marker {
        Marker::FixStr(length) => Some(usize::from(length)),
        Marker::Str8 | Marker::Bin8 => rest.read_data_u8().ok().map(usize::from),
        Marker::Str16 | Marker::Bin16 => rest.read_data_u16().ok().map(usize::from),
        _ => return Err(NotAnAck::Unknown),
    };
    let Some((text, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
        return Ok(None);
    };
    *rest = after;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_read_once_it_is_whole() {
        for ack in [
            &b"\x81\xa3ack\xa4abc="[..],
            b"\x81\xa3ack\xd9\x04abc=",
            b"\x81\xc4\x03ack\xc5\x00\x04abc=",
        ] {
            for cut in 0..ack.len() {
                assert_eq!(parse_ack(&ack[..cut]), Ok(None), "{cut}");
            }
            let two = [ack, b"\x81"].concat();
            assert_eq!(parse_ack(&two), Ok(Some(("abc=".to_owned(), ack.len()))));
        }
    }

    #[test]
    fn what_is_no_acknowledgement_is_told() {
        assert_eq!(parse_ack(b"\x92\xa4HELO\x80"), Err(NotAnAck::Helo));
        for said in [&b"HTTP/1.1 400"[..], b"\x81\xa3nak\xa1x", b"\x81\xa3ack\x01", b"\xc0"] {
            assert_eq!(parse_ack(said), Err(NotAnAck::Unknown));
        }
    }
}
