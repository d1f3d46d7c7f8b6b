//! Figures for people.

use std::ops::Range;
use std::time::Duration;

/// Rows of a name and a value, aligned.
pub(super) fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// Rows below a head, each column as wide as it must be; `numbers` are columns that end in line.
pub(super) fn columns(
    head: &[&str],
    numbers: Range<usize>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match numbers.contains(&column) {
            true => format!("{cell:>0$}", width(column)),
            false => format!("{cell:0$}", width(column)),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `number` of something in `time`, a second.
pub(super) fn rate(number: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(0.001);
    count((number as f64 / seconds).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(rate(10, Duration::from_secs(4)), "3");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "22".to_owned()], vec!["bcd".to_owned(), String::new()]];
        assert_eq!(columns(&["x", "yyy"], 1..2, rows), "x    yyy\na     22\nbcd\n");
    }

    #[test]
    fn values_of_a_table_stand_below_each_other() {
        let rows = [("records", "1".to_owned()), ("bytes", "22".to_owned())];
        assert_eq!(table(&rows), "records  1\nbytes    22\n");
    }
}
