//! What the kernel takes to move the same bytes: in through a socket of loopback, out into a file.
//!
//! A server cannot do without either, so its processor time is shown beside this as well. Only the
//! time of the thread that receives, or writes, is taken: it includes the kernel's copies and the
//! submission to the disk, and not the waiting.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

/// How much is moved. As much as a server writes while it is measured: a page of memory that a virtual
/// machine's host has to find first costs several times one that was just free.
const BYTES: u64 = 1024 * 1024 * 1024;
/// As large as the buffer of a server's connection.
const READ_BYTES: usize = 256 * 1024;
/// What is written and synced at once, like the groups of a log.
const WRITE_BYTES: usize = 1024 * 1024;

/// Processor time to receive, in nanoseconds for each byte on the wire.
pub(crate) fn receive_ns_per_byte() -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sender = thread::spawn(move || {
        let mut stream = TcpStream::connect(address)?;
        let block = vec![b'x'; READ_BYTES];
        for _ in 0..BYTES / READ_BYTES as u64 {
            stream.write_all(&block)?;
        }
        Ok::<_, io::Error>(())
    });
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; READ_BYTES];
    let before = thread_cpu_ns()?;
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => received += count as u64,
        }
    }
    let took = thread_cpu_ns()? - before;
    sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
    Ok(took as f64 / received.max(1) as f64)
}

/// Processor time to write into a new file in `folder` and to sync it, in nanoseconds for each byte.
pub(crate) fn write_ns_per_byte(folder: &Path) -> io::Result<f64> {
    let path = folder.join("kernel-floor");
    let block = vec![b'x'; WRITE_BYTES];
    let mut file = File::create(&path)?;
    let before = thread_cpu_ns()?;
    for _ in 0..BYTES / WRITE_BYTES as u64 {
        file.write_all(&block)?;
        sync(&file)?;
    }
    let took = thread_cpu_ns()? - before;
    fs::remove_file(&path)?;
    Ok(took as f64 / BYTES as f64)
}

#[expect(clippy::disallowed_methods, reason = "measures the sync itself, and stores nothing")]
fn sync(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Time that this thread was on a processor (Linux).
fn thread_cpu_ns() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
    first.ok_or_else(|| io::Error::other("no figures in /proc/thread-self/schedstat"))
}
