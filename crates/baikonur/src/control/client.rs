//! The side that asks.

use std::io;
use std::path::Path;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Question, Reply, SOCKET, socket};

/// Asks the pipeline that runs on a data directory.
///
/// # Errors
/// Nothing runs there, or it hung up.
pub(crate) async fn ask(data: &Path, question: &Question) -> anyhow::Result<Reply> {
    let shown = data.display();
    let mut stream = socket::connect(data).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "no pipeline runs on {shown}: there is nobody behind {SOCKET}; start `baikonur up` on it, or name another \
             directory with --data"
        ),
        _ => anyhow::Error::from(error).context(format!("{SOCKET} in {shown} cannot be opened")),
    })?;
    let mut text = serde_json::to_vec(question)?;
    text.push(b'\n');
    stream.write_all(&text).await.context("the pipeline hung up")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.context("the pipeline hung up")?;
    serde_json::from_str(&line)
        .context("the pipeline stopped before it answered, or is of another version")
}
