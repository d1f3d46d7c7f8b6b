//! Tags in requests and answers, and the rules for their characters.

use baikonur_stream::{StreamName, TAGS_MAX};

use crate::kinesis::Home;
use crate::wire::error::ApiError;
use crate::wire::output::output;

output! {
    /// `Tag`.
    pub(crate) struct Tag {
        pub(crate) key: String = "Key",
        pub(crate) value: String = "Value",
    }
}

/// Tags in the order of their keys.
pub(crate) fn shapes<'a>(tags: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<Tag> {
    tags.map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

fn is_legal(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_./=+-%@:".contains(c)
}

impl Home {
    /// Refuses what the service refuses in the texts of tags; `verb` is "add" or "remove".
    pub(crate) fn check_tags<'t>(
        &self,
        texts: impl Iterator<Item = &'t String> + Clone,
        stream: &StreamName,
        verb: &str,
    ) -> Result<(), ApiError> {
        if !texts.clone().all(|text| text.chars().all(is_legal)) {
            return Err(ApiError::invalid_argument(
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, \
                 white space, _ . / = + - % @.",
            ));
        }
        if texts.clone().any(|text| text.contains('%')) {
            let (account, preposition) = (&self.account, if verb == "add" { "to" } else { "from" });
            return Err(ApiError::invalid_argument(format!(
                "Failed to {verb} tags {preposition} stream {stream} under account {account} because \
                 some tags contained illegal characters. The allowed characters are Unicode letters, \
                 white-spaces, '_',',','/','=','+','-','@'."
            )));
        }
        Ok(())
    }

    /// What is said of more tags than a stream may have.
    pub(crate) fn too_many_tags(&self, stream: &StreamName) -> ApiError {
        let account = &self.account;
        ApiError::invalid_argument(format!(
            "Failed to add tags to stream {stream} under account {account} because a given stream \
             cannot have more than {TAGS_MAX} tags associated with it."
        ))
    }
}
