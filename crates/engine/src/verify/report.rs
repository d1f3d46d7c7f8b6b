//! What a check of a data directory tells.

use std::io;
use std::path::PathBuf;

use baikonur_stream::StreamName;
use serde::Serialize;

/// Findings kept in full; the rest is counted.
const FINDINGS_MAX: usize = 1000;

/// Why a directory could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A process has the directory open.
    #[error(
        "a process has the data directory {} open; stop it, or check a copy of the directory",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// Nothing in the directory is of a store.
    #[error(
        "{} is no data directory: it has neither FORMAT nor catalog.json nor segments in log/. \
         Name the one that the server was started with",
        directory.display()
    )]
    NoStore {
        /// The directory.
        directory: PathBuf,
    },
    /// Reading failed.
    #[error("the data directory {} cannot be read", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// How much of a check is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Segments checked.
    pub segments: usize,
    /// Segments there are.
    pub segments_total: usize,
    /// Bytes of segments checked.
    pub bytes: u64,
    /// Bytes of all segments.
    pub bytes_total: u64,
}

/// What a finding means for what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nothing is lost.
    Note,
    /// The next opening puts it right by itself; nothing that was acknowledged is lost.
    Repairable,
    /// Something that was acknowledged is lost, or cannot be trusted.
    Damage,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, below the directory.
    pub file: String,
    /// Where in the file, in bytes, if it is about a place.
    pub offset: Option<u64>,
    /// What was found, and for repairable findings what an opening does about it.
    pub what: String,
    /// What it means.
    pub severity: Severity,
}

/// What is stored of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedStream {
    /// Its name.
    pub name: StreamName,
    /// Whole records of it, expired ones whose segment is still there among them.
    pub records: u64,
    /// Bytes of their payloads and partition keys.
    pub bytes: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Segments in the log.
    pub segments: u64,
    /// Whole frames in them.
    pub frames: u64,
    /// Whole records in whole blocks, of deleted streams too.
    pub records: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// The streams of the catalog, by name.
    pub streams: Vec<VerifiedStream>,
    /// Records of streams that were deleted, in segments that still hold others.
    pub deleted_records: u64,
    /// Findings in the order of the files, a thousand at most.
    pub findings: Vec<Finding>,
    /// Findings of damage, those that are not listed too.
    pub damage: u64,
    /// Findings that an opening puts right, those that are not listed too.
    pub repairable: u64,
    /// Findings that are not listed.
    pub findings_left_out: u64,
}

impl VerifyReport {
    pub(super) fn find(
        &mut self,
        severity: Severity,
        file: impl Into<String>,
        offset: impl Into<Option<u64>>,
        what: impl Into<String>,
    ) {
        match severity {
            Severity::Damage => self.damage += 1,
            Severity::Repairable => self.repairable += 1,
            Severity::Note => {}
        }
        if self.findings.len() == FINDINGS_MAX {
            self.findings_left_out += 1;
            return;
        }
        let (file, offset, what) = (file.into(), offset.into(), what.into());
        self.findings.push(Finding { file, offset, what, severity });
    }
}
