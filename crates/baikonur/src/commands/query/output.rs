//! The answer's forms: a table for people, CSV and JSON lines for programs.

use std::io::{self, Write};

use baikonur_query::{Flow, Sink, Value};
use clap::ValueEnum;

use crate::commands::summary::columns;

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Columns below each other, as wide as the terminal.
    Table,
    /// RFC 4180, with a head. NULL is empty, an empty text is "".
    Csv,
    /// A JSON object a line.
    Json,
}

/// Rows of a table that are kept until their widths are known.
pub(super) const TABLE_ROWS: u64 = 1000;
/// A column of a table is never narrower.
const WIDTH_MIN: usize = 8;
/// A column of a table is never wider where there is no terminal to say so.
const WIDTH_MAX: usize = 120;

/// Writes the answer.
pub(super) struct Writer<'w> {
    out: &'w mut dyn Write,
    output: Output,
    /// At most so many rows; none for all of them.
    limit: Option<u64>,
    /// Columns of the terminal.
    terminal: Option<usize>,
    names: Vec<String>,
    /// Of a table.
    kept: Vec<Vec<String>>,
    numbers: Vec<bool>,
    pub(super) rows: u64,
    /// There would have been more.
    pub(super) was_cut: bool,
}

impl<'w> Writer<'w> {
    pub(super) fn new(
        out: &'w mut dyn Write,
        output: Output,
        limit: Option<u64>,
        terminal: Option<usize>,
    ) -> Self {
        let (names, kept, numbers) = (Vec::new(), Vec::new(), Vec::new());
        Self { out, output, limit, terminal, names, kept, numbers, rows: 0, was_cut: false }
    }

    /// Writes what was kept.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.output == Output::Table && !self.names.is_empty() {
            let text = self.table();
            self.out.write_all(text.as_bytes())?;
        }
        self.out.flush()
    }

    fn table(&mut self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| visible(name)).collect();
        let longest = |place: usize| {
            let cells = self.kept.iter().filter_map(|row| row.get(place));
            cells.chain([&names[place]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let wanted: Vec<usize> = (0..names.len()).map(longest).collect();
        let widths = widths(&wanted, self.terminal);
        let cut = |cells: &[String]| -> Vec<String> {
            cells.iter().zip(&widths).map(|(cell, width)| shortened(cell, *width)).collect()
        };
        let aligned = |cells: &[String]| -> Vec<String> {
            let cells = cut(cells).into_iter().enumerate();
            let aligned = cells.map(|(place, cell)| match self.numbers[place] {
                true => format!("{cell:>0$}", widths[place].min(wanted[place])),
                false => cell,
            });
            aligned.collect()
        };
        let rows = self.kept.iter().map(|row| aligned(row));
        let head = aligned(&names);
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        columns(&head, 0..0, rows)
    }

    fn keep(&mut self, values: &[Value<'_>]) {
        for (place, value) in values.iter().enumerate() {
            let is_number = matches!(value, Value::Integer(_) | Value::Real(_) | Value::Null);
            self.numbers[place] &= is_number;
        }
        // The widest column that can be seen is as wide as the terminal.
        let longest = self.terminal.unwrap_or(WIDTH_MAX) + 1;
        let cells =
            values.iter().map(|value| visible(&text(value)).chars().take(longest).collect());
        self.kept.push(cells.collect());
    }

    fn csv(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                self.out.write_all(b",")?;
            }
            match value {
                Value::Text(content) => quote(self.out, content)?,
                value => self.out.write_all(text(value).as_bytes())?,
            }
        }
        self.out.write_all(b"\r\n")
    }

    fn json(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        for (place, (name, value)) in self.names.iter().zip(values).enumerate() {
            self.out.write_all(if place == 0 { b"{" } else { b"," })?;
            serde_json::to_writer(&mut *self.out, name)?;
            self.out.write_all(b":")?;
            match value {
                Value::Null => self.out.write_all(b"null")?,
                Value::Integer(number) => write!(self.out, "{number}")?,
                // JSON has no infinity: null.
                Value::Real(number) => serde_json::to_writer(&mut *self.out, number)?,
                Value::Text(content) => serde_json::to_writer(&mut *self.out, content)?,
                value @ Value::Blob(_) => serde_json::to_writer(&mut *self.out, &text(value))?,
            }
        }
        self.out.write_all(b"}\n")
    }
}

