//! Which objects a statement has to open: conditions on what their keys tell, asked before one is opened.
//!
//! SQLite asks every condition once more of every row, so that a choice may leave too much, and must never leave out an
//! object that has a row of the answer.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::types::ValueRef;

use crate::archive::Object;

/// What of an object's key a condition speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Object,
    Date,
    LogType,
    /// A partition, by its name.
    Partition(Box<str>),
    /// The time of the records, which is near the object's date.
    Time,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Equal to one of several.
    In,
}

/// What a condition compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    /// No comparison with it is true.
    Null,
    /// A text, or an integer that stands for its text.
    Text(String),
    /// Compared in a way of its own, which is left to SQLite.
    Other,
}

impl Operand {
    pub(crate) fn of(value: ValueRef<'_>, subject: &Subject) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Text(text) => {
                std::str::from_utf8(text).map_or(Self::Other, |text| Self::Text(text.to_owned()))
            }
            // Columns of keys are of type TEXT, which makes a text of the number; the time is of no type.
            ValueRef::Integer(number) if *subject != Subject::Time => {
                Self::Text(number.to_string())
            }
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Self::Other,
        }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) subject: Subject,
    pub(crate) comparison: Comparison,
    /// Several for [`Comparison::In`].
    pub(crate) operands: Vec<Operand>,
}

impl Condition {
    /// Whether an object may have a row for which it is true.
    pub(crate) fn may_hold(&self, object: &Object) -> bool {
        self.operands.iter().any(|operand| match (operand, &self.subject) {
            (Operand::Null, _) => false,
            (Operand::Other, _) => true,
            (Operand::Text(text), Subject::Time) => self.may_be_near(object, text),
            (Operand::Text(text), subject) => {
                value_of(subject, object).is_some_and(|value| self.comparison.holds(value, text))
            }
        })
    }

    /// Times are compared as texts that begin with their date. That is the object's own, or one beside it: the originals
    /// file a batch under the date of its first record.
    fn may_be_near(&self, object: &Object, text: &str) -> bool {
        let date = object.place.date.as_deref().and_then(|date| Date::from_str(date).ok());
        let Some(date) = date else { return true };
        let (Ok(before), Ok(after)) = (date.checked_sub(1.day()), date.checked_add(1.day())) else {
            return true;
        };
        let (before, after) = (before.to_string(), after.to_string());
        let length = text.len().min(before.len());
        let (whole, text) = (text.len() == length, &text.as_bytes()[..length]);
        let (before, after) = (&before.as_bytes()[..length], &after.as_bytes()[..length]);
        match self.comparison {
            Comparison::Equal | Comparison::In => before <= text && text <= after,
            // Nothing that begins with all of the text is less than it.
            Comparison::Less => before < text || (before == text && !whole),
            Comparison::LessOrEqual => before <= text,
            Comparison::Greater | Comparison::GreaterOrEqual => text <= after,
        }
    }
}

impl Comparison {
    fn holds(self, value: &str, operand: &str) -> bool {
        match self {
            Self::Equal | Self::In => value == operand,
            Self::Less => value < operand,
            Self::LessOrEqual => value <= operand,
            Self::Greater => value > operand,
            Self::GreaterOrEqual => value >= operand,
        }
    }
}

/// What a key tells, as a column shows it.
pub(crate) fn value_of<'o>(subject: &Subject, object: &'o Object) -> Option<&'o str> {
    match subject {
        Subject::Object => Some(&object.key),
        Subject::Date => object.place.date.as_deref(),
        Subject::LogType => Some(&object.place.log_type),
        Subject::Partition(name) => {
            let mut partitions = object.place.partitions.iter();
            partitions
                .find(|(key, _)| key.as_str() == &**name)
                .and_then(|(_, value)| value.as_deref())
        }
        Subject::Time => None,
    }
}

/// What SQLite's planner agreed upon, on its way to the cursor as a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// A bit for each column that the statement uses, the last one for all from the 64th on.
    pub(crate) used: u64,
    /// Columns and comparisons whose operands come as arguments.
    pub(crate) conditions: Vec<(usize, Comparison)>,
}

const COMPARISONS: [(Comparison, &str); 6] = [
    (Comparison::Equal, "="),
    (Comparison::LessOrEqual, "<="),
    (Comparison::GreaterOrEqual, ">="),
    (Comparison::Less, "<"),
    (Comparison::Greater, ">"),
    (Comparison::In, "in"),
];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.used)?;
        self.conditions.iter().try_for_each(|(column, comparison)| {
            let sign =
                COMPARISONS.iter().find(|(of, _)| of == comparison).map_or("", |(_, sign)| sign);
            write!(f, " {column} {sign}")
        })
    }
}

impl FromStr for Plan {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let used = u64::from_str_radix(words.next().ok_or(())?, 16).map_err(|_| ())?;
        let mut conditions = Vec::new();
        while let Some(column) = words.next() {
            let sign = words.next().ok_or(())?;
            let (comparison, _) = COMPARISONS.iter().find(|(_, of)| *of == sign).ok_or(())?;
            conditions.push((column.parse().map_err(|_| ())?, *comparison));
        }
        Ok(Self { used, conditions })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::Format;
    use crate::layout::Place;

