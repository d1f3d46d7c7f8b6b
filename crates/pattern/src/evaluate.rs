//! One pass over data that sets the bits of what matches in it.
//!
//! Names lead from node to node; a value whose node wants none is passed unread. Each element of an array that is an
//! object has bits of its own: when it ends, a combination that has all it wants below that array hands its bits on, and
//! no other does. So two fields of a combination are never taken from two elements. Plain values in an array count for
//! what the array stands in, since one that matches is enough.
//!
//! Recursion is as deep as the pattern's paths at most; what data nests deeper is passed by the scanner, which bounds it.

use baikonur_record::scan::{self, Cursor, Fault, Key};

use crate::bits;
use crate::compile::{Combination, Compiled, Node};
use crate::matcher::Leaf;

/// Words that need no allocation: those of nearly all patterns.
const WORDS_AT_HAND: usize = 16;

/// What stands under a name at the top.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Top<'t> {
    /// A plain value.
    Leaf(Leaf<'t>),
    /// A JSON text whose root has to be an object.
    Document(&'t [u8]),
    /// Something that is no such text: whatever is said about it does not hold.
    NoDocument,
    /// Something that cannot be known: whatever is said about it may hold.
    Unknown,
}

impl Compiled {
    /// Whether a JSON text matches. What is not an object does not.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.walk(|walk| walk.document(0, text) && walk.is_satisfied(&self.combinations))
    }

    /// Whether data matches that stands below names which the pattern knows; `top` is asked for each of them.
    pub(crate) fn matches_below<'t>(&self, top: impl Fn(&[u8]) -> Option<Top<'t>>) -> bool {
        self.walk(|walk| {
            let (mut known, mut impossible) = (Vec::new(), Vec::new());
            for (name, place) in self.top() {
                let node = &self.nodes[place];
                match top(name) {
                    None => {}
                    Some(Top::Leaf(leaf)) => walk.leaf(node, leaf, 0),
                    Some(Top::Document(text)) if walk.document(place, text) => {}
                    Some(Top::Document(_) | Top::NoDocument) => impossible.push(&node.bits),
                    Some(Top::Unknown) => known.push(&node.bits),
                }
            }
            if known.is_empty() && impossible.is_empty() {
                return walk.is_satisfied(&self.combinations);
            }
            let is_of = |ranges: &[&std::ops::Range<u32>], bit: &u32| {
                ranges.iter().any(|range| range.contains(bit))
            };
            self.combinations.iter().any(|Combination { wanted, unwanted }| {
                let mut all = wanted.iter().chain(unwanted);
                !all.any(|bit| is_of(&impossible, bit))
                    && wanted.iter().all(|bit| is_of(&known, bit) || walk.has(0, *bit))
                    && !unwanted.iter().any(|bit| !is_of(&known, bit) && walk.has(0, *bit))
            })
        })
    }

    fn walk<R>(&self, run: impl FnOnce(&mut Walk<'_>) -> R) -> R {
        // An element of an array below each name of the longest path.
        let words = self.words * self.depth;
        let (mut at_hand, mut more) = ([0; WORDS_AT_HAND], Vec::new());
        let space = match at_hand.get_mut(..words) {
            Some(space) => space,
            None => {
                more.resize(words, 0);
                &mut more
            }
        };
        run(&mut Walk { nodes: &self.nodes, words: self.words, space })
    }
}

/// The state of an evaluation.
struct Walk<'p> {
    nodes: &'p [Node],
    words: usize,
    /// The bits of the data as a whole, then those of an element, of an element in it, and so on.
    space: &'p mut [u64],
}

impl<'p> Walk<'p> {
    fn has(&self, level: usize, bit: u32) -> bool {
        bits::contains(&self.space[level * self.words..], bit)
    }

    fn level(&mut self, level: usize) -> &mut [u64] {
        &mut self.space[level * self.words..(level + 1) * self.words]
    }

    fn is_satisfied(&self, combinations: &[Combination]) -> bool {
        combinations.iter().any(|Combination { wanted, unwanted }| {
            wanted.iter().all(|bit| self.has(0, *bit))
                && !unwanted.iter().any(|bit| self.has(0, *bit))
        })
    }

