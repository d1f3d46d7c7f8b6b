//! Cells out of lines: the fields that were asked for, found by one pass over each line, and nothing built of the rest.

use std::ops::Range;

use baikonur_record::scan::{self, Key};
use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::cells::{Cell, Rows, Span, Wants, put};

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// From 0 on, within the block.
    pub(crate) line: u64,
    pub(crate) what: String,
}

/// Reads the lines of a block. `emit` gets rows, `bad` lines that are none; both may end it.
///
/// Without a field in `wants` no line is looked into.
pub(crate) fn read<E>(
    block: Vec<u8>,
    wants: &Wants,
    emit: &mut dyn FnMut(Rows) -> Result<(), E>,
    bad: &mut dyn FnMut(BadLine) -> Result<(), E>,
) -> Result<(), E> {
    let text = Bytes::from(block);
    let is_utf8 = simdutf8::basic::from_utf8(&text).is_ok();
    let (width, rows_max) = (wants.width(), wants.rows_max());
    let new_rows = || Rows { text: text.clone(), width, ..Rows::default() };
    let mut rows = new_rows();
    let mut found = Vec::new();
    for (number, range) in (0u64..).zip(line_ranges(&text)) {
        let line = &text[range.clone()];
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let done = match is_utf8 || simdutf8::basic::from_utf8(line).is_ok() {
            true => row(line, range.start, wants, &mut found, &mut rows),
            false => Err("it is not UTF-8".to_owned()),
        };
        if let Err(what) = done {
            // Whatever of it came into the row already.
            rows.cells.truncate(rows.count * width);
            bad(BadLine { line: number, what })?;
            continue;
        }
        rows.count += 1;
        if rows.count >= rows_max {
            emit(std::mem::replace(&mut rows, new_rows()))?;
        }
    }
    if rows.count > 0 {
        emit(rows)?;
    }
    Ok(())
}

/// Lines without their ends.
fn line_ranges(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let ends = memchr_iter(b'\n', text).chain(std::iter::once(text.len()));
    ends.scan(0, |start, end| {
        let range = *start..end;
        *start = end + 1;
        Some(range)
    })
}

fn row(
    line: &[u8],
    start: usize,
    wants: &Wants,
    found: &mut Vec<Range<usize>>,
    rows: &mut Rows,
) -> Result<(), String> {
    if !wants.fields.is_empty() {
        find(line, &wants.fields, found)?;
        for value in found.iter() {
            rows.cells.push(cell(line, start, value, &mut rows.made));
        }
    }
    if wants.record {
        let trimmed = line.trim_ascii();
        let before = line.len() - line.trim_ascii_start().len();
        rows.cells.push(text_at(start + before..start + before + trimmed.len()));
    }
    Ok(())
}

/// Where the values of `fields` stand, empty for those that the line has not. Of equal keys the last one counts.
fn find(line: &[u8], fields: &[Box<str>], found: &mut Vec<Range<usize>>) -> Result<(), String> {
    found.clear();
    found.resize(fields.len(), 0..0);
    let mut likely = 0;
    let root = scan::root(line, |cursor, key| {
        let value = cursor.value()?;
        if let Some(place) = place(key, fields, likely) {
            found[place] = value;
            likely = place + 1;
        }
        Ok(())
    });
    match root {
        Ok(root) if line[root.span.start] == b'{' => Ok(()),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(fault) => Err(format!("it is not JSON: expected {} at byte {}", fault.what, fault.at)),
    }
}

/// Records of one type have their fields in one order, so that the one behind the last one is looked at first.
#[inline]
fn place(key: Key<'_>, fields: &[Box<str>], likely: usize) -> Option<usize> {
    if fields.get(likely).is_some_and(|field| key.is(field.as_bytes())) {
        return Some(likely);
    }
    fields.iter().position(|field| key.is(field.as_bytes()))
}

/// As SQLite's `->>` has it: true is 1, objects and arrays are their text, a number that is no 64-bit integer is a real
/// one.
fn cell(line: &[u8], start: usize, value: &Range<usize>, made: &mut Vec<u8>) -> Cell {
    let within = |range: Range<usize>| text_at(start + range.start..start + range.end);
    match line.get(value.start) {
        _ if value.is_empty() => Cell::Null,
        Some(b'"') => {
            let content = value.start + 1..value.end - 1;
            match memchr(b'\\', &line[content.clone()]) {
                None => within(content),
                Some(_) => {
                    put(made, &scan::unescape(&line[content])).map_or(Cell::Null, Cell::Made)
                }
            }
        }
        Some(b'{' | b'[') => within(value.clone()),
        Some(b't') => Cell::Integer(1),
        Some(b'f') => Cell::Integer(0),
        Some(b'n') | None => Cell::Null,
        Some(_) => number(&line[value.clone()]),
    }
}

/// The value of a JSON text of its own, as that of a field would be. None for what is no JSON, or has no room.
pub(crate) fn json(text: &[u8], made: &mut Vec<u8>) -> Option<Cell> {
    let root = scan::root(text, |cursor, _| cursor.value().map(|_| ())).ok()?;
    match cell(text, 0, &root.span, made) {
        Cell::Text(span) => put(made, span.of(text)).map(Cell::Made),
        cell => Some(cell),
    }
}

