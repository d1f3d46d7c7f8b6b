//! Gzip, written piece by piece and made whole at the end.
//!
//! Lines are collected into blocks of [`BLOCK_BYTES`], and each block is compressed by itself. So an
//! object that is being filled holds compressed bytes and one block, no matter how large it gets;
//! one compressor, a third of a MiB, serves all objects of a shard; and the bytes depend on the
//! lines alone, not on the batches they came in. A block ends at a byte and refers to nothing before
//! it, which makes blocks in a row one deflate stream, and the whole one gzip member. It costs about
//! 2 % of size against a compressor that never forgets.
//!
//! The header is written last. An extra field of it tells where an object is from: readers pass over extra fields, and
//! some refuse a member with a comment (DuckDB does), which is where this stood before.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::piece::{Holder, Piece};

/// Bytes of lines that are compressed at once, or the one line that is longer.
pub const BLOCK_BYTES: usize = 128 * 1024;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
/// The extra field of an origin, RFC 1952, section 2.3.1.1.
const ORIGIN_FIELD: [u8; 2] = *b"bK";
/// An empty last block.
const END: [u8; 2] = [3, 0];

/// Compresses blocks; holds no state between them.
pub struct Deflate {
    compress: Compress,
    /// For blocks that are as large as their lines.
    holder: Option<Holder>,
    output: Vec<u8>,
}

impl Deflate {
    /// A compressor of level 0 (stored) to 9 (smallest).
    pub fn new(level: u32) -> Self {
        let compress = Compress::new(Compression::new(level), false);
        let holder = (level == 0).then(Holder::new);
        Self { compress, holder, output: Vec::new() }
    }

    fn block(&mut self, raw: &[u8]) -> Piece {
        self.compress.reset();
        self.output.clear();
        // Enough for whatever does not compress, so that one round is the rule.
        self.output.reserve(raw.len() + raw.len() / 1000 + 64);
        loop {
            let taken = self.compress.total_in() as usize;
            let rest = raw.get(taken..).unwrap_or_default();
            let status = self.compress.compress_vec(rest, &mut self.output, FlushCompress::Sync);
            let flushed = self.output.len() < self.output.capacity();
            let done = self.compress.total_in() as usize == raw.len() && flushed;
            match status {
                Ok(Status::Ok | Status::BufError | Status::StreamEnd) if done => break,
                Ok(_) => self.output.reserve(self.output.len().max(64)),
                Err(_) => unreachable!("deflate takes all input in all its states"),
            }
        }
        match &mut self.holder {
            Some(holder) => holder.hold(&self.output),
            None => Piece::Plain(Bytes::copy_from_slice(&self.output)),
        }
    }
}

/// A gzip member that is being filled.
pub struct Gzip {
    crc: Crc,
    blocks: Vec<Piece>,
    block_bytes: usize,
    pending: Vec<u8>,
}

impl Gzip {
    /// A member of no bytes.
    pub fn new() -> Self {
        Self { crc: Crc::new(), blocks: Vec::new(), block_bytes: 0, pending: Vec::new() }
    }

    /// Appends `line` and a line end.
    pub fn push_line(&mut self, line: &[u8], deflate: &mut Deflate) {
        self.pending.reserve(line.len() + 1);
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        if self.pending.len() < BLOCK_BYTES {
            return;
        }
        self.crc.update(&self.pending);
        let block = deflate.block(&self.pending);
        self.block_bytes += block.held_bytes();
        self.blocks.push(block);
        self.pending.clear();
        // One long line does not set the size for ever.
        self.pending.shrink_to(BLOCK_BYTES + BLOCK_BYTES / 4);
    }

    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        self.block_bytes + self.pending.capacity()
    }

    /// The whole member with `origin` in its header. The member can still grow afterwards.
    pub fn whole(&self, origin: &str, deflate: &mut Deflate) -> Vec<Piece> {
        let mut whole = Vec::with_capacity(self.blocks.len() + 3);
        whole.push(Piece::Plain(header(origin)));
        whole.extend(self.blocks.iter().cloned());
        let mut crc = Crc::new();
        crc.combine(&self.crc);
        if !self.pending.is_empty() {
            crc.update(&self.pending);
            whole.push(deflate.block(&self.pending));
        }
        let mut end = END.to_vec();
        end.extend(crc.sum().to_le_bytes());
        end.extend(crc.amount().to_le_bytes());
        whole.push(Piece::Plain(end.into()));
        whole
    }
}

impl Default for Gzip {
    fn default() -> Self {
        Self::new()
    }
}

/// No modification time, so that the same lines give the same bytes.
fn header(origin: &str) -> Bytes {
    let length = |bytes: usize| u16::try_from(bytes).expect("an origin is a line").to_le_bytes();
    let mut header = MAGIC.to_vec();
    header.extend([EXTRA, 0, 0, 0, 0, 0, 255]);
    header.extend(length(origin.len() + 4));
    header.extend(ORIGIN_FIELD);
    header.extend(length(origin.len()));
    header.extend(origin.bytes());
    header.into()
}

