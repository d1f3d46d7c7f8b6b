//! Gzip (RFC 1952) with a bound on what comes out, all members of the input, and nothing left over.

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// What every gzip member starts with.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Deflate cannot grow its input by more (1,032:1, rounded up), so a larger announced size is not believed.
const GROWTH_MAX: usize = 1040;

/// Why there is no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// More than the limit would come out.
    TooLarge,
    /// The first thing that is wrong.
    Broken(&'static str),
}

/// Decompresses all members of `input`; gives also how many bytes came out, of which a failure keeps none.
///
/// # Errors
/// More than `limit` bytes of output, a member that is cut short or broken, or bytes that are no member.
pub(crate) fn decompress(input: &[u8], limit: usize) -> (usize, Result<Bytes, Failure>) {
    let mut output = Vec::with_capacity(announced_size(input).min(limit));
    let result = members(input, limit, &mut output);
    (output.len(), result.map(|()| output.into()))
}

fn members(input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), Failure> {
    let mut inflate = Decompress::new(false);
    let mut rest = input;
    while !rest.is_empty() {
        let body = header_end(rest).ok_or(Failure::Broken("bytes that are no gzip header"))?;
        let (body_bytes, crc, size) = inflate_member(&mut inflate, &rest[body..], output, limit)?;
        let trailer =
            rest.get(body + body_bytes..).and_then(|trailer| trailer.split_first_chunk::<8>());
        let Some((trailer, after)) = trailer else {
            return Err(Failure::Broken("cut short"));
        };
        let trailer = u64::from_le_bytes(*trailer);
        if trailer as u32 != crc || (trailer >> 32) as u32 != size {
            return Err(Failure::Broken("checksum or size differs"));
        }
        rest = after;
        inflate.reset(false);
    }
    Ok(())
}

/// The size in the last trailer: right for a single member, and a hint at least for several.
fn announced_size(input: &[u8]) -> usize {
    let size = input.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    size.min(input.len().saturating_mul(GROWTH_MAX))
}

/// Inflates one member onto `output`; gives the bytes it took, its checksum and its size modulo 2³².
fn inflate_member(
    inflate: &mut Decompress,
    body: &[u8],
    output: &mut Vec<u8>,
    limit: usize,
) -> Result<(usize, u32, u32), Failure> {
    let start = output.len();
    loop {
        let taken = inflate.total_in() as usize;
        let before = output.len();
        let status = inflate
            .decompress_vec(&body[taken..], output, FlushDecompress::None)
            .map_err(|_| Failure::Broken("broken deflate data"))?;
        if output.len() > limit {
            return Err(Failure::TooLarge);
        }
        let taken_now = inflate.total_in() as usize - taken;
        match status {
            Status::StreamEnd => {
                let mut crc = Crc::new();
                crc.update(&output[start..]);
                return Ok((inflate.total_in() as usize, crc.sum(), crc.amount()));
            }
            _ if output.len() == output.capacity() => {
                // One byte above the limit is enough to know that it is exceeded.
                let room = limit + 1 - output.len();
                output.reserve_exact(output.len().max(4096).min(room));
            }
            _ if taken_now == 0 && output.len() == before => {
                return Err(Failure::Broken("cut short"));
            }
            _ => {}
        }
    }
}

/// The length of a member's header.
fn header_end(member: &[u8]) -> Option<usize> {
    const HEADER_CRC: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;

    let fixed = member.first_chunk::<10>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *fixed else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    let mut at = fixed.len();
    if flags & EXTRA != 0 {
        let length = member.get(at..)?.first_chunk::<2>()?;
        at += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            at += member.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        at += 2;
    }
    (at <= member.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder, write::GzEncoder};

    use bytes::Bytes;

    use super::Failure;

    const MANY: usize = 1 << 30;

    fn decompress(input: &[u8], limit: usize) -> Result<Bytes, Failure> {
        super::decompress(input, limit).1
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for text in [b"".as_slice(), b"x", &b"log line ".repeat(10_000)] {
            assert_eq!(decompress(&gzip(text), MANY).unwrap(), text);
        }
    }

    #[test]
    fn members_are_joined() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(decompress(&members, MANY).unwrap(), "one two");
    }

    #[test]
    fn optional_header_fields_are_passed() {
        let builder =
            GzBuilder::new().filename("name").comment("comment").extra(vec![1, 2, 3]).mtime(7);
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        encoder.write_all(b"text").unwrap();
        assert_eq!(decompress(&encoder.finish().unwrap(), MANY).unwrap(), "text");
    }

    #[test]
    fn every_truncation_is_broken() {
        let whole = gzip(&b"some text that is long enough to have a body ".repeat(3));
        for length in 2..whole.len() {
            assert!(
                matches!(decompress(&whole[..length], MANY), Err(Failure::Broken(_))),
                "{length}"
            );
        }
    }

    #[test]
    fn bytes_after_the_last_member_are_broken() {
        for after in [b"\0".as_slice(), b"garbage", &super::MAGIC] {
            let text = [&gzip(b"text"), after].concat();
            assert!(matches!(decompress(&text, MANY), Err(Failure::Broken(_))));
        }
    }

    #[test]
    fn a_wrong_checksum_or_size_is_broken() {
        let whole = gzip(b"text");
        for from_end in 1..=8 {
            let mut text = whole.clone();
            let at = text.len() - from_end;
            text[at] ^= 1;
            assert!(matches!(decompress(&text, MANY), Err(Failure::Broken(_))));
        }
    }

    #[test]
    fn the_limit_is_exact_and_a_bomb_costs_no_more_than_it() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(decompress(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert_eq!(decompress(&bomb, (1 << 20) - 1), Err(Failure::TooLarge));
        assert_eq!(decompress(&bomb, 0), Err(Failure::TooLarge));
        assert_eq!(decompress(&gzip(b""), 0).unwrap(), "");
        let members = [bomb.as_slice(), &bomb].concat();
        assert_eq!(decompress(&members, 3 << 19), Err(Failure::TooLarge));
    }
}
