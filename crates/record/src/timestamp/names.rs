//! The words that a timestamp may contain, in any case (tables of dateutil's `parserinfo`).

/// Half of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Am,
    Pm,
}

/// A part of the time of day; in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Hour,
    Minute,
    Second,
}

impl Unit {
    /// The unit of a number that follows a number of this one (`10h 30`).
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Hour => Some(Self::Minute),
            Self::Minute => Some(Self::Second),
            Self::Second => None,
        }
    }
}

const WEEKDAYS: [[&str; 2]; 7] = [
    ["mon", "monday"],
    ["tue", "tuesday"],
    ["wed", "wednesday"],
    ["thu", "thursday"],
    ["fri", "friday"],
    ["sat", "saturday"],
    ["sun", "sunday"],
];

const MONTHS: [&[&str]; 12] = [
    &["jan", "january"],
    &["feb", "february"],
    &["mar", "march"],
    &["apr", "april"],
    &["may"],
    &["jun", "june"],
    &["jul", "july"],
    &["aug", "august"],
    &["sep", "sept", "september"],
    &["oct", "october"],
    &["nov", "november"],
    &["dec", "december"],
];

const UNITS: [(&str, Unit); 9] = [
    ("h", Unit::Hour),
    ("hour", Unit::Hour),
    ("hours", Unit::Hour),
    ("m", Unit::Minute),
    ("minute", Unit::Minute),
    ("minutes", Unit::Minute),
    ("s", Unit::Second),
    ("second", Unit::Second),
    ("seconds", Unit::Second),
];

const HALVES: [(&str, Half); 4] =
    [("am", Half::Am), ("a", Half::Am), ("pm", Half::Pm), ("p", Half::Pm)];

/// Words and signs that may stand anywhere and mean nothing.
const FILLERS: [&str; 18] = [
    " ", ".", ",", ";", "-", "/", "'", "at", "on", "and", "ad", "m", "t", "of", "st", "nd", "rd",
    "th",
];

/// 0 is Monday.
pub(super) fn weekday(token: &str) -> Option<i8> {
    let index = WEEKDAYS.iter().position(|names| is_any(token, names))?;
    i8::try_from(index).ok()
}

/// 1 is January.
pub(super) fn month(token: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|names| is_any(token, names))?;
    i64::try_from(index + 1).ok()
}

pub(super) fn unit(token: &str) -> Option<Unit> {
    choose(token, &UNITS)
}

pub(super) fn half(token: &str) -> Option<Half> {
    choose(token, &HALVES)
}

pub(super) fn is_filler(token: &str) -> bool {
    is_any(token, &FILLERS)
}

pub(super) fn is_utc(token: &str) -> bool {
    is_any(token, &["utc", "gmt", "z"])
}

/// Python reads these as floating point numbers, so that they cannot be names of zones.
pub(super) fn is_not_finite(token: &str) -> bool {
    is_any(token, &["nan", "inf", "infinity"])
}

fn is_any(token: &str, names: &[&str]) -> bool {
    names.iter().any(|name| token.eq_ignore_ascii_case(name))
}

fn choose<T: Copy>(token: &str, names: &[(&str, T)]) -> Option<T> {
    let found = names.iter().find(|(name, _)| token.eq_ignore_ascii_case(name));
    found.map(|&(_, meaning)| meaning)
}