/// Where the gzip member is from of which `head` is the beginning; also one whose comment says it.
pub fn origin(head: &[u8]) -> Option<&str> {
    let [0x1f, 0x8b, 8, flags, ..] = *head.first_chunk::<10>()? else {
        return None;
    };
    let mut at = 10;
    if flags & EXTRA != 0 {
        let (length, rest) = head.get(at..)?.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        if let Some(origin) = extra_field(rest.get(..length)?) {
            return std::str::from_utf8(origin).ok();
        }
        at += 2 + length;
    }
    let text_length = |at: usize| head.get(at..)?.iter().position(|&byte| byte == 0);
    if flags & NAME != 0 {
        at += text_length(at)? + 1;
    }
    if flags & COMMENT == 0 {
        return None;
    }
    std::str::from_utf8(&head[at..at + text_length(at)?]).ok()
}

/// The origin among the extra fields.
fn extra_field(mut fields: &[u8]) -> Option<&[u8]> {
    while let Some((&[first, second, low, high], rest)) = fields.split_first_chunk::<4>() {
        let (content, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        if [first, second] == ORIGIN_FIELD {
            return Some(content);
        }
        fields = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::piece;
    use super::*;

    fn file(whole: Vec<Piece>) -> Vec<u8> {
        piece::unpacked(whole).unwrap().concat()
    }

    #[expect(clippy::disallowed_methods, reason = "a test, and capped")]
    fn unpacked(bytes: &[u8]) -> Vec<u8> {
        let mut raw = Vec::new();
        flate2::read::GzDecoder::new(bytes).take(1 << 30).read_to_end(&mut raw).unwrap();
        raw
    }

    /// Lines of every kind of compressibility and length around the block's.
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
        lines.extend([Vec::new(), vec![b'x'; 3 * BLOCK_BYTES], random(5 * BLOCK_BYTES)]);
        lines.extend((0..2000).map(|n| random(n % 300)));
        lines
    }

    #[test]
    fn all_lines_come_out_at_every_level() {
        let lines = lines();
        let expected =
            lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
        for level in 0..=9 {
            let mut deflate = Deflate::new(level);
            let mut gzip = Gzip::new();
            lines.iter().for_each(|line| gzip.push_line(line, &mut deflate));
            let whole = file(gzip.whole("where it is from", &mut deflate));
            assert!(unpacked(&whole) == expected, "level {level}");
            assert_eq!(origin(&whole), Some("where it is from"));
        }
    }

    #[test]
    fn the_same_lines_give_the_same_bytes_whatever_else_was_compressed() {
        let whole = |other: bool| {
            let mut deflate = Deflate::new(3);
            let (mut gzip, mut beside) = (Gzip::new(), Gzip::new());
            for line in lines() {
                gzip.push_line(&line, &mut deflate);
                if other {
                    beside.push_line(b"something else", &mut deflate);
                    beside.push_line(&line, &mut deflate);
                }
            }
            // Looking at the whole changes nothing.
            assert_eq!(gzip.whole("c", &mut deflate), gzip.whole("c", &mut deflate));
            file(gzip.whole("c", &mut deflate))
        };
        assert!(whole(false) == whole(true));
    }

    #[test]
    fn lines_that_grew_a_thousandfold_do_not_fill_the_memory() {
        for level in 0..=3 {
            let (mut deflate, mut gzip) = (Deflate::new(level), Gzip::new());
            let line = vec![b'a'; 8 << 20];
            (0..8).for_each(|_| gzip.push_line(&line, &mut deflate));
            assert!(gzip.held_bytes() < 1 << 20, "level {level}: {}", gzip.held_bytes());
        }
    }

    #[test]
    fn origins_are_found_among_other_fields_and_in_comments() {
        let commented = [0x1f, 0x8b, 8, EXTRA | NAME | COMMENT, 0, 0, 0, 0, 0, 3, 4, 0, 9, 9, 0, 0];
        let commented = [&commented[..], b"name\0origin\0"].concat();
        let extra = [0x1f, 0x8b, 8, EXTRA, 0, 0, 0, 0, 0, 3, 15, 0, 9, 9, 1, 0, 7];
        let extra = [&extra[..], &ORIGIN_FIELD, &[6, 0], b"origin"].concat();
        for head in [commented, extra] {
            assert_eq!(origin(&head), Some("origin"));
            for cut in 0..head.len() {
                assert_eq!(origin(&head[..cut]), None, "{cut}");
            }
        }
        assert_eq!(origin(b"{\"not\": \"gzip\"}"), None);
        assert_eq!(origin(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]), None);
    }
}
