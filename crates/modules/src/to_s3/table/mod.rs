//! The records of an object as a table, in Apache Parquet.
//!
//! Records are kept as compressed lines until the object is closed, and are then read twice: once for the columns, once
//! for the values, a row group at a time. So the columns are as wide as the object's records want them, the memory is
//! that of a row group, and the file depends on the records and the settings alone.
//!
//! Nothing is lost, and nothing is refused: what fits into no column stands, as it came, in the column [`REST`]. The
//! record's time is a column of its own, in microseconds of UTC.
//!
//! The house's scanner reads the records, and the columns are filled by hand: with the `parquet` crate alone, without
//! Arrow's arrays between.

mod cells;
mod given;
mod kinds;
mod node;
mod rows;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use baikonur_record::{Schema, scan};
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde::Deserialize;

pub(super) use given::check_columns;
pub use given::{ColumnType, InvalidColumns, ScalarType};
pub(super) use rows::{framer, push};

use super::Settings;
use crate::objects::Piece;
use crate::objects::codec::Codec;
use cells::{Cells, Levels};
use kinds::{Fields, Kind, Learner};
use node::{Members, Node, Row};
use rows::RowTime;
use sink::Pieces;

/// The column of what fits into no other: the JSON object of these fields of the record.
pub const REST: &str = "_rest";
/// The columns of log types that have none of their own.
const ALL_OTHERS: &str = "*";
/// Where a file says where it is from.
const ORIGIN: &str = "baikonur.origin";

/// Rows of a row group: what DuckDB, Spark and Athena read at once is less.
const ROWS_MAX: usize = 1 << 20;
/// Values and gaps of a row group: tables of many columns have shorter ones.
const CELLS_MAX: usize = 1 << 24;

/// What becomes of objects within a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NestedObjects {
    /// A group with a column for each field.
    #[default]
    Struct,
    /// Their JSON text.
    Json,
}

/// Why a table was not made: never for what its records say.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    #[error("the Parquet file cannot be made: {0}")]
    Parquet(#[from] ParquetError),
    #[error("records that were kept cannot be unpacked: {0}")]
    Unpack(#[from] std::io::Error),
}

/// How the tables of a module are made.
pub(super) struct TableSettings {
    compression: Compression,
    row_group_bytes: usize,
    nested: NestedObjects,
    given: BTreeMap<String, Fields>,
    schema: Schema,
}

impl TableSettings {
    pub(super) fn of(settings: &Settings, schema: Schema) -> Self {
        let level = i32::try_from(settings.level()).unwrap_or(i32::MAX);
        let compression = match settings.codec() {
            Codec::Zstd => Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()),
            Codec::Snappy | Codec::HadoopSnappy => Compression::SNAPPY,
            Codec::Gzip | Codec::None => Compression::UNCOMPRESSED,
        };
        let columns = settings.columns.iter();
        Self {
            compression,
            row_group_bytes: usize::try_from(settings.row_group_bytes).unwrap_or(usize::MAX),
            nested: settings.nested_objects,
            given: columns
                .map(|(of, columns)| (of.clone(), given::given_fields(columns)))
                .collect(),
            schema,
        }
    }

    fn writer_properties(&self, origin: &str) -> WriterProperties {
        WriterProperties::builder()
            // What all readers know.
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(self.compression)
            .set_dictionary_enabled(true)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_key_value_metadata(Some(vec![KeyValue::new(ORIGIN.to_owned(), origin.to_owned())]))
            .build()
    }
}

/// The records of an object.
pub(super) struct Table {
    pub(super) settings: Arc<TableSettings>,
    /// That of the first record, which chooses the columns where they are given.
    pub(super) log_type: String,
    pub(super) blocks: Vec<Piece>,
    pub(super) origin: Arc<str>,
}

impl Table {
    /// The whole file.
    ///
    /// # Errors
    /// Nothing that a record could do.
    pub(super) fn file(&self) -> Result<Vec<Bytes>, TableError> {
        let given = &self.settings.given;
        match given.get(&self.log_type).or_else(|| given.get(ALL_OTHERS)) {
            Some(given) => self.encode(self.root(given), true),
            None => self.encode(self.learnt()?, false),
        }
    }

