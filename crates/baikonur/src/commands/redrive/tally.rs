//! What there is in a store, by module, reason and log type.

use std::collections::{BTreeMap, BTreeSet};

use baikonur_modules::failed_store::{Entry, Found, entries};
use baikonur_stream::{StreamName, Timestamp};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::TROUBLES_TOLD_MAX;
use super::choice::{Prepared, State};
use super::replay::candidate;
use super::walk::{Visit, unreadable};
use crate::commands::moment::written;
use crate::commands::summary::{columns, count};

/// Rows told apart; log types are foreign text, and there may be any number of them.
const ROWS_MAX: usize = 2000;
/// What further ones are called.
const OTHERS: &str = "(others)";
/// Characters of a name that are kept.
const NAME_CHARACTERS_MAX: usize = 128;
/// Characters of a name in the table.
const CELL_CHARACTERS_MAX: usize = 40;

/// Counts of the records with one module, reason and type.
#[derive(Debug, Default)]
struct Row {
    waiting: u64,
    bytes: u64,
    doubtful: u64,
    left: u64,
    done: u64,
    unfit: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

/// What could not be read.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Things that are no objects of a failed store.
    pub(super) foreign: u64,
    /// Objects of a failed store, or records in them.
    pub(super) broken: u64,
}

/// Counts of all that is chosen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: BTreeMap<(String, String, String), Row>,
    modules: BTreeSet<String>,
    pub(super) troubles: Troubles,
}

impl Tally {
    /// Counts what is in an object; `tell` gets what a user should see at once.
    pub(super) async fn visit(
        &mut self,
        visit: Visit,
        choice: &Prepared,
        into: Option<&StreamName>,
        tell: &mut (impl FnMut(&str) + Send),
    ) {
        let opened = match visit {
            Visit::Object(opened) => opened,
            Visit::Foreign(what) => return self.trouble(false, &what, tell),
            Visit::Broken(what) => return self.trouble(true, &what, tell),
            Visit::Gone => return,
        };
        let key = &opened.key;
        let entries = match entries(&opened.object) {
            Ok(entries) => entries,
            Err(foreign) => {
                let broken = matches!(unreadable(key, String::new()), Visit::Broken(_));
                return self.trouble(broken, &format!("{key}: {foreign}"), tell);
            }
        };
        for entry in entries {
            tokio::task::consume_budget().await;
            match entry {
                Entry::Broken(what) => self.trouble(true, &format!("{key}: {what}"), tell),
                Entry::Record(found) => {
                    let Some(log_type) = choice.chosen_type(&found) else { continue };
                    let state = choice.state(&opened.mark, found.place);
                    let unfit = candidate(&found, into).err();
                    if let Some(why) = &unfit
                        && self.unfit() < TROUBLES_TOLD_MAX
                    {
                        let line = found.place + 1;
                        tell(&printable(&format!(
                            "cannot be replayed: {key}: record {line}: {why}"
                        )));
                    }
                    self.count(*found, log_type, state, unfit.is_some());
                }
            }
        }
    }

    fn trouble(&mut self, broken: bool, what: &str, tell: &mut impl FnMut(&str)) {
        let Troubles { foreign, broken: count } = &mut self.troubles;
        let (number, kind) =
            if broken { (count, "cannot be read") } else { (foreign, "passed over") };
        *number += 1;
        match *number {
            ..=TROUBLES_TOLD_MAX => tell(&printable(&format!("{kind}: {what}"))),
            number if number == TROUBLES_TOLD_MAX + 1 => {
                tell(&format!("{kind}: more of them; the count is at the end"));
            }
            _ => {}
        }
    }