fn number(text: &[u8]) -> Cell {
    let text = std::str::from_utf8(text).unwrap_or_default();
    match text.parse() {
        Ok(integer) => Cell::Integer(integer),
        Err(_) => text.parse().map_or(Cell::Null, Cell::Real),
    }
}

/// A block is never longer than a few lines of [`LINE_BYTES_MAX`](crate::LINE_BYTES_MAX), so that all of it has a span.
fn text_at(range: Range<usize>) -> Cell {
    Span::new(range).map_or(Cell::Null, Cell::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::ValueRef;
    use serde_json::Value;

    use super::*;

    fn wants(fields: &[&str], record: bool) -> Wants {
        Wants { fields: fields.iter().map(|field| (*field).into()).collect(), record }
    }

    fn read_all(text: &[u8], wants: &Wants) -> (Vec<Vec<Value>>, Vec<BadLine>) {
        let (mut found, mut bad_lines) = (Vec::new(), Vec::new());
        let mut emit = |rows: Rows| {
            for row in 0..rows.count {
                let values = (0..wants.width()).map(|place| shown(rows.value(row, place)));
                found.push(values.collect());
            }
            Ok(())
        };
        let mut bad = |line| {
            bad_lines.push(line);
            Ok(())
        };
        read::<()>(text.to_vec(), wants, &mut emit, &mut bad).unwrap();
        (found, bad_lines)
    }

    fn shown(value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => std::str::from_utf8(text).unwrap().into(),
            ValueRef::Blob(_) => panic!("no line has one"),
        }
    }

    /// What a line's field has to be, by a parser that builds trees.
    fn expected(record: &Value, field: &str) -> Value {
        match record.get(field).unwrap_or(&Value::Null) {
            Value::Bool(value) => i64::from(*value).into(),
            Value::Number(number) if number.as_i64().is_none() => number.as_f64().unwrap().into(),
            value @ (Value::Array(_) | Value::Object(_)) => value.to_string().into(),
            value => value.clone(),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300f64..1e300).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-d\"\\\\é]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn fields_are_those_that_a_parser_of_trees_finds(
            records in prop::collection::vec(prop::collection::hash_map("[a-d\"\\\\é]{0,2}", json(), 0..6), 0..20),
        ) {
            let records: Vec<Value> =
                records.into_iter().map(|map| Value::Object(map.into_iter().collect())).collect();
            let text: String = records.iter().map(|record| format!("{record}\n")).collect();
            let fields = ["a", "b", "é", "\"", "\\", "ab", ""];
            let (found, bad) = read_all(text.as_bytes(), &wants(&fields, true));
            prop_assert!(bad.is_empty());
            let expected: Vec<Vec<Value>> = records.iter().map(|record| {
                let fields = fields.iter().map(|field| expected(record, field));
                fields.chain([Value::from(record.to_string())]).collect()
            }).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_are_lost_in_silence(text: Vec<u8>) {
            let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
            let (found, bad) = read_all(&text, &wants(&["a"], true));
            prop_assert_eq!(found.len() + bad.len(), lines.count());
        }
    }

    #[test]
    fn lines_that_are_no_records_are_told_and_leave_no_trace() {
        let text =
            b"{\"a\":1,\"b\":\"x\\ty\"}\r\n\n{\"a\":2,\n[1]\n{\"a\":\"\xff\"}\n {\"a\":3} \n";
        let (found, bad) = read_all(text, &wants(&["b", "a"], true));
        let row = |b: Value, a: i64, record: &str| vec![b, a.into(), record.into()];
        assert_eq!(
            found,
            [row("x\ty".into(), 1, "{\"a\":1,\"b\":\"x\\ty\"}"), row(Value::Null, 3, "{\"a\":3}"),]
        );
        let lines: Vec<_> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [2, 3, 4]);
        assert!(bad[0].what.contains("expected a key in quotes at byte 7"), "{bad:?}");
        assert!(bad[1].what.contains("no object") && bad[2].what.contains("UTF-8"), "{bad:?}");
    }

    #[test]
    fn without_fields_lines_are_counted_only() {
        let (found, bad) = read_all(b"{\"a\":1}\nno json\n\n", &wants(&[], false));
        assert_eq!((found.len(), bad.len()), (2, 0));
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_numbers_stay_what_they_are() {
        let text =
            br#"{"a":1,"b":9223372036854775808,"c":-0.5e3,"d":-9223372036854775808,"a":true}"#;
        let (found, _) = read_all(text, &wants(&["a", "b", "c", "d"], false));
        assert_eq!(
            found[0][..3],
            [Value::from(1), Value::from(9_223_372_036_854_775_808f64), Value::from(-500.0)]
        );
        assert_eq!(found[0][3], Value::from(i64::MIN));
    }

    #[test]
    fn wide_rows_travel_in_small_groups() {
        let names: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let wants = wants(&names, false);
        let (mut groups, mut count) = (0, 0);
        let mut emit = |rows: Rows| {
            (groups, count) = (groups + 1, count + rows.count);
            assert!(rows.cells.len() <= crate::cells::CELLS_MAX);
            Ok::<_, ()>(())
        };
        read("{}\n".repeat(1000).into_bytes(), &wants, &mut emit, &mut |_| Ok(())).unwrap();
        assert_eq!((groups, count), (8, 1000));
    }
}
