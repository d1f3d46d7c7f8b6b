//! The key space drawn: a bar whose cells belong to shards by their width, and a line for each shard.

use std::io::IsTerminal;

use baikonur_scaling::{KeySpace, OpenShard};

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawing {
    /// Columns of the bar.
    pub(super) columns: usize,
    /// Whether shards have colours.
    pub(super) colour: bool,
}

/// Columns where there is no terminal.
const COLUMNS_DEFAULT: usize = 80;
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=160;
/// More shards than these have no line each.
const LINES_MAX: usize = 64;
/// Lines of the widest and of the narrowest shards then.
const EXTREMES: usize = 3;
/// Neighbours differ by fill, and on a terminal by colour.
const FILLS: [char; 2] = ['█', '▒'];
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];
/// How many shards begin in a cell, from few to many.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Drawing {
    /// For the standard output: as wide as the terminal, with colour on one, unless `NO_COLOR` says otherwise.
    pub(super) fn of_terminal() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let size = is_terminal.then(terminal_size::terminal_size).flatten();
        let columns = size.map_or(COLUMNS_DEFAULT, |(width, _)| width.0.into());
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = columns.clamp(*COLUMNS.start(), *COLUMNS.end());
        Self { columns, colour: is_terminal && !no_colour }
    }

    fn paint(self, text: &str, place: usize) -> String {
        match self.colour {
            true => format!("\x1b[{}m{text}\x1b[0m", COLOURS[place % COLOURS.len()]),
            false => text.to_owned(),
        }
    }
}

/// Draws a key space.
pub(super) fn draw(key_space: &KeySpace, drawing: Drawing) -> String {
    let shards = key_space.shards();
    let mut text = if shards.len() <= drawing.columns / 2 {
        bar(shards, drawing)
    } else {
        crowd(shards, drawing)
    };
    if shards.len() <= LINES_MAX {
        for (place, shard) in shards.iter().enumerate() {
            text.push_str(&line(shard, place, drawing));
        }
        return text;
    }
    let mut by_width: Vec<_> = shards.iter().enumerate().collect();
    by_width.sort_by_key(|(_, shard)| shard.share());
    text.push_str("the widest\n");
    for (place, shard) in by_width.iter().rev().take(EXTREMES) {
        text.push_str(&line(shard, *place, drawing));
    }
    text.push_str("the narrowest\n");
    for (place, shard) in by_width.iter().take(EXTREMES) {
        text.push_str(&line(shard, *place, drawing));
    }
    text.push_str(&format!("{} more; --json has all\n", shards.len() - 2 * EXTREMES));
    text
}

fn line(shard: &OpenShard, place: usize, drawing: Drawing) -> String {
    let mark = drawing.paint(&FILLS[place % 2].to_string(), place);
    let share = shard.share().to_string();
    format!("{mark} {}  {share:>8}  {} to {}\n", shard.id, shard.range.start, shard.range.end)
}

/// The column in which a hash key lies.
fn column(key: u128, columns: usize) -> usize {
    // The upper 64 bits decide.
    (((key >> 64) * columns as u128) >> 64) as usize
}

/// Each shard has the cells in which it holds the middle; every one has at least one.
fn bar(shards: &[OpenShard], drawing: Drawing) -> String {
    let mut widths: Vec<usize> = shards
        .iter()
        .map(|shard| {
            let end = shard.range.end.value().checked_add(1);
            let end = end.map_or(drawing.columns, |end| column(end, drawing.columns));
            end - column(shard.range.start.value(), drawing.columns)
        })
        .collect();
    // A cell for those that have none, from those that have most.
    while let Some(none) = widths.iter().position(|width| *width == 0) {
        let most = (0..widths.len()).max_by_key(|place| widths[*place]).unwrap_or(none);
        widths[most] = widths[most].saturating_sub(1);
        widths[none] += 1;
    }
    let mut text = String::new();
    for (place, width) in widths.into_iter().enumerate() {
        let cells: String = std::iter::repeat_n(FILLS[place % 2], width).collect();
        text.push_str(&drawing.paint(&cells, place));
    }
    text + "\n"
}

/// Too many for cells of their own: how many begin in each.
fn crowd(shards: &[OpenShard], drawing: Drawing) -> String {
    let mut counts = vec![0usize; drawing.columns];
    for shard in shards {
        counts[column(shard.range.start.value(), drawing.columns)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: &usize| match count {
        0 => ' ',
        count => HEIGHTS[(count * HEIGHTS.len()).div_ceil(most).clamp(1, HEIGHTS.len()) - 1],
    };
    let cells: String = counts.iter().map(height).collect();
    let fewest = counts.iter().copied().min().unwrap_or(0);
    format!(
        "{cells}\neach cell is 1/{} of the key space; its height is how many shards begin there, {fewest} to {most}\n",
        drawing.columns
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use baikonur_stream::{HashKey, HashKeyRange, ShardId};

    const PLAIN: Drawing = Drawing { columns: 20, colour: false };

    fn key_space(ranges: Vec<HashKeyRange>) -> KeySpace {
        let shards = ranges.into_iter().zip(0..);
        let shards = shards.map(|(range, id)| OpenShard { id: ShardId::new(id), range });
        KeySpace::new(shards.collect()).unwrap()
    }

    fn even(count: u32) -> KeySpace {
        key_space(HashKeyRange::evenly(count))
    }

    #[test]
    fn cells_belong_to_shards_by_their_width() {
        let drawn = draw(&even(1), PLAIN);
        assert_eq!(
            drawn,
            format!("{}\n█ shardId-000000000000  100.000%  0 to {}\n", "█".repeat(20), u128::MAX)
        );
        let drawn = draw(&even(4), PLAIN);
        assert!(drawn.starts_with("█████▒▒▒▒▒█████▒▒▒▒▒\n"), "{drawn}");
        assert!(drawn.contains("▒ shardId-000000000001   25.000%  "), "{drawn}");
        assert_eq!(drawn.lines().count(), 5);
    }

    #[test]
    fn a_narrow_shard_has_a_cell_too() {
        let range =
            |start, end| HashKeyRange { start: HashKey::new(start), end: HashKey::new(end) };
        let narrow = key_space(vec![range(0, 9), range(10, 19), range(20, u128::MAX)]);
        let drawn = draw(&narrow, PLAIN);
        assert!(drawn.starts_with(&format!("█▒{}\n", "█".repeat(18))), "{drawn}");
    }

    #[test]
    fn a_thousand_shards_are_a_crowd_with_its_extremes() {
        let drawn = draw(&even(1000), PLAIN);
        assert!(drawn.starts_with(&format!("{}\neach cell is 1/20", "█".repeat(20))), "{drawn}");
        assert!(drawn.contains("begin there, 49 to 51"), "{drawn}");
        assert!(drawn.ends_with("994 more; --json has all\n"), "{drawn}");
        assert_eq!(drawn.lines().count(), 11);
    }

    #[test]
    fn colour_is_only_there_when_it_is_asked_for() {
        let colour = Drawing { colour: true, ..PLAIN };
        assert!(draw(&even(2), colour).contains("\x1b[33m▒▒▒▒▒▒▒▒▒▒\x1b[0m"));
        assert!(!draw(&even(2), PLAIN).contains('\x1b'));
    }
}