    fn object(key: &str) -> Object {
        Object { key: key.to_owned(), bytes: 1, format: Format::Parquet, place: Place::of(key) }
    }

    fn condition(subject: Subject, comparison: Comparison, operands: &[&str]) -> Condition {
        let operands = operands.iter().map(|text| Operand::Text((*text).to_owned())).collect();
        Condition { subject, comparison, operands }
    }

    #[test]
    fn conditions_on_keys_are_exact() {
        let object = object("auth/2015-05/17/region=eu/x.gz");
        let partition = || Subject::Partition("region".into());
        for (subject, comparison, operands, holds) in [
            (Subject::Date, Comparison::Equal, &["2015-05-17"][..], true),
            (Subject::Date, Comparison::Equal, &["2015-05-18"], false),
            (Subject::Date, Comparison::In, &["2015-05-16", "2015-05-17"], true),
            (Subject::Date, Comparison::In, &[], false),
            (Subject::Date, Comparison::Less, &["2015-05-17"], false),
            (Subject::Date, Comparison::LessOrEqual, &["2015-05-17"], true),
            (Subject::Date, Comparison::Greater, &["2015-05"], true),
            (Subject::Date, Comparison::GreaterOrEqual, &["2015-06"], false),
            (Subject::LogType, Comparison::Equal, &["auth"], true),
            (Subject::LogType, Comparison::Equal, &["Auth"], false),
            (Subject::Object, Comparison::Equal, &["auth/2015-05/17/region=eu/x.gz"], true),
            (partition(), Comparison::Equal, &["eu"], true),
            (partition(), Comparison::Equal, &["us"], false),
            (Subject::Partition("none".into()), Comparison::Equal, &["us"], false),
        ] {
            let condition = condition(subject, comparison, operands);
            assert_eq!(condition.may_hold(&object), holds, "{condition:?}");
        }
        let of = |operands| Condition {
            subject: Subject::Date,
            comparison: Comparison::Equal,
            operands,
        };
        assert!(!of(vec![Operand::Null]).may_hold(&object));
        assert!(of(vec![Operand::Other]).may_hold(&object));
    }

    #[test]
    fn numbers_are_texts_where_the_column_is_one() {
        let year = Subject::Partition("year".into());
        assert_eq!(Operand::of(ValueRef::Integer(2015), &year), Operand::Text("2015".to_owned()));
        assert_eq!(Operand::of(ValueRef::Integer(2015), &Subject::Time), Operand::Other);
        assert_eq!(Operand::of(ValueRef::Real(1.5), &year), Operand::Other);
    }

    #[test]
    fn an_object_without_a_date_may_have_every_time() {
        let object = object("auth/x.gz");
        assert!(condition(Subject::Time, Comparison::Equal, &["2015-05-17"]).may_hold(&object));
    }

    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
        Comparison::In,
    ];

    proptest! {
        /// A record whose date is the object's or one beside it is never left out.
        #[test]
        fn no_object_is_left_out_that_has_a_row_of_the_answer(
            day in 1i8..28, beside in -1i64..=1, clock in "T[0-9]{2}:[0-9]{2}|",
            bound in "2015(-0[4-6](-[0-2][0-9](T[0-9]{2}:[0-9]{2})?)?)?|[0-9a-z:-]{0,12}", which in 0usize..6,
        ) {
            let date = jiff::civil::date(2015, 5, day);
            let time = format!("{}{clock}", date.checked_add(beside.days()).unwrap());
            let object = object(&format!("auth/{date}/x.gz"));
            let comparison = ALL[which];
            if comparison.holds(&time, &bound) {
                prop_assert!(condition(Subject::Time, comparison, &[&bound]).may_hold(&object));
            }
        }

        #[test]
        fn a_plan_survives_its_text(used: u64, columns in prop::collection::vec((0usize..3000, 0usize..6), 0..5)) {
            let conditions = columns.into_iter().map(|(column, which)| (column, ALL[which])).collect();
            let plan = Plan { used, conditions };
            prop_assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }

    #[test]
    fn times_far_away_are_left_out() {
        let object = object("auth/2015-05/17/x.gz");
        for (comparison, bound, may) in [
            (Comparison::GreaterOrEqual, "2015-05-18T23:00", true),
            (Comparison::GreaterOrEqual, "2015-05-19", false),
            (Comparison::Less, "2015-05-16", false),
            (Comparison::Less, "2015-05-16T01", true),
            (Comparison::LessOrEqual, "2015-05-16", true),
            (Comparison::Less, "2015-05-15T23:59", false),
            (Comparison::Equal, "2015-05-17T10:00:00Z", true),
            (Comparison::Equal, "2015-05-19T10:00:00Z", false),
            (Comparison::Greater, "2015-06", false),
            (Comparison::Greater, "2015", true),
        ] {
            let condition = condition(Subject::Time, comparison, &[bound]);
            assert_eq!(condition.may_hold(&object), may, "{condition:?}");
        }
    }
}
