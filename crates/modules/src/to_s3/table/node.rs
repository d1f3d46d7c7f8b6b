//! A column, a group or a list of a table: its type in Parquet, and how a JSON value becomes its cells.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use baikonur_record::Schema;
use baikonur_record::scan::{Cursor, unescape};
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};

use super::cells::{Cells, Column, Levels, Values};
use super::kinds::{Fields, Kind, Number, is_exact};

/// Names that the Parquet format gives to the parts of a list.
const LIST_GROUP: &str = "list";
const LIST_ELEMENT: &str = "element";

/// A part of a table. All parts may be null.
pub(super) struct Node {
    /// Its columns.
    pub(super) columns: Range<usize>,
    /// The definition level when it is there.
    definition: i16,
    shape: Shape,
}

enum Shape {
    Bool,
    Int,
    Float,
    Text,
    Json,
    Timestamp,
    Group(Members),
    List {
        /// The repetition level of all elements but the first.
        repetition: i16,
        element: Box<Node>,
    },
}

/// The columns of a table, or the members of a group.
pub(super) struct Members {
    /// What the members are called, and where.
    pub(super) fields: Fields,
    pub(super) nodes: Vec<Node>,
    /// Where the values of the record at hand stand.
    found: Vec<Option<Range<usize>>>,
}

impl Members {
    pub(super) fn new(fields: Fields, levels: Levels, columns: &mut Vec<Column>) -> Self {
        let nodes: Vec<_> =
            fields.list.iter().map(|field| Node::new(&field.kind, levels, columns)).collect();
        let found = vec![None; nodes.len()];
        Self { fields, nodes, found }
    }

    pub(super) fn types(&self) -> Result<Vec<TypePtr>, ParquetError> {
        let named = self.fields.list.iter().zip(&self.nodes);
        named.map(|(field, node)| node.parquet_type(&field.name)).collect()
    }

    /// Notes where a member's value stands; a later one of the same name counts.
    pub(super) fn note(&mut self, place: usize, span: Range<usize>) {
        self.found[place] = Some(span);
    }

    /// Takes what was noted of a member.
    pub(super) fn take(&mut self, place: usize) -> Option<Range<usize>> {
        self.found[place].take()
    }
}

/// A record, as its cells are made.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    pub(super) json: &'r [u8],
    /// Where it stands among the records of its row group.
    pub(super) offset: usize,
    /// The record's own time, for times that do not say their year.
    pub(super) millis: i64,
    pub(super) schema: &'r Schema,
}

impl Row<'_> {
    fn micros(self, value: &[u8]) -> Option<i64> {
        let time = self.schema.time(value, self.millis)?;
        Some(time.epoch_seconds() * 1_000_000 + i64::from(time.nanosecond() / 1000))
    }
}

impl Node {
    /// The node of `kind` below what has `levels`, with its columns behind those that there are.
    pub(super) fn new(kind: &Kind, levels: Levels, columns: &mut Vec<Column>) -> Self {
        let definition = levels.definition + 1;
        let first = columns.len();
        let mut leaf = |values| {
            columns.push(Column::new(values, definition, levels.repetition > 0));
        };
        let shape = match kind {
            Kind::Bool => {
                leaf(Values::Bool(Vec::new()));
                Shape::Bool
            }
            Kind::Int { .. } => {
                leaf(Values::Int(Vec::new()));
                Shape::Int
            }
            Kind::Timestamp => {
                leaf(Values::Int(Vec::new()));
                Shape::Timestamp
            }
            Kind::Float => {
                leaf(Values::Float(Vec::new()));
                Shape::Float
            }
            Kind::Group(fields) if !fields.list.is_empty() => {
                let below = Levels { definition, ..levels };
                Shape::Group(Members::new(fields.clone(), below, columns))
            }
            Kind::List(element) => {
                let repetition = levels.repetition + 1;
                let below = Levels { definition: definition + 1, repetition };
                let element = Box::new(Node::new(element, below, columns));
                Shape::List { repetition, element }
            }
            // Of an element that was always null nothing is known; most are texts.
            Kind::Text | Kind::Unknown => {
                leaf(Values::Text(Vec::new()));
                Shape::Text
            }
            Kind::Json | Kind::Group(_) => {
                leaf(Values::Text(Vec::new()));
                Shape::Json
            }
        };
        Self { columns: first..columns.len(), definition, shape }
    }

