//! One pass over an event that drops, renames and redacts its fields: what is not touched is copied as bytes.
//!
//! The pass notes what of the text is left out or replaced, from its beginning to its end; all between is copied as it
//! stands, so that numbers keep their spelling and strings their escapes.

use std::ops::Range;

use baikonur_record::scan::{self, Cursor, Fault, Key};

use super::json_text::{self, Bounded, TooLarge};
use super::mask;
use super::tree::{Node, Tree};

/// Room for names and values that become longer.
const SPARE_BYTES: usize = 128;

/// The fields that are added to the event itself.
pub(super) trait Additions {
    /// The place of the field with this name, less than 64.
    fn place(&self, name: &[u8]) -> Option<u32>;
    /// Whether an added field replaces one of its name.
    fn overwrite(&self) -> bool;
    /// Writes the members that are not in `there`, with commas between them.
    fn write(&self, there: u64, out: &mut Bounded);
    /// Whether there would be any to write.
    fn any(&self, there: u64) -> bool;
}

/// The event `text`, a valid object without white space around it, changed as `tree` and `additions` say; none when
/// there is nothing to change. What is added takes about `added_bytes`.
///
/// # Errors
/// When it would be more than `max` bytes.
pub(super) fn rewrite(
    text: &[u8],
    tree: Option<&Tree>,
    additions: &impl Additions,
    added_bytes: usize,
    max: usize,
) -> Result<Option<Vec<u8>>, TooLarge> {
    let nothing = Node::default();
    let mut pass = Pass {
        text,
        tree,
        overwrite: additions.overwrite(),
        additions,
        out: Bounded::new(0, max),
        expected: text.len() + added_bytes + SPARE_BYTES,
        copied: 0,
        changed: false,
    };
    let mut cursor = Cursor::within(text, 0..text.len());
    let root = tree.map_or(&nothing, |tree| &tree.root);
    let members = pass
        .object(&mut cursor, root, true)
        .expect("the schema has read this text as an object, by the same scanner");
    if additions.any(members.added) {
        pass.cut(text.len() - 1..text.len() - 1);
        if members.kept {
            pass.out.push(b",");
        }
        additions.write(members.added, &mut pass.out);
    }
    if !pass.changed {
        return Ok(None);
    }
    pass.out.push(&text[pass.copied..]);
    pass.out.finish().map(|mut changed| {
        to_one_line(&mut changed);
        Some(changed)
    })
}

/// Takes raw line ends out, which stand between tokens only, and no two tokens are kept apart by white space alone.
pub(super) fn to_one_line(text: &mut Vec<u8>) {
    if text.contains(&b'\n') || text.contains(&b'\r') {
        text.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    }
}

struct Pass<'t, 'f, A> {
    text: &'t [u8],
    tree: Option<&'f Tree>,
    additions: &'f A,
    overwrite: bool,
    out: Bounded,
    /// The bytes that there will be, about, when something is changed.
    expected: usize,
    /// Up to where the text is copied, or left out.
    copied: usize,
    changed: bool,
}

/// The members of one object, while they are passed.
#[derive(Default)]
struct Members {
    /// Whether one was kept so far.
    kept: bool,
    /// Behind the last value.
    end: usize,
    /// Where the members began that were dropped before any was kept.
    dropped_from: Option<usize>,
    /// Renamings that do not happen, since there is a field of the new name.
    blocked: Vec<String>,
    /// Names whose fields make room for one that is renamed.
    replaced: Vec<String>,
    /// Added fields that are there already, one bit each.
    added: u64,
}

