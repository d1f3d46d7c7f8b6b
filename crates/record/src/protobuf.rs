//! The wire format of protobuf, as far as messages of numbers, bytes and messages need it; nothing is copied.

use bytes::Bytes;

/// Groups within groups that are skipped; deeper ones are malformed, as for protobuf's own parsers.
const GROUP_DEPTH_MAX: usize = 100;

/// Not the wire format of protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One field of a message, with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    /// Wire type 0.
    Varint(u32, u64),
    /// Wire type 2: bytes, text or a message.
    Bytes(u32, Bytes),
    /// Fixed-size numbers and groups.
    Other,
}

/// Visits the fields of a message in order.
pub(crate) fn fields<F>(message: &Bytes, mut visit: F) -> Result<(), Malformed>
where
    F: FnMut(Field) -> Result<(), Malformed>,
{
    let mut reader = Reader { rest: message };
    while !reader.rest.is_empty() {
        let (number, wire_type) = reader.tag()?;
        visit(match wire_type {
            0 => Field::Varint(number, reader.varint()?),
            2 => Field::Bytes(number, message.slice_ref(reader.length_delimited()?)),
            other => {
                reader.skip(number, other)?;
                Field::Other
            }
        })?;
    }
    Ok(())
}

struct Reader<'m> {
    rest: &'m [u8],
}

impl<'m> Reader<'m> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Field number and wire type.
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        // Protobuf's own parsers drop the upper half as well.
        let tag = self.varint()? as u32;
        let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
        if number == 0 { Err(Malformed) } else { Ok((number, wire_type)) }
    }

    fn bytes(&mut self, length: usize) -> Result<&'m [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn length_delimited(&mut self) -> Result<&'m [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        self.bytes(length)
    }

    /// Passes a field that nobody asks for.
    fn skip(&mut self, number: u32, wire_type: u8) -> Result<(), Malformed> {
        match wire_type {
            1 => self.bytes(8).map(drop),
            5 => self.bytes(4).map(drop),
            3 => self.skip_group(number),
            _ => Err(Malformed),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), Malformed> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.tag()? {
                (_, 0) => drop(self.varint()?),
                (_, 2) => drop(self.length_delimited()?),
                (number, 3) if open.len() < GROUP_DEPTH_MAX => open.push(number),
                (number, 4) if number == innermost => drop(open.pop()),
                (number, wire_type @ (1 | 5)) => self.skip(number, wire_type)?,
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Field, Malformed, fields};

    fn read(message: &'static [u8]) -> Result<Vec<Field>, Malformed> {
        let mut all = Vec::new();
        fields(&Bytes::from_static(message), |field| {
            all.push(field);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn fields_come_in_order_and_unknown_ones_are_passed() {
        let message = b"\x08\x96\x01\x12\x02hi\x1d1234\x2112345678\x2b\x08\x01\x33\x34\x2c\x18\x00";
        let expected = [
            Field::Varint(1, 150),
            Field::Bytes(2, Bytes::from_static(b"hi")),
            Field::Other,
            Field::Other,
            Field::Other,
            Field::Varint(3, 0),
        ];
        assert_eq!(read(message).unwrap(), expected);
    }

    #[test]
    fn broken_messages_are_malformed() {
        for message in [
            b"\x08".as_slice(),
            b"\x08\xff",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x03hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x00\x01",
            b"\x0c",
            b"\x0b\x14",
            b"\x0b",
            b"\x0e",
            b"\x1d123",
        ] {
            assert_eq!(read(message), Err(Malformed), "{message:x?}");
        }
        let groups = [0x0b; 200];
        assert_eq!(fields(&Bytes::copy_from_slice(&groups), |_| Ok(())), Err(Malformed));
    }
}
