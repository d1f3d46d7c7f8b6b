//! A file in memory, in pieces, so that it is never copied as a whole.

use std::io::Write;

use bytes::Bytes;

const PIECE_BYTES: usize = 1 << 20;

/// What was written so far.
#[derive(Default)]
pub(super) struct Pieces {
    whole: Vec<Bytes>,
    open: Vec<u8>,
}

impl Pieces {
    /// All of it.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.whole.push(self.open.into());
        self.whole
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.open.len() + bytes.len() > PIECE_BYTES && !self.open.is_empty() {
            self.whole.push(std::mem::take(&mut self.open).into());
        }
        self.open.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_file() {
        let mut pieces = Pieces::default();
        let expected: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        for part in expected.chunks(70_001) {
            pieces.write_all(part).unwrap();
        }
        let whole = pieces.finish();
        assert!(whole.len() > 2 && whole.concat() == expected);
    }
}
