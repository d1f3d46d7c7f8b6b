//! What a receiver says: acknowledgements, and its part of the handshake. Foreign bytes, read
//! without trust: what is not whole yet is waited for, what can never become right is told.

use rmp::Marker;
use rmp::decode::{RmpRead, read_marker};

/// Containers and extensions in one answer at most, counted by what is in them: an answer of the
/// protocol has a dozen.
const VALUES_MAX: u64 = 256;

/// What a receiver said instead of what the protocol has at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotExpected {
    #[error("it asks for a shared key; set `shared_key`")]
    Helo,
    #[error("it speaks TLS; write fluents:// in its address")]
    Tls,
    #[error(
        "it says more than the protocol has; check that it is a receiver of the Fluent Forward protocol"
    )]
    TooLong,
    #[error("it acknowledges messages that nobody sent")]
    Strangers,
    #[error("check that it is a receiver of the Fluent Forward protocol")]
    Unknown,
}

/// An answer and the bytes that it took; none when there are not enough yet.
pub(super) type Parsed<T> = Result<Option<(T, usize)>, NotExpected>;

/// The greeting of a receiver that wants a shared key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helo {
    pub(super) nonce: Vec<u8>,
    /// The salt of passwords; empty when no user is asked for.
    pub(super) auth: Vec<u8>,
    /// False: the receiver closes the connection behind each message.
    pub(super) keepalive: bool,
}

/// The receiver's answer to what this side has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pong {
    pub(super) accepted: bool,
    pub(super) reason: String,
    pub(super) hostname: Vec<u8>,
    pub(super) digest: Vec<u8>,
}

/// Reads `{"ack": id}`; gives the id.
pub(super) fn parse_ack(received: &[u8]) -> Parsed<String> {
    parse(received, |answer| {
        match answer.marker()? {
            Marker::FixMap(1) => {}
            Marker::FixArray(2) if answer.is_helo() => return Err(Stop::Wrong(NotExpected::Helo)),
            _ => return Err(Stop::UNKNOWN),
        }
        let is_ack = answer.text()? == b"ack";
        let id = answer.text()?;
        match str::from_utf8(id) {
            Ok(id) if is_ack => Ok(id.to_owned()),
            _ => Err(Stop::UNKNOWN),
        }
    })
}

/// Reads `["HELO", {"nonce": …, "auth": …, "keepalive": …}]`.
pub(super) fn parse_helo(received: &[u8]) -> Parsed<Helo> {
    parse(received, |answer| {
        if !matches!(answer.marker()?, Marker::FixArray(2)) || answer.text()? != b"HELO" {
            return Err(Stop::UNKNOWN);
        }
        let mut helo = Helo { nonce: Vec::new(), auth: Vec::new(), keepalive: true };
        let options = match answer.marker()? {
            Marker::FixMap(count) => count.into(),
            Marker::Map16 => answer.number(2)?,
            Marker::Map32 => answer.number(4)?,
            _ => return Err(Stop::UNKNOWN),
        };
        for _ in 0..options {
            match answer.text()? {
                b"nonce" => helo.nonce = answer.text()?.to_vec(),
                b"auth" => helo.auth = answer.text()?.to_vec(),
                b"keepalive" => helo.keepalive = answer.truth()?,
                _ => answer.skip()?,
            }
        }
        Ok(helo)
    })
}

/// Reads `["PONG", accepted, reason, hostname, digest]`.
pub(super) fn parse_pong(received: &[u8]) -> Parsed<Pong> {
    parse(received, |answer| {
        if !matches!(answer.marker()?, Marker::FixArray(5)) || answer.text()? != b"PONG" {
            return Err(Stop::UNKNOWN);
        }
        Ok(Pong {
            accepted: answer.truth()?,
            reason: String::from_utf8_lossy(answer.text()?).into_owned(),
            hostname: answer.text()?.to_vec(),
            digest: answer.text()?.to_vec(),
        })
    })
}

