//! Structures of answers, written down once for both formats.
//!
//! A structure hands its members, by name and value, to whatever [`Encoder`] is there; the compiler
//! makes one writer of each pair. `output!` writes the usual structure, a table of members.

use baikonur_stream::{HashKey, PartitionKey, SequenceNumber, ShardId, StreamName, Timestamp};
use bytes::Bytes;

/// Writes one format. Calls follow the grammar of the trait's users here; nothing is checked.
pub(crate) trait Encoder: Sized {
    /// Starts with memory for so many bytes.
    fn with_capacity(bytes: usize) -> Self;
    /// What was written.
    fn into_bytes(self) -> Vec<u8>;
    /// How long a blob of so many bytes becomes.
    fn blob_length(bytes: usize) -> usize;

    fn start_structure(&mut self);
    /// The name of a member; `first` in its structure or not.
    fn name(&mut self, name: &'static str, first: bool);
    fn end_structure(&mut self);
    fn start_list(&mut self, length: usize);
    /// Between two elements of a list.
    fn separate(&mut self);
    fn end_list(&mut self);

    fn text(&mut self, text: &str);
    /// A text in which there is no quote, no backslash and no control.
    fn plain_text(&mut self, text: &str) {
        self.text(text);
    }
    fn blob(&mut self, bytes: &[u8]);
    fn integer(&mut self, number: u64);
    fn boolean(&mut self, value: bool);
    /// A moment, to the millisecond.
    fn timestamp(&mut self, moment: Timestamp);
    /// A moment, to the second.
    fn whole_seconds(&mut self, moment: Timestamp);

    /// A whole structure.
    fn structure(&mut self, structure: &impl Structure) {
        self.start_structure();
        structure.write_members(&mut Members { to: self, first: true });
        self.end_structure();
    }
}

/// A structure of an answer.
pub(crate) trait Structure {
    /// About how many bytes it becomes.
    fn capacity<E: Encoder>(&self) -> usize {
        256
    }

    /// Hands over the members.
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>);
}

/// Takes the members of one structure.
pub(crate) struct Members<'e, E> {
    to: &'e mut E,
    first: bool,
}

impl<E: Encoder> Members<'_, E> {
    /// A member; none if the value is absent.
    #[inline]
    pub(crate) fn member(&mut self, name: &'static str, value: &(impl Value + ?Sized)) {
        if !value.is_absent() {
            self.to.name(name, self.first);
            self.first = false;
            value.write(self.to);
        }
    }

    /// A member that is a list, of elements made one after the other.
    pub(crate) fn list<T: Value>(
        &mut self,
        name: &'static str,
        elements: impl ExactSizeIterator<Item = T>,
    ) {
        self.to.name(name, self.first);
        self.first = false;
        write_list(elements, self.to, |element, to| element.write(to));
    }
}

fn write_list<T, E: Encoder>(
    elements: impl ExactSizeIterator<Item = T>,
    to: &mut E,
    write: impl Fn(T, &mut E),
) {
    to.start_list(elements.len());
    for (index, element) in elements.enumerate() {
        if index > 0 {
            to.separate();
        }
        write(element, to);
    }
    to.end_list();
}

/// A value of a member or an element.
pub(crate) trait Value {
    /// Whether a member with this value is left out.
    #[inline]
    fn is_absent(&self) -> bool {
        false
    }

    /// Writes the value.
    fn write<E: Encoder>(&self, to: &mut E);
}

/// A moment that the service tells in whole seconds: when something was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WholeSeconds(pub(crate) Timestamp);

macro_rules! values {
    ($($type:ty: |$value:ident, $to:ident| $write:expr;)*) => {$(
        impl Value for $type {
            #[inline]
            fn write<E: Encoder>(&self, $to: &mut E) {
                let $value = self;
                $write
            }
        }
    )*};
}

