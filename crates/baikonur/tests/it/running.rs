//! Running the binary: to its end with an input, or as a server until it is told to stop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The binary, with nothing of this process's environment that could change what it does.
pub(crate) fn baikonur(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baikonur"));
    command.args(words).current_dir(folder).env_clear();
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, words: &[&str], input: &[u8]) -> Output {
    let mut child = baikonur(folder, words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // It may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// What it printed, after it succeeded.
pub(crate) fn printed(folder: &Path, words: &[&str], input: &[u8]) -> String {
    let output = run(folder, words, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What it said on the standard error, after it failed.
pub(crate) fn refused(folder: &Path, words: &[&str], input: &[u8]) -> String {
    let output = run(folder, words, input);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// `baikonur up` on a free port.
pub(crate) struct Up {
    child: Child,
    pub(crate) welcome: String,
    /// Such as `127.0.0.1:40123`.
    pub(crate) address: String,
}

impl Up {
    pub(crate) fn start(folder: &Path, words: &[&str]) -> Self {
        Self::start_with(folder, words, &[])
    }

    pub(crate) fn start_with(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let words = [&["up", "--listen", "127.0.0.1:0"], words].concat();
        let mut child = baikonur(folder, &words)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C drains") {
            let line = lines.next().unwrap_or_else(|| {
                panic!("no welcome: {}", std::fs::read_to_string(folder.join("log")).unwrap())
            });
            welcome.push_str(&line.unwrap());
            welcome.push('\n');
        }
        let (_, address) = welcome.split_once("http://").unwrap();
        let address = address.lines().next().unwrap().to_owned();
        Self { child, welcome, address }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Status and body of a page.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }

    /// SIGTERM; gives the exit status.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
