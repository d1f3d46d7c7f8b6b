//! The floor under a PutRecords server: base64 decoding, MD5 of the partition keys, a checksum and one
//! copy into a log buffer, each measured alone, on one core, on the records that `put` would send.

use std::hint::black_box;
use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};
use base64_simd::{AsOut, STANDARD};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::kernel;
use crate::requests::{Entry, put_records};
use crate::summary::rounded;
use crate::{Arguments, Failure};

/// Parts that are measured.
const PARTS: u32 = 5;
/// Passes over all records of a part, at least: the best one counts.
const PASSES_MIN: u32 = 3;
/// What a log collects before it writes; too large for the processor's cache.
const LOG_BUFFER_BYTES: usize = 64 * 1024 * 1024;

/// Gives nanoseconds for each byte of payload, which are seconds for each 10^9 bytes.
pub(crate) fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let records: Vec<Entry> = put_records(arguments)?.into_iter().flatten().collect();
    let coded: Vec<String> =
        records.iter().map(|(_, data)| STANDARD.encode_to_string(data)).collect();
    let payload_bytes: usize = records.iter().map(|(_, data)| data.len()).sum();
    let longest = records.iter().map(|(_, data)| data.len()).max().unwrap_or(0);
    let time = arguments.duration() / PARTS;
    let ns_per_byte = |pass: &mut dyn FnMut()| {
        best_pass(time, pass).as_secs_f64() * 1e9 / payload_bytes.max(1) as f64
    };

    let mut decoded = vec![0; longest + 4];
    let base64 = ns_per_byte(&mut || {
        for text in &coded {
            black_box(STANDARD.decode(text.as_bytes(), decoded.as_mut_slice().as_out()).is_ok());
        }
    });
    let key_md5 = ns_per_byte(&mut || {
        for (key, _) in &records {
            black_box(Md5::digest(key.as_bytes()));
        }
    });
    let checksum = ns_per_byte(&mut || {
        for (_, data) in &records {
            black_box(crc32c::crc32c(data));
        }
    });
    let mut log = vec![1; LOG_BUFFER_BYTES.max(longest)];
    let copy = ns_per_byte(&mut || {
        let mut at = 0;
        for (_, data) in &records {
            if at + data.len() > log.len() {
                at = 0;
            }
            log[at..at + data.len()].copy_from_slice(data);
            at += data.len();
        }
        black_box(&mut log);
    });
    let body_sha256 = ns_per_byte(&mut || {
        for text in &coded {
            black_box(Sha256::digest(text.as_bytes()));
        }
    });
    let on_the_wire: usize = coded.iter().map(String::len).sum();
    let on_the_wire = on_the_wire as f64 / payload_bytes.max(1) as f64;
    let receive = kernel::receive_ns_per_byte()? * on_the_wire;
    let write = kernel::write_ns_per_byte(&arguments.folder)?;
    let floor = base64 + key_md5 + checksum + copy;
    Ok(json!({
        "payload_bytes": payload_bytes,
        "ns_per_byte": {
            "base64": rounded(base64),
            "key_md5": rounded(key_md5),
            "crc32c": rounded(checksum),
            "copy": rounded(copy),
            "body_sha256": rounded(body_sha256),
            "kernel_receive": rounded(receive),
            "kernel_write": rounded(write),
        },
        "floor_ns_per_byte": rounded(floor),
        "floor_with_kernel_ns_per_byte": rounded(floor + receive + write),
    }))
}

/// The time of the best of as many passes as fit into `time`.
fn best_pass(time: Duration, pass: &mut dyn FnMut()) -> Duration {
    let clock = SystemClock::new();
    let mut best = Duration::MAX;
    let mut passes = 0;
    while passes < PASSES_MIN || clock.monotonic() < time {
        let before = clock.monotonic();
        pass();
        best = best.min(clock.monotonic() - before);
        passes += 1;
    }
    best
}
