//! CBOR for serde: what `structure!` and the types of members ask for, which is `deserialize_any`.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::wire::cbor::reader::{Fault, Item, Reader};

/// Reads items as they come.
#[derive(Debug)]
pub(super) struct Deserializer<'de> {
    reader: Reader<'de>,
}

impl<'de> Deserializer<'de> {
    /// The map that `body` is.
    pub(super) fn parse_map<T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Fault> {
        if !matches!(Reader::new(body).item()?, Item::Map(_)) {
            return Err(Fault::Malformed);
        }
        let mut deserializer = Self { reader: Reader::new(body) };
        let read = T::deserialize(&mut deserializer)?;
        if deserializer.reader.is_at_end() { Ok(read) } else { Err(Fault::Malformed) }
    }

    /// What `visit` makes of the elements of an array or map, if it takes them all.
    fn elements<T>(
        &mut self,
        left: Option<u64>,
        visit: impl FnOnce(&mut Elements<'_, 'de>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.reader.enter()?;
        let mut elements = Elements { from: self, left, ended: false };
        let value = visit(&mut elements)?;
        let ended = elements.ended || !elements.goes_on()?;
        self.reader.leave();
        if ended { Ok(value) } else { Err(Fault::Malformed) }
    }
}

impl<'de> serde::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.reader.item()? {
            Item::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Item::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Item::Bytes(Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Item::Bytes(Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
            Item::Unsigned(number) => visitor.visit_u64(number),
            // What is below the range becomes its lowest number: nothing here tells them apart.
            Item::Negative(number) => {
                visitor.visit_i64(i64::try_from(number).map_or(i64::MIN, |number| -1 - number))
            }
            Item::Float(number) => visitor.visit_f64(number),
            Item::Boolean(value) => visitor.visit_bool(value),
            Item::Null => visitor.visit_unit(),
            Item::Array(left) => self.elements(left, |elements| visitor.visit_seq(elements)),
            Item::Map(left) => self.elements(left, |elements| visitor.visit_map(elements)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.reader.take_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// What is left of an array or map.
struct Elements<'d, 'de> {
    from: &'d mut Deserializer<'de>,
    left: Option<u64>,
    /// Whether the end was seen: a break must not be looked for twice.
    ended: bool,
}

impl Elements<'_, '_> {
    fn goes_on(&mut self) -> Result<bool, Fault> {
        let goes_on = !self.ended && self.from.reader.goes_on(&mut self.left)?;
        self.ended = !goes_on;
        Ok(goes_on)
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        if self.goes_on()? { seed.deserialize(&mut *self.from).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if self.goes_on()? { seed.deserialize(&mut *self.from).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(&mut *self.from)
    }
}