impl Sink for Writer<'_> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.numbers = vec![true; names.len()];
        self.names = match self.output {
            // Two members of a name would be one to most readers.
            Output::Json => told_apart(names),
            Output::Table | Output::Csv => names.to_vec(),
        };
        if self.output == Output::Csv {
            let head: Vec<_> = self.names.clone();
            let head: Vec<_> = head.iter().map(|name| Value::Text(name)).collect();
            self.csv(&head)?;
        }
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<Flow> {
        if self.limit.is_some_and(|limit| self.rows >= limit) {
            self.was_cut = true;
            return Ok(Flow::Enough);
        }
        self.rows += 1;
        match self.output {
            Output::Table => self.keep(values),
            Output::Csv => self.csv(values)?,
            Output::Json => self.json(values)?,
        }
        Ok(Flow::More)
    }
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(content) => (*content).to_owned(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Logs are foreign: what would move the cursor or change colours is shown as an escape.
fn visible(text: &str) -> String {
    match text.contains(char::is_control) {
        false => text.to_owned(),
        true => text
            .chars()
            .flat_map(|letter| match letter.is_control() {
                true => letter.escape_default().collect::<Vec<_>>(),
                false => vec![letter],
            })
            .collect(),
    }
}

fn shortened(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut cut: String = cell.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Makes the widest columns narrower until all fit, as far as that goes.
fn widths(wanted: &[usize], terminal: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = match terminal {
        Some(_) => wanted.to_vec(),
        None => wanted.iter().map(|&width| width.min(WIDTH_MAX)).collect(),
    };
    let Some(terminal) = terminal else { return widths };
    let room = terminal.saturating_sub(2 * wanted.len().saturating_sub(1));
    loop {
        let total: usize = widths.iter().sum();
        let widest = widths.iter().copied().max().unwrap_or(0);
        if total <= room || widest <= WIDTH_MIN {
            return widths;
        }
        // Down to the second widest, or until it fits.
        let next = widths.iter().copied().filter(|&width| width < widest).max().unwrap_or(0);
        let many = widths.iter().filter(|&&width| width == widest).count();
        let step = (widest - next.max(WIDTH_MIN)).min((total - room).div_ceil(many)).max(1);
        widths.iter_mut().filter(|width| **width == widest).for_each(|width| *width -= step);
    }
}

fn quote(out: &mut dyn Write, content: &str) -> io::Result<()> {
    let is_plain = !content.is_empty() && !content.contains(['"', ',', '\r', '\n']);
    match is_plain {
        true => out.write_all(content.as_bytes()),
        false => write!(out, "\"{}\"", content.replace('"', "\"\"")),
    }
}

/// `n`, `n_2`, `n_3`.
fn told_apart(names: &[String]) -> Vec<String> {
    let mut apart: Vec<String> = Vec::new();
    for name in names {
        let numbered = (2..).map(|number: u32| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !apart.contains(name));
        apart.extend(free);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[Value<'_>; 3]; 2] = [
        [Value::Text("a,\"b\"\n\x1b[31m"), Value::Integer(7), Value::Null],
        [Value::Text(""), Value::Integer(1234), Value::Real(0.5)],
    ];

    fn written(output: Output, limit: Option<u64>, terminal: Option<usize>) -> (String, bool) {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, output, limit, terminal);
        writer.columns(&["x".to_owned(), "n".to_owned(), "n".to_owned()]).unwrap();
        for row in &ROWS {
            if writer.row(row).unwrap() == Flow::Enough {
                break;
            }
        }
        writer.finish().unwrap();
        let was_cut = writer.was_cut;
        (String::from_utf8(out).unwrap(), was_cut)
    }

    #[test]
    fn a_table_is_aligned_and_has_no_control_characters() {
        let (text, _) = written(Output::Table, None, None);
        assert_eq!(
            text,
            "x                     n    n\na,\"b\"\\n\\u{1b}[31m     7\n                   1234  0.5\n"
        );
    }

    #[test]
    fn csv_keeps_null_and_the_empty_text_apart() {
        let (text, _) = written(Output::Csv, None, None);
        assert_eq!(text, "x,n,n\r\n\"a,\"\"b\"\"\n\x1b[31m\",7,\r\n\"\",1234,0.5\r\n");
    }

    #[test]
    fn json_has_one_member_for_each_column() {
        let (text, _) = written(Output::Json, None, None);
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows[0], serde_json::json!({"x": "a,\"b\"\n\x1b[31m", "n": 7, "n_2": null}));
        assert_eq!(rows[1], serde_json::json!({"x": "", "n": 1234, "n_2": 0.5}));
    }

    #[test]
    fn a_limit_cuts_and_says_so() {
        assert_eq!(written(Output::Csv, Some(1), None).0.matches("\r\n").count(), 2);
        assert!(written(Output::Csv, Some(1), None).1);
        assert!(!written(Output::Csv, Some(2), None).1);
    }

    #[test]
    fn the_widest_columns_give_way_first() {
        assert_eq!(widths(&[5, 200], Some(80)), [5, 73]);
        assert_eq!(widths(&[100, 200, 10], Some(80)), [33, 33, 10]);
        assert_eq!(widths(&[100; 40], Some(80)), [WIDTH_MIN; 40]);
        assert_eq!(widths(&[10, 20], Some(80)), [10, 20]);
        assert_eq!(widths(&[10, 200], None), [10, WIDTH_MAX]);
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
