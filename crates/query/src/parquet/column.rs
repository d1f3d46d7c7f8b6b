//! One column of a row group as cells.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type};

use super::json::Shape;
use super::{Stop, nested, too_large};
use crate::cells::{Cell, put};
use crate::fields;

/// A column at the top of the schema.
pub(super) enum Column<'g> {
    Flat(Box<Flat>),
    Nested(Box<RowIter<'g>>),
}

impl<'g> Column<'g> {
    pub(super) fn open(
        group: &'g dyn RowGroupReader,
        schema: &SchemaDescriptor,
        root: usize,
        json: Json,
    ) -> Result<Self, Stop> {
        let field = schema.root_schema().get_fields()[root].clone();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root);
        let leaf =
            leaf.ok_or_else(|| Stop::Damage(format!("column {} has no values", field.name())))?;
        let descriptor = schema.column(leaf);
        if field.is_primitive() && descriptor.max_rep_level() == 0 {
            return Ok(Self::Flat(Box::new(Flat {
                reader: group.get_column_reader(leaf)?,
                kind: Kind::of(&descriptor, json),
                name: field.name().to_owned(),
                optional: descriptor.max_def_level() > 0,
                levels: Vec::new(),
            })));
        }
        let projection = Type::group_type_builder(schema.root_schema().name());
        let projection = projection.with_fields(vec![field]).build()?;
        Ok(Self::Nested(Box::new(RowIter::from_row_group(Some(projection), group)?)))
    }

    /// How its values are written in JSON.
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Nested(_) => Shape::Json,
            Self::Flat(flat) => match flat.kind {
                Kind::Boolean => Shape::Boolean,
                Kind::Json(_) => Shape::Json,
                _ => Shape::Plain,
            },
        }
    }

    /// Appends the cells of the next `count` rows.
    pub(super) fn read(
        &mut self,
        count: usize,
        made: &mut Vec<u8>,
        cells: &mut Vec<Cell>,
    ) -> Result<(), Stop> {
        match self {
            Self::Flat(flat) => flat.read(count, made, cells),
            Self::Nested(rows) => {
                let mut text = Vec::new();
                for _ in 0..count {
                    let row = rows.next().ok_or_else(|| ends_early("a nested column"))??;
                    let field = row.get_column_iter().next().map(|(_, field)| field);
                    cells.push(match field {
                        None | Some(parquet::record::Field::Null) => Cell::Null,
                        Some(field) => {
                            text.clear();
                            nested::write(field, &mut text);
                            Cell::Made(put(made, &text).ok_or_else(too_large)?)
                        }
                    });
                }
                Ok(())
            }
        }
    }
}

fn ends_early(what: &str) -> Stop {
    Stop::Damage(format!("{what} has fewer values than the row group has rows"))
}

/// A column without nesting.
pub(super) struct Flat {
    reader: ColumnReader,
    kind: Kind,
    name: String,
    optional: bool,
    levels: Vec<i16>,
}

/// What becomes of a column whose texts are JSON: where a field has several types, that is how writers keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    /// They stay texts.
    Kept,
    /// Each becomes the value that it stands for, as in lines.
    Read,
}

/// What the values of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Number,
    Unsigned,
    /// With this many digits behind the point.
    Decimal(i32),
    Date,
    /// Nanoseconds of a unit, digits that show it, and whether it is in UTC.
    Timestamp(i128, usize, bool),
    /// The same, of the day.
    Time(i128, usize),
    Json(Json),
    Uuid,
    /// Text where it is UTF-8: old writers do not say that a column is text.
    Bytes,
}

