//! How far a query is, for whoever watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a query counts while it runs; shared with its threads.
#[derive(Debug, Default)]
pub struct Progress {
    objects_listed: AtomicU64,
    objects_chosen: AtomicU64,
    objects_opened: AtomicU64,
    objects_read: AtomicU64,
    bytes_chosen: AtomicU64,
    bytes_read: AtomicU64,
    rows_read: AtomicU64,
    damaged: AtomicU64,
    stopped: AtomicBool,
}

/// The counts at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Objects of the tables that the statement reads.
    pub objects_listed: u64,
    /// Of them, those that the statement's conditions leave; one that is read twice counts twice.
    pub objects_chosen: u64,
    /// Objects that were opened.
    pub objects_opened: u64,
    /// Objects that were read to their end.
    pub objects_read: u64,
    /// Bytes of the objects that were chosen, as they are stored.
    pub bytes_chosen: u64,
    /// Bytes that were fetched.
    pub bytes_read: u64,
    /// Rows that came out of the objects.
    pub rows_read: u64,
    /// Lines and objects that were passed over because they are damaged.
    pub damaged: u64,
}

impl Progress {
    /// The counts now.
    pub fn figures(&self) -> Figures {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            objects_listed: count(&self.objects_listed),
            objects_chosen: count(&self.objects_chosen),
            objects_opened: count(&self.objects_opened),
            objects_read: count(&self.objects_read),
            bytes_chosen: count(&self.bytes_chosen),
            bytes_read: count(&self.bytes_read),
            rows_read: count(&self.rows_read),
            damaged: count(&self.damaged),
        }
    }

    pub(crate) fn listed(&self, objects: u64) {
        self.objects_listed.fetch_add(objects, Ordering::Relaxed);
    }

    pub(crate) fn chosen(&self, objects: u64, bytes: u64) {
        self.objects_chosen.fetch_add(objects, Ordering::Relaxed);
        self.bytes_chosen.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.objects_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.objects_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn rows(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn damage(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