    /// Its type in Parquet.
    pub(super) fn parquet_type(&self, name: &str) -> Result<TypePtr, ParquetError> {
        let leaf = |physical, logical| {
            Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical)
                .build()
        };
        let group = |logical, fields| {
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical)
                .with_fields(fields)
                .build()
        };
        let made = match &self.shape {
            Shape::Bool => leaf(PhysicalType::BOOLEAN, None),
            Shape::Int => leaf(PhysicalType::INT64, None),
            Shape::Float => leaf(PhysicalType::DOUBLE, None),
            Shape::Text => leaf(PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            Shape::Json => leaf(PhysicalType::BYTE_ARRAY, Some(LogicalType::Json)),
            Shape::Timestamp => {
                let unit = TimeUnit::MICROS;
                let logical = LogicalType::timestamp(true, unit);
                leaf(PhysicalType::INT64, Some(logical))
            }
            Shape::Group(members) => group(None, members.types()?),
            Shape::List { element, .. } => {
                let repeated = Type::group_type_builder(LIST_GROUP)
                    .with_repetition(Repetition::REPEATED)
                    .with_fields(vec![element.parquet_type(LIST_ELEMENT)?])
                    .build()?;
                group(Some(LogicalType::List), vec![Arc::new(repeated)])
            }
        };
        Ok(Arc::new(made?))
    }

    /// Whether the value at `span` can be in its columns without a loss.
    pub(super) fn fits(&self, row: Row<'_>, span: Range<usize>) -> bool {
        let value = &row.json[span.clone()];
        match (&self.shape, value[0]) {
            (_, b'n') | (Shape::Json, _) | (Shape::Bool, b't' | b'f') => true,
            (Shape::Int, b'-' | b'0'..=b'9') => matches!(Number::of(value), Number::Int(_)),
            (Shape::Float, b'-' | b'0'..=b'9') => Number::of(value).exact().is_some(),
            (Shape::Text, b'"') => is_exact(value),
            (Shape::Timestamp, _) => row.micros(value).is_some(),
            (Shape::Group(members), b'{') => {
                let (mut expected, mut fits) = (0, true);
                let passed = Cursor::within(row.json, span).object(|cursor, key| {
                    let span = cursor.value()?;
                    fits &= members.fields.find(key, expected).is_some_and(|place| {
                        expected = place + 1;
                        members.nodes[place].fits(row, span)
                    });
                    Ok(())
                });
                fits && passed.is_ok()
            }
            (Shape::List { element, .. }, b'[') => {
                let mut fits = true;
                let passed = Cursor::within(row.json, span).array(|cursor| {
                    let span = cursor.value()?;
                    fits &= element.fits(row, span);
                    Ok(())
                });
                fits && passed.is_ok()
            }
            _ => false,
        }
    }

    /// Whether the object at `span`, or one within it, has more than null in a member without columns.
    pub(super) fn leaves_out(&self, json: &[u8], span: Range<usize>) -> bool {
        let Shape::Group(members) = &self.shape else { return false };
        if !members.fields.is_narrowed || json[span.start] != b'{' {
            return false;
        }
        let (mut expected, mut leaves_out) = (0, false);
        let passed = Cursor::within(json, span).object(|cursor, key| {
            let span = cursor.value()?;
            leaves_out |= match members.fields.find(key, expected) {
                Some(place) => {
                    expected = place + 1;
                    members.nodes[place].leaves_out(json, span)
                }
                None => json[span.start] != b'n',
            };
            Ok(())
        });
        debug_assert!(passed.is_ok(), "records were read before");
        leaves_out
    }

    /// Makes cells of the value at `span`, which fits. Below it `levels` are those of its absence.
    pub(super) fn add(
        &mut self,
        row: Row<'_>,
        span: Range<usize>,
        levels: Levels,
        cells: &mut Cells,
    ) {
        let value = &row.json[span.clone()];
        if value == b"null" {
            return cells.nothing(self.columns.clone(), levels);
        }
        let there = Levels { definition: self.definition, ..levels };
        let column = self.columns.start;
        match &mut self.shape {
            Shape::Bool => cells.bool(column, there, value == b"true"),
            Shape::Int => match Number::of(value) {
                Number::Int(number) => cells.int(column, there, number),
                Number::Float(_) | Number::Other => cells.nothing(column..column + 1, levels),
            },
            Shape::Float => match Number::of(value).exact() {
                Some(number) => cells.float(column, there, number),
                None => cells.nothing(column..column + 1, levels),
            },
            Shape::Timestamp => match row.micros(value) {
                Some(micros) => cells.int(column, there, micros),
                None => cells.nothing(column..column + 1, levels),
            },
            Shape::Json => {
                cells.text(column, there, row.offset + span.start..row.offset + span.end);
            }
            Shape::Text => match unescape(&value[1..value.len() - 1]) {
                Cow::Borrowed(_) => {
                    cells.text(
                        column,
                        there,
                        row.offset + span.start + 1..row.offset + span.end - 1,
                    );
                }
                Cow::Owned(text) => cells.new_text(column, there, &text),
            },
            Shape::Group(members) => members.add(row, span, there, cells),
            Shape::List { repetition, element } => {
                let absent = Levels { definition: there.definition + 1, ..there };
                let mut next = absent;
                let passed = Cursor::within(row.json, span).array(|cursor| {
                    let span = cursor.value()?;
                    element.add(row, span, next, cells);
                    next.repetition = *repetition;
                    Ok(())
                });
                debug_assert!(passed.is_ok(), "records were read before");
                if next.repetition == absent.repetition {
                    cells.nothing(element.columns.clone(), there);
                }
            }
        }
    }
}

impl Members {
    fn add(&mut self, row: Row<'_>, span: Range<usize>, levels: Levels, cells: &mut Cells) {
        let mut expected = 0;
        let passed = Cursor::within(row.json, span).object(|cursor, key| {
            let span = cursor.value()?;
            if let Some(place) = self.fields.find(key, expected) {
                expected = place + 1;
                self.found[place] = Some(span);
            }
            Ok(())
        });
        debug_assert!(passed.is_ok(), "records were read before");
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            match self.found[place].take() {
                Some(span) => node.add(row, span, levels, cells),
                None => cells.nothing(node.columns.clone(), levels),
            }
        }
    }
}
