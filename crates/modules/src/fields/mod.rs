//! Fields of events: read out of envelopes, dropped, renamed, redacted, added, as a module's configuration says.
//!
//! Two halves, on both sides of the choice. [`Fields::read`] belongs to decoding: it makes an event of what a runtime or
//! CloudWatch Logs has wrapped up, before log type, id and time are looked for, and before the whitelist and the filters
//! see it. [`Fields::change`] changes what is written of an event that was taken, and nothing else about it.
//!
//! What is made depends on the record and the settings alone. An event that nothing changes keeps its bytes, shared.

mod claims;
mod json_text;
mod mask;
mod parse;
mod path;
mod rewrite;
mod settings;
mod steps;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use baikonur_record::EnvelopeEvent;
use baikonur_record::scan::Key;

pub(crate) use json_text::TooLarge;
pub use settings::FieldsSettings;
pub(crate) use steps::Step;
pub(crate) use template::Place;

use json_text::Bounded;
use parse::Readers;
use template::Prepared;
use tree::Tree;

/// The settings of a module, compiled.
#[derive(Debug)]
pub(crate) struct Fields {
    readers: Readers,
    tree: Option<Tree>,
    added: Vec<Added>,
    /// What added fields take, about, for the size of a buffer.
    added_bytes: usize,
    overwrite: bool,
}

#[derive(Debug)]
struct Added {
    name: Box<str>,
    /// `"name":`
    head: Vec<u8>,
    value: Prepared,
}

/// What the keys of an event's root have shown.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    /// The added fields that are there already, one bit each.
    added: u64,
    /// Whether a path begins with one of the keys.
    on_a_path: bool,
}

impl Fields {
    /// None when events stay as they came. `host` is what `{host}` stands for.
    pub(crate) fn new(settings: &FieldsSettings, host: &str) -> Option<Self> {
        if settings.is_empty() {
            return None;
        }
        let added = settings.add.iter().map(|(name, template)| {
            let mut head = json_text::string(name);
            head.push(b':');
            Added { name: name.as_str().into(), head, value: template.on_host(host) }
        });
        let added: Vec<_> = added.collect();
        let bytes = |added: &Added| added.head.len() + added.value.expected_bytes() + 1;
        Some(Self {
            added_bytes: added.iter().map(bytes).sum(),
            readers: Readers::new(&settings.parse),
            tree: Tree::new(settings),
            added,
            overwrite: settings.overwrite,
        })
    }

    /// The event that is wrapped up in `text`, with what is known of it as fields; `event` is the log event that `text` is
    /// the message of. None when nothing is recognised.
    ///
    /// # Errors
    /// When it would be more than `max` bytes.
    pub(crate) fn read(
        &self,
        text: &[u8],
        event: Option<&EnvelopeEvent>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, TooLarge> {
        self.readers.read(text, event, max)
    }

    /// Whether [`read`](Self::read) looks at a payload, and whether it wants to know the envelope.
    pub(crate) fn reads(&self) -> (bool, bool) {
        (self.readers.any(), self.readers.cloudwatch)
    }

    /// Notes a key of the event's root.
    #[inline]
    pub(crate) fn see(&self, key: Key<'_>, seen: &mut Seen) {
        for (place, added) in self.added.iter().enumerate() {
            seen.added |= u64::from(key.is(added.name.as_bytes())) << place;
        }
        if let Some(tree) = &self.tree {
            seen.on_a_path |= tree.root.child(&key.text()).is_some();
        }
    }

    /// The text of an event as it is to be written; none when it stays as it is. `text` is a valid object, and `seen` has
    /// seen its keys.
    ///
    /// # Errors
    /// When it would be more than `max` bytes.
    pub(crate) fn change(
        &self,
        text: &[u8],
        place: &Place<'_>,
        seen: Seen,
        max: usize,
    ) -> Result<Option<Vec<u8>>, TooLarge> {
        let text = text.trim_ascii();
        let adding = Adding { fields: self, place };
        // Where no path leads anywhere, the event need not be looked at once more.
        let tree = self.tree.as_ref().filter(|tree| seen.on_a_path || tree.root.searches_texts());
        if tree.is_none() && (seen.added == 0 || !self.overwrite) {
            return adding.splice(text, seen, max);
        }
        rewrite::rewrite(text, tree, &adding, self.added_bytes, max)
    }

    /// A name that is made of the event, where a search for all texts finds something in it.
    pub(crate) fn hidden_in_name(&self, name: &str) -> Option<String> {
        let tree = self.tree.as_ref()?;
        mask::hide_in_plain(tree.searches_everywhere(), name)
    }

    /// Whether [`hidden_in_name`](Self::hidden_in_name) looks for anything.
    pub(crate) fn hides_in_names(&self) -> bool {
        self.tree.as_ref().is_some_and(|tree| tree.root.searches_texts())
    }
}

/// Fields to add to an event of a record.
struct Adding<'f, 'p> {
    fields: &'f Fields,
    place: &'p Place<'p>,
}

impl Adding<'_, '_> {
    /// The event with fields before its last brace: the rest is not looked at.
    fn splice(&self, text: &[u8], seen: Seen, max: usize) -> Result<Option<Vec<u8>>, TooLarge> {
        use rewrite::Additions;

        let Some((_, before)) = text.split_last().filter(|_| self.any(seen.added)) else {
            return Ok(None);
        };
        let mut out = Bounded::new(text.len() + self.fields.added_bytes, max);
        out.push(before);
        if !before.trim_ascii_end().ends_with(b"{") {
            out.push(b",");
        }
        self.write(seen.added, &mut out);
        out.push(b"}");
        out.finish().map(|mut changed| {
            rewrite::to_one_line(&mut changed);
            Some(changed)
        })
    }
}

impl rewrite::Additions for Adding<'_, '_> {
    fn place(&self, name: &[u8]) -> Option<u32> {
        let place = self.fields.added.iter().position(|added| added.name.as_bytes() == name)?;
        u32::try_from(place).ok()
    }

    fn overwrite(&self) -> bool {
        self.fields.overwrite
    }

    fn write(&self, there: u64, out: &mut Bounded) {
        let mut first = true;
        for (place, added) in self.fields.added.iter().enumerate() {
            if there >> place & 1 == 0 {
                if !std::mem::take(&mut first) {
                    out.push(b",");
                }
                out.push(&added.head);
                added.value.write(self.place, out);
            }
        }
    }

    fn any(&self, there: u64) -> bool {
        (there.count_ones() as usize) < self.fields.added.len()
    }
}
