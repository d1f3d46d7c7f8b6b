//! A directory that is only looked at: nothing in it is made, written, locked for good or removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode, file_names};

/// A directory of the machine for reading.
pub(crate) struct ReadOnlyFolder {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl ReadOnlyFolder {
    /// Opens the directory. With `lock`, `WouldBlock` when a process has it open.
    pub(crate) fn open(root: &Path, lock: bool) -> io::Result<Self> {
        fs::read_dir(root)?;
        let lock = if lock { take_lock(&root.join("LOCK"))? } else { None };
        Ok(Self { root: root.to_owned(), _lock: lock })
    }
}

/// A directory without the file was never opened by a store: there is nobody to keep out.
fn take_lock(path: &Path) -> io::Result<Option<File>> {
    // Some network file systems lock only what is open for writing; a copy may allow reading only.
    let opened = OpenOptions::new().write(true).open(path).or_else(|_| File::open(path));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyFolder {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        if mode == OpenMode::New {
            return refused();
        }
        let file = File::open(self.root.join(name))?;
        let length = file.metadata()?.len();
        Ok((Arc::new(ReadOnlyFile(file)), length))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        file_names(&self.root.join(folder))
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn replace(&self, _: &str, _: &[u8]) -> io::Result<()> {
        refused()
    }
}

struct ReadOnlyFile(File);

impl DiskFile for ReadOnlyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }
}
