//! Rows on their way from an object to the statement: many at once, so that threads meet seldom.

use std::ops::Range;

use bytes::Bytes;
use rusqlite::types::ValueRef;

/// Cells that travel together, at most about that many.
pub(crate) const CELLS_MAX: usize = 1 << 16;

/// What a statement needs of each row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wants {
    /// Fields at the top of a record, each in a place of its own from 0 on.
    pub(crate) fields: Vec<Box<str>>,
    /// The whole record, in the last place.
    pub(crate) record: bool,
}

impl Wants {
    /// Cells of a row.
    pub(crate) fn width(&self) -> usize {
        self.fields.len() + usize::from(self.record)
    }

    /// Rows that travel together.
    pub(crate) fn rows_max(&self) -> usize {
        CELLS_MAX / self.width().max(1)
    }
}

/// A value, or where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    /// Of what was read.
    Text(Span),
    /// Of what was made from it.
    Made(Span),
    /// Of what was made, and no text.
    Blob(Span),
}

/// A range that takes the room of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// None for a range that lies beyond 4 GiB.
    pub(crate) fn new(range: Range<usize>) -> Option<Self> {
        Some(Self { start: u32::try_from(range.start).ok()?, end: u32::try_from(range.end).ok()? })
    }

    /// What stands there.
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Some rows of one object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// UTF-8, wherever a cell points to it.
    pub(crate) text: Bytes,
    pub(crate) made: Vec<u8>,
    /// Row by row.
    pub(crate) cells: Vec<Cell>,
    pub(crate) width: usize,
    pub(crate) count: usize,
}

impl Rows {
    /// The value of a row in a place, both within their bounds.
    pub(crate) fn value(&self, row: usize, place: usize) -> ValueRef<'_> {
        match self.cells.get(row * self.width + place) {
            None | Some(Cell::Null) => ValueRef::Null,
            Some(Cell::Integer(number)) => ValueRef::Integer(*number),
            Some(Cell::Real(number)) => ValueRef::Real(*number),
            Some(Cell::Text(span)) => ValueRef::Text(span.of(&self.text)),
            Some(Cell::Made(span)) => ValueRef::Text(span.of(&self.made)),
            Some(Cell::Blob(span)) => ValueRef::Blob(span.of(&self.made)),
        }
    }
}

/// Appends to what was made; none when that is full, which a row of 4 GiB would bring about.
pub(crate) fn put(made: &mut Vec<u8>, bytes: &[u8]) -> Option<Span> {
    let start = made.len();
    made.extend_from_slice(bytes);
    Span::new(start..made.len())
}
