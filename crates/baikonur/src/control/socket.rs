//! A socket file in the data directory: bound once, reachable by its owner only, and by paths of any length.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::SOCKET;

/// What fits into an address of the kernel on every system (`sockaddr_un`, 104 bytes on macOS).
const ADDRESS_BYTES_MAX: usize = 103;

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Binds the socket of a data directory. The caller owns the directory: a file that is there is what a killed
    /// process left.
    pub(crate) fn bind(data: &Path) -> io::Result<Self> {
        let path = data.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(data, |short| UnixListener::bind(short))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Left behind, it would be replaced by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects to the socket of a data directory.
pub(super) async fn connect(data: &Path) -> io::Result<UnixStream> {
    let directory = std::fs::File::open(data)?;
    UnixStream::connect(short(data, &directory)).await
}

fn with_short_path<T>(data: &Path, bind: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let directory = std::fs::File::open(data)?;
    bind(short(data, &directory))
}

/// The socket's path, or where it is too long another one to the same file.
fn short(data: &Path, directory: &std::fs::File) -> PathBuf {
    let path = data.join(SOCKET);
    if path.as_os_str().len() <= ADDRESS_BYTES_MAX || !Path::new("/proc/self/fd").exists() {
        return path;
    }
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(SOCKET)
}
