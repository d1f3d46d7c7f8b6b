//! From combinations to what the evaluation walks on: a tree of the names that a pattern has, and bits.
//!
//! A bit says that a field of a combination has matched, or that a field is there which some combination wants absent.
//! Bits are numbered in the order of the tree, so that those of a field and all below it are one range.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bits;
use crate::combine::{Combined, Requirement};
use crate::fault::PatternError;
use crate::matcher::AnyOf;
use crate::{combine, rule};

/// A pattern as the evaluation wants it.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    /// The root first, each before what is below it.
    pub(crate) nodes: Box<[Node]>,
    /// One that is satisfied is enough.
    pub(crate) combinations: Box<[Combination]>,
    /// Words that hold all bits.
    pub(crate) words: usize,
    /// Names of the longest path.
    pub(crate) depth: usize,
}

/// A place in data that the pattern names, or one on the way there.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Sorted by name. No name has a dot.
    children: Box<[(Box<[u8]>, usize)]>,
    /// Bit n: a child's name has n bytes (the last: or more). Nearly all keys of data are passed by it.
    lengths: u64,
    /// Whether a name with a dot may lead on, to a child's child.
    has_grandchildren: bool,
    /// What is said about values here.
    pub(crate) tests: Box<[Test]>,
    /// Set when there is a value here, if that matters.
    pub(crate) presence: Option<u32>,
    /// The bits here and below.
    pub(crate) bits: Range<u32>,
    /// The bits below.
    pub(crate) below: Range<u32>,
    /// The presence bits below.
    pub(crate) presence_below: Box<[u32]>,
    /// For each combination that wants values below: their bits.
    pub(crate) wanted_below: Box<[Box<[u32]>]>,
}

/// A list, and the bits that it sets.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) list: AnyOf,
    pub(crate) bits: Box<[u32]>,
}

/// What has to match together.
#[derive(Debug, Clone)]
pub(crate) struct Combination {
    pub(crate) wanted: Box<[u32]>,
    /// Presence bits that must not be set.
    pub(crate) unwanted: Box<[u32]>,
}

impl Compiled {
    /// Compiles the text of a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, PatternError> {
        let parts = rule::read(text)?;
        let combined = combine::combine(&parts)?;
        let mut names = Names::default();
        combined.paths.iter().enumerate().for_each(|(path, text)| names.add(path, text));
        let mut builder = Builder::new(&combined);
        builder.node(&names, 1);
        let Builder { nodes, wanted, next_bit, depth, .. } = builder;
        let combinations = wanted.into_iter().map(|wants| Combination {
            wanted: wants.present.into(),
            unwanted: wants.absent.into(),
        });
        Ok(Self {
            nodes: nodes.into(),
            combinations: combinations.collect(),
            words: bits::words(next_bit),
            depth,
        })
    }

    /// The root's children: their names, and their places in `nodes`.
    pub(crate) fn top(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.nodes[0].children.iter().map(|(name, child)| (&**name, *child))
    }
}

impl Node {
    /// Whether data here can lead on.
    pub(crate) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Whether a value here says anything.
    pub(crate) fn wants_values(&self) -> bool {
        !self.tests.is_empty() || self.presence.is_some()
    }

    /// Where `key` leads from here.
    #[inline]
    pub(crate) fn find(&self, nodes: &[Self], key: &[u8]) -> Option<usize> {
        if self.lengths >> key.len().min(63) & 1 == 1
            && let Some(child) = self.child(key)
        {
            return Some(child);
        }
        if !self.has_grandchildren || memchr::memchr(b'.', key).is_none() {
            return None;
        }
        let mut names = key.split(|&byte| byte == b'.');
        let first = self.child(names.next()?)?;
        names.try_fold(first, |node, name| nodes[node].child(name))
    }

    fn child(&self, name: &[u8]) -> Option<usize> {
        let place = self.children.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.children[place].1)
    }
}

/// The names of all paths, by their first letters as it were.
#[derive(Debug, Default)]
struct Names<'r> {
    /// The path that ends here.
    path: Option<usize>,
    children: BTreeMap<&'r str, Names<'r>>,
}

