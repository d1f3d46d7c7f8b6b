//! From alternatives to combinations: each a set of fields that have to match together.
//!
//! `$or` is multiplied out, as event-ruler does it: that all fields of a combination are in the same element of an array
//! can then be told from the combination alone. A field whose list has `{"exists": false}` beside other values is two
//! alternatives as well.

use std::collections::HashMap;

use crate::fault::{PatternError, Problem};
use crate::limits::{COMBINATIONS_MAX, COMBINED_FIELDS_MAX};
use crate::matcher::AnyOf;
use crate::rule::Part;

/// All that a pattern says.
#[derive(Debug, Default)]
pub(crate) struct Combined<'r> {
    /// The paths of all fields, each once.
    pub(crate) paths: Vec<&'r str>,
    /// The lists of all fields, in the order in which they are written.
    pub(crate) lists: Vec<&'r AnyOf>,
    /// What has to match together.
    pub(crate) combinations: Vec<Vec<Requirement>>,
}

/// What a combination wants of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// Of [`Combined::paths`].
    pub(crate) path: usize,
    /// Of [`Combined::lists`]; none where the field has to be absent.
    pub(crate) list: Option<usize>,
}

/// Multiplies `parts` out.
///
/// # Errors
/// Too many combinations, or one that has a field twice.
pub(crate) fn combine(parts: &[Part]) -> Result<Combined<'_>, PatternError> {
    let mut combiner = Combiner { combined: Combined::default(), places: HashMap::new() };
    let combinations = combiner.all_of(parts, vec![Vec::new()])?;
    Ok(Combined { combinations, ..combiner.combined })
}

struct Combiner<'r> {
    combined: Combined<'r>,
    /// Path → its place.
    places: HashMap<&'r str, usize>,
}

type Combinations = Vec<Vec<Requirement>>;

impl<'r> Combiner<'r> {
    /// Each of `combinations` with all of `parts`.
    fn all_of(
        &mut self,
        parts: &'r [Part],
        mut combinations: Combinations,
    ) -> Result<Combinations, PatternError> {
        for part in parts {
            combinations = match part {
                Part::Field { path, list } => {
                    let place = self.place(path);
                    let mut wanted = Vec::with_capacity(2);
                    if !list.present.is_empty() {
                        wanted.push(Some(self.combined.lists.len()));
                        self.combined.lists.push(&list.present);
                    }
                    if list.may_be_absent {
                        wanted.push(None);
                    }
                    let wanted = wanted.into_iter().map(|list| Requirement { path: place, list });
                    self.one_of(path, &combinations, wanted.collect())?
                }
                Part::Or { path, alternatives } => {
                    let mut all = Vec::new();
                    for alternative in alternatives {
                        all.append(&mut self.all_of(alternative, combinations.clone())?);
                        check_size(path, &all)?;
                    }
                    all
                }
            };
        }
        Ok(combinations)
    }

    /// Each of `combinations` with each of `wanted`.
    fn one_of(
        &self,
        path: &str,
        combinations: &Combinations,
        wanted: Vec<Requirement>,
    ) -> Result<Combinations, PatternError> {
        let mut all = Vec::with_capacity(combinations.len() * wanted.len());
        for combination in combinations {
            for requirement in &wanted {
                if combination.iter().any(|other| other.path == requirement.path) {
                    let problem = Problem::PathTwice(path.to_owned());
                    return Err(PatternError { path: path.to_owned(), problem });
                }
                let mut combination = combination.clone();
                combination.push(*requirement);
                all.push(combination);
            }
        }
        check_size(path, &all)?;
        Ok(all)
    }

    fn place(&mut self, path: &'r str) -> usize {
        let paths = &mut self.combined.paths;
        *self.places.entry(path).or_insert_with(|| {
            paths.push(path);
            paths.len() - 1
        })
    }
}

fn check_size(path: &str, combinations: &Combinations) -> Result<(), PatternError> {
    let fields: usize = combinations.iter().map(Vec::len).sum();
    if combinations.len() > COMBINATIONS_MAX || fields > COMBINED_FIELDS_MAX {
        let problem = Problem::TooManyCombinations;
        return Err(PatternError { path: path.to_owned(), problem });
    }
    Ok(())
}
