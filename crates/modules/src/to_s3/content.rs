//! What an object is filled with: lines in a codec, or the records of a table.

use std::sync::Arc;

use baikonur_record::LogEvent;

use super::Settings;
use super::table::{self, Table, TableSettings};
use crate::objects::Piece;
use crate::objects::codec::{Codec, Format};
use crate::objects::frames::{Framer, Frames};
use crate::objects::gzip::{Deflate, Gzip};

/// How the contents of one shard are made: one compressor for all of them.
pub(super) enum Packer {
    Gzip(Deflate),
    Frames(Framer),
    Table(Framer, Arc<TableSettings>),
}

/// The content of one object, from the [`Packer`] of its shard.
pub(super) enum Content {
    Gzip(Gzip),
    Frames(Frames),
    Table {
        records: Frames,
        /// That of the first record, also where its time is of no use.
        log_type: String,
    },
}

/// The content of an object that is to be written.
pub(super) enum Whole {
    /// The file.
    Ready(Vec<Piece>),
    /// What the file is still to be made of.
    Table(Box<Table>),
}

impl Packer {
    pub(super) fn new(settings: &Settings, tables: &Arc<TableSettings>) -> Self {
        if settings.format == Format::Parquet {
            return Self::Table(table::framer(), Arc::clone(tables));
        }
        match Framer::new(settings.codec(), settings.level()) {
            Some(framer) if settings.codec() != Codec::Gzip => Self::Frames(framer),
            _ => Self::Gzip(Deflate::new(settings.level())),
        }
    }

    /// A content of nothing for an object whose first event is `event`.
    pub(super) fn begin(&self, event: &LogEvent) -> Content {
        match self {
            Self::Gzip(_) => Content::Gzip(Gzip::new()),
            Self::Frames(_) => Content::Frames(Frames::new()),
            Self::Table(..) => {
                let log_type = event.log_type.declared().unwrap_or_default().to_owned();
                Content::Table { records: Frames::new(), log_type }
            }
        }
    }

    /// Appends an event; gives the bytes of its line.
    pub(super) fn push(&mut self, content: &mut Content, event: &LogEvent) -> usize {
        match (self, content) {
            (Self::Gzip(deflate), Content::Gzip(gzip)) => {
                let line = event.to_one_line();
                gzip.push_line(&line, deflate);
                line.len()
            }
            (Self::Frames(framer), Content::Frames(frames)) => {
                let line = event.to_one_line();
                frames.push_line(&line, framer);
                line.len()
            }
            (Self::Table(framer, _), Content::Table { records, .. }) => {
                table::push(records, event, framer)
            }
            _ => unreachable!("contents are begun by the packer of their shard"),
        }
    }

    /// The whole content; it can still grow afterwards.
    pub(super) fn whole(&mut self, content: &Content, origin: &Arc<str>) -> Whole {
        match (self, content) {
            (Self::Gzip(deflate), Content::Gzip(gzip)) => Whole::Ready(gzip.whole(origin, deflate)),
            (Self::Frames(framer), Content::Frames(frames)) => Whole::Ready(frames.whole(framer)),
            (Self::Table(framer, settings), Content::Table { records, log_type }) => {
                Whole::Table(Box::new(Table {
                    settings: Arc::clone(settings),
                    log_type: log_type.clone(),
                    blocks: records.blocks(framer),
                    origin: Arc::clone(origin),
                }))
            }
            _ => unreachable!("contents are begun by the packer of their shard"),
        }
    }
}

impl Content {
    /// Bytes of memory that it takes.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Gzip(gzip) => gzip.held_bytes(),
            Self::Frames(frames) | Self::Table { records: frames, .. } => frames.held_bytes(),
        }
    }
}
