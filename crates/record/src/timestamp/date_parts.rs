//! Which of up to three numbers is the year, which the month, which the day.

/// The numbers of a date in the order they were written.
#[derive(Debug, Default)]
pub(super) struct DateParts {
    values: [i64; 3],
    count: usize,
    month_at: Option<usize>,
    year_at: Option<usize>,
    /// A year was written with its century: two digits are then all there is to it.
    pub(super) has_century: bool,
}

/// A date as far as it was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WrittenDate {
    pub(super) year: Option<i64>,
    pub(super) month: Option<i64>,
    pub(super) day: Option<i64>,
}

impl WrittenDate {
    fn ymd(year: i64, month: i64, day: i64) -> Self {
        Self { year: Some(year), month: Some(month), day: Some(day) }
    }
}

impl DateParts {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.values.len()
    }

    /// Adds a number that could be any part; from 101 on it is the year. `None` if the year or the third part is taken.
    pub(super) fn push(&mut self, value: i64, is_more_than_100: bool) -> Option<()> {
        if is_more_than_100 {
            return self.push_year(value, true);
        }
        self.push_value(value)
    }

    /// Adds digits that could be any part; more than two of them are the year.
    pub(super) fn push_digits(&mut self, digits: &str) -> Option<()> {
        let value = super::number::integer(digits)?;
        self.push(value, digits.len() > 2)
    }

    pub(super) fn push_year(&mut self, value: i64, with_century: bool) -> Option<()> {
        self.has_century |= with_century;
        let free = self.year_at.replace(self.count).is_none();
        free.then(|| self.push_value(value)).flatten()
    }

    pub(super) fn push_month(&mut self, value: i64) -> Option<()> {
        let free = self.month_at.replace(self.count).is_none();
        free.then(|| self.push_value(value)).flatten()
    }

    fn push_value(&mut self, value: i64) -> Option<()> {
        *self.values.get_mut(self.count)? = value;
        self.count += 1;
        Some(())
    }

    /// The last day that a number may name, given what is known of the month.
    pub(super) fn last_day(&self) -> i64 {
        let Some(month_at) = self.month_at else {
            return 31;
        };
        let year = self.year_at.map_or(2000, |at| self.values[at]);
        // Beyond Python's calendar its answer is that of the same year of this 400-year cycle.
        let year = if (1..=9999).contains(&year) { year } else { 2000 + year % 400 };
        super::resolve::days_in_month(year, self.values[month_at]).unwrap_or(0)
    }

    /// Decides by what names and centuries tell, then by what cannot be a day (above 31) or a month (above 12), and
    /// otherwise for month, day, year.
    pub(super) fn resolve(&self) -> WrittenDate {
        let [a, b, c] = self.values;
        if let Some(date) = self.resolve_by_labels() {
            return date;
        }
        match (self.count, self.month_at) {
            (1, _) if a > 31 => WrittenDate { year: Some(a), ..Default::default() },
            (1, _) => WrittenDate { day: Some(a), ..Default::default() },
            (2, Some(month_at)) => {
                let (month, other) = (Some(self.values[month_at]), self.values[1 - month_at]);
                if other > 31 {
                    WrittenDate { year: Some(other), month, day: None }
                } else {
                    WrittenDate { year: None, month, day: Some(other) }
                }
            }
            (2, None) if a > 31 => WrittenDate { year: Some(a), month: Some(b), day: None },
            (2, None) if b > 31 => WrittenDate { year: Some(b), month: Some(a), day: None },
            (2, None) => WrittenDate { year: None, month: Some(a), day: Some(b) },
            (3, Some(0)) if b > 31 => WrittenDate::ymd(b, a, c),
            (3, Some(0)) => WrittenDate::ymd(c, a, b),
            (3, Some(1)) if a > 31 => WrittenDate::ymd(a, b, c),
            (3, Some(1)) => WrittenDate::ymd(c, b, a),
            (3, Some(_)) if b > 31 => WrittenDate::ymd(b, c, a),
            (3, Some(_)) => WrittenDate::ymd(a, c, b),
            (3, None) if a > 31 || self.year_at == Some(0) => WrittenDate::ymd(a, b, c),
            (3, None) if a > 12 => WrittenDate::ymd(c, b, a),
            (3, None) => WrittenDate::ymd(c, a, b),
            _ => WrittenDate::default(),
        }
    }

    /// Year and month when both are known, or when one is and there is nothing else.
    fn resolve_by_labels(&self) -> Option<WrittenDate> {
        let year = self.year_at.map(|at| self.values[at]);
        let month = self.month_at.map(|at| self.values[at]);
        let known = usize::from(year.is_some()) + usize::from(month.is_some());
        let day = match (self.year_at, self.month_at) {
            (Some(year_at), Some(month_at)) if self.count == 3 => {
                Some(self.values[3 - year_at - month_at])
            }
            _ if self.count == known && known > 0 => None,
            _ => return None,
        };
        Some(WrittenDate { year, month, day })
    }
}
