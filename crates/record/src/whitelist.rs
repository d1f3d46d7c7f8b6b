//! Which log types a module takes.

/// Log types to take: names, `*`, `prefix*`; a leading `!` excludes. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whitelist {
    admitted: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Pattern {
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.into()),
            None => Self::Exact(text.into()),
        }
    }

    fn matches(&self, log_type: &str) -> bool {
        match self {
            Self::Exact(name) => log_type == &**name,
            Self::Prefix(prefix) => log_type.starts_with(&**prefix),
        }
    }
}

impl Whitelist {
    /// Reads one pattern per item; surrounding white space and empty items are ignored.
    pub fn parse<I, S>(patterns: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut whitelist = Self::default();
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            match pattern.strip_prefix('!').map(str::trim) {
                Some("") => {}
                Some(excluded) => whitelist.excluded.push(Pattern::parse(excluded)),
                None if pattern.is_empty() => {}
                None => whitelist.admitted.push(Pattern::parse(pattern)),
            }
        }
        whitelist
    }

    /// Whether a log type is taken; an exclusion outranks everything else.
    pub fn admits(&self, log_type: &str) -> bool {
        let admitted = self.admitted.is_empty()
            || self.admitted.iter().any(|pattern| pattern.matches(log_type));
        admitted && !self.excluded.iter().any(|pattern| pattern.matches(log_type))
    }
}

#[cfg(test)]
mod tests {
    use super::Whitelist;

    #[test]
    fn an_empty_whitelist_admits_everything() {
        for text in ["", " ", ",", " , ,", "!"] {
            assert!(Whitelist::parse(text.split(',')).admits("anything"), "{text:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_match_whole() {
        let whitelist = Whitelist::parse(" auth , nginx ".split(','));
        assert!(whitelist.admits("auth"));
        assert!(whitelist.admits("nginx"));
        assert!(!whitelist.admits("nginx_status"));
        assert!(!whitelist.admits(""));
    }

    #[test]
    fn a_star_at_the_end_matches_a_prefix() {
        let whitelist = Whitelist::parse(["web_*"]);
        assert!(whitelist.admits("web_access"));
        assert!(!whitelist.admits("my_web_access"));
        assert!(Whitelist::parse(["*"]).admits("web"));
    }

    #[test]
    fn an_exclusion_outranks_an_admission() {
        let whitelist = Whitelist::parse("app*,!app_debug*".split(','));
        assert!(whitelist.admits("app_error"));
        assert!(!whitelist.admits("app_debug_sql"));
    }

    #[test]
    fn exclusions_alone_admit_everything_else() {
        let whitelist = Whitelist::parse("!debug*, !trace".split(','));
        assert!(whitelist.admits("auth"));
        assert!(!whitelist.admits("debug_sql"));
        assert!(!whitelist.admits("trace"));
    }
}
