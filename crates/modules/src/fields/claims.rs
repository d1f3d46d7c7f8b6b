//! Mistakes between two entries: a field that is named twice, or below one that is gone, or a name that two would get.

use super::path::Path;

/// Entries that a module may have: each event is compared with all that stand at the same depth.
const ENTRIES_MAX: usize = 256;

/// What an entry wants to do, and with which field.
#[derive(Debug, Clone)]
pub(super) enum Claim {
    Drop(Path),
    Rename(Path, String),
    /// The whole value.
    Redact(Path),
    /// What a pattern finds in it.
    Search(Path),
    Add(String),
}

/// The entries so far.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claims: Vec<Claim>,
    count: usize,
}

impl Claims {
    /// Counts an entry that names no field.
    ///
    /// # Errors
    /// Too many entries.
    pub(super) fn count(&mut self) -> Result<(), String> {
        self.count += 1;
        if self.count > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        Ok(())
    }

    /// Notes an entry.
    ///
    /// # Errors
    /// What it has against it among the entries before, whose order does not matter.
    pub(super) fn add(&mut self, claim: Claim) -> Result<(), String> {
        self.count()?;
        if let Claim::Rename(from, to) = &claim
            && from.split_last().0 == to
        {
            return Err(format!("{from} already has this name"));
        }
        for before in &self.claims {
            if let Some(what) = between(before, &claim).or_else(|| between(&claim, before)) {
                return Err(what);
            }
        }
        self.claims.push(claim);
        Ok(())
    }
}

/// What is wrong with both, seen from the first.
fn between(one: &Claim, other: &Claim) -> Option<String> {
    use Claim::{Add, Drop, Redact, Rename, Search};

    match (one, other) {
        (Drop(dropped), Drop(path) | Rename(path, _) | Redact(path) | Search(path)) => {
            if dropped.joined() == path.joined() {
                return Some(match other {
                    Drop(_) => format!("{path} is dropped twice"),
                    Rename(..) => format!("{path} is dropped, and renamed as well"),
                    _ => format!("{path} is dropped, and redacted as well"),
                });
            }
            below(dropped, path).then(|| format!("{path} is below {dropped}, which is dropped"))
        }
        (Redact(hidden), Redact(path) | Search(path) | Rename(path, _)) => {
            if hidden.joined() == path.joined() {
                let twice = !matches!(other, Rename(..));
                return twice.then(|| format!("{path} is redacted twice"));
            }
            below(hidden, path)
                .then(|| format!("{path} is below {hidden}, which is redacted as a whole"))
        }
        (Rename(from, to), Rename(path, name)) => {
            if from.joined() == path.joined() {
                return Some(format!("{path} is renamed twice"));
            }
            let target = renamed(from, to);
            if target == renamed(path, name) {
                return Some(format!("{from} and {path} would both become {target}"));
            }
            (target == path.joined())
                .then(|| format!("{from} would become {target}, which is renamed itself"))
        }
        (Rename(from, to), Add(name)) => (renamed(from, to) == *name)
            .then(|| format!("{from} would become {name}, which is added as well")),
        (Add(one), Add(other)) => (one == other).then(|| format!("{one} is added twice")),
        _ => None,
    }
}

fn renamed(from: &Path, to: &str) -> String {
    let (_, before) = from.split_last();
    before.iter().map(|name| &**name).chain([to]).collect::<Vec<_>>().join(".")
}

fn below(outer: &Path, inner: &Path) -> bool {
    inner.joined().strip_prefix(&*outer.joined()).is_some_and(|rest| rest.starts_with('.'))
}
