//! Just enough of HTTP/1.1: prepared requests out, answers with a Content-Length in.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Its length is what was ever needed; what it holds now is counted apart, so that nothing is
    /// cleared between answers.
    buffer: Vec<u8>,
}

/// An answer, in the connection's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// A sentence about an answer that is no success.
    pub(crate) fn failure(&self, operation: &str) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        format!("{operation} answered {}: {body}", self.status)
    }
}

/// What the head of an answer says.
struct Head {
    status: u16,
    head_length: usize,
    body_length: usize,
}

const BUFFER_BYTES: usize = 64 * 1024;

impl Connection {
    pub(crate) async fn open(endpoint: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(end) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break head(&self.buffer[..end])?;
            }
        };
        let length = head.head_length + head.body_length;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        while filled < length {
            filled += self.read(filled).await?;
        }
        Ok(Answer { status: head.status, body: &self.buffer[head.head_length..length] })
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

fn head(bytes: &[u8]) -> io::Result<Head> {
    let foreign = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP/1.1 answer with a length");
    let text = std::str::from_utf8(bytes).map_err(|_| foreign())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let (Some(status), Some(body_length)) = (status, length) else { return Err(foreign()) };
    Ok(Head { status, head_length: bytes.len() + 4, body_length })
}