impl Kind {
    fn of(descriptor: &ColumnDescriptor, json: Json) -> Self {
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => (1_000_000, 3),
            TimeUnit::MICROS => (1000, 6),
            TimeUnit::NANOS => (1, 9),
        };
        match descriptor.logical_type_ref() {
            Some(LogicalType::Integer(integer)) if !integer.is_signed => return Self::Unsigned,
            Some(LogicalType::Timestamp(timestamp)) => {
                let (nanos, digits) = unit(&timestamp.unit);
                return Self::Timestamp(nanos, digits, timestamp.is_adjusted_to_u_t_c);
            }
            Some(LogicalType::Time(time)) => {
                let (nanos, digits) = unit(&time.unit);
                return Self::Time(nanos, digits);
            }
            Some(LogicalType::Uuid) => return Self::Uuid,
            _ => {}
        }
        match (descriptor.converted_type(), descriptor.physical_type()) {
            (_, Physical::BOOLEAN) => Self::Boolean,
            (
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
                _,
            ) => Self::Unsigned,
            (ConvertedType::DECIMAL, _) => Self::Decimal(descriptor.type_scale()),
            (ConvertedType::DATE, _) => Self::Date,
            (ConvertedType::TIMESTAMP_MILLIS, _) => Self::Timestamp(1_000_000, 3, true),
            (ConvertedType::TIMESTAMP_MICROS, _) => Self::Timestamp(1000, 6, true),
            (ConvertedType::TIME_MILLIS, _) => Self::Time(1_000_000, 3),
            (ConvertedType::TIME_MICROS, _) => Self::Time(1000, 6),
            (ConvertedType::JSON, _) => Self::Json(json),
            // How timestamps were written before there was a type for them.
            (_, Physical::INT96) => Self::Timestamp(1, 9, false),
            (_, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY) => Self::Bytes,
            _ => Self::Number,
        }
    }
}

impl Flat {
    fn read(
        &mut self,
        count: usize,
        made: &mut Vec<u8>,
        cells: &mut Vec<Cell>,
    ) -> Result<(), Stop> {
        let before = cells.len();
        let (kind, levels, optional) = (self.kind, &mut self.levels, self.optional);
        let mut numbers = |number: i64, unsigned: u64| kind.integer(number, unsigned, made);
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    Some(Cell::Integer(i64::from(*value)))
                })
            }
            ColumnReader::Int32ColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    numbers(i64::from(*value), u64::from(value.cast_unsigned()))
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    numbers(*value, value.cast_unsigned())
                })
            }
            ColumnReader::Int96ColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| numbers(value.to_nanos(), 0))
            }
            ColumnReader::FloatColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    Some(Cell::Real(f64::from(*value)))
                })
            }
            ColumnReader::DoubleColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| Some(Cell::Real(*value)))
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    kind.bytes(value.data(), made)
                })
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                values(reader, count, optional, levels, cells, |value| {
                    kind.bytes(ByteArray::from(value.clone()).data(), made)
                })
            }
        }?;
        match cells.len() - before == count {
            true => Ok(()),
            false => Err(ends_early(&format!("column {}", self.name))),
        }
    }
}

/// Appends as many cells as there are rows left, at most `count`.
fn values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    optional: bool,
    levels: &mut Vec<i16>,
    cells: &mut Vec<Cell>,
    mut cell: impl FnMut(&T::T) -> Option<Cell>,
) -> Result<(), Stop> {
    levels.clear();
    let mut values = Vec::with_capacity(count);
    reader.read_records(count, Some(levels), None, &mut values)?;
    let mut values = values.iter();
    if !optional {
        for value in values {
            cells.push(cell(value).ok_or_else(too_large)?);
        }
        return Ok(());
    }
    for &level in levels.iter() {
        // A column at the top has one level: there is a value, or there is none.
        cells.push(match level {
            0 => Cell::Null,
            _ => match values.next() {
                Some(value) => cell(value).ok_or_else(too_large)?,
                None => return Err(ends_early("a column")),
            },
        });
    }
    Ok(())
}