    /// The whole file with all fields in [`REST`]: what cannot fail for a record's sake.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub(super) fn plain_file(&self) -> Result<Vec<Bytes>, TableError> {
        self.encode(self.root(&Fields::default()), true)
    }

    fn time_name(&self) -> String {
        self.settings.schema.log_timestamp_field.to_string()
    }

    /// The time, then `others`.
    fn root(&self, others: &Fields) -> Fields {
        let (mut root, time_name) = (Fields::default(), self.time_name());
        root.reserve(REST);
        root.add(time_name.as_bytes(), Kind::Timestamp);
        for field in others.list.iter().filter(|field| *field.name != *time_name) {
            root.add(field.name.as_bytes(), field.kind.clone());
        }
        root
    }

    fn learnt(&self) -> Result<Fields, TableError> {
        let (mut columns, mut raw) = (self.root(&Fields::default()), Vec::new());
        let mut learner = Learner::new(self.settings.nested);
        for block in &self.blocks {
            block.unpack_into(&mut raw)?;
            rows::rows(&raw).for_each(|(_, json)| learner.learn(&mut columns, json));
        }
        Ok(columns.known())
    }

    fn encode(&self, columns: Fields, is_given: bool) -> Result<Vec<Bytes>, TableError> {
        let mut cells = Cells::default();
        let time = columns.list.iter().position(|field| *field.name == *self.time_name());
        let absent = Levels { definition: 0, repetition: 0 };
        let members = Members::new(columns, absent, &mut cells.columns);
        let rest = Node::new(&Kind::Json, absent, &mut cells.columns);
        let mut types = members.types()?;
        types.push(rest.parquet_type(REST)?);
        let root = Type::group_type_builder("record").with_fields(types).build()?;
        let properties = Arc::new(self.settings.writer_properties(&self.origin));
        let mut writer = SerializedFileWriter::new(Pieces::default(), Arc::new(root), properties)?;
        let schema = &self.settings.schema;
        let mut filling =
            Filling { members, rest: rest.columns.start, time, is_given, schema, kept: Vec::new() };
        let mut raw = Vec::new();
        for block in &self.blocks {
            block.unpack_into(&mut raw)?;
            for (time, json) in rows::rows(&raw) {
                filling.add(time, json, &mut cells);
                if cells.text_bytes() >= self.settings.row_group_bytes
                    || cells.rows() >= ROWS_MAX
                    || cells.count() >= CELLS_MAX
                {
                    row_group(&mut cells, &mut writer)?;
                }
            }
        }
        if cells.rows() > 0 {
            row_group(&mut cells, &mut writer)?;
        }
        Ok(writer.into_inner()?.finish())
    }
}

fn row_group(
    cells: &mut Cells,
    writer: &mut SerializedFileWriter<Pieces>,
) -> Result<(), TableError> {
    let texts = cells.take_texts();
    let mut group = writer.next_row_group()?;
    let mut columns = cells.columns.iter();
    while let (Some(column), Some(mut writer)) = (columns.next(), group.next_column()?) {
        cells::write(column, &texts, &mut writer)?;
        writer.close()?;
    }
    group.close()?;
    cells.clear();
    Ok(())
}

/// Records becoming cells.
struct Filling<'t> {
    members: Members,
    /// The column of [`REST`].
    rest: usize,
    /// The member with the record's time, if its name can be that of a column.
    time: Option<usize>,
    /// Values may not fit.
    is_given: bool,
    schema: &'t Schema,
    /// What goes into [`REST`].
    kept: Vec<u8>,
}

impl Filling<'_> {
    fn add(&mut self, time: RowTime, json: &[u8], cells: &mut Cells) {
        let offset = cells.begin(json);
        let millis = time.micros.div_euclid(1000);
        let row = Row { json, offset, millis, schema: self.schema };
        let Self { members, kept, .. } = self;
        let mut expected = 0;
        let passed = scan::root(json, |cursor, key| {
            let span = cursor.value()?;
            let place = members.fields.find(key, expected);
            expected = place.map_or(expected, |place| place + 1);
            let is_held = match place {
                None => false,
                place if place == self.time => {
                    time.is_of_record && time.is_exact && !has_nanoseconds(&json[span.clone()])
                }
                Some(place) => {
                    let fits = !self.is_given || members.nodes[place].fits(row, span.clone());
                    if fits {
                        members.note(place, span.clone());
                    }
                    fits
                }
            };
            let is_kept = match place.filter(|_| is_held) {
                // All of it: a part alone would be taken for the whole.
                Some(place) => members.nodes[place].leaves_out(json, span.clone()),
                // A field that was always null has no column, and none says the same.
                None => self.is_given || json[span.start] != b'n',
            };
            if is_kept {
                kept.push(if kept.is_empty() { b'{' } else { b',' });
                for part in [&b"\""[..], key.raw(), b"\":", &json[span]] {
                    kept.extend_from_slice(part);
                }
            }
            Ok(())
        });
        debug_assert!(passed.is_ok(), "records were read before");
        self.cells(row, time, cells);
    }

    fn cells(&mut self, row: Row<'_>, time: RowTime, cells: &mut Cells) {
        let absent = Levels { definition: 0, repetition: 0 };
        let there = Levels { definition: 1, ..absent };
        for place in 0..self.members.nodes.len() {
            let found = self.members.take(place);
            let node = &mut self.members.nodes[place];
            match found {
                _ if self.time == Some(place) && time.is_of_record => {
                    cells.int(node.columns.start, there, time.micros);
                }
                Some(span) => node.add(row, span, absent, cells),
                None => cells.nothing(node.columns.clone(), absent),
            }
        }
        if self.kept.is_empty() {
            cells.nothing(self.rest..self.rest + 1, absent);
        } else {
            self.kept.push(b'}');
            cells.new_text(self.rest, there, &self.kept);
            self.kept.clear();
        }
    }
}

/// Whether the text of a time says more than its column can hold.
fn has_nanoseconds(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b'.' | b','));
    parts.next();
    parts.any(|part| {
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit());
        digits.skip(6).any(|&digit| digit != b'0')
    })
}
