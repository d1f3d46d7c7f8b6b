//! Ids that every answer carries, so that a client's log line can be found again.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::HeaderValue;
use uuid::{Builder, Uuid};

/// Makes request ids: random enough to be unique, without a system call for each.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    drawn: AtomicU64,
}

/// Raw bytes of an `x-amz-id-2`; the service sends 64 to 80.
const EXTENDED_BYTES: usize = 72;
const WORDS: u64 = 2 + EXTENDED_BYTES as u64 / 8;

/// The ids of one request.
#[derive(Debug)]
pub(crate) struct RequestId {
    /// For `x-amzn-RequestId`.
    pub(crate) id: HeaderValue,
    /// For `x-amz-id-2`.
    pub(crate) extended: HeaderValue,
}

impl RequestIds {
    /// Starts from a random place.
    pub(crate) fn new() -> Self {
        let (seed, start) = Uuid::new_v4().as_u64_pair();
        Self { seed, drawn: AtomicU64::new(start) }
    }

    /// The next ids.
    pub(crate) fn next(&self) -> RequestId {
        let first = self.drawn.fetch_add(WORDS, Ordering::Relaxed);
        let mut bytes = [0; 16 + EXTENDED_BYTES];
        for (word, at) in bytes.chunks_exact_mut(8).zip(first..=u64::MAX) {
            word.copy_from_slice(&mixed(self.seed, at).to_le_bytes());
        }
        let (id, extended) = bytes.split_first_chunk().expect("longer than 16 bytes");
        let mut text = Uuid::encode_buffer();
        let id = Builder::from_random_bytes(*id).into_uuid().hyphenated().encode_lower(&mut text);
        let extended = base64_simd::STANDARD.encode_to_string(extended);
        RequestId { id: header(id), extended: header(&extended) }
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("hexadecimal and base64 are legal in a header")
}

/// SplitMix64: the `at`-th number of the sequence that starts at `seed`.
fn mixed(seed: u64, at: u64) -> u64 {
    let mut z = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_have_the_shape_of_the_service_and_differ() {
        let ids = RequestIds::new();
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let request = ids.next();
            let id = request.id.to_str().unwrap().to_owned();
            assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
            let extended = request.extended.to_str().unwrap();
            assert_eq!(base64_simd::STANDARD.decode_to_vec(extended).unwrap().len(), 72);
            assert!(seen.insert(id) && seen.insert(extended.to_owned()));
        }
    }
}
