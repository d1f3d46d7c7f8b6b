//! Rows of a Parquet object: of the columns that a statement asks for, no others are fetched or decoded.
//!
//! Plain columns are read column by column (`column`); lists, maps and groups become JSON text (`nested`). The record
//! of a row is a JSON object of all its columns that are not NULL, with what its writer could not put into a column.

mod column;
mod json;
mod nested;
mod ranges;

use std::borrow::Cow;

use baikonur_record::scan;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use rusqlite::types::ValueRef;

use crate::QueryError;
use crate::cells::{Cell, Rows, Wants, put};
use crate::scan::Halt;
use column::{Column, Json};
pub(crate) use ranges::Ranges;

/// The column in which `kinesis-to-s3` keeps, as a JSON object, what of a record fits into no other one.
const REST: &str = "_rest";

/// Bytes of rows, before compression, that travel together at most, as the object itself tells.
const GROUP_BYTES: u64 = 1 << 20;
const GROUP_ROWS_MAX: usize = 2048;

/// Why a Parquet object was not read to its end.
pub(crate) enum Stop {
    Halt(Halt),
    /// It is not what its name says.
    Damage(String),
}

impl From<ParquetError> for Stop {
    fn from(error: ParquetError) -> Self {
        let source = match &error {
            ParquetError::External(source) => source.downcast_ref::<QueryError>(),
            _ => None,
        };
        match source {
            Some(error) => Self::Halt(Halt::Failed(error.clone())),
            None => Self::Damage(format!("it cannot be read as Parquet ({error})")),
        }
    }
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// The names of the columns.
pub(crate) fn names(ranges: Ranges) -> Result<Vec<String>, Stop> {
    let file = SerializedFileReader::new(ranges)?;
    let schema = file.metadata().file_metadata().schema_descr();
    Ok(schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect())
}

/// Reads an object; `emit` gets its rows, and may end it.
pub(crate) fn read(
    ranges: Ranges,
    wants: &Wants,
    emit: &mut dyn FnMut(Rows) -> Result<(), Halt>,
) -> Result<(), Stop> {
    let file = SerializedFileReader::new(ranges.clone())?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    for place in 0..file.num_row_groups() {
        let metadata = file.metadata().row_group(place);
        let is_wanted = |root: usize| {
            let name = schema.root_schema().get_fields()[root].name();
            wants.record || wants.fields.iter().any(|field| **field == *name)
        };
        let leaves =
            (0..schema.num_columns()).filter(|&leaf| is_wanted(schema.get_column_root_idx(leaf)));
        ranges.hold(leaves.map(|leaf| byte_range(metadata, leaf)).collect())?;
        let group = file.get_row_group(place)?;
        row_group(&*group, &schema, wants, emit)?;
    }
    Ok(())
}

fn byte_range(metadata: &RowGroupMetaData, leaf: usize) -> std::ops::Range<u64> {
    let (start, length) = metadata.column(leaf).byte_range();
    start..start.saturating_add(length)
}

fn row_group(
    group: &dyn RowGroupReader,
    schema: &SchemaDescriptor,
    wants: &Wants,
    emit: &mut dyn FnMut(Rows) -> Result<(), Halt>,
) -> Result<(), Stop> {
    let metadata = group.metadata();
    let total = usize::try_from(metadata.num_rows()).unwrap_or(0);
    let row_bytes = u64::try_from(metadata.total_byte_size()).unwrap_or(0) / (total as u64).max(1);
    let step = (GROUP_BYTES / row_bytes.max(1)) as usize;
    let step = step.min(GROUP_ROWS_MAX).min(wants.rows_max()).max(1);

    let roots = schema.root_schema().get_fields();
    let root_of = |name: &str| roots.iter().position(|root| root.name() == name);
    let mut fields = Vec::new();
    for field in &wants.fields {
        let root =
            root_of(field).map(|root| Column::open(group, schema, root, Json::Read)).transpose()?;
        fields.push(root);
    }
    let mut all = Vec::new();
    if wants.record {
        for (place, root) in roots.iter().enumerate() {
            all.push((root.name(), Column::open(group, schema, place, Json::Kept)?));
        }
    }
    let mut done = 0;
    let mut column_cells = Vec::new();
    while done < total {
        let count = step.min(total - done);
        let width = wants.width();
        let mut rows =
            Rows { width, count, cells: vec![Cell::Null; width * count], ..Rows::default() };
        for (place, column) in fields.iter_mut().enumerate() {
            let Some(column) = column else { continue };
            column_cells.clear();
            column.read(count, &mut rows.made, &mut column_cells)?;
            for (row, cell) in column_cells.iter().enumerate() {
                rows.cells[row * width + place] = *cell;
            }
        }
        if wants.record {
            records(&mut all, &mut rows)?;
        }
        emit(rows)?;
        done += count;
    }
    Ok(())
}

/// Puts the whole record of each row into the last place.
fn records(all: &mut [(&str, Column<'_>)], rows: &mut Rows) -> Result<(), Stop> {
    let mut parts = Rows { width: rows.count, count: all.len(), ..Rows::default() };
    for (_, column) in all.iter_mut() {
        column.read(rows.count, &mut parts.made, &mut parts.cells)?;
    }
    let rest_place = all.iter().position(|(name, _)| *name == REST);
    let mut text = Vec::new();
    for row in 0..rows.count {
        text.clear();
        text.push(b'{');
        let rest = rest_place.and_then(|place| Rest::of(parts.value(place, row)));
        for (place, (name, column)) in all.iter().enumerate() {
            let value = parts.value(place, row);
            let is_in_rest = rest.as_ref().is_some_and(|rest| {
                Some(place) == rest_place
                    || rest.names.iter().any(|known| **known == *name.as_bytes())
            });
            if value == ValueRef::Null || is_in_rest {
                continue;
            }
            if text.len() > 1 {
                text.push(b',');
            }
            json::string(name.as_bytes(), &mut text);
            text.push(b':');
            column.shape().write(value, &mut text);
        }
        if let Some(Rest { members, .. }) = rest {
            if text.len() > 1 && !members.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(members);
        }
        text.push(b'}');
        let span = put(&mut rows.made, &text).ok_or_else(too_large)?;
        rows.cells[row * rows.width + rows.width - 1] = Cell::Made(span);
    }
    Ok(())
}

/// What of a record fitted into no column.
struct Rest<'v> {
    /// What stands between the braces of its JSON object.
    members: &'v [u8],
    names: Vec<Cow<'v, [u8]>>,
}

impl<'v> Rest<'v> {
    fn of(value: ValueRef<'v>) -> Option<Self> {
        let ValueRef::Text(text) = value else { return None };
        let mut names = Vec::new();
        let root = scan::root(text, |cursor, key| {
            cursor.value()?;
            names.push(key.text());
            Ok(())
        });
        let members = text[root.ok()?.span].strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(Self { members: members.trim_ascii(), names })
    }
}

fn too_large() -> Stop {
    Stop::Damage("a few rows of it have more than 4 GiB".to_owned())
}
