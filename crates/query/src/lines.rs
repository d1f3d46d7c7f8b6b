//! Lines out of an object: decompressed block by block, each block ending where a line ends.

use std::io::{self, Read};

use memchr::memrchr;

use crate::format::Codec;
use crate::{QueryError, snappy};

/// The longest line, in bytes: as much as may come out of the decompression of one Kinesis record. It bounds what a
/// compressed line of nothing but zeros costs.
pub const LINE_BYTES_MAX: usize = 32 << 20;

/// Bytes of lines that are decompressed at once, or the one line that is longer.
const BLOCK_BYTES: usize = 256 << 10;

/// Blocks of lines.
pub(crate) struct Blocks {
    reader: Box<dyn Read>,
    /// The beginning of a line whose end did not come yet.
    rest: Vec<u8>,
    ended: bool,
    failed: Option<Failure>,
}

/// Why there are no more blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The object could not be fetched.
    Fetch(QueryError),
    /// It is not what its name says.
    Damage(String),
}

impl Blocks {
    /// The lines of an object of this codec.
    pub(crate) fn new(codec: Codec, stored: impl Read + 'static) -> Self {
        let reader: io::Result<Box<dyn Read>> = match codec {
            Codec::Plain => Ok(Box::new(stored)),
            Codec::Gzip => Ok(Box::new(flate2::read::MultiGzDecoder::new(stored))),
            Codec::Snappy => snappy::decoder(stored),
            Codec::Zstd => zstd::stream::read::Decoder::new(stored)
                .map(|decoder| Box::new(decoder) as Box<dyn Read>),
        };
        let (reader, failed): (Box<dyn Read>, _) = match reader {
            Ok(reader) => (reader, None),
            Err(error) => (Box::new(io::empty()), Some(failure(&error))),
        };
        Self { reader, rest: Vec::new(), ended: false, failed }
    }

    /// The next block: whole lines, of which the last one of an object may lack its end. None behind the last block.
    ///
    /// # Errors
    /// The object cannot be fetched, or not be decompressed; lines that came out before were given before.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if self.ended {
            return self.failed.take().map_or(Ok(None), Err);
        }
        let mut block = std::mem::take(&mut self.rest);
        loop {
            let wanted = (block.len() * 2).clamp(BLOCK_BYTES, LINE_BYTES_MAX + 1);
            self.fill(&mut block, wanted);
            if let Some(end) = memrchr(b'\n', &block) {
                self.rest = block.split_off(end + 1);
                break;
            }
            if self.ended {
                self.rest = std::mem::take(&mut block);
                break;
            }
            if block.len() > LINE_BYTES_MAX {
                self.ended = true;
                return Err(Failure::Damage(format!(
                    "a line has more than {LINE_BYTES_MAX} bytes"
                )));
            }
        }
        if self.ended {
            let rest = std::mem::take(&mut self.rest);
            // Where decompression broke off the last line is not whole.
            if self.failed.is_none() {
                block.extend(rest);
            }
        }
        if block.is_empty() {
            return self.failed.take().map_or(Ok(None), Err);
        }
        Ok(Some(block))
    }

    fn fill(&mut self, block: &mut Vec<u8>, wanted: usize) {
        let mut at = block.len();
        block.resize(wanted, 0);
        while at < wanted && !self.ended {
            match self.reader.read(&mut block[at..]) {
                Ok(0) => self.ended = true,
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(failure(&error));
                }
            }
        }
        block.truncate(at);
        self.ended |= self.failed.is_some();
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|error| error.downcast_ref::<QueryError>()) {
        Some(error) => Failure::Fetch(error.clone()),
        None => Failure::Damage(format!("it cannot be decompressed ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn stored(codec: Codec, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match codec {
            Codec::Plain => bytes.extend(text),
            Codec::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap();
            }
            Codec::Zstd => bytes = zstd::encode_all(text, 1).unwrap(),
            Codec::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(&mut bytes);
                encoder.write_all(text).unwrap();
                encoder.flush().unwrap();
                drop(encoder);
            }
        }
        bytes
    }

    fn blocks(codec: Codec, stored: Vec<u8>) -> (Vec<Vec<u8>>, Option<Failure>) {
        let mut blocks = Blocks::new(codec, io::Cursor::new(stored));
        let mut found = Vec::new();
        loop {
            match blocks.next() {
                Ok(Some(block)) => found.push(block),
                Ok(None) => return (found, None),
                Err(failure) => return (found, Some(failure)),
            }
        }
    }

    const CODECS: [Codec; 4] = [Codec::Plain, Codec::Gzip, Codec::Zstd, Codec::Snappy];

    fn lines(seed: u32, count: usize, length: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut text = Vec::new();
        for _ in 0..count {
            let length = next() % length;
            text.extend((0..length).map(|_| b'a' + (next() % 26) as u8));
            text.push(b'\n');
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn blocks_are_the_text_cut_at_line_ends(seed: u32, count in 0usize..2000, end: bool) {
            let mut text = lines(seed, count, 1500);
            if end {
                text.pop();
            }
            for codec in CODECS {
                let (blocks, failure) = blocks(codec, stored(codec, &text));
                prop_assert_eq!(failure, None);
                for block in blocks.iter().rev().skip(1) {
                    prop_assert_eq!(block.last(), Some(&b'\n'));
                }
                prop_assert!(blocks.concat() == text);
            }
        }
    }

    #[test]
    fn members_in_a_row_are_one_text() {
        for codec in CODECS {
            let both = [stored(codec, b"one\n"), stored(codec, b"two\n")].concat();
            let (blocks, failure) = blocks(codec, both);
            assert_eq!((blocks.concat(), failure), (b"one\ntwo\n".to_vec(), None), "{codec:?}");
        }
    }

    #[test]
    fn a_line_longer_than_a_block_is_one_block() {
        let text = [vec![b'x'; 3 * BLOCK_BYTES], b"\ny\n".to_vec()].concat();
        let (blocks, _) = blocks(Codec::Gzip, stored(Codec::Gzip, &text));
        assert!(blocks.concat() == text);
        assert!(blocks[0].starts_with(&text[..3 * BLOCK_BYTES + 1]));
    }

    #[test]
    fn a_line_that_does_not_end_is_given_up() {
        let bomb = vec![b'0'; LINE_BYTES_MAX * 3];
        let (blocks, failure) = blocks(Codec::Zstd, stored(Codec::Zstd, &bomb));
        assert!(blocks.is_empty());
        let Some(Failure::Damage(what)) = failure else { panic!("{failure:?}") };
        assert!(what.contains("a line has more than 33554432 bytes"), "{what}");
    }

    #[test]
    fn what_came_out_of_a_damaged_object_comes_before_the_damage() {
        let text = lines(7, 4000, 400);
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Snappy] {
            let mut half = stored(codec, &text);
            half.truncate(half.len() / 2);
            let (blocks, failure) = blocks(codec, half);
            let found = blocks.concat();
            assert!(text.starts_with(&found) && found.ends_with(b"\n"), "{codec:?}");
            assert!(matches!(failure, Some(Failure::Damage(_))), "{codec:?}: {failure:?}");
        }
    }

    #[test]
    fn a_fetch_that_fails_is_no_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other(QueryError::Interrupted))
            }
        }
        for codec in CODECS {
            let mut blocks = Blocks::new(codec, Broken);
            assert_eq!(blocks.next(), Err(Failure::Fetch(QueryError::Interrupted)), "{codec:?}");
        }
    }
}
