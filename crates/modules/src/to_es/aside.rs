//! Documents whose index is closed to them: put aside until it is known whether the cluster takes those of others.
//!
//! An index of last year is read-only, or one name may not be written: a single late or foreign record would stop its
//! shard for ever. While documents of other indices pass, it is that index and no condition of the cluster.

use std::collections::HashSet;

use super::index_names::index_name;
use super::settings::Settings;
use crate::intake::TakenEvent;

/// What is known of the documents of a batch, by the places of their events.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Those that are stored, or the first and the last of a request that went through as a whole.
    stored: Vec<usize>,
    /// Those whose index is closed, and what the cluster said.
    closed: Vec<(usize, String)>,
}

/// What becomes of documents whose index is closed.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Those that are given up, and why.
    pub(super) refused: Vec<(usize, String)>,
    /// Those that are waited for: nothing shows that it is their index alone.
    pub(super) waiting: Vec<(usize, String)>,
}

impl Aside {
    /// The cluster took this one.
    pub(super) fn stored(&mut self, event: usize) {
        self.stored.push(event);
    }

    /// The cluster does not take this one, and says that its index is why.
    pub(super) fn closed(&mut self, event: usize, reason: String) {
        self.closed.push((event, reason));
    }

    /// Decides when all the rest of the batch was sent.
    pub(super) fn decide(self, settings: &Settings, events: &[TakenEvent]) -> Decided {
        if self.closed.is_empty() {
            return Decided::default();
        }
        let index = |event: usize| index_name(settings, &events[event].event);
        let open: HashSet<String> = self.stored.into_iter().map(index).collect();
        let (refused, waiting) = self.closed.into_iter().partition(|(event, _)| {
            let others = open.len() - usize::from(open.contains(&index(*event)));
            others > 0
        });
        Decided { refused, waiting }
    }
}