fn parse<'r, T>(
    received: &'r [u8],
    read: impl FnOnce(&mut Answer<'r>) -> Result<T, Stop>,
) -> Parsed<T> {
    // A TLS record of the type alert, which is what a server says to who does not speak TLS.
    if received.starts_with(&[0x15, 0x03]) {
        return Err(NotExpected::Tls);
    }
    let mut answer = Answer { rest: received };
    match read(&mut answer) {
        Ok(value) => Ok(Some((value, received.len() - answer.rest.len()))),
        Err(Stop::NotWhole) => Ok(None),
        Err(Stop::Wrong(what)) => Err(what),
    }
}

/// Why reading ended before the end of an answer.
enum Stop {
    NotWhole,
    Wrong(NotExpected),
}

impl Stop {
    const UNKNOWN: Self = Self::Wrong(NotExpected::Unknown);
}

struct Answer<'r> {
    rest: &'r [u8],
}

impl<'r> Answer<'r> {
    fn marker(&mut self) -> Result<Marker, Stop> {
        read_marker(&mut self.rest).map_err(|_| Stop::NotWhole)
    }

    /// A length of so many bytes.
    fn number(&mut self, bytes: u8) -> Result<u64, Stop> {
        let number = match bytes {
            1 => self.rest.read_data_u8().map(u64::from),
            2 => self.rest.read_data_u16().map(u64::from),
            _ => self.rest.read_data_u32().map(u64::from),
        };
        number.map_err(|_| Stop::NotWhole)
    }

