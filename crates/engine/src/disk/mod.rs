//! The seam to the operating system: the only place that makes bytes durable.
//!
//! Everything above asks for names below one directory and sees errors as `io::Error`. The seam has
//! eight methods, four of a directory and four of a file, so that a second disk that keeps a live
//! and a durable image and fails on demand stays small (`simulated.rs`).

mod read_only;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod simulated;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use read_only::ReadOnlyFolder;

/// Where segments are.
pub(crate) const LOG_FOLDER: &str = "log";

/// Whether a file is expected to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It must not exist, and is made; its name is durable on return.
    New,
}

/// A directory with files in it.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for reading and writing; also gives its length in bytes.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<(Arc<dyn DiskFile>, u64)>;

    /// The names of all files in a folder, without the folder; none if there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes a file. After power loss it may be there again.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Writes a whole file, replacing an earlier one in a single step; durable on return.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

/// An open file. Reads and writes are whole: they succeed in full or fail.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads `buffer.len()` bytes from `offset` on; fewer are an `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written durable. After an error nothing is known about what was written.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `length` bytes; durable on return.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// A file that is read whole when a store is opened has no more bytes.
pub(crate) const SMALL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The whole of a small file; none if there is no such file.
pub(crate) fn read_small(disk: &dyn Disk, name: &str) -> io::Result<Option<Vec<u8>>> {
    let (file, length) = match disk.open(name, OpenMode::Existing) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > SMALL_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{name} has {length} bytes, more than it can have"),
        ));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Whether an error says that the disk, or the owner's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A directory of the machine, locked against a second process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Folder {
    /// Makes the directory if need be and locks it. `WouldBlock` when another process has it.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(LOG_FOLDER))?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(root.join("LOCK"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        // The directory's own name, and those of LOCK and the log folder.
        if let Some(parent) = root.parent() {
            let here = parent.as_os_str().is_empty();
            sync_directory(if here { Path::new(".") } else { parent })?;
        }
        sync_directory(root)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    fn parent(&self, path: &Path) -> PathBuf {
        path.parent().unwrap_or(&self.root).to_owned()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The names of the files in a folder; none if there is no such folder.
fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

impl Disk for Folder {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let path = self.root.join(name);
        let new = mode == OpenMode::New;
        let file = OpenOptions::new().read(true).write(true).create_new(new).open(&path)?;
        if new {
            sync_directory(&self.parent(&path))?;
        }
        let length = file.metadata()?.len();
        Ok((Arc::new(RealFile(file)), length))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        file_names(&self.root.join(folder))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(name);
        let temporary = self.root.join(format!("{name}.new"));
        let file = File::create(&temporary)?;
        let written = file.write_all_at(bytes, 0).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // On a full disk a part of it would take the space that is needed.
            drop(fs::remove_file(&temporary));
            return Err(error);
        }
        fs::rename(&temporary, &target)?;
        sync_directory(&self.parent(&target))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn sync(&self) -> io::Result<()> {
        // fdatasync: it stores the length too, since the data could not be read back without it.
        self.0.sync_data()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }
}
