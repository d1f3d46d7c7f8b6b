//! Lines in zstd, snappy or as they are, compressed block by block while they come.
//!
//! As with [`gzip`](super::gzip), each block is compressed by itself: an object that is being filled holds compressed
//! bytes and one open block, one compressor serves all objects of a shard, and the bytes depend on the lines alone. All
//! of these formats say that frames in a row are one text. Blocks that are not compressed, or that snappy compresses at
//! most 20 times, are held [packed](super::piece): else one batch of records that grow a thousandfold would fill the
//! memory.
//!
//! zstd and snappy know no place for a comment that all readers pass over: Athena's reader takes a skippable frame of
//! zstd for damage. So these objects say where they are from in their names.

use bytes::Bytes;
use zstd::bulk::Compressor;

use super::codec::Codec;
use super::piece::{Holder, Piece};

/// Raw bytes of the first blocks, which are compressed at once, or the one line that is longer.
const BLOCK_BYTES_MIN: usize = 128 * 1024;
/// Raw bytes of a block of a large object: with larger ones zstd finds little more.
const BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// The part of an object that its open block may be: so that many small objects take little memory, and large ones are
/// compressed well.
const BLOCK_PART: u64 = 8;

/// The largest chunk of snappy's framing format, section 4.
const SNAPPY_CHUNK_BYTES: usize = 65_536;
/// How the framing format begins, section 4.1.
const SNAPPY_BEGINNING: &[u8] = b"\xff\x06\x00\x00sNaPpY";
const SNAPPY_COMPRESSED: u8 = 0;
const SNAPPY_UNCOMPRESSED: u8 = 1;
/// Raw bytes of a block of Hadoop's: its readers hold 256 KiB unless they are told otherwise.
const HADOOP_BLOCK_BYTES: usize = 128 * 1024;

/// Compresses blocks; holds no state between them.
pub struct Framer {
    framing: Framing,
    /// None where blocks are as small as they can be held.
    holder: Option<Holder>,
    output: Vec<u8>,
}

enum Framing {
    Zstd(Compressor<'static>),
    Snappy(snap::raw::Encoder),
    HadoopSnappy(snap::raw::Encoder),
    None,
}

impl Framer {
    /// A compressor for frames of `codec`, with a level where it has levels; none for gzip, which has no frames.
    pub fn new(codec: Codec, level: u32) -> Option<Self> {
        let framing = match codec {
            Codec::Gzip => return None,
            Codec::Zstd => Framing::Zstd(zstd_compressor(level)),
            Codec::Snappy => Framing::Snappy(snap::raw::Encoder::new()),
            Codec::HadoopSnappy => Framing::HadoopSnappy(snap::raw::Encoder::new()),
            Codec::None => Framing::None,
        };
        let holder = (codec != Codec::Zstd).then(Holder::new);
        Some(Self { framing, holder, output: Vec::new() })
    }

    fn block(&mut self, raw: &[u8]) -> Piece {
        self.output.clear();
        match &mut self.framing {
            Framing::Zstd(compressor) => {
                self.output.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                compressor
                    .compress_to_buffer(raw, &mut self.output)
                    .expect("there is room for whatever comes out");
            }
            Framing::Snappy(encoder) => {
                for chunk in raw.chunks(SNAPPY_CHUNK_BYTES) {
                    snappy_chunk(chunk, encoder, &mut self.output);
                }
            }
            Framing::HadoopSnappy(encoder) => {
                for block in raw.chunks(HADOOP_BLOCK_BYTES) {
                    hadoop_block(block, encoder, &mut self.output);
                }
            }
            Framing::None => {}
        }
        let content = if matches!(self.framing, Framing::None) { raw } else { &self.output };
        match &mut self.holder {
            Some(holder) => holder.hold(content),
            None => Piece::Plain(Bytes::copy_from_slice(content)),
        }
    }

    fn beginning(&self) -> &'static [u8] {
        match self.framing {
            Framing::Snappy(_) => SNAPPY_BEGINNING,
            Framing::Zstd(_) | Framing::HadoopSnappy(_) | Framing::None => b"",
        }
    }
}

fn zstd_compressor(level: u32) -> Compressor<'static> {
    let level = i32::try_from(level).unwrap_or(i32::MAX);
    let mut compressor = Compressor::new(level).expect("zstd takes every level");
    compressor.include_checksum(true).expect("zstd knows checksums");
    compressor
}

