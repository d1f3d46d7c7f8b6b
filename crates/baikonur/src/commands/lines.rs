//! Lines of files and of the standard input, each at most as long as a record may be.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 * 1024;

/// A line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its bytes, without the line end.
    Bytes(Bytes),
    /// It has this many bytes, more than it may; they were passed over.
    TooLong(u64),
}

/// The lines of one input.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    bytes_max: usize,
}

impl Lines {
    /// Opens a file, or the standard input for `-`. What is gzipped is decompressed as it is read.
    pub(super) fn open(
        path: &Path,
        bytes_max: usize,
        watch: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>,
    ) -> io::Result<Self> {
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path)?)
        };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, watch(input));
        let input: Box<dyn BufRead + Send> = if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Self { input, bytes_max })
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut length = 0u64;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = (self.bytes_max + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len() as u64;
            let at_end = end.is_some() || buffer.is_empty();
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(taken);
            if at_end {
                break;
            }
        }
        if line.last() == Some(&b'\r') && length == line.len() as u64 {
            line.pop();
            length -= 1;
        }
        if length > self.bytes_max as u64 {
            return Ok(Some(Line::TooLong(length)));
        }
        Ok(Some(Line::Bytes(line.into())))
    }
}

/// `-` when no file is named.
pub(super) fn or_standard_input(files: Vec<PathBuf>) -> Vec<PathBuf> {
    if files.is_empty() { vec![PathBuf::from("-")] } else { files }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &'static [u8], bytes_max: usize) -> Vec<Line> {
        // Two bytes at a time, so that lines fall over the ends of buffers.
        let input = Box::new(BufReader::with_capacity(2, input));
        let mut lines = Lines { input, bytes_max };
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn line(text: &'static str) -> Line {
        Line::Bytes(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_end_at_line_ends_and_at_the_end() {
        assert_eq!(lines(b"", 9), []);
        assert_eq!(lines(b"a\nbc\r\n\nd", 9), [line("a"), line("bc"), line(""), line("d")]);
        assert_eq!(lines(b"abc\n", 9), [line("abc")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        assert_eq!(lines(b"abcdefgh\nx\n", 3), [Line::TooLong(8), line("x")]);
        assert_eq!(lines(b"abc\nx", 3), [line("abc"), line("x")]);
    }
}
