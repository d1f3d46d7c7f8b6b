//! A pattern as it is written: fields that all have to match, and alternatives of which one has to.

use crate::document::Value;
use crate::fault::{PatternError, Problem};
use crate::limits::{PATH_NAMES_MAX, PATTERN_CHARACTERS_MAX};
use crate::operators::FieldList;

/// The key whose members are alternatives.
const OR: &str = "$or";

/// Names that a field of an alternative cannot have (event-ruler, `RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP`): what looks
/// like `$or` between operators is a mistake.
const RESERVED_IN_OR: [&str; 25] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "html",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// A part of a pattern; its parts have to match together.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// A field: its names joined by dots.
    Field { path: String, list: FieldList },
    /// Alternatives, each of some parts.
    Or { path: String, alternatives: Vec<Vec<Part>> },
}

/// Reads the text of a pattern.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn read(text: &str) -> Result<Vec<Part>, PatternError> {
    let whole = |problem| PatternError { path: String::new(), problem };
    let characters = text.chars().count();
    if characters > PATTERN_CHARACTERS_MAX {
        return Err(whole(Problem::TooLong(characters)));
    }
    let value = Value::read(text)
        .map_err(|fault| whole(Problem::NotJson { at: fault.at, what: fault.what }))?;
    let Value::Object(members) = &value else { return Err(whole(Problem::NotAnObject)) };
    let mut parts = Vec::new();
    Reader { names: Vec::new(), is_in_or: false }.object(members, &mut parts)?;
    Ok(parts)
}

/// Where in a pattern one is.
struct Reader<'v> {
    names: Vec<&'v str>,
    is_in_or: bool,
}

impl<'v> Reader<'v> {
    fn object(
        &mut self,
        members: &'v [(String, Value)],
        parts: &mut Vec<Part>,
    ) -> Result<(), PatternError> {
        if members.is_empty() {
            return Err(self.wrong(Problem::EmptyObject));
        }
        for (key, value) in members {
            if key == OR {
                parts.push(self.or(value)?);
                continue;
            }
            if self.is_in_or && RESERVED_IN_OR.contains(&key.as_str()) {
                return Err(self.wrong(Problem::OrReserved(key.clone())));
            }
            self.names.push(key);
            match value {
                Value::Object(members) => self.object(members, parts)?,
                Value::Array(members) => parts.push(self.field(members)?),
                _ => {
                    self.names.pop();
                    return Err(self.wrong(Problem::NotObjectOrArray(key.clone())));
                }
            }
            self.names.pop();
        }
        Ok(())
    }

    fn field(&self, members: &[Value]) -> Result<Part, PatternError> {
        let path = self.names.join(".");
        // Names may have dots of their own.
        if path.split('.').count() > PATH_NAMES_MAX {
            return Err(self.wrong(Problem::TooDeep));
        }
        let list = FieldList::read(members).map_err(|problem| self.wrong(problem))?;
        Ok(Part::Field { path, list })
    }

    fn or(&mut self, value: &'v Value) -> Result<Part, PatternError> {
        let Value::Array(members) = value else { return Err(self.wrong(Problem::OrNotArray)) };
        let is_in_or = std::mem::replace(&mut self.is_in_or, true);
        let mut alternatives = Vec::with_capacity(members.len());
        for member in members {
            let Value::Object(members) = member else { return Err(self.wrong(Problem::OrMember)) };
            let mut parts = Vec::new();
            self.object(members, &mut parts)?;
            alternatives.push(parts);
        }
        if alternatives.len() < 2 {
            return Err(self.wrong(Problem::OrTooFew));
        }
        self.is_in_or = is_in_or;
        Ok(Part::Or { path: self.names.join("."), alternatives })
    }

    fn wrong(&self, problem: Problem) -> PatternError {
        PatternError { path: self.names.join("."), problem }
    }
}
