//! Just enough of HTTP/1.1: prepared requests out, answers in.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::chunked::Chunks;

/// A connection that is kept alive, and the last answer that came over it.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Its length is what was ever needed; what it holds now is counted apart, so that nothing is
    /// cleared between answers.
    buffer: Vec<u8>,
    /// A body that came in chunks.
    joined: Vec<u8>,
    status: u16,
    /// Where in `buffer` the body is; nothing when it is in `joined`.
    body: Option<Range<usize>>,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    head_length: usize,
    /// None: chunked.
    body_length: Option<usize>,
}

const BUFFER_BYTES: usize = 64 * 1024;

impl Connection {
    pub(crate) async fn open(endpoint: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self { stream, buffer, joined: Vec::new(), status: 0, body: None })
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        match &self.body {
            Some(range) => &self.buffer[range.clone()],
            None => &self.joined,
        }
    }

    /// A sentence about a last answer that is no success.
    pub(crate) fn failure(&self, operation: &str) -> String {
        let body = self.body();
        let body = String::from_utf8_lossy(&body[..body.len().min(500)]);
        format!("{operation} answered {}: {body}", self.status)
    }

    /// Sends a request and reads its answer; gives the status.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<u16> {
        let (head, filled) = self.send(request).await?;
        match head.body_length {
            Some(length) => self.read_body(head.head_length, length, filled).await?,
            None => {
                let mut chunks = Chunks::new();
                self.body = None;
                self.joined.clear();
                chunks.decode(&self.buffer[head.head_length..filled], &mut self.joined)?;
                while !chunks.ended() {
                    let count = self.read(0).await?;
                    chunks.decode(&self.buffer[..count], &mut self.joined)?;
                }
            }
        }
        Ok(head.status)
    }

    /// Sends a request whose answer has no end that could be waited for. Its body is read by
    /// [`Streamed::read`]; an answer of another status than 200 is an error.
    pub(crate) async fn call_streamed(
        mut self,
        request: &[u8],
        operation: &str,
    ) -> io::Result<Streamed> {
        let (head, filled) = self.send(request).await?;
        if let Some(length) = head.body_length {
            self.read_body(head.head_length, length, filled).await?;
            return Err(io::Error::other(self.failure(operation)));
        }
        if head.status != 200 {
            return Err(io::Error::other(format!("{operation} answered {}", head.status)));
        }
        let mut first = Vec::new();
        let mut chunks = Chunks::new();
        chunks.decode(&self.buffer[head.head_length..filled], &mut first)?;
        Ok(Streamed { connection: self, chunks, first })
    }

    /// The head of the answer, and how many bytes of it and of what follows are in the buffer.
    async fn send(&mut self, request: &[u8]) -> io::Result<(Head, usize)> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                return Err(foreign());
            }
            filled += self.read(filled).await?;
            if let Some(end) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                let head = head(&self.buffer[..end])?;
                self.status = head.status;
                return Ok((head, filled));
            }
        }
    }

    async fn read_body(&mut self, from: usize, length: usize, filled: usize) -> io::Result<()> {
        let (end, mut filled) = (from + length, filled);
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while filled < end {
            filled += self.read(filled).await?;
        }
        self.body = Some(from..end);
        Ok(())
    }

    async fn read(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..]).await? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            count => Ok(count),
        }
    }
}

/// An answer that goes on and on.
pub(crate) struct Streamed {
    connection: Connection,
    chunks: Chunks,
    /// What came together with the head.
    first: Vec<u8>,
}

impl Streamed {
    /// Appends what comes next of the body; false at its end.
    pub(crate) async fn read(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        if !self.first.is_empty() {
            body.append(&mut self.first);
            return Ok(true);
        }
        if self.chunks.ended() {
            return Ok(false);
        }
        let count = self.connection.read(0).await?;
        self.chunks.decode(&self.connection.buffer[..count], body)?;
        Ok(true)
    }
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no HTTP/1.1 answer with a length or chunks")
}

fn head(bytes: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(bytes).map_err(|_| foreign())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(foreign)?;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (value, head_length) = (value.trim(), bytes.len() + 4);
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| foreign())?;
            return Ok(Head { status, head_length, body_length: Some(length) });
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            return Ok(Head { status, head_length, body_length: None });
        }
    }
    Err(foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_how_its_body_ends() {
        let measured = head(b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 12").unwrap();
        assert_eq!((measured.status, measured.body_length), (200, Some(12)));
        let chunked = head(b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked").unwrap();
        assert_eq!((chunked.status, chunked.body_length), (400, None));
        assert!(head(b"HTTP/1.1 200 OK\r\nConnection: close").is_err());
    }
}