/// Compresses `raw` behind `output`; gives the bytes that it became.
fn snappy(raw: &[u8], encoder: &mut snap::raw::Encoder, output: &mut Vec<u8>) -> usize {
    let start = output.len();
    output.resize(start + snap::raw::max_compress_len(raw.len()), 0);
    let room = &mut output[start..];
    let packed = encoder.compress(raw, room).expect("there is room for whatever comes out");
    output.truncate(start + packed);
    packed
}

/// A chunk of the framing format, section 4.2 or 4.3: kind, length in three bytes, checksum, content.
fn snappy_chunk(raw: &[u8], encoder: &mut snap::raw::Encoder, output: &mut Vec<u8>) {
    let start = output.len();
    output.extend([0; 8]);
    let mut kind = SNAPPY_COMPRESSED;
    let mut length = snappy(raw, encoder, output);
    if length >= raw.len() {
        output.truncate(start + 8);
        output.extend_from_slice(raw);
        (kind, length) = (SNAPPY_UNCOMPRESSED, raw.len());
    }
    let [low, middle, high, _] = (u32_of(length) + 4).to_le_bytes();
    output[start..start + 4].copy_from_slice(&[kind, low, middle, high]);
    output[start + 4..start + 8].copy_from_slice(&masked_crc(raw).to_le_bytes());
}

