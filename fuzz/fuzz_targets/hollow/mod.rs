//! All operations, over streams that take everything and hold nothing.

#[path = "../../../crates/api/benches/weightless/mod.rs"]
mod weightless;

use std::sync::LazyLock;

use baikonur_api::{Format, InProcess, ServerSettings};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

pub(crate) static OPERATIONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| InProcess::operations().collect());

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime without I/O"));
static OPERATIONS_IN_PROCESS: LazyLock<InProcess> =
    LazyLock::new(|| InProcess::new(&ServerSettings::default(), weightless::streams(Vec::new())));

/// Status and body of an answer.
pub(crate) fn call(format: Format, operation: &str, body: Bytes) -> (u16, Bytes) {
    RUNTIME.block_on(OPERATIONS_IN_PROCESS.call_in(format, operation, body))
}
