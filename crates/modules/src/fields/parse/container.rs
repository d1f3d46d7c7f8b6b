//! Lines of container runtimes and log routers.
//!
//! - A line of containerd and CRI-O: `2016-10-06T00:17:09.669794202Z stdout F text` (Kubernetes, "CRI container log
//!   format": time, stream, tags of which the first is `P` for a part of a line or `F` for a full one, and the text).
//! - An object with a text `log`: Docker's `json-file` (`stream`, `time`), Docker's `fluentd` driver and FireLens
//!   (`container_id`, `container_name`, `source`, `ecs_*`), Fluent Bit and Fluentd on Kubernetes (`kubernetes`).
//!
//! Both become the same fields: `message`, `time` and `container`.

use super::members::Members;
use super::{MESSAGE, TIME};

const CONTAINER: &str = "container";
const LOG: &str = "log";
/// The longest time of a CRI line, with nine digits of the second and an offset.
const TIME_BYTES_MAX: usize = 40;
/// What a router writes, and what it is called below `ecs`.
const ECS: [(&str, &str); 3] = [
    ("ecs_cluster", "cluster"),
    ("ecs_task_arn", "task_arn"),
    ("ecs_task_definition", "task_definition"),
];

/// A line of the CRI format.
pub(super) fn line(text: &[u8]) -> Option<Members<'_>> {
    let (time, rest) = split_at_space(text)?;
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || b"-:.TZ+".contains(byte);
    let is_time = time.len() <= TIME_BYTES_MAX
        && time.first().is_some_and(u8::is_ascii_digit)
        && time.get(10) == Some(&b'T')
        && time.iter().all(is_of_time);
    let (stream, rest) = split_at_space(rest)?;
    let (tags, text) = split_at_space(rest).unwrap_or((rest, b""));
    let partial = match tags.split(|byte| *byte == b':').next() {
        Some(b"P") => true,
        Some(b"F") => false,
        _ => return None,
    };
    if !is_time || !is_stream(stream) {
        return None;
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut members = Members::default();
    members.push_text(MESSAGE, text);
    members.push_text(TIME, time);
    let mut container = Members::default();
    container.push_text("stream", stream);
    container.push_text("time", time);
    if partial {
        container.push("partial", &b"true"[..]);
    }
    members.push_object(CONTAINER, &container);
    Some(members)
}

fn split_at_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b' ')?;
    Some((&text[..at], &text[at + 1..]))
}

fn is_stream(name: &[u8]) -> bool {
    name == b"stdout" || name == b"stderr"
}

/// Changes an object that a runtime or a router wrote; whether it is one.
pub(super) fn unwrap(members: &mut Members<'_>) -> bool {
    let streams = ["stream", "source"];
    let names_a_stream = |name: &&str| members.content(name).is_some_and(is_stream);
    let stream = streams.iter().copied().find(|name| names_a_stream(name));
    let known = stream.is_some()
        || ["container_id", "container_name", "kubernetes"].iter().any(|name| members.has(name));
    // What has a message already was unwrapped by a router.
    if !known || members.content(LOG).is_none() || members.has(MESSAGE) {
        return false;
    }
    let mut container = Members::default();
    let taken = [("container_id", "id"), ("container_name", "name")];
    for (from, to) in taken.into_iter().chain(stream.map(|stream| (stream, "stream"))) {
        if let Some(value) = members.remove(from) {
            container.push(to, value.into_owned());
        }
    }
    if let Some(time) = members.content(TIME) {
        let time = [b"\"", time, b"\""].concat();
        container.push("time", time);
    }
    let mut ecs = Members::default();
    for (from, to) in ECS {
        if let Some(value) = members.remove(from) {
            ecs.push(to, value.into_owned());
        }
    }
    if let Some(log) = members.remove(LOG) {
        members.push(MESSAGE, without_line_end(&log));
    }
    for (name, object) in [(CONTAINER, container), ("ecs", ecs)] {
        if !object.is_empty() {
            members.remove(name);
            members.push_object(name, &object);
        }
    }
    true
}

/// A string without the line end that runtimes keep with each line; the rest keeps its bytes.
fn without_line_end(value: &[u8]) -> Vec<u8> {
    let content = &value[..value.len() - 1];
    let content = without_escape(content, b"n", b"a").unwrap_or(content);
    let content = without_escape(content, b"r", b"d").unwrap_or(content);
    [content, b"\""].concat()
}

/// `content` without the escape `\{short}` or `\u000{long}` at its end, if it ends in one.
fn without_escape<'c>(content: &'c [u8], short: &[u8], long: &[u8]) -> Option<&'c [u8]> {
    let before = content
        .strip_suffix(short)
        .or_else(|| content.strip_suffix(long)?.strip_suffix(b"u000"))
        .or_else(|| {
            content.strip_suffix(long.to_ascii_uppercase().as_slice())?.strip_suffix(b"u000")
        })?;
    // An odd number of backslashes: the last one is no part of an escape before it.
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    (backslashes % 2 == 1).then(|| &before[..before.len() - 1])
}
