//! The side that answers: one question a line, one answer a line, until the other side hangs up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::warn;

use super::{Listening, Question, Reply};

/// Longest question.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;
/// Most who ask at once.
const CONNECTIONS_MAX: usize = 16;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whoever knows the answers.
#[async_trait]
pub(crate) trait Answer: Send + Sync + 'static {
    /// Does what is asked.
    async fn answer(&self, question: Question) -> Reply;
}

/// Answers until it is dropped.
pub(crate) async fn serve(listening: Listening, answer: Arc<dyn Answer>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listening.listener.accept().await {
            Ok((stream, _)) => {
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    // Who hangs up in the middle does not want the rest.
                    let _ = converse(stream, &*answer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "a connection to the control socket could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: UnixStream, answer: &dyn Answer) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut read).take(QUESTION_BYTES_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_str(&line) {
            Ok(question) => answer.answer(question).await,
            Err(error) => Reply::Refused(format!("the question is not understood: {error}")),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        if !line.ends_with('\n') {
            // Cut off, or too long: what follows would be read as another question.
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SOCKET, ask};
    use super::*;

    struct Echo;

    #[async_trait]
    impl Answer for Echo {
        async fn answer(&self, question: Question) -> Reply {
            Reply::Done(format!("{question:?}"))
        }
    }

    fn pause(module: &str) -> Question {
        Question::Pause { module: module.to_owned() }
    }

    #[tokio::test]
    async fn questions_are_answered_in_a_directory_whose_path_is_longer_than_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("d".repeat(120));
        std::fs::create_dir(&data).unwrap();
        // What a killed process leaves is in nobody's way.
        std::fs::write(data.join(SOCKET), "").unwrap();
        let serving = tokio::spawn(serve(Listening::bind(&data).unwrap(), Arc::new(Echo)));
        for module in ["a", "b"] {
            let reply = ask(&data, &pause(module)).await.unwrap();
            assert_eq!(reply, Reply::Done(format!("{:?}", pause(module))));
        }
        serving.abort();
        let _ = serving.await;
        assert!(!data.join(SOCKET).exists(), "the file goes with the server");
        let error = ask(&data, &pause("a")).await.unwrap_err();
        assert!(error.to_string().contains("baikonur up"), "{error}");
    }

    #[tokio::test]
    async fn nonsense_is_refused_with_a_reason_and_a_line_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let listening = Listening::bind(folder.path()).unwrap();
        let serving = tokio::spawn(serve(listening, Arc::new(Echo)));
        let ask_raw = async |text: &str| {
            let mut stream = super::super::socket::connect(folder.path()).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.unwrap();
            line
        };
        for text in ["nonsense\n", "{\"explode\":{}}\n", "[]\n"] {
            assert!(ask_raw(text).await.contains("not understood"), "{text}");
        }
        let endless = "x".repeat(QUESTION_BYTES_MAX as usize);
        assert!(ask_raw(&endless).await.contains("not understood"));
        serving.abort();
    }
}
