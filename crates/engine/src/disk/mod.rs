//! The seam to the operating system: the only room that makes bytes durable.
//!
//! Everything above asks for names below one directory and sees errors as `io::Error`. A simulated
//! disk (tests) keeps a live and a durable image and fails on demand.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory with files in it.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for reading and writing; `create` makes it, and fails if there is one.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files in a folder, without the folder; none if there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Writes a whole file, replacing an earlier one in a single step; durable on return.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes files created in and removed from a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// An open file. Reads and writes are whole: they succeed in full or fail.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads `buffer.len()` bytes from `offset` on; fewer are an `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written durable. After an error nothing is known about what was written.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// A directory of the machine, locked against a second process.
pub struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the directory if need be and locks it.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(LOG_FOLDER))?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(root.join("LOCK"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another process has this data directory open; stop it, or choose another directory",
            ),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Where segments are.
pub(crate) const LOG_FOLDER: &str = "log";

impl Disk for Folder {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.root.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(create).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
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

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(name);
        let temporary = self.root.join(format!("{name}.new"));
        let file = File::create(&temporary)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        fs::rename(&temporary, &target)?;
        Self::sync_directory(target.parent().unwrap_or(&self.root))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        Self::sync_directory(&self.root.join(folder))
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
        self.0.sync_data()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that makes bytes durable")]
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