impl Kind {
    /// None when no more fits into `made`.
    fn integer(self, number: i64, unsigned: u64, made: &mut Vec<u8>) -> Option<Cell> {
        let mut text = |text: String| put(made, text.as_bytes()).map(Cell::Made);
        match self {
            Self::Unsigned => Some(match i64::try_from(unsigned) {
                Ok(number) => Cell::Integer(number),
                Err(_) => Cell::Real(unsigned as f64),
            }),
            Self::Decimal(scale) => Some(decimal(i128::from(number), scale)),
            Self::Date => text(date(i32::try_from(number).unwrap_or(i32::MAX))),
            Self::Timestamp(nanos, digits, is_utc) => {
                text(timestamp(i128::from(number) * nanos, digits, is_utc))
            }
            Self::Time(nanos, digits) => text(time(i128::from(number) * nanos, digits)),
            _ => Some(Cell::Integer(number)),
        }
    }

    fn bytes(self, bytes: &[u8], made: &mut Vec<u8>) -> Option<Cell> {
        match self {
            Self::Decimal(scale) if bytes.len() <= 16 && !bytes.is_empty() => {
                // Big-endian, in two's complement.
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1i128 };
                let number =
                    bytes.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte));
                Some(decimal(number, scale))
            }
            Self::Uuid if bytes.len() == 16 => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let parts =
                    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                put(made, parts.join("-").as_bytes()).map(Cell::Made)
            }
            Self::Decimal(_) | Self::Uuid => put(made, bytes).map(Cell::Blob),
            Self::Json(Json::Read) if simdutf8::basic::from_utf8(bytes).is_ok() => {
                fields::json(bytes, made).or_else(|| put(made, bytes).map(Cell::Made))
            }
            _ => {
                let is_text = simdutf8::basic::from_utf8(bytes).is_ok();
                put(made, bytes).map(if is_text { Cell::Made } else { Cell::Blob })
            }
        }
    }
}

fn decimal(number: i128, scale: i32) -> Cell {
    match i64::try_from(number) {
        Ok(number) if scale == 0 => Cell::Integer(number),
        _ => Cell::Real(number as f64 / 10f64.powi(scale)),
    }
}

/// `2015-05-17`, or the number of days where the calendar ends before.
pub(super) fn date(days: i32) -> String {
    let epoch = Date::constant(1970, 1, 1);
    let span = Span::new().try_days(days);
    match span.and_then(|span| epoch.checked_add(span)) {
        Ok(date) => date.to_string(),
        Err(_) => days.to_string(),
    }
}

/// `2015-05-17T10:05:03.123Z`, without the `Z` where the zone is not known.
pub(super) fn timestamp(nanos: i128, digits: usize, is_utc: bool) -> String {
    let Ok(timestamp) = Timestamp::from_nanosecond(nanos) else { return nanos.to_string() };
    match is_utc {
        true => format!("{timestamp:.digits$}"),
        false => format!("{:.digits$}", Offset::UTC.to_datetime(timestamp)),
    }
}

fn time(nanos: i128, digits: usize) -> String {
    let shown = timestamp(nanos, digits, false);
    shown.split_once('T').map_or(shown.clone(), |(_, time)| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_unit() {
        let nanos = 1_431_857_103_120_000_000;
        assert_eq!(timestamp(nanos, 3, true), "2015-05-17T10:05:03.120Z");
        assert_eq!(timestamp(nanos, 6, false), "2015-05-17T10:05:03.120000");
        assert_eq!(timestamp(-1, 9, true), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(time(36_303_000_000_000, 3), "10:05:03.000");
        assert_eq!((date(16_572), date(-1)), ("2015-05-17".to_owned(), "1969-12-31".to_owned()));
        assert_eq!(date(i32::MAX), i32::MAX.to_string());
    }

    #[test]
    fn decimals_are_numbers() {
        assert_eq!(decimal(-12_345, 2), Cell::Real(-123.45));
        assert_eq!(decimal(12, 0), Cell::Integer(12));
        let mut made = Vec::new();
        assert_eq!(Kind::Decimal(1).bytes(&[0xff, 0xfe], &mut made), Some(Cell::Real(-0.2)));
    }
}
