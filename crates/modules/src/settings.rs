//! How settings are read: each part of a module has one struct, and a module's table holds the keys of all its parts
//! side by side, as the originals' Terraform modules take them.
//!
//! So a reader of the configuration gives each part the keys that [`keys_of`] names, and a key that no part names is
//! a mistake that it can explain. The names come from the struct itself: there is no second list to forget.

use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use url::{Host, Url};

/// Whether what is sent there leaves this machine under no circumstances, and so need not be encrypted.
pub(crate) fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The keys of a settings struct, by asking its derived `Deserialize`. Empty for anything but a struct.
pub fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The answer is always an error: there is no data to read, only the question for the keys.
    let _ = T::deserialize(KeysOf(&mut keys));
    keys
}

struct KeysOf<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeysOf<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the keys were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the keys were asked for"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A list of texts, or one text with commas between them as the originals' environment variables hold it.
///
/// # Errors
/// Anything else.
pub fn list_or_commas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or one text with commas")]
    enum ListOrCommas {
        List(Vec<String>),
        Commas(String),
    }
    Ok(match ListOrCommas::deserialize(deserializer)? {
        ListOrCommas::List(items) => items,
        ListOrCommas::Commas(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::IntakeSettings;

    #[test]
    fn keys_are_those_of_the_struct() {
        let keys = keys_of::<IntakeSettings>();
        assert!(keys.contains(&"log_type_field_whitelist"), "{keys:?}");
        assert!(keys_of::<String>().is_empty());
    }
}