values! {
    str: |text, to| to.text(text);
    &str: |text, to| to.text(text);
    String: |text, to| to.text(text);
    PartitionKey: |key, to| to.text(key.as_str());
    StreamName: |name, to| to.text(name.as_str());
    ShardId: |id, to| to.plain_text(id.text(&mut [0; ShardId::TEXT_BYTES]));
    SequenceNumber: |number, to| to.plain_text(number.text(&mut [0; SequenceNumber::TEXT_BYTES]));
    HashKey: |key, to| to.plain_text(&key.to_string());
    Bytes: |bytes, to| to.blob(bytes);
    u32: |number, to| to.integer((*number).into());
    u64: |number, to| to.integer(*number);
    usize: |number, to| to.integer(*number as u64);
    bool: |value, to| to.boolean(*value);
    Timestamp: |moment, to| to.timestamp(*moment);
    WholeSeconds: |moment, to| to.whole_seconds(moment.0);
}

impl<T: Structure> Value for T {
    #[inline]
    fn write<E: Encoder>(&self, to: &mut E) {
        to.structure(self);
    }
}

impl<T: Value> Value for Option<T> {
    #[inline]
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    #[inline]
    fn write<E: Encoder>(&self, to: &mut E) {
        if let Some(value) = self {
            value.write(to);
        }
    }
}

impl<T: Value> Value for [T] {
    fn write<E: Encoder>(&self, to: &mut E) {
        write_list(self.iter(), to, Value::write);
    }
}

impl<T: Value> Value for Vec<T> {
    fn write<E: Encoder>(&self, to: &mut E) {
        self.as_slice().write(to);
    }
}

/// Declares a structure of answers: each line is a field, its type and its name on the wire. A
/// member that is `None` is left out.
macro_rules! output {
    (
        $(#[$doc:meta])*
        $visibility:vis struct $name:ident $(<$life:lifetime>)? {
            $($field_visibility:vis $field:ident: $type:ty = $member:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        $visibility struct $name $(<$life>)? {
            $($field_visibility $field: $type,)*
        }

        impl $(<$life>)? $crate::wire::output::Structure for $name $(<$life>)? {
            fn write_members<E: $crate::wire::output::Encoder>(
                &self,
                members: &mut $crate::wire::output::Members<'_, E>,
            ) {
                $(members.member($member, &self.$field);)*
            }
        }
    };
}

pub(crate) use output;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::format::Format;

    output! {
        struct Inner<'a> {
            word: &'a str = "Word",
        }
    }

    output! {
        struct Outer<'a> {
            absent: Option<u32> = "Absent",
            count: u32 = "Count",
            inner: Vec<Inner<'a>> = "Inner",
            made: WholeSeconds = "Made",
            seen: Timestamp = "Seen",
            data: Bytes = "Data",
            is: bool = "Is",
        }
    }

    fn outer() -> Outer<'static> {
        Outer {
            absent: None,
            count: 300,
            inner: vec![Inner { word: "a\"" }, Inner { word: "b" }],
            made: WholeSeconds(Timestamp::from_millis(1_700_000_000_999)),
            seen: Timestamp::from_millis(1_545_084_650_987),
            data: Bytes::from_static(b"hi"),
            is: true,
        }
    }

    #[test]
    fn json_is_as_the_service_writes_it() {
        let json = String::from_utf8(Format::Json.encode(&outer())).unwrap();
        assert_eq!(
            json,
            r#"{"Count":300,"Inner":[{"Word":"a\""},{"Word":"b"}],"Made":1700000000,"Seen":1545084650.987,"Data":"aGk=","Is":true}"#
        );
    }

    #[test]
    fn cbor_is_as_the_service_writes_it() {
        let made = 1_700_000_000_000u64.to_be_bytes();
        let seen = 1_545_084_650_987u64.to_be_bytes();
        let expected = [
            &b"\xbf\x65Count\x19\x01\x2c\x65Inner\x82"[..],
            b"\xbf\x64Word\x62a\"\xff\xbf\x64Word\x61b\xff",
            b"\x64Made\xc1\x1b",
            &made,
            b"\x64Seen\xc1\x1b",
            &seen,
            b"\x64Data\x42hi\x62Is\xf5\xff",
        ]
        .concat();
        assert_eq!(Format::Cbor.encode(&outer()), expected);
    }
}