impl<'r> Names<'r> {
    fn add(&mut self, path: usize, text: &'r str) {
        let end = text.split('.').fold(self, |node, name| node.children.entry(name).or_default());
        end.path = Some(path);
    }
}

/// The bits of a combination.
#[derive(Debug, Clone, Default)]
struct Wants {
    present: Vec<u32>,
    absent: Vec<u32>,
}

struct Builder<'r> {
    combined: &'r Combined<'r>,
    /// For each path the combinations that have it, and what they want of it.
    of_path: Vec<Vec<(usize, Option<usize>)>>,
    nodes: Vec<Node>,
    wanted: Vec<Wants>,
    presences: Vec<u32>,
    next_bit: u32,
    depth: usize,
}

impl<'r> Builder<'r> {
    fn new(combined: &'r Combined<'r>) -> Self {
        let mut of_path = vec![Vec::new(); combined.paths.len()];
        for (number, combination) in combined.combinations.iter().enumerate() {
            for Requirement { path, list } in combination {
                of_path[*path].push((number, *list));
            }
        }
        let wanted = vec![Wants::default(); combined.combinations.len()];
        Self {
            combined,
            of_path,
            nodes: Vec::new(),
            wanted,
            presences: Vec::new(),
            next_bit: 0,
            depth: 0,
        }
    }

    fn bit(&mut self) -> u32 {
        self.next_bit += 1;
        self.next_bit - 1
    }

    /// Adds the node for `names` and all below it; gives its place.
    fn node(&mut self, names: &Names<'_>, depth: usize) -> usize {
        let place = self.nodes.len();
        self.depth = self.depth.max(depth);
        let first_bit = self.next_bit;
        let (tests, presence) = match names.path {
            Some(path) => self.field(path),
            None => Default::default(),
        };
        let first_below = self.next_bit;
        let known: Vec<_> = self.wanted.iter().map(|wants| wants.present.len()).collect();
        let presences_known = self.presences.len();
        self.nodes.push(Node {
            children: Box::default(),
            lengths: 0,
            has_grandchildren: names.children.values().any(|child| !child.children.is_empty()),
            tests,
            presence,
            bits: Range::default(),
            below: Range::default(),
            presence_below: Box::default(),
            wanted_below: Box::default(),
        });
        let children: Box<[(Box<[u8]>, usize)]> = names
            .children
            .iter()
            .map(|(name, names)| (name.as_bytes().into(), self.node(names, depth + 1)))
            .collect();
        let wanted_below = self.wanted.iter().zip(&known).filter_map(|(now, before)| {
            let below = &now.present[*before..];
            (!below.is_empty()).then(|| below.into())
        });
        let wanted_below = wanted_below.collect();
        let node = &mut self.nodes[place];
        node.lengths =
            children.iter().fold(0, |lengths, (name, _)| lengths | 1 << name.len().min(63));
        node.children = children;
        node.bits = first_bit..self.next_bit;
        node.below = first_below..self.next_bit;
        node.presence_below = self.presences[presences_known..].into();
        node.wanted_below = wanted_below;
        place
    }

    /// What is said about the values of a path.
    fn field(&mut self, path: usize) -> (Box<[Test]>, Option<u32>) {
        let of_path = std::mem::take(&mut self.of_path[path]);
        let mut presence = None;
        let mut tests: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (combination, list) in of_path {
            match list {
                Some(list) => {
                    let bit = self.bit();
                    tests.entry(list).or_default().push(bit);
                    self.wanted[combination].present.push(bit);
                }
                None => {
                    let bit = match presence {
                        Some(bit) => bit,
                        None => self.bit(),
                    };
                    presence = Some(bit);
                    self.wanted[combination].absent.push(bit);
                }
            }
        }
        self.presences.extend(presence);
        let test = |(list, bits): (usize, Vec<u32>)| Test {
            list: self.combined.lists[list].clone(),
            bits: bits.into(),
        };
        (tests.into_iter().map(test).collect(), presence)
    }
}