impl<'t, A: Additions> Pass<'t, '_, A> {
    /// Copies what is before `span`, and leaves that out.
    fn cut(&mut self, span: Range<usize>) {
        if !std::mem::replace(&mut self.changed, true) {
            self.out.reserve(self.expected);
        }
        self.out.push(&self.text[self.copied..span.start]);
        self.copied = span.end;
    }

    fn object(
        &mut self,
        cursor: &mut Cursor<'t>,
        node: &Node,
        is_root: bool,
    ) -> Result<Members, Fault> {
        let mut members = Members::default();
        if node.renames().next().is_some() {
            self.look_ahead(cursor, node, &mut members)?;
        }
        cursor.object(|cursor, key| self.member(cursor, key, node, is_root, &mut members))?;
        if let Some(from) = members.dropped_from {
            self.cut(from..members.end);
        }
        Ok(members)
    }

    /// Which renamings meet a field of the new name.
    fn look_ahead(
        &self,
        cursor: &Cursor<'t>,
        node: &Node,
        members: &mut Members,
    ) -> Result<(), Fault> {
        let renames: Vec<_> = node.renames().collect();
        let mut met = vec![(false, false); renames.len()];
        let here = cursor.position()..self.text.len();
        Cursor::within(self.text, here).object(|cursor, key| {
            cursor.value()?;
            let name = key.text();
            if node.child(&name).is_some_and(|child| child.dropped) {
                return Ok(());
            }
            for ((from, to), (source, target)) in renames.iter().zip(&mut met) {
                *source |= from.as_bytes() == &*name;
                *target |= to.as_bytes() == &*name;
            }
            Ok(())
        })?;
        for ((from, to), _) in renames.iter().zip(met).filter(|(_, met)| *met == (true, true)) {
            if self.overwrite {
                members.replaced.push((*to).to_owned());
            } else {
                members.blocked.push((*from).to_owned());
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        cursor: &mut Cursor<'t>,
        key: Key<'t>,
        node: &Node,
        is_root: bool,
        members: &mut Members,
    ) -> Result<(), Fault> {
        let name = key.text();
        let child = node.child(&name);
        let is = |names: &[String]| names.iter().any(|known| known.as_bytes() == &*name);
        let new_name =
            child.and_then(|child| child.renamed.as_deref()).filter(|_| !is(&members.blocked));
        let added = match is_root {
            true => self.additions.place(new_name.map_or(&name, str::as_bytes)),
            false => None,
        };
        let dropped = child.is_some_and(|child| child.dropped)
            || is(&members.replaced)
            || (added.is_some() && self.overwrite);
        if dropped {
            let value = cursor.value()?;
            if members.kept {
                self.cut(members.end..value.end);
            } else {
                members.dropped_from.get_or_insert(key.span().start);
            }
            members.end = value.end;
            return Ok(());
        }
        if let Some(from) = members.dropped_from.take() {
            self.cut(from..key.span().start);
        }
        members.kept = true;
        members.added |= added.map_or(0, |place| 1 << place);
        if let Some(new_name) = new_name {
            self.cut(key.span());
            self.out.push(&json_text::string(new_name));
        }
        match child {
            Some(child) => self.value_at(cursor, child)?,
            None => {
                let value = cursor.value()?;
                self.search(value, &node.searches);
            }
        }
        members.end = cursor.position();
        Ok(())
    }

    /// Passes a value that some path leads to or through.
    fn value_at(&mut self, cursor: &mut Cursor<'t>, node: &Node) -> Result<(), Fault> {
        if let Some((place, tree)) = node.mask.zip(self.tree) {
            let value = cursor.value()?;
            self.cut(value.clone());
            tree.masks[place].write_for(&self.text[value], &mut self.out);
            return Ok(());
        }
        match cursor.peek() {
            Some(b'{') if node.has_children() => {
                self.object(cursor, node, false)?;
            }
            // Paths pass through lists, and through lists in them.
            Some(b'[') if node.has_children() => cursor.flattened(|cursor| {
                if cursor.peek() == Some(b'{') {
                    self.object(cursor, node, false)?;
                } else {
                    let value = cursor.value()?;
                    self.search(value, &node.searches);
                }
                Ok(())
            })?,
            _ => {
                let value = cursor.value()?;
                self.search(value, &node.searches);
            }
        }
        Ok(())
    }

    /// Hides what is found in the texts of a value.
    fn search(&mut self, value: Range<usize>, searches: &[usize]) {
        let Some(tree) = self.tree.filter(|_| !searches.is_empty()) else { return };
        let text = self.text;
        scan::strings(text, value, |content| {
            let searches = searches.iter().map(|&place| &tree.searches[place]);
            match mask::hide_in_content(searches, &text[content.clone()], self.out.left()) {
                Ok(None) => {}
                Ok(Some(hidden)) => {
                    self.cut(content);
                    self.out.push(&hidden);
                }
                Err(TooLarge) => {
                    self.cut(content);
                    self.out.overflow();
                }
            }
        });
    }
}
