//! The chunked transfer coding of HTTP/1.1, decoded as it arrives (RFC 9112, 7.1).

use std::io;

/// Where in the coding the next byte stands.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In the line that says how long the next chunk is.
    Size,
    /// In a chunk, so many bytes before its end.
    Data(usize),
    /// In the line end after a chunk.
    AfterData,
    /// In the fields after the last chunk.
    Trailer,
    /// Behind it all.
    End,
}

/// A decoder of one body.
#[derive(Debug)]
pub(crate) struct Chunks {
    place: Place,
    line: Vec<u8>,
}

/// Longest line between chunks.
const LINE_BYTES_MAX: usize = 4096;

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { place: Place::Size, line: Vec::new() }
    }

    /// Whether the body has ended.
    pub(crate) fn ended(&self) -> bool {
        self.place == Place::End
    }

    /// Appends what `coded` holds of the body to `body`.
    pub(crate) fn decode(&mut self, mut coded: &[u8], body: &mut Vec<u8>) -> io::Result<()> {
        while !coded.is_empty() && !self.ended() {
            if let Place::Data(left) = self.place {
                let (chunk, rest) = coded.split_at(left.min(coded.len()));
                body.extend_from_slice(chunk);
                coded = rest;
                let left = left - chunk.len();
                self.place = if left == 0 { Place::AfterData } else { Place::Data(left) };
                continue;
            }
            let end = memchr::memchr(b'\n', coded);
            let (part, rest) = coded.split_at(end.map_or(coded.len(), |end| end + 1));
            self.line.extend_from_slice(part);
            coded = rest;
            if end.is_some() {
                self.line_end()?;
            } else if self.line.len() > LINE_BYTES_MAX {
                return Err(foreign());
            }
        }
        Ok(())
    }

    fn line_end(&mut self) -> io::Result<()> {
        let line = self.line.trim_ascii();
        self.place = match self.place {
            Place::AfterData if line.is_empty() => Place::Size,
            Place::Trailer if line.is_empty() => Place::End,
            Place::Trailer => Place::Trailer,
            Place::Size => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = std::str::from_utf8(digits).map_err(|_| foreign())?;
                match usize::from_str_radix(digits.trim(), 16).map_err(|_| foreign())? {
                    0 => Place::Trailer,
                    length => Place::Data(length),
                }
            }
            _ => return Err(foreign()),
        };
        self.line.clear();
        Ok(())
    }
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no chunked body")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODED: &[u8] = b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nField: value\r\n\r\n";

    #[test]
    fn a_body_comes_out_the_same_wherever_it_is_cut() {
        for cut in 0..=CODED.len() {
            let (mut chunks, mut body) = (Chunks::new(), Vec::new());
            chunks.decode(&CODED[..cut], &mut body).unwrap();
            chunks.decode(&CODED[cut..], &mut body).unwrap();
            assert!(chunks.ended(), "cut at {cut}");
            assert_eq!(body, b"hello, world", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for coded in [&b"zz\r\n"[..], b"1\r\nab\r\n", &[b'1'; LINE_BYTES_MAX + 1]] {
            assert!(Chunks::new().decode(coded, &mut Vec::new()).is_err());
        }
    }
}
