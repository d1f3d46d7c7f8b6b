//! A segment: one file of the log, its frames, and the footer that a sealed one carries.

use std::collections::BTreeMap;
use std::io;

use baikonur_stream::Timestamp;
use bytes::Bytes;

use crate::disk::{DiskFile, LOG_FOLDER};
use crate::frame::{self, BlockHead, Fields, HEADER, Kind, ShardKey};

/// Where a block is and what it holds: the unit of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub(crate) first_counter: u64,
    pub(crate) offset: u64,
    pub(crate) arrival: Timestamp,
    /// Of the whole frame, in bytes.
    pub(crate) length: u32,
    pub(crate) count: u32,
}

impl BlockPlace {
    const LENGTH: usize = 32;

    pub(crate) fn last_counter(&self) -> u64 {
        self.first_counter + u64::from(self.count) - 1
    }
}

/// The blocks of a segment, by shard, in the shard's order.
pub(crate) type Blocks = BTreeMap<ShardKey, Vec<BlockPlace>>;

/// What is known of a shard's blocks in a sealed segment without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) last_counter: u64,
    pub(crate) last_arrival: Timestamp,
    /// Where the shard's places stand in the footer.
    offset: u64,
    count: u32,
}

/// A segment that takes no more records.
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) shards: BTreeMap<ShardKey, Summary>,
    /// The places themselves, for a segment whose footer was lost.
    rebuilt: Option<Blocks>,
}

const TRAILER: usize = 16;
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"BKFT");

/// The file name of a segment.
pub(crate) fn name(number: u64) -> String {
    format!("{LOG_FOLDER}/{number:020}.segment")
}

/// The number in a segment's file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}

/// Reads the block at `place` whole, checks it, and returns its body.
pub(crate) fn read_block(file: &dyn DiskFile, place: &BlockPlace) -> io::Result<Option<Bytes>> {
    let mut buffer = vec![0; place.length as usize];
    file.read_at(&mut buffer, place.offset)?;
    let fits = matches!(frame::decode(&buffer), Some((Kind::Block, body, length))
        if length == buffer.len()
            && BlockHead::read(body).is_some_and(|head| head.first_counter == place.first_counter));
    Ok(fits.then(|| Bytes::from(buffer).slice(HEADER..)))
}

/// The footer of a segment whose frames end at `offset`, with the trailer that finds it.
pub(crate) fn encode_footer(blocks: &Blocks, offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(&mut out, Kind::Footer, |body| {
        body.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
        for (key, places) in blocks {
            body.extend_from_slice(&key.incarnation.to_le_bytes());
            body.extend_from_slice(&key.shard.to_le_bytes());
            body.extend_from_slice(&(places.len() as u32).to_le_bytes());
            for place in places {
                write_place(body, place);
            }
        }
    });
    let mut trailer = offset.to_le_bytes().to_vec();
    trailer.extend_from_slice(&TRAILER_MAGIC.to_le_bytes());
    let crc = crc32c::crc32c(&trailer);
    trailer.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&trailer);
    out
}

fn write_place(out: &mut Vec<u8>, place: &BlockPlace) {
    out.extend_from_slice(&place.first_counter.to_le_bytes());
    out.extend_from_slice(&place.offset.to_le_bytes());
    out.extend_from_slice(&place.arrival.millis().to_le_bytes());
    out.extend_from_slice(&place.length.to_le_bytes());
    out.extend_from_slice(&place.count.to_le_bytes());
}

fn read_place(fields: &mut Fields<'_>) -> Option<BlockPlace> {
    Some(BlockPlace {
        first_counter: fields.u64()?,
        offset: fields.u64()?,
        arrival: Timestamp::from_millis(fields.u64()?),
        length: fields.u32()?,
        count: fields.u32().filter(|count| *count > 0)?,
    })
}

impl Sealed {
    /// Takes up a segment by its footer. None if it has none that can be trusted.
    ///
    /// The file is not kept open: a year of segments would need more handles than a process has.
    pub(crate) fn load(number: u64, file: &dyn DiskFile) -> io::Result<Option<Self>> {
        let bytes = file.length()?;
        let Some(offset) = trailer(file, bytes)? else { return Ok(None) };
        let Some(length) = (bytes - TRAILER as u64).checked_sub(offset) else { return Ok(None) };
        let mut footer = vec![0; length as usize];
        file.read_at(&mut footer, offset)?;
        let shards = match frame::decode(&footer) {
            Some((Kind::Footer, body, _)) => summaries(body, offset + HEADER as u64),
            _ => None,
        };
        Ok(shards.map(|shards| Self { number, bytes, shards, rebuilt: None }))
    }

    /// A segment whose blocks are known from a scan.
    pub(crate) fn rebuilt(number: u64, bytes: u64, blocks: Blocks) -> Self {
        let summary = |places: &Vec<BlockPlace>| {
            places.last().map(|last| Summary {
                last_counter: last.last_counter(),
                last_arrival: last.arrival,
                offset: 0,
                count: 0,
            })
        };
        let shards =
            blocks.iter().filter_map(|(key, places)| Some((*key, summary(places)?))).collect();
        Self { number, bytes, shards, rebuilt: Some(blocks) }
    }

    /// The places of a shard's blocks, from the footer of `file`.
    pub(crate) fn places(&self, file: &dyn DiskFile, key: ShardKey) -> io::Result<Vec<BlockPlace>> {
        if let Some(blocks) = &self.rebuilt {
            return Ok(blocks.get(&key).cloned().unwrap_or_default());
        }
        let Some(summary) = self.shards.get(&key) else { return Ok(Vec::new()) };
        let mut buffer = vec![0; summary.count as usize * BlockPlace::LENGTH];
        file.read_at(&mut buffer, summary.offset)?;
        let mut fields = Fields(&buffer);
        Ok((0..summary.count).filter_map(|_| read_place(&mut fields)).collect())
    }
}

fn trailer(file: &dyn DiskFile, length: u64) -> io::Result<Option<u64>> {
    let Some(at) = length.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    file.read_at(&mut trailer, at)?;
    let mut fields = Fields(&trailer);
    let (offset, magic, crc) = (fields.u64(), fields.u32(), fields.u32());
    let good = magic == Some(TRAILER_MAGIC) && crc == Some(crc32c::crc32c(&trailer[..12]));
    Ok(offset.filter(|offset| good && *offset <= at))
}

/// The summaries of a footer's body that starts at `base` of the file.
fn summaries(body: &[u8], base: u64) -> Option<BTreeMap<ShardKey, Summary>> {
    let mut fields = Fields(body);
    let shards = fields.u32()?;
    let mut summaries = BTreeMap::new();
    for _ in 0..shards {
        let key = ShardKey { incarnation: fields.u64()?, shard: fields.u32()? };
        let count = fields.u32()?;
        let offset = base + (body.len() - fields.0.len()) as u64;
        let places = fields.bytes((count as usize).checked_mul(BlockPlace::LENGTH)?)?;
        let last = places.chunks(BlockPlace::LENGTH).last()?;
        let last = read_place(&mut Fields(last))?;
        let summary = Summary {
            last_counter: last.last_counter(),
            last_arrival: last.arrival,
            offset,
            count,
        };
        summaries.insert(key, summary);
    }
    Some(summaries)
}
