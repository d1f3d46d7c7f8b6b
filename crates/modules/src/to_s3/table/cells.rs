//! The values of a row group, column by column, before they are encoded.
//!
//! A value is kept as what Parquet calls it: a definition level that says how much of its path is there, a repetition
//! level that says which list it goes on with, and, if there is one, the value. Texts are places in the records' own
//! text. So a row group takes about twice the memory of its lines.

use std::ops::Range;

use bytes::Bytes;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;

/// Texts that are handed over at once.
const TEXTS_AT_ONCE: usize = 8192;

/// The values of all columns, and the texts they are in.
#[derive(Default)]
pub(super) struct Cells {
    pub(super) columns: Vec<Column>,
    /// The records, one behind the other.
    text: Vec<u8>,
    /// Strings whose escapes were resolved, and what goes into the last column.
    unescaped: Vec<u8>,
    rows: usize,
    count: usize,
}

/// The values of one column.
pub(super) struct Column {
    definitions: Vec<i16>,
    /// None for columns in no list.
    repetitions: Option<Vec<i16>>,
    values: Values,
    /// The definition level of a value that is there.
    whole: i16,
}

/// Values that are there.
pub(super) enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<Place>),
}

/// A text in one of the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u32,
    length: u32,
    is_unescaped: bool,
}

impl Column {
    pub(super) fn new(values: Values, whole: i16, is_repeated: bool) -> Self {
        Self { definitions: Vec::new(), repetitions: is_repeated.then(Vec::new), values, whole }
    }

    fn clear(&mut self) {
        self.definitions.clear();
        self.repetitions.iter_mut().for_each(Vec::clear);
        match &mut self.values {
            Values::Bool(values) => values.clear(),
            Values::Int(values) => values.clear(),
            Values::Float(values) => values.clear(),
            Values::Text(values) => values.clear(),
        }
    }
}

/// How deep a value is there, and which list it goes on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub(super) definition: i16,
    pub(super) repetition: i16,
}

impl Cells {
    /// Begins a row; gives the offset of its text.
    pub(super) fn begin(&mut self, json: &[u8]) -> usize {
        self.rows += 1;
        self.text.extend_from_slice(json);
        self.text.len() - json.len()
    }

    #[inline]
    fn level(&mut self, column: usize, levels: Levels) -> &mut Values {
        self.count += 1;
        let column = &mut self.columns[column];
        column.definitions.push(levels.definition);
        if let Some(repetitions) = &mut column.repetitions {
            repetitions.push(levels.repetition);
        }
        &mut column.values
    }

    /// Nothing, in all of `columns`.
    pub(super) fn nothing(&mut self, columns: Range<usize>, levels: Levels) {
        for column in columns {
            self.level(column, levels);
        }
    }

    pub(super) fn bool(&mut self, column: usize, levels: Levels, value: bool) {
        if let Values::Bool(values) = self.level(column, levels) {
            values.push(value);
        }
    }

    pub(super) fn int(&mut self, column: usize, levels: Levels, value: i64) {
        if let Values::Int(values) = self.level(column, levels) {
            values.push(value);
        }
    }

    pub(super) fn float(&mut self, column: usize, levels: Levels, value: f64) {
        if let Values::Float(values) = self.level(column, levels) {
            values.push(value);
        }
    }

    /// A text that stands in the records at `span`.
    pub(super) fn text(&mut self, column: usize, levels: Levels, span: Range<usize>) {
        self.place(column, levels, span, false);
    }

    /// A text that stands nowhere.
    pub(super) fn new_text(&mut self, column: usize, levels: Levels, text: &[u8]) {
        let start = self.unescaped.len();
        self.unescaped.extend_from_slice(text);
        self.place(column, levels, start..self.unescaped.len(), true);
    }

    fn place(&mut self, column: usize, levels: Levels, span: Range<usize>, is_unescaped: bool) {
        let short = |number: usize| u32::try_from(number).expect("row groups are below 4 GiB");
        let place = Place { start: short(span.start), length: short(span.len()), is_unescaped };
        if let Values::Text(values) = self.level(column, levels) {
            values.push(place);
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Values and gaps.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of records.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes the texts out, for [`write`].
    pub(super) fn take_texts(&mut self) -> Texts {
        Texts {
            records: std::mem::take(&mut self.text).into(),
            unescaped: std::mem::take(&mut self.unescaped).into(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        (self.rows, self.count) = (0, 0);
    }
}

/// The texts that places are in.
pub(super) struct Texts {
    records: Bytes,
    unescaped: Bytes,
}

impl Texts {
    fn at(&self, place: Place) -> ByteArray {
        let text = if place.is_unescaped { &self.unescaped } else { &self.records };
        let start = place.start as usize;
        text.slice(start..start + place.length as usize).into()
    }
}

/// Encodes a column.
///
/// # Errors
/// What the encoder says.
pub(super) fn write(
    column: &Column,
    texts: &Texts,
    writer: &mut SerializedColumnWriter<'_>,
) -> Result<(), ParquetError> {
    let definitions = Some(column.definitions.as_slice());
    let repetitions = column.repetitions.as_deref();
    match &column.values {
        Values::Bool(values) => {
            writer.typed::<BoolType>().write_batch(values, definitions, repetitions)?;
        }
        Values::Int(values) => {
            writer.typed::<Int64Type>().write_batch(values, definitions, repetitions)?;
        }
        Values::Float(values) => {
            writer.typed::<DoubleType>().write_batch(values, definitions, repetitions)?;
        }
        Values::Text(values) => write_texts(column, values, texts, writer)?,
    }
    Ok(())
}

/// A few at a time: a handle of a text takes more memory than its place.
fn write_texts(
    column: &Column,
    places: &[Place],
    texts: &Texts,
    writer: &mut SerializedColumnWriter<'_>,
) -> Result<(), ParquetError> {
    let (mut places, mut handles) = (places.iter(), Vec::with_capacity(TEXTS_AT_ONCE));
    let (mut start, mut end) = (0, 0);
    while start < column.definitions.len() {
        handles.clear();
        let is_row = |at: usize| column.repetitions.as_ref().is_none_or(|levels| levels[at] == 0);
        // The encoder begins and ends with a row.
        while end < column.definitions.len() && (end - start < TEXTS_AT_ONCE || !is_row(end)) {
            if column.definitions[end] == column.whole {
                handles.extend(places.next().map(|&place| texts.at(place)));
            }
            end += 1;
        }
        let repetitions = column.repetitions.as_ref().map(|levels| &levels[start..end]);
        let definitions = Some(&column.definitions[start..end]);
        writer.typed::<ByteArrayType>().write_batch(&handles, definitions, repetitions)?;
        start = end;
    }
    Ok(())
}