    fn count(&mut self, found: Found, log_type: String, state: State, unfit: bool) {
        let Found { module, reason, arrival, data, .. } = found;
        if !self.modules.contains(&module) && self.modules.len() < ROWS_MAX {
            self.modules.insert(clipped(module.clone()));
        }
        let mut name = (clipped(module), clipped(reason), clipped(log_type));
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&name) {
            name.2 = OTHERS.to_owned();
        }
        if self.rows.len() >= 2 * ROWS_MAX && !self.rows.contains_key(&name) {
            name = (OTHERS.to_owned(), OTHERS.to_owned(), OTHERS.to_owned());
        }
        let row = self.rows.entry(name).or_default();
        match state {
            State::Done => row.done += 1,
            State::Left => row.left += 1,
            _ if unfit => row.unfit += 1,
            state => {
                row.waiting += 1;
                row.bytes += data.len() as u64;
                row.doubtful += u64::from(state == State::Doubtful);
            }
        }
        row.oldest = Some(row.oldest.map_or(arrival, |oldest| oldest.min(arrival)));
        row.newest = Some(row.newest.map_or(arrival, |newest| newest.max(arrival)));
    }

    fn sum(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.values().map(of).sum()
    }

    /// Records that are to be replayed.
    pub(super) fn waiting(&self) -> u64 {
        self.sum(|row| row.waiting)
    }

    /// Records that no stream can take.
    pub(super) fn unfit(&self) -> u64 {
        self.sum(|row| row.unfit)
    }

    /// All records that are chosen.
    pub(super) fn found(&self) -> u64 {
        self.sum(|row| row.waiting + row.left + row.done + row.unfit)
    }

    /// Modules with records that are chosen.
    pub(super) fn modules(&self) -> usize {
        self.modules.len()
    }

    /// A table for people.
    pub(super) fn table(&self) -> String {
        let heads =
            ["MODULE", "REASON", "TYPE", "TO REPLAY", "BYTES", "REPLAYED", "OLDEST", "NEWEST"];
        let rows = self.rows.iter().map(|((module, reason, log_type), row)| {
            let moment = |moment: Option<Timestamp>| moment.map_or_else(String::new, written);
            vec![
                cell(module),
                cell(reason),
                cell(log_type),
                count(row.waiting),
                HumanBytes(row.bytes).to_string(),
                count(row.done),
                moment(row.oldest),
                moment(row.newest),
            ]
        });
        let mut text = match self.rows.is_empty() {
            true => String::new(),
            false => columns(&heads, 3..6, rows),
        };
        for (number, what) in [
            (
                self.sum(|row| row.doubtful),
                "of them may have been replayed by a redrive that was killed (--in-doubt)",
            ),
            (
                self.sum(|row| row.left),
                "more may have been replayed by a redrive that was killed, and are left",
            ),
            (self.unfit(), "records cannot be put into a stream"),
            (self.troubles.broken, "objects or records cannot be read"),
            (self.troubles.foreign, "things are no objects of a failed store"),
        ] {
            if number > 0 {
                text.push_str(&format!("{} {what}\n", count(number)));
            }
        }
        text
    }

    /// The rows for programs.
    pub(super) fn in_json(&self) -> Value {
        let rows = self.rows.iter().map(|((module, reason, log_type), row)| {
            json!({
                "module": module, "reason": reason, "logType": log_type, "toReplay": row.waiting,
                "bytes": row.bytes, "inDoubt": row.doubtful + row.left, "replayedBefore": row.done, "unfit": row.unfit,
                "oldest": row.oldest.map(written), "newest": row.newest.map(written),
            })
        });
        rows.collect()
    }
}

/// Foreign text without anything that a terminal obeys.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn cell(text: &str) -> String {
    let mut shown: String = printable(text).chars().take(CELL_CHARACTERS_MAX).collect();
    if text.chars().nth(CELL_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(NAME_CHARACTERS_MAX) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn found(module: &str, seconds: u64) -> Found {
        Found {
            place: 0,
            module: module.to_owned(),
            reason: "not_json".to_owned(),
            detail: String::new(),
            stream: "s".to_owned(),
            shard: "shardId-000000000000".to_owned(),
            sequence_number: "1".to_owned(),
            sub_sequence: 0,
            event_index: 0,
            arrival: Timestamp::from_seconds(seconds),
            partition_key: Bytes::from_static(b"k"),
            data: Bytes::from_static(b"12345"),
        }
    }

    #[test]
    fn records_are_counted_by_what_they_are_and_what_became_of_them() {
        let mut tally = Tally::default();
        tally.count(found("m", 1_600_000_000), "-".to_owned(), State::Waiting, false);
        tally.count(found("m", 1_600_000_100), "-".to_owned(), State::Doubtful, false);
        tally.count(found("m", 1_600_000_050), "-".to_owned(), State::Done, false);
        tally.count(found("a", 1_600_000_050), "\u{1b}[2Jx".to_owned(), State::Waiting, true);
        tally.count(found("a", 1_600_000_050), "x".to_owned(), State::Left, false);
        assert_eq!((tally.waiting(), tally.unfit(), tally.found()), (2, 1, 5));
        assert_eq!(tally.modules(), 2);
        let table = tally.table();
        assert!(!table.contains('\u{1b}'), "{table:?}");
        let lines: Vec<_> = table.lines().collect();
        let words: Vec<_> = lines[3].split_whitespace().collect();
        let expected = ["m", "not_json", "-", "2", "10", "B", "1"];
        assert_eq!(words[..7], expected, "{table}");
        assert_eq!(words[7..], ["2020-09-13T12:26:40Z", "2020-09-13T12:28:20Z"]);
        assert!(lines[4].starts_with("1 of them may have been replayed"), "{table}");
        assert!(lines[5].starts_with("1 more may have been replayed"), "{table}");
        let json = tally.in_json();
        assert_eq!(json[2]["toReplay"], 2);
        assert_eq!(json[1]["inDoubt"], 1);
        assert_eq!(json[0]["unfit"], 1);
    }

    #[test]
    fn any_number_of_types_takes_a_bounded_number_of_rows() {
        let mut tally = Tally::default();
        for number in 0..3 * ROWS_MAX {
            tally.count(found("m", 0), number.to_string(), State::Waiting, false);
        }
        assert_eq!(tally.rows.len(), ROWS_MAX + 1);
        for number in 0..3 * ROWS_MAX {
            let module = format!("{number}{}", "x".repeat(1000));
            tally.count(found(&module, 0), "-".to_owned(), State::Waiting, false);
        }
        assert!(tally.rows.len() <= 2 * ROWS_MAX + 1);
        assert!(tally.rows.keys().all(|(module, ..)| module.len() <= NAME_CHARACTERS_MAX));
        assert_eq!(tally.waiting(), 6 * ROWS_MAX as u64);
    }
}