    fn bytes(&mut self, count: u64) -> Result<&'r [u8], Stop> {
        let count = usize::try_from(count).map_err(|_| Stop::UNKNOWN)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Stop::NotWhole)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A text, or binary data: receivers mix them up.
    fn text(&mut self) -> Result<&'r [u8], Stop> {
        let marker = self.marker()?;
        let length = self.length_of_text(marker)?.ok_or(Stop::UNKNOWN)?;
        self.bytes(length)
    }

    fn length_of_text(&mut self, marker: Marker) -> Result<Option<u64>, Stop> {
        Ok(Some(match marker {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 | Marker::Bin8 => self.number(1)?,
            Marker::Str16 | Marker::Bin16 => self.number(2)?,
            Marker::Str32 | Marker::Bin32 => self.number(4)?,
            _ => return Ok(None),
        }))
    }

    fn truth(&mut self) -> Result<bool, Stop> {
        match self.marker()? {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            _ => Err(Stop::UNKNOWN),
        }
    }

    /// Whether a greeting goes on here, as far as it can be seen.
    fn is_helo(&self) -> bool {
        b"\xa4HELO".starts_with(&self.rest[..self.rest.len().min(5)])
    }

    /// Passes any value. Nesting takes no stack, and what it promises to hold is bounded.
    fn skip(&mut self) -> Result<(), Stop> {
        let (mut left, mut passed) = (1_u64, 0_u64);
        while left > 0 {
            let marker = self.marker()?;
            let inner = match marker {
                Marker::FixArray(count) => count.into(),
                Marker::Array16 => self.number(2)?,
                Marker::Array32 => self.number(4)?,
                Marker::FixMap(count) => 2 * u64::from(count),
                Marker::Map16 => 2 * self.number(2)?,
                Marker::Map32 => 2 * self.number(4)?,
                marker => {
                    let length = match self.length_of_text(marker)? {
                        Some(length) => length,
                        None => self.length_of_other(marker)?,
                    };
                    self.bytes(length)?;
                    0
                }
            };
            (left, passed) = (left - 1 + inner, passed + 1);
            if left + passed > VALUES_MAX {
                return Err(Stop::Wrong(NotExpected::TooLong));
            }
        }
        Ok(())
    }

    fn length_of_other(&mut self, marker: Marker) -> Result<u64, Stop> {
        Ok(match marker {
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            // The type of an extension takes one byte more.
            Marker::FixExt1 => 2,
            Marker::FixExt2 => 3,
            Marker::FixExt4 => 5,
            Marker::FixExt8 => 9,
            Marker::FixExt16 => 17,
            Marker::Ext8 => self.number(1)? + 1,
            Marker::Ext16 => self.number(2)? + 1,
            Marker::Ext32 => self.number(4)? + 1,
            _ => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `whole` with something behind it, and checks that no part of it is enough.
    fn whole<T: std::fmt::Debug + PartialEq>(whole: &[u8], parse: fn(&[u8]) -> Parsed<T>) -> T {
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), Ok(None), "{cut}");
        }
        let (value, length) = parse(&[whole, b"\x81"].concat()).unwrap().unwrap();
        assert_eq!(length, whole.len());
        value
    }

    #[test]
    fn an_acknowledgement_is_read_once_it_is_whole() {
        for ack in [
            &b"\x81\xa3ack\xa4abc="[..],
            b"\x81\xa3ack\xd9\x04abc=",
            b"\x81\xc4\x03ack\xc5\x00\x04abc=",
        ] {
            assert_eq!(whole(ack, parse_ack), "abc=");
        }
    }

    #[test]
    fn what_is_no_acknowledgement_is_told() {
        assert_eq!(parse_ack(b"\x92\xa4HELO\x80"), Err(NotExpected::Helo));
        assert_eq!(parse_ack(b"\x15\x03\x01\x00\x02\x02\x46"), Err(NotExpected::Tls));
        for said in
            [&b"HTTP/1.1 400"[..], b"\x81\xa3nak\xa1x", b"\x81\xa3ack\x01", b"\xc0", b"\x92\xa3abc"]
        {
            assert_eq!(parse_ack(said), Err(NotExpected::Unknown));
        }
    }

    #[test]
    fn a_greeting_has_what_it_has_and_else_what_the_protocol_says() {
        let helo = whole(
            b"\x92\xa4HELO\x83\xa5nonce\xc4\x02\xff\x00\xa4auth\xa1s\xa9keepalive\xc2",
            parse_helo,
        );
        assert_eq!(helo, Helo { nonce: vec![255, 0], auth: b"s".to_vec(), keepalive: false });
        // Fluent Bit says nothing of keepalive, and writes random bytes as texts.
        let helo = whole(b"\x92\xa4HELO\x82\xa5nonce\xa2\xff\x00\xa4auth\xa0", parse_helo);
        assert_eq!(helo, Helo { nonce: vec![255, 0], auth: Vec::new(), keepalive: true });
        let strange = b"\x92\xa4HELO\xde\x00\x02\xa1x\x92\x81\xc3\xc7\x01\x05\xff\xcb\0\0\0\0\0\0\0\0\xa5nonce\xd9\x01n";
        assert_eq!(whole(strange, parse_helo).nonce, b"n");
    }

    #[test]
    fn a_pong_is_read_whether_it_accepts_or_not() {
        let pong = whole(b"\x95\xa4PONG\xc2\xa2no\xa0\xa0", parse_pong);
        assert_eq!((pong.accepted, &*pong.reason), (false, "no"));
        let pong = whole(b"\x95\xa4PONG\xc3\xa0\xa1h\xa1d", parse_pong);
        assert_eq!((pong.accepted, &*pong.hostname, &*pong.digest), (true, &b"h"[..], &b"d"[..]));
        for said in [&b"\x95\xa4PING\xc3"[..], b"\x94\xa4PONG", b"\x95\xa4PONG\x01", b"\xc0"] {
            assert_eq!(parse_pong(said), Err(NotExpected::Unknown));
        }
    }

    #[test]
    fn promises_of_endless_contents_are_refused() {
        for endless in [&b"\xdd\xff\xff\xff\xff"[..], b"\xdf\xff\xff\xff\xff", &[0x91; 1000]] {
            let said = [b"\x92\xa4HELO\x81\xa1x", endless].concat();
            assert_eq!(parse_helo(&said), Err(NotExpected::TooLong));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(said in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse_ack(&said), parse_helo(&said), parse_pong(&said));
            let said = [b"\x92\xa4HELO\xdf\xff\xff\xff\xff", &said[..]].concat();
            let _ = parse_helo(&said);
        }
    }
}
