//! What is wrong with the settings of a `kinesis-to-fluent` module.

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// `destination` or an address in `servers` is no address of a receiver.
    #[error(
        "{key} {given:?} is not the address of a Fluent receiver ({why}); an example: fluent://host:24224"
    )]
    Address {
        /// The setting.
        key: &'static str,
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// `servers` says something that cannot be done.
    #[error("servers {0}")]
    Servers(&'static str),
    /// `fluent_tag` cannot end a tag.
    #[error("fluent_tag {given:?} {why}")]
    FluentTag {
        /// The text.
        given: String,
        /// What is wrong.
        why: &'static str,
    },
    /// `tag` is no template.
    #[error("tag {given:?} {why}")]
    Tag {
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// A number, or the length of a text, outside of its range.
    #[error("{key} must be {range}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A setting that has no meaning without another, or with another.
    #[error("{key} {why}")]
    Mismatch {
        /// The setting.
        key: &'static str,
        /// What goes together.
        why: &'static str,
    },
    /// A file of a certificate or a key cannot be used.
    #[error("{key}: {why}")]
    File {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl InvalidSettings {
    /// The key to look at.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Servers(_) => "servers",
            Self::FluentTag { .. } => "fluent_tag",
            Self::Tag { .. } => "tag",
            Self::Address { key, .. }
            | Self::OutOfRange { key, .. }
            | Self::Mismatch { key, .. }
            | Self::File { key, .. } => key,
        }
    }
}