    /// Takes a JSON text for the data at a node; false when it is none, or no object.
    fn document(&mut self, place: usize, text: &[u8]) -> bool {
        if simdutf8::basic::from_utf8(text).is_err() {
            return false;
        }
        let mut seen = Seen::default();
        let root = scan::root(text, |cursor, key| self.member(cursor, key, place, 0, &mut seen));
        root.is_ok_and(|root| text[root.span.start] == b'{')
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, place: usize, level: usize) -> Result<(), Fault> {
        let mut seen = Seen::default();
        cursor.object(|cursor, key| self.member(cursor, key, place, level, &mut seen))
    }

    #[inline]
    fn member(
        &mut self,
        cursor: &mut Cursor<'_>,
        key: Key<'_>,
        place: usize,
        level: usize,
        seen: &mut Seen,
    ) -> Result<(), Fault> {
        let nodes = self.nodes;
        let Some(child) = nodes[place].find(nodes, &key.text()) else {
            return cursor.value().map(drop);
        };
        if !seen.insert(child - place) {
            // Of equal keys the last one counts.
            bits::remove(self.level(level), &nodes[child].bits);
        }
        match cursor.peek() {
            Some(b'{') if nodes[child].has_children() => self.object(cursor, child, level),
            Some(b'[') => cursor.flattened(|cursor| self.element(cursor, child, level)),
            _ => self.value(cursor, child, level),
        }
    }

    /// Takes an element that is no array.
    fn element(
        &mut self,
        cursor: &mut Cursor<'_>,
        place: usize,
        level: usize,
    ) -> Result<(), Fault> {
        let nodes = self.nodes;
        let node = &nodes[place];
        if cursor.peek() != Some(b'{') || !node.has_children() {
            return self.value(cursor, place, level);
        }
        self.object(cursor, place, level + 1)?;
        if !bits::has_any(self.level(level + 1), &node.below) {
            return Ok(());
        }
        for &bit in &node.presence_below {
            if self.has(level + 1, bit) {
                bits::insert(self.level(level), bit);
            }
        }
        for wanted in &node.wanted_below {
            if wanted.iter().all(|bit| self.has(level + 1, *bit)) {
                wanted.iter().for_each(|bit| bits::insert(self.level(level), *bit));
            }
        }
        bits::remove(self.level(level + 1), &node.below);
        Ok(())
    }

    /// Takes a value that leads no further.
    fn value(&mut self, cursor: &mut Cursor<'_>, place: usize, level: usize) -> Result<(), Fault> {
        let span = cursor.value()?;
        let nodes = self.nodes;
        let node = &nodes[place];
        if !node.wants_values() {
            return Ok(());
        }
        let unescaped;
        let leaf = match &cursor.text()[span] {
            [b'"', content @ .., _] => {
                unescaped = scan::unescape(content);
                Leaf::Text(&unescaped)
            }
            [b't', ..] => Leaf::True,
            [b'f', ..] => Leaf::False,
            [b'n', ..] => Leaf::Null,
            [b'{', ..] => return Ok(()),
            number => Leaf::Number(number),
        };
        self.leaf(node, leaf, level);
        Ok(())
    }

    fn leaf(&mut self, node: &Node, leaf: Leaf<'_>, level: usize) {
        if let Some(bit) = node.presence {
            bits::insert(self.level(level), bit);
        }
        for test in &node.tests {
            if test.list.takes(leaf) {
                test.bits.iter().for_each(|bit| bits::insert(self.level(level), *bit));
            }
        }
    }
}

/// The children that an object has led to: how far behind their parent they are.
#[derive(Default)]
struct Seen {
    near: u64,
    far: Vec<usize>,
}

impl Seen {
    /// False when it is there already.
    #[inline]
    fn insert(&mut self, distance: usize) -> bool {
        if distance < 64 {
            let bit = 1 << distance;
            let is_new = self.near & bit == 0;
            self.near |= bit;
            return is_new;
        }
        let is_new = !self.far.contains(&distance);
        if is_new {
            self.far.push(distance);
        }
        is_new
    }
}
