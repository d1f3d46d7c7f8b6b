//! What each token of a timestamp stands for, decided from left to right.

use super::date_parts::{DateParts, WrittenDate};
use super::names::{self, Half, Unit};
use super::number::{Number, integer};
use super::resolve::four_digit_year;

/// What a timestamp says, unchecked.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) date: WrittenDate,
    pub(super) has_century: bool,
    /// 0 is Monday.
    pub(super) weekday: Option<i8>,
    pub(super) hour: Option<i64>,
    pub(super) minute: Option<i64>,
    pub(super) second: Option<i64>,
    pub(super) micro: Option<i64>,
    pub(super) zone_is_utc: bool,
    pub(super) offset_seconds: Option<i64>,
}

impl Fields {
    fn say_nothing(&self) -> bool {
        let time = [self.hour, self.minute, self.second, self.micro];
        self.date == WrittenDate::default()
            && self.weekday.is_none()
            && time.iter().all(Option::is_none)
    }
}

/// Reads the tokens; `None` when one of them has no meaning at its place, or when there is none at all.
pub(super) fn fields(tokens: &[&str], pivot_year: i16) -> Option<Fields> {
    let mut reader = Reader {
        tokens,
        pivot_year,
        fields: Fields::default(),
        date: DateParts::default(),
        zone_named: false,
        inverted_sign_at: None,
    };
    let mut at = 0;
    while at < tokens.len() {
        at = reader.read(at)? + 1;
    }
    let mut fields = reader.fields;
    fields.date = reader.date.resolve();
    fields.has_century = reader.date.has_century;
    (!fields.say_nothing()).then_some(fields)
}

struct Reader<'t> {
    tokens: &'t [&'t str],
    pivot_year: i16,
    fields: Fields,
    date: DateParts,
    zone_named: bool,
    /// For dateutil, `GMT+3` does not say "three hours after GMT" but "this time plus three hours is GMT": the sign
    /// behind a zone's name is read the other way round.
    inverted_sign_at: Option<usize>,
}

