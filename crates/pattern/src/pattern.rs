//! An event filter pattern.

use std::fmt;
use std::sync::Arc;

use crate::compile::Compiled;
use crate::fault::PatternError;

/// A compiled pattern. Cheap to clone; equal when their texts are.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: Arc<Compiled>,
}

impl Pattern {
    /// Compiles the JSON text of a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.into(), compiled: Arc::new(Compiled::read(text)?) })
    }

    /// Whether a JSON text matches. What is no JSON, or no object, matches nothing.
    pub fn matches(&self, document: &[u8]) -> bool {
        self.compiled.matches(document)
    }

    /// The text that this was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}
