//! Mistakes in a configuration, shown with their line and what would be right.

use std::fmt;
use std::ops::Range;

/// The section whose lines are not shown.
const SECRET_SECTION: &str = "server.credentials";
/// Keys whose lines are not shown even where the file cannot be read into sections.
const SECRET_KEYS: [&str; 2] = ["secret_access_key", "session_token"];

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Bytes of the text that are wrong; none when it is not in the text.
    pub(crate) span: Option<Range<usize>>,
    /// The section, such as `modules.archive`; may be empty.
    pub(crate) section: String,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

impl Mistake {
    /// Whether both begin on the same line of `text`.
    pub(super) fn is_on_the_line_of(&self, other: &Self, text: &str) -> bool {
        let line = |mistake: &Self| {
            let before = text.get(..mistake.span.as_ref()?.start)?;
            Some(before.matches('\n').count())
        };
        line(self).is_some_and(|own| line(other) == Some(own))
    }
}

/// All mistakes of one file, in the order of their lines.
#[derive(Debug)]
pub(crate) struct Mistakes {
    shown: String,
    count: usize,
}

impl Mistakes {
    /// Words for `mistakes` in `text`.
    pub(super) fn new(file: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.as_ref().map_or(0, |span| span.start));
        let mut shown = String::new();
        for mistake in &mistakes {
            if !shown.is_empty() {
                shown.push('\n');
            }
            show(&mut shown, file, text, mistake);
        }
        Self { shown, count: mistakes.len() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::error::Error for Mistakes {}

fn show(shown: &mut String, file: &str, text: &str, mistake: &Mistake) {
    let section = match mistake.section.as_str() {
        "" => String::new(),
        section => format!("[{section}] "),
    };
    let message = mistake.message.trim();
    let Some(span) = mistake.span.clone().filter(|span| span.start <= text.len()) else {
        shown.push_str(&format!("{file}: {section}{message}\n"));
        return;
    };
    let before = text.get(..span.start).unwrap_or_default();
    let line_number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    if mistake.section == SECRET_SECTION || SECRET_KEYS.iter().any(|key| line.contains(key)) {
        shown.push_str(&format!("{file}:{line_number}: {section}{message}\n"));
        return;
    }
    let column = before[line_start..].chars().count();
    let width = text.get(span).and_then(|wrong| wrong.lines().next());
    let width = width.map_or(1, |wrong| wrong.chars().count()).max(1);
    let gutter = line_number.to_string();
    shown.push_str(&format!("{file}:{line_number}: {section}{message}\n"));
    shown.push_str(&format!("  {gutter} | {line}\n"));
    let (pad, indent, marks) = (" ".repeat(gutter.len()), " ".repeat(column), "^".repeat(width));
    shown.push_str(&format!("  {pad} | {indent}{marks}\n"));
}

/// The name among `known` that `given` was probably meant to be.
pub(super) fn nearest<'k>(
    given: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    const LIKE_ENOUGH: f64 = 0.75;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > LIKE_ENOUGH)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// A hint to stand behind a message, or nothing.
pub(super) fn did_you_mean<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