impl<'t> Reader<'t> {
    fn token(&self, at: usize) -> Option<&'t str> {
        self.tokens.get(at).copied()
    }

    fn is(&self, at: usize, token: &str) -> bool {
        self.token(at) == Some(token)
    }

    /// Reads what begins at `at`, and gives the index of its last token.
    fn read(&mut self, at: usize) -> Option<usize> {
        let token = self.token(at)?;
        if let Some(number) = Number::read(token) {
            return self.number(at, number);
        }
        if names::is_not_finite(token) {
            return None;
        }
        if let Some(weekday) = names::weekday(token) {
            self.fields.weekday = Some(weekday);
            return Some(at);
        }
        if let Some(month) = names::month(token) {
            return self.month(at, month);
        }
        if let Some(half) = names::half(token) {
            let hour = self.fields.hour.filter(|hour| (0..=12).contains(hour))?;
            self.fields.hour = Some(hour_of_day(hour, half));
            return Some(at);
        }
        if self.fields.offset_seconds.is_none() && self.could_name_zone(token) {
            self.zone(at, token);
            return Some(at);
        }
        if self.fields.hour.is_some() && matches!(token, "+" | "-") {
            return self.offset(at);
        }
        names::is_filler(token).then_some(at)
    }

    /// `Sep-25-2003`, `Sep of 2003`, or the month alone.
    fn month(&mut self, at: usize, month: i64) -> Option<usize> {
        self.date.push_month(month)?;
        if let Some(sign @ ("-" | "/")) = self.token(at + 1) {
            self.date.push_digits(self.token(at + 2)?)?;
            if !self.is(at + 3, sign) {
                return Some(at + 2);
            }
            self.date.push_digits(self.token(at + 4)?)?;
            return Some(at + 4);
        }
        let of = self.token(at + 2).is_some_and(|token| token.eq_ignore_ascii_case("of"));
        if of && self.is(at + 1, " ") && self.is(at + 3, " ") {
            let Some(year) = self.token(at + 4) else {
                return Some(at);
            };
            if let Some(year) = integer(year) {
                let year = four_digit_year(year, self.pivot_year);
                self.date.push_year(year, year >= 100)?;
            }
            return Some(at + 4);
        }
        Some(at)
    }

    fn could_name_zone(&self, token: &str) -> bool {
        let spelled = token.len() <= 5 && token.bytes().all(|byte| byte.is_ascii_uppercase());
        self.fields.hour.is_some() && !self.zone_named && (spelled || token == "z")
    }

    fn zone(&mut self, at: usize, token: &str) {
        let is_utc = names::is_utc(token);
        let signed = matches!(self.token(at + 1), Some("+" | "-"));
        if signed {
            self.inverted_sign_at = Some(at + 1);
        }
        // `GMT+3` is not GMT.
        self.zone_named = !(signed && is_utc);
        self.fields.zone_is_utc = self.zone_named && is_utc;
        // Python's table of zones with a known offset has just this name in this spelling.
        self.fields.offset_seconds = (token == "z" && !signed).then_some(0);
    }

    /// `+0300`, `+03:00`, `+3`; then, possibly, a name in brackets.
    fn offset(&mut self, at: usize) -> Option<usize> {
        let inverted = self.inverted_sign_at == Some(at);
        let sign = if self.is(at, "+") != inverted { 1 } else { -1 };
        let digits = self.token(at + 1)?;
        let mut last = at + 1;
        let (hours, minutes) = if digits.len() == 4 {
            (integer(digits.get(..2)?)?, integer(digits.get(2..)?)?)
        } else if self.is(at + 2, ":") {
            last = at + 3;
            (integer(digits)?, integer(self.token(at + 3)?)?)
        } else if digits.len() <= 2 {
            (integer(digits)?, 0)
        } else {
            return None;
        };
        self.fields.offset_seconds = Some(sign * (hours * 3600 + minutes * 60));
        if let [_, filler, "(", name, ")", ..] = self.tokens[last..]
            && names::is_filler(filler)
            && name.len() >= 3
            && self.could_name_zone(name)
        {
            self.zone_named = true;
            self.fields.zone_is_utc = names::is_utc(name);
            last += 4;
        }
        Some(last)
    }

    fn number(&mut self, at: usize, number: Number<'t>) -> Option<usize> {
        let length = number.text.len();
        let next_is_unit = self.token(at + 1).is_some_and(|token| names::unit(token).is_some());
        let time_may_follow = self.date.is_full() && self.fields.hour.is_none();
        if time_may_follow && matches!(length, 2 | 4) && !self.is(at + 1, ":") && !next_is_unit {
            self.fields.hour = Some(integer(&number.text[..2])?);
            if length == 4 {
                self.fields.minute = Some(integer(&number.text[2..])?);
            }
            return Some(at);
        }
        if length == 6
            || length > 6
                && number.text.as_bytes()[6..].first().is_some_and(|byte| !byte.is_ascii_digit())
        {
            self.six_digits(number)?;
            return Some(at);
        }
        if let 8 | 12 | 14 = length {
            self.packed(number.text)?;
            return Some(at);
        }
        if let Some((unit_at, unit)) = self.unit_of(at) {
            self.assign(unit, &number);
            return Some(at.max(unit_at));
        }
        if self.is(at + 1, ":")
            && let Some(minute) = self.token(at + 2)
        {
            return self.clock(at, &number, minute);
        }
        if let Some(sign @ ("-" | "/" | ".")) = self.token(at + 1) {
            return self.separated_date(at, &number, sign);
        }
        self.bare_number(at, &number)
    }

    /// `030925` as a date, or, after one, `104941` or `104941.5` as a time.
    fn six_digits(&mut self, number: Number<'_>) -> Option<()> {
        let text = number.text;
        if self.date.is_empty() && !number.has_point() {
            self.date.push_digits(&text[..2])?;
            self.date.push_digits(&text[2..4])?;
            return self.date.push_digits(&text[4..]);
        }
        self.fields.hour = Some(integer(&text[..2])?);
        self.fields.minute = Some(integer(&text[2..4])?);
        self.second(&Number::read(&text[4..])?);
        Some(())
    }

    /// `YYYYMMDD`, `YYYYMMDDhhmm` or `YYYYMMDDhhmmss`.
    fn packed(&mut self, text: &str) -> Option<()> {
        self.date.push_year(integer(&text[..4])?, true)?;
        self.date.push_digits(&text[4..6])?;
        self.date.push_digits(&text[6..8])?;
        if text.len() > 8 {
            self.fields.hour = Some(integer(&text[8..10])?);
            self.fields.minute = Some(integer(&text[10..12])?);
        }
        if text.len() > 12 {
            self.fields.second = Some(integer(&text[12..])?);
        }
        Some(())
    }

    /// The unit that the number at `at` is counted in, and where that is said: behind the number (`10h`, `10 h`), or,
    /// as the next smaller unit, before it (`10h30`, and at the end `10 h 30`).
    fn unit_of(&self, at: usize) -> Option<(usize, Option<Unit>)> {
        let unit_at = |at: usize| self.token(at).and_then(names::unit);
        if let Some(unit) = unit_at(at + 1) {
            return Some((at + 1, Some(unit)));
        }
        if self.is(at + 1, " ")
            && let Some(unit) = unit_at(at + 2)
        {
            return Some((at + 2, Some(unit)));
        }
        let before = at.checked_sub(1)?;
        if let Some(unit) = unit_at(before) {
            return Some((before, unit.next()));
        }
        let is_last = at + 1 == self.tokens.len();
        let before_space = before.checked_sub(1).filter(|_| is_last && self.is(before, " "))?;
        unit_at(before_space).map(|unit| (before_space, unit.next()))
    }

    fn assign(&mut self, unit: Option<Unit>, number: &Number<'_>) {
        match unit {
            Some(Unit::Hour) => {
                self.fields.hour = Some(number.whole());
                self.fields.minute = number.sixtieths().or(self.fields.minute);
            }
            Some(Unit::Minute) => self.minute(number),
            Some(Unit::Second) => self.second(number),
            None => {}
        }
    }

    fn minute(&mut self, number: &Number<'_>) {
        self.fields.minute = Some(number.whole());
        self.fields.second = number.sixtieths();
    }

    fn second(&mut self, number: &Number<'_>) {
        let (second, micro) = number.seconds();
        self.fields.second = Some(second);
        self.fields.micro = Some(micro);
    }

    /// `10:36`, `10:36.5`, `10:36:28.25`.
    fn clock(&mut self, at: usize, hour: &Number<'_>, minute: &str) -> Option<usize> {
        self.fields.hour = Some(hour.whole());
        self.minute(&Number::read(minute)?);
        if self.is(at + 3, ":")
            && let Some(second) = self.token(at + 4)
        {
            self.second(&Number::read(second)?);
            return Some(at + 4);
        }
        Some(at + 2)
    }

    /// `2003-09-25`, `25/Sep/2003`, `25.09.`
    fn separated_date(&mut self, at: usize, first: &Number<'_>, sign: &str) -> Option<usize> {
        self.date.push_digits(first.text)?;
        let Some(second) = self.token(at + 2).filter(|token| !names::is_filler(token)) else {
            return Some(at + 1);
        };
        self.month_or_digits(second)?;
        if !self.is(at + 3, sign) {
            return Some(at + 2);
        }
        self.month_or_digits(self.token(at + 4)?)?;
        Some(at + 4)
    }

    fn month_or_digits(&mut self, token: &str) -> Option<()> {
        match names::month(token) {
            Some(month) => self.date.push_month(month),
            None => self.date.push_digits(token),
        }
    }

    /// `10am`, `10 am`, or a part of the date.
    fn bare_number(&mut self, at: usize, number: &Number<'_>) -> Option<usize> {
        let next = self.token(at + 1);
        if next.is_none_or(names::is_filler) {
            if let Some(half) = self.token(at + 2).and_then(names::half) {
                self.fields.hour = Some(hour_of_day(number.whole(), half));
                return Some(at + 2);
            }
            self.date.push(number.whole(), number.is_more_than(100))?;
            return Some(at + 1);
        }
        if let Some(half) = next.and_then(names::half)
            && number.whole() < 24
        {
            self.fields.hour = Some(hour_of_day(number.whole(), half));
            return Some(at + 1);
        }
        if number.whole() < 1 || number.is_more_than(self.date.last_day()) {
            return None;
        }
        self.date.push(number.whole(), false)?;
        Some(at)
    }
}

fn hour_of_day(hour: i64, half: Half) -> i64 {
    match half {
        Half::Pm if hour < 12 => hour + 12,
        Half::Am if hour == 12 => 0,
        _ => hour,
    }
}
