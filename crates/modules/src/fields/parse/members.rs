//! The members of one object, with their values as bytes.

use std::borrow::Cow;
use std::collections::HashSet;

use baikonur_record::scan::{self, unescape};

use crate::fields::json_text::{self, Bounded};

/// Members of an object at most: each takes several times the bytes of a short one.
pub(super) const MEMBERS_MAX: usize = 10_000;

/// Why a text has no members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMembers {
    /// It is no object of JSON.
    NoObject,
    /// It is one with more than [`MEMBERS_MAX`].
    TooMany,
}

/// Members in their order.
#[derive(Debug, Default)]
pub(super) struct Members<'t> {
    list: Vec<Member<'t>>,
}

#[derive(Debug)]
struct Member<'t> {
    name: Cow<'t, [u8]>,
    /// The name as it is written, with its quotes.
    key: Cow<'t, [u8]>,
    /// JSON.
    value: Cow<'t, [u8]>,
}

impl<'t> Members<'t> {
    /// The members of `text`.
    ///
    /// # Errors
    /// It is no object of JSON, or too large a one.
    pub(super) fn of(text: &'t [u8]) -> Result<Self, NoMembers> {
        let text = text.trim_ascii();
        if text.first() != Some(&b'{') || std::str::from_utf8(text).is_err() {
            return Err(NoMembers::NoObject);
        }
        let (mut list, mut count) = (Vec::new(), 0_usize);
        scan::root(text, |cursor, key| {
            let value = cursor.value()?;
            count += 1;
            if count <= MEMBERS_MAX {
                list.push(Member {
                    name: key.text(),
                    key: Cow::Borrowed(&text[key.span()]),
                    value: Cow::Borrowed(&text[value]),
                });
            }
            Ok(())
        })
        .map_err(|_| NoMembers::NoObject)?;
        if count > MEMBERS_MAX {
            return Err(NoMembers::TooMany);
        }
        Ok(Self { list })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|member| *member.name == *name.as_bytes())
    }

    /// The value of a member, the last of equal ones.
    fn value(&self, name: &str) -> Option<&Cow<'t, [u8]>> {
        let found = self.list.iter().rfind(|member| *member.name == *name.as_bytes());
        found.map(|member| &member.value)
    }

    /// The content of a member that is a text, as it is written between its quotes.
    pub(super) fn content(&self, name: &str) -> Option<&[u8]> {
        match &**self.value(name)? {
            [b'"', content @ .., b'"'] => Some(content),
            _ => None,
        }
    }

    /// The first of the members named that is a text with an object in it, and the text.
    pub(super) fn json_text<'n>(&self, names: &[&'n str]) -> Option<(&'n str, Vec<u8>)> {
        names.iter().find_map(|name| {
            let text = unescape(self.content(name)?);
            text.trim_ascii_start().starts_with(b"{").then(|| (*name, text.into_owned()))
        })
    }

    /// Takes all members of this name out; gives the value of the last.
    pub(super) fn remove(&mut self, name: &str) -> Option<Cow<'t, [u8]>> {
        let value = self.value(name).cloned();
        self.list.retain(|member| *member.name != *name.as_bytes());
        value
    }

    /// Takes all members out that `others` have as well.
    pub(super) fn remove_all_of(&mut self, others: &Self) {
        if self.list.is_empty() {
            return;
        }
        let names: HashSet<&[u8]> = others.list.iter().map(|other| &*other.name).collect();
        self.list.retain(|member| !names.contains(&*member.name));
    }

    /// Moves all members of `others` behind these.
    pub(super) fn append(&mut self, others: &mut Self) {
        self.list.append(&mut others.list);
    }

    /// Adds a member whose value is JSON.
    pub(super) fn push(&mut self, name: &str, value: impl Into<Cow<'t, [u8]>>) {
        let (name, key) = (name.as_bytes().to_vec(), json_text::string(name));
        self.list.push(Member { name: name.into(), key: key.into(), value: value.into() });
    }

    /// Adds a member that is a text.
    pub(super) fn push_text(&mut self, name: &str, text: &[u8]) {
        let mut value = Bounded::new(text.len() + 2, usize::MAX);
        value.push_string(text);
        self.push(name, value.finish().unwrap_or_default());
    }

    /// Adds a member that is an object, unless it would be empty.
    pub(super) fn push_object(&mut self, name: &str, members: &Members<'_>) {
        if !members.list.is_empty() {
            let mut value = Bounded::new(256, usize::MAX);
            members.write(&mut value);
            self.push(name, value.finish().unwrap_or_default());
        }
    }

    pub(super) fn write(&self, out: &mut Bounded) {
        out.push(b"{");
        for (place, member) in self.list.iter().enumerate() {
            if place > 0 {
                out.push(b",");
            }
            out.push(&member.key);
            out.push(b":");
            out.push(&member.value);
        }
        out.push(b"}");
    }
}
