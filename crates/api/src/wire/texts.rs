//! Lists and maps of short texts: tags and their keys, names of metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::limits::LIST_KEPT_MAX;
use crate::wire::constraint::{Constrained, Path, Rule, Violations};
use crate::wire::members::{LIST_START, MAP_START, Text};

/// Keys and values of a map of tags (model: `TagKey`, `TagValue`).
pub(crate) const TAGS: Rule = Rule::Pairs { keys: (1, 128), values: (0, 256) };
/// How many tags a request may have (model: `TagMap`).
pub(crate) const TAG_COUNT: Rule = Rule::Length(1, 200);
/// Elements of a list of tag keys.
pub(crate) const TAG_KEYS: Rule = Rule::Each(&Rule::Length(1, 128));

/// A List of Strings. What is beyond [`LIST_KEPT_MAX`] is counted and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TextList {
    pub(crate) texts: Vec<String>,
    length: usize,
}

/// A Map of Strings. Of a repeated key the last value counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TextMap(pub(crate) BTreeMap<String, String>);

struct Elements;
struct Pairs;

macro_rules! refuse_scalars {
    ($value:ty, $message:literal) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<$value, E> {
            Err(E::custom($message))
        }

        fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<$value, E> {
            Err(E::custom($message))
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<$value, E> {
            Err(E::custom($message))
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<$value, E> {
            Err(E::custom($message))
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<$value, E> {
            Err(E::custom($message))
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<$value, E> {
            Err(E::custom($message))
        }
    };
}

impl<'de> Visitor<'de> for Elements {
    type Value = TextList;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a List")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextList, A::Error> {
        let mut read = TextList::default();
        while read.length < LIST_KEPT_MAX {
            // A null is an element without characters.
            let Some(text) = list.next_element::<Option<Text<'_>>>()? else { return Ok(read) };
            read.texts.push(text.map(|text| text.as_str().to_owned()).unwrap_or_default());
            read.length += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            read.length += 1;
        }
        Ok(read)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<TextList, A::Error> {
        Err(A::Error::custom(MAP_START))
    }

    refuse_scalars!(TextList, "Expected list or null");
}

impl<'de> Visitor<'de> for Pairs {
    type Value = TextMap;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
        let mut read = BTreeMap::new();
        while let Some(key) = map.next_key::<Text<'_>>()? {
            let value = map.next_value::<Option<Text<'_>>>()?;
            // More than are allowed are enough to refuse them.
            if read.len() < LIST_KEPT_MAX {
                let value = value.map(|value| value.as_str().to_owned()).unwrap_or_default();
                read.insert(key.as_str().to_owned(), value);
            }
        }
        Ok(TextMap(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<TextMap, A::Error> {
        Err(A::Error::custom(LIST_START))
    }

    refuse_scalars!(TextMap, "Expected map or null");
}

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Elements)
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Pairs)
    }
}

fn breaks_length(text: &str, (min, max): (usize, usize)) -> bool {
    !(min..=max).contains(&text.chars().count())
}

/// How the service prints limits of length inside another constraint.
fn lengths((min, max): (usize, usize)) -> String {
    format!(
        "[Member must have length less than or equal to {max}, Member must have length greater than \
         or equal to {min}]"
    )
}

impl Constrained for TextList {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        let value = || format!(" '[{}]'", self.texts.join(", "));
        for rule in rules {
            match *rule {
                Rule::Length(min, max) => {
                    violations.check_length((self.length, min, max), value(), path);
                }
                Rule::Each(Rule::Length(min, max)) => {
                    let limits = (*min, *max);
                    if self.texts.iter().any(|text| breaks_length(text, limits)) {
                        let rule = format!("Member must satisfy constraint: {}", lengths(limits));
                        violations.add(value(), path, rule);
                    }
                }
                Rule::Each(Rule::OneOf(words))
                    if self.texts.iter().any(|text| !words.contains(&text.as_str())) =>
                {
                    let words = words.join(", ");
                    let rule = format!(
                        "Member must satisfy constraint: [Member must satisfy enum value set: \
                         [{words}]]"
                    );
                    violations.add(value(), path, rule);
                }
                _ => {}
            }
        }
    }
}

impl Constrained for TextMap {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        let value = || {
            let mut text = " '{".to_owned();
            for (index, (key, value)) in self.0.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(text, "{comma}{key}={value}").expect("a String takes all that is written");
            }
            text + "}'"
        };
        for rule in rules {
            match *rule {
                Rule::Length(min, max) => {
                    violations.check_length((self.0.len(), min, max), value(), path);
                }
                Rule::Pairs { keys, values } => {
                    if self.0.keys().any(|key| breaks_length(key, keys)) {
                        let rule = format!("Map keys must satisfy constraint: {}", lengths(keys));
                        violations.add(value(), path, rule);
                    }
                    if self.0.values().any(|value| breaks_length(value, values)) {
                        let rule =
                            format!("Map value must satisfy constraint: {}", lengths(values));
                        violations.add(value(), path, rule);
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &impl Constrained, rules: &[Rule]) -> String {
        let mut violations = Violations::default();
        value.check(rules, &Path::Member(&Path::Request, "Tags"), &mut violations);
        violations.into_result().map_or_else(|error| error.message.unwrap(), |()| String::new())
    }

    #[test]
    fn maps_are_checked_by_key_and_by_value() {
        let map: TextMap = serde_json::from_str(r#"{"b":"1","":null,"b":"2"}"#).unwrap();
        assert_eq!(map.0.len(), 2);
        assert_eq!(
            found(&map, &[TAG_COUNT, TAGS]),
            "1 validation error detected: Value '{=, b=2}' at 'tags' failed to satisfy constraint: \
             Map keys must satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]"
        );
        assert!(found(&TextMap::default(), &[TAG_COUNT]).ends_with("greater than or equal to 1"));
        let error = |json: &str| serde_json::from_str::<TextMap>(json).unwrap_err().to_string();
        assert!(error("[]").starts_with(LIST_START) && error("1").starts_with("Expected map"));
    }

    #[test]
    fn lists_are_checked_by_element() {
        let list: TextList = serde_json::from_str(r#"["a",null,"b"]"#).unwrap();
        assert!(found(&list, &[TAG_KEYS]).contains("Value '[a, , b]' at 'tags'"));
        let words = Rule::Each(&Rule::OneOf(&["a", "b"]));
        assert!(found(&list, &[words]).ends_with("enum value set: [a, b]]"));
        let error = |json: &str| serde_json::from_str::<TextList>(json).unwrap_err().to_string();
        assert!(error("{}").starts_with(MAP_START) && error("true").starts_with("Expected list"));
    }
}
