//! Writing CBOR. Structures end with a break, as the service's do: how many members there are shows
//! only when they are written.

use baikonur_stream::Timestamp;

use crate::wire::cbor::{ARRAY, BYTES, MAP, MOMENT, SIMPLE, TAG, TEXT, UNSIGNED};
use crate::wire::output::Encoder;

/// Writes CBOR.
#[derive(Debug)]
pub(crate) struct CborEncoder(Vec<u8>);

/// Length or number in the following byte; in the following eight.
const IN_ONE: u8 = 24;
const IN_EIGHT: u8 = 27;
/// Length that shows at the end.
const OPEN: u8 = 31;

const fn initial(major: u8, info: u8) -> u8 {
    major << 5 | info
}

impl CborEncoder {
    #[inline]
    fn head(&mut self, major: u8, argument: u64) {
        match argument {
            0..=23 => self.0.push(initial(major, argument as u8)),
            24..=0xff => self.0.extend_from_slice(&[initial(major, IN_ONE), argument as u8]),
            _ => self.long_head(major, argument),
        }
    }

    fn long_head(&mut self, major: u8, argument: u64) {
        let bytes = argument.to_be_bytes();
        let (info, from) = match argument {
            0..=0xffff => (IN_ONE + 1, 6),
            0x1_0000..=0xffff_ffff => (IN_ONE + 2, 4),
            _ => (IN_EIGHT, 0),
        };
        self.0.push(initial(major, info));
        self.0.extend_from_slice(&bytes[from..]);
    }
}

impl Encoder for CborEncoder {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn blob_length(bytes: usize) -> usize {
        bytes + 5
    }

    #[inline]
    fn start_structure(&mut self) {
        self.0.push(initial(MAP, OPEN));
    }

    #[inline]
    fn name(&mut self, name: &'static str, _first: bool) {
        self.text(name);
    }

    #[inline]
    fn end_structure(&mut self) {
        self.0.push(initial(SIMPLE, OPEN));
    }

    #[inline]
    fn start_list(&mut self, length: usize) {
        self.head(ARRAY, length as u64);
    }

    #[inline]
    fn separate(&mut self) {}

    #[inline]
    fn end_list(&mut self) {}

    #[inline]
    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn blob(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    fn integer(&mut self, number: u64) {
        self.head(UNSIGNED, number);
    }

    #[inline]
    fn boolean(&mut self, value: bool) {
        self.0.push(initial(SIMPLE, if value { 21 } else { 20 }));
    }

    /// Tag 1 before whole milliseconds; the Java SDK takes no other kind of number there.
    #[inline]
    fn timestamp(&mut self, moment: Timestamp) {
        self.head(TAG, MOMENT);
        self.0.push(initial(UNSIGNED, IN_EIGHT));
        self.0.extend_from_slice(&moment.millis().to_be_bytes());
    }

    #[inline]
    fn whole_seconds(&mut self, moment: Timestamp) {
        self.timestamp(Timestamp::from_millis(moment.millis() / 1000 * 1000));
    }
}