/// Section 3 of the framing format.
fn masked_crc(raw: &[u8]) -> u32 {
    crc32c::crc32c(raw).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A block of Hadoop's `BlockCompressorStream`: raw length, then chunks, here one, each behind its length.
fn hadoop_block(raw: &[u8], encoder: &mut snap::raw::Encoder, output: &mut Vec<u8>) {
    let start = output.len();
    output.extend([0; 8]);
    let length = snappy(raw, encoder, output);
    output[start..start + 4].copy_from_slice(&u32_of(raw.len()).to_be_bytes());
    output[start + 4..start + 8].copy_from_slice(&u32_of(length).to_be_bytes());
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("chunks are of KiB")
}

/// A text that is being filled.
#[derive(Default)]
pub struct Frames {
    blocks: Vec<Piece>,
    block_bytes: usize,
    raw_bytes: u64,
    pending: Vec<u8>,
}

impl Frames {
    /// A text of no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `parts`, which stay in one block.
    pub fn push(&mut self, parts: &[&[u8]], framer: &mut Framer) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.pending.reserve(length);
        parts.iter().for_each(|part| self.pending.extend_from_slice(part));
        self.raw_bytes += length as u64;
        let wanted = usize::try_from(self.raw_bytes / BLOCK_PART).unwrap_or(usize::MAX);
        if self.pending.len() < wanted.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) {
            return;
        }
        let block = framer.block(&self.pending);
        self.block_bytes += block.held_bytes();
        self.blocks.push(block);
        self.pending.clear();
        // One long line does not set the size for ever.
        self.pending.shrink_to(BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 4);
    }

    /// Appends `line` and a line end.
    pub fn push_line(&mut self, line: &[u8], framer: &mut Framer) {
        self.push(&[line, b"\n"], framer);
    }

    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        let blocks = self.blocks.capacity() * size_of::<Piece>();
        self.block_bytes + self.pending.capacity() + blocks
    }

    /// All blocks, the open one too. The text can still grow afterwards.
    pub fn blocks(&self, framer: &mut Framer) -> Vec<Piece> {
        let mut blocks = Vec::with_capacity(self.blocks.len() + 1);
        blocks.extend(self.blocks.iter().cloned());
        if !self.pending.is_empty() {
            blocks.push(framer.block(&self.pending));
        }
        blocks
    }

    /// The whole file. The text can still grow afterwards.
    pub fn whole(&self, framer: &mut Framer) -> Vec<Piece> {
        let beginning = Bytes::from_static(framer.beginning());
        let beginning = (!beginning.is_empty()).then_some(Piece::Plain(beginning));
        beginning.into_iter().chain(self.blocks(framer)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::piece;
    use super::*;

    const FRAMED: [Codec; 4] = [Codec::Zstd, Codec::Snappy, Codec::HadoopSnappy, Codec::None];

    fn file(whole: Vec<Piece>) -> Vec<u8> {
        piece::unpacked(whole).unwrap().concat()
    }

    #[expect(clippy::disallowed_methods, reason = "a test, and capped")]
    fn unpacked(codec: Codec, whole: Vec<Piece>) -> Vec<u8> {
        let (bytes, mut raw) = (file(whole), Vec::new());
        let mut capped: Box<dyn Read> = match codec {
            Codec::Zstd => Box::new(zstd::stream::read::Decoder::new(&*bytes).unwrap()),
            Codec::Snappy => Box::new(snap::read::FrameDecoder::new(&*bytes)),
            Codec::HadoopSnappy => return of_hadoop(&bytes),
            Codec::None | Codec::Gzip => Box::new(&*bytes),
        };
        capped.by_ref().take(1 << 30).read_to_end(&mut raw).unwrap();
        raw
    }

    fn of_hadoop(mut bytes: &[u8]) -> Vec<u8> {
        let mut raw = Vec::new();
        let number = |bytes: &mut &[u8]| {
            let (number, rest) = bytes.split_first_chunk::<4>().unwrap();
            *bytes = rest;
            u32::from_be_bytes(*number) as usize
        };
        while !bytes.is_empty() {
            let (expected, length) = (number(&mut bytes), number(&mut bytes));
            let block = snap::raw::Decoder::new().decompress_vec(&bytes[..length]).unwrap();
            assert_eq!(block.len(), expected);
            raw.extend(block);
            bytes = &bytes[length..];
        }
        raw
    }

    /// Lines of every kind of compressibility and length around the blocks'.
    fn lines() -> Vec<Vec<u8>> {
        let mut seed = 7u32;
        let mut random = |length: usize| {
            let next = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            });
            next.take(length).collect::<Vec<u8>>()
        };
        let mut lines: Vec<_> = (0..5000).map(|n| format!("line {n}").into_bytes()).collect();
        lines.extend([Vec::new(), vec![b'x'; 3 * BLOCK_BYTES_MAX], random(BLOCK_BYTES_MAX)]);
        lines.extend((0..20_000).map(|n| random(n % 300)));
        lines
    }

    #[test]
    fn all_lines_come_out() {
        let lines = lines();
        let expected: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
        for codec in FRAMED {
            let mut framer = Framer::new(codec, 3).unwrap();
            let mut frames = Frames::new();
            lines.iter().for_each(|line| frames.push_line(line, &mut framer));
            assert!(unpacked(codec, frames.whole(&mut framer)) == expected, "{codec:?}");
            let whole = frames.whole(&mut framer);
            let bytes: usize = whole.iter().map(Piece::content_bytes).sum();
            assert_eq!(bytes, file(whole).len());
        }
        assert!(Framer::new(Codec::Gzip, 3).is_none());
    }

    #[test]
    fn the_same_lines_give_the_same_bytes_whatever_else_was_compressed() {
        for codec in FRAMED {
            let whole = |other: bool| {
                let mut framer = Framer::new(codec, 3).unwrap();
                let (mut frames, mut beside) = (Frames::new(), Frames::new());
                for line in lines() {
                    frames.push_line(&line, &mut framer);
                    if other {
                        beside.push_line(b"something else", &mut framer);
                        beside.push_line(&line, &mut framer);
                    }
                }
                // Looking at the whole changes nothing.
                assert_eq!(frames.whole(&mut framer), frames.whole(&mut framer));
                file(frames.whole(&mut framer))
            };
            assert!(whole(false) == whole(true), "{codec:?}");
        }
    }

    #[test]
    fn a_large_text_takes_the_memory_of_its_frames() {
        for codec in FRAMED {
            let mut framer = Framer::new(codec, 1).unwrap();
            let mut frames = Frames::new();
            for n in 0..400_000 {
                let line = format!("a line that is like the others {n}");
                frames.push_line(line.as_bytes(), &mut framer);
            }
            let held = frames.held_bytes();
            assert!(held < 4 * BLOCK_BYTES_MAX, "{codec:?}: {held}");
        }
    }

    #[test]
    fn lines_that_grew_a_thousandfold_do_not_fill_the_memory() {
        for codec in FRAMED {
            let mut framer = Framer::new(codec, 1).unwrap();
            let mut frames = Frames::new();
            let line = vec![b'a'; 8 << 20];
            (0..8).for_each(|_| frames.push_line(&line, &mut framer));
            let held = frames.held_bytes();
            assert!(held < 2 * BLOCK_BYTES_MAX, "{codec:?}: {held}");
        }
    }
}
