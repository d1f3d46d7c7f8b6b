//! Snappy as it lies in archives: in its framing format (`framing_format.txt` of google/snappy), or in the blocks of Hadoop's
//! codec, which have no magic number. The end of a key does not tell which.

use std::io::{self, Cursor, ErrorKind, Read};

use crate::LINE_BYTES_MAX;

/// How a stream in the framing format begins.
const MAGIC: [u8; 10] = *b"\xff\x06\x00\x00sNaPpY";

/// What decompresses `stored`, whose first bytes are read at once.
pub(crate) fn decoder(mut stored: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut head = [0; MAGIC.len()];
    let mut length = 0;
    while length < head.len() {
        match stored.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_framed = head == MAGIC;
    let whole = Cursor::new(head).take(length as u64).chain(stored);
    Ok(match is_framed {
        true => Box::new(snap::read::FrameDecoder::new(whole)),
        false => Box::new(Blocks { stored: whole, left: 0, chunk: Vec::new(), at: 0 }),
    })
}

/// Blocks as Hadoop's `BlockCompressorStream` writes them: the length of a block before compression, then chunks, each
/// behind its length, until the block is full. Lengths are 32-bit big-endian.
struct Blocks<R> {
    stored: R,
    /// Bytes of the block that its chunks did not give yet.
    left: usize,
    chunk: Vec<u8>,
    at: usize,
}

impl<R: Read> Blocks<R> {
    /// A length; none where the object ends before it.
    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut bytes = [0; 4];
        match self.stored.read(&mut bytes[..1])? {
            0 => return Ok(None),
            _ => self.stored.read_exact(&mut bytes[1..])?,
        }
        match u32::from_be_bytes(bytes) as usize {
            length if length <= LINE_BYTES_MAX => Ok(Some(length)),
            length => Err(damage(format!("a block of {length} bytes"))),
        }
    }

    /// The next chunk; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        while self.left == 0 {
            match self.length()? {
                None => return Ok(false),
                Some(length) => self.left = length,
            }
        }
        let length = self.length()?.ok_or(ErrorKind::UnexpectedEof)?;
        let mut packed = vec![0; length];
        self.stored.read_exact(&mut packed)?;
        let raw = snap::raw::decompress_len(&packed).map_err(io::Error::other)?;
        if raw == 0 || raw > self.left {
            return Err(damage(format!("{raw} bytes in a block where {} are left", self.left)));
        }
        self.chunk = snap::raw::Decoder::new().decompress_vec(&packed).map_err(io::Error::other)?;
        self.left -= raw;
        self.at = 0;
        Ok(true)
    }
}

fn damage(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.chunk.len() && !self.next()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.chunk.len() - self.at);
        buffer[..length].copy_from_slice(&self.chunk[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(chunks: &[&[u8]]) -> Vec<u8> {
        let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let mut bytes = (total as u32).to_be_bytes().to_vec();
        for chunk in chunks {
            let packed = snap::raw::Encoder::new().compress_vec(chunk).unwrap();
            bytes.extend((packed.len() as u32).to_be_bytes());
            bytes.extend(packed);
        }
        bytes
    }

    #[expect(clippy::disallowed_methods, reason = "a test, and capped")]
    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        decoder(Cursor::new(bytes))?.take(1 << 20).read_to_end(&mut raw)?;
        Ok(raw)
    }

    #[test]
    fn blocks_of_hadoop_are_read() {
        let bytes = [block(&[b"one ", b"two "]), block(&[]), block(&[&[b'x'; 1000]])].concat();
        let expected = [b"one two ".to_vec(), vec![b'x'; 1000]].concat();
        assert_eq!(read(bytes).unwrap(), expected);
        assert_eq!(read(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn what_breaks_off_or_lies_is_an_error() {
        let whole = block(&[b"some bytes", b"and more"]);
        for length in 1..whole.len() {
            assert!(read(whole[..length].to_vec()).is_err(), "{length}");
        }
        let mut lying = whole.clone();
        lying[3] -= 1;
        assert!(read(lying).is_err());
        let mut large = whole;
        large[0] = 0x7f;
        assert!(read(large).unwrap_err().to_string().contains("a block of"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_take_much(bytes: Vec<u8>) {
            let _ = read(bytes);
        }
    }
}
