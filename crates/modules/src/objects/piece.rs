//! Pieces of an object's content, which may be held in less memory than they take in the object.
//!
//! A batch of a few MiB can become lines of GiB: what is written as it is, or nearly so, is held compressed, and is
//! unpacked piece by piece while it is written.

use std::io;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

/// Fast, and still a tenth of the size of ordinary logs.
const HELD_LEVEL: i32 = 1;

/// A part of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands in the object.
    Plain(Bytes),
    /// A frame of zstd of it.
    Packed {
        /// The frame.
        frame: Bytes,
        /// Bytes that come out of it.
        content_bytes: usize,
    },
}

impl Piece {
    /// Bytes in the object.
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Packed { content_bytes, .. } => *content_bytes,
        }
    }

    /// Bytes in memory.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Packed { frame: bytes, .. } => bytes.len(),
        }
    }

    /// Its bytes in the object.
    ///
    /// # Errors
    /// A frame that is damaged.
    pub fn unpacked(self) -> io::Result<Bytes> {
        match self {
            Self::Plain(bytes) => Ok(bytes),
            packed @ Self::Packed { .. } => {
                let mut content = Vec::new();
                packed.unpack_into(&mut content)?;
                Ok(content.into())
            }
        }
    }

    /// Makes `content` its bytes in the object.
    ///
    /// # Errors
    /// A frame that is damaged.
    pub fn unpack_into(&self, content: &mut Vec<u8>) -> io::Result<()> {
        content.clear();
        match self {
            Self::Plain(bytes) => content.extend_from_slice(bytes),
            Self::Packed { frame, content_bytes } => {
                content.reserve(*content_bytes);
                Decompressor::new()?.decompress_to_buffer(frame, content)?;
            }
        }
        Ok(())
    }
}

/// All of a content.
///
/// # Errors
/// A frame that is damaged.
pub fn unpacked(content: Vec<Piece>) -> io::Result<Vec<Bytes>> {
    content.into_iter().map(Piece::unpacked).collect()
}

/// Packs pieces; holds no state between them.
pub struct Holder {
    compressor: Compressor<'static>,
    output: Vec<u8>,
}

impl Holder {
    /// A holder of pieces.
    pub fn new() -> Self {
        let mut compressor = Compressor::new(HELD_LEVEL).expect("zstd takes every level");
        compressor.include_checksum(true).expect("zstd knows checksums");
        Self { compressor, output: Vec::new() }
    }

    /// A piece of `content`, packed if that makes it smaller.
    pub fn hold(&mut self, content: &[u8]) -> Piece {
        self.output.clear();
        self.output.reserve(zstd::zstd_safe::compress_bound(content.len()));
        self.compressor
            .compress_to_buffer(content, &mut self.output)
            .expect("there is room for whatever comes out");
        if self.output.len() < content.len() {
            let frame = Bytes::copy_from_slice(&self.output);
            Piece::Packed { frame, content_bytes: content.len() }
        } else {
            Piece::Plain(Bytes::copy_from_slice(content))
        }
    }
}

impl Default for Holder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_out_and_what_repeats_itself_takes_little() {
        let mut holder = Holder::new();
        for (content, held_max) in [(vec![b'a'; 1 << 20], 1000), (vec![7], 1), (Vec::new(), 0)] {
            let piece = holder.hold(&content);
            assert!(piece.held_bytes() <= held_max, "{}", piece.held_bytes());
            assert_eq!(piece.content_bytes(), content.len());
            assert!(piece.unpacked().unwrap() == content);
        }
        let damaged = Piece::Packed { frame: Bytes::from_static(b"no frame"), content_bytes: 9 };
        assert!(damaged.unpacked().is_err());
    }
}
