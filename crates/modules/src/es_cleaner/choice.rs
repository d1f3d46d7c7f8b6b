//! Which indices are old: by the date in the name alone, and never one of the system or without a date.

use jiff::civil::Date;

use super::date_format::DateFormat;
use super::settings::{InvalidSettings, Settings};

/// What the settings say of names.
#[derive(Debug)]
pub(super) struct Choice {
    prefixes: Vec<String>,
    exclude: Vec<String>,
    format: DateFormat,
    max_age_days: u32,
}

impl Choice {
    /// # Errors
    /// A setting that cannot work.
    pub(super) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let given = |texts: &[String]| -> Vec<String> {
            texts.iter().filter(|text| !text.is_empty()).cloned().collect()
        };
        Ok(Self {
            prefixes: given(&settings.index_name_prefix),
            exclude: given(&settings.exclude),
            format: settings.date_format()?,
            max_age_days: settings.max_age_days,
        })
    }

    /// The date of an index that is older than it may be `today`; none for all that stay.
    pub(super) fn date_if_old(&self, name: &str, today: Date) -> Option<Date> {
        // Those of the system, and what data streams are made of.
        if name.starts_with('.') || !self.prefixes.iter().any(|prefix| begins(name, prefix)) {
            return None;
        }
        if self.exclude.iter().any(|pattern| matches(pattern, name)) {
            return None;
        }
        let date = self.format.date_of(name)?;
        (age_in_days(date, today) > i64::from(self.max_age_days)).then_some(date)
    }
}

/// Days from the date of an index to today.
pub(super) fn age_in_days(date: Date, today: Date) -> i64 {
    date.duration_until(today).as_hours() / 24
}

/// Whether `name` has this prefix: what follows is another part of the name.
fn begins(name: &str, prefix: &str) -> bool {
    let is_separator = |text: char| matches!(text, '-' | '_' | '.');
    let Some(rest) = name.strip_prefix(prefix) else { return prefix == "*" };
    prefix.ends_with(is_separator) || rest.starts_with(is_separator)
}

/// Whether `name` as a whole is of a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // `split` gives at least one.
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::cluster;

    fn choice(prefixes: &[&str], exclude: &[&str]) -> Choice {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let destination = vec!["http://127.0.0.1:9200".to_owned()];
        let cluster = cluster::Settings { destination, ..cluster::Settings::default() };
        let (index_name_prefix, exclude) = (texts(prefixes), texts(exclude));
        let settings = Settings {
            cluster,
            index_name_prefix,
            exclude,
            max_age_days: 30,
            ..Settings::default()
        };
        Choice::new(&settings).unwrap()
    }

    #[test]
    fn an_index_is_old_the_day_after_its_last() {
        let choice = choice(&["logs"], &[]);
        let today = date(2025, 3, 31);
        assert_eq!(choice.date_if_old("logs-a-20250301", today), None);
        assert_eq!(choice.date_if_old("logs-a-20250228", today), Some(date(2025, 2, 28)));
        // From a clock that is ahead.
        assert_eq!(choice.date_if_old("logs-a-20990101", today), None);
    }

    #[test]
    fn only_names_of_the_prefixes_that_are_not_excluded_are_old() {
        let today = date(2025, 6, 1);
        let chosen =
            choice(&["logs", "app-"], &["*-audit-*", "logs-keep-20250101", "app-x*y*z-20250101"]);
        for (name, is_old) in [
            ("logs-a-20250101", true),
            ("logs.a.20250101", true),
            ("logs_a-20250101", true),
            ("logs2-a-20250101", false),
            ("xlogs-a-20250101", false),
            ("app-20250101", true),
            ("app-b-20250101", true),
            ("apple-20250101", false),
            ("logs-audit-20250101", false),
            ("logs-keep-20250101", false),
            ("logs-keep-20250102", true),
            ("app-x1y2z-20250101", false),
            ("app-x1y2-20250101", true),
            (".logs-a-20250101", false),
            ("logs-a", false),
            ("logs-a-20250101-reload", false),
        ] {
            assert_eq!(chosen.date_if_old(name, today).is_some(), is_old, "{name}");
        }
        let all = choice(&["*"], &[]);
        assert!(all.date_if_old("anything-20250101", today).is_some());
        assert!(all.date_if_old(".kibana-20250101", today).is_none());
        assert!(all.date_if_old(".ds-logs-2025.01.01-000001", today).is_none());
    }

    proptest! {
        #[test]
        fn no_name_of_the_system_and_none_without_a_date_is_ever_old(name in "\\PC{0,40}") {
            let all = choice(&["*"], &[]);
            let found = all.date_if_old(&name, date(9999, 12, 31));
            if found.is_some() {
                prop_assert!(!name.starts_with('.'));
                prop_assert!(name.len() > 8 && name[name.len() - 8..].bytes().all(|byte| byte.is_ascii_digit()));
            }
            let _ = matches(&name, &name);
        }

        #[test]
        fn a_pattern_matches_what_it_is_made_from(parts in prop::collection::vec("[a-c]{0,3}", 1..5), between in "[a-c]{0,3}") {
            prop_assert!(matches(&parts.join("*"), &parts.join(&between)));
        }
    }
}
