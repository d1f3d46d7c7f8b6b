//! Which fields an event is looked at for: the paths of a module as a tree, compiled once.

use super::mask::{Mask, Search};
use super::path::Path;
use super::settings::FieldsSettings;

/// A place in an event that some path leads to or through, by the names that the event came with.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// In the order of their names.
    children: Vec<(Box<str>, Node)>,
    pub(super) dropped: bool,
    /// Its new name.
    pub(super) renamed: Option<Box<str>>,
    /// The place of its mask, when it is redacted as a whole.
    pub(super) mask: Option<usize>,
    /// The places of the searches for all texts at and below it, ascending.
    pub(super) searches: Vec<usize>,
}

impl Node {
    pub(super) fn child(&self, name: &[u8]) -> Option<&Self> {
        let place = self.children.binary_search_by(|(known, _)| known.as_bytes().cmp(name));
        place.ok().map(|place| &self.children[place].1)
    }

    /// Whether texts are looked at that no path leads to.
    pub(super) fn searches_texts(&self) -> bool {
        !self.searches.is_empty()
    }

    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// The names that are changed here, with what they are changed to.
    pub(super) fn renames(&self) -> impl Iterator<Item = (&str, &str)> {
        self.children.iter().filter_map(|(name, child)| Some((&**name, child.renamed.as_deref()?)))
    }

    fn at(&mut self, names: &[String]) -> &mut Self {
        let mut node = self;
        for name in names {
            let place = node.children.binary_search_by(|(known, _)| (**known).cmp(name));
            let place = place.unwrap_or_else(|place| {
                node.children.insert(place, (name.as_str().into(), Self::default()));
                place
            });
            node = &mut node.children[place].1;
        }
        node
    }

    /// Searches reach all that is below.
    fn hand_down(&mut self) {
        self.searches.sort_unstable();
        self.searches.dedup();
        for (_, child) in &mut self.children {
            child.searches.extend_from_slice(&self.searches);
            child.hand_down();
        }
    }
}

/// A tree and what its places mean.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) masks: Vec<Mask>,
    pub(super) searches: Vec<Search>,
}

impl Tree {
    /// None when no event has to be looked at.
    pub(super) fn new(settings: &FieldsSettings) -> Option<Self> {
        let mut tree = Self::default();
        if settings.drop.is_empty() && settings.rename.is_empty() && settings.redact.is_empty() {
            return None;
        }
        for path in &settings.drop {
            for names in path.spellings() {
                tree.root.at(&names).dropped = true;
            }
        }
        let renamings = renamings(&settings.rename);
        for (names, name) in &renamings {
            tree.root.at(names).renamed = Some(name.as_str().into());
        }
        for redact in &settings.redact {
            let place = match &redact.pattern {
                Some(pattern) => {
                    tree.searches.push(Search::new(pattern, &redact.with));
                    tree.searches.len() - 1
                }
                None => {
                    tree.masks.push(Mask::new(&redact.with));
                    tree.masks.len() - 1
                }
            };
            match &redact.key {
                None => tree.root.searches.push(place),
                Some(key) => {
                    for names in spellings_before_renaming(key, &renamings) {
                        let node = tree.root.at(&names);
                        match redact.pattern {
                            Some(_) => node.searches.push(place),
                            // What is said of a name outranks what follows from a renaming.
                            None if node.mask.is_none() || key.spellings().contains(&names) => {
                                node.mask = Some(place);
                            }
                            None => {}
                        }
                    }
                }
            }
        }
        tree.root.hand_down();
        Some(tree)
    }

    /// The searches for all texts of an event.
    pub(super) fn searches_everywhere(&self) -> impl Iterator<Item = &Search> {
        self.root.searches.iter().map(|&place| &self.searches[place])
    }
}

/// A place, and what the last name of it becomes.
pub(super) type Renaming = (Vec<String>, String);

/// Every spelling of the paths that are renamed. Where the last name has dots of the path in it, only what is behind the
/// last one becomes another.
pub(super) fn renamings(renames: &[(Path, String)]) -> Vec<Renaming> {
    let mut renamings = Vec::new();
    for (path, to) in renames {
        let (last, _) = path.split_last();
        for names in path.spellings() {
            if let Some(before) = names.last().and_then(|name| name.strip_suffix(last)) {
                let name = format!("{before}{to}");
                renamings.push((names, name));
            }
        }
    }
    renamings
}

/// The names that may lead to a field that a redaction calls `key`, which may be a name from before or from after the
/// renaming: a redaction that a renaming could undo would leak.
pub(super) fn spellings_before_renaming(key: &Path, renamings: &[Renaming]) -> Vec<Vec<String>> {
    let mut all = key.spellings();
    let mut next = 0;
    while next < all.len() {
        for (source, to) in renamings {
            let (last, before) = source.split_last().expect("a path has a name");
            let spelling = &all[next];
            let names_the_target = spelling.len() >= source.len()
                && spelling[..before.len()] == *before
                && spelling[before.len()] == *to;
            if names_the_target {
                let mut earlier = spelling.clone();
                earlier[before.len()] = last.clone();
                if !all.contains(&earlier) {
                    all.push(earlier);
                }
            }
        }
        next += 1;
    }
    all
}
