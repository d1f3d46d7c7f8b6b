//! Filter criteria as a configuration holds them: a list of patterns, each a JSON text or a table of the same shape.

use std::fmt;

use baikonur_pattern::FilterCriteria;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The key of the configuration, to stand in messages.
const KEY: &str = "filter_criteria";
/// How serde shows a date of TOML.
const TOML_DATE: &str = "$__toml_private_datetime";

/// Reads a list of patterns, or one text: a pattern, or `{"Filters": [{"Pattern": "…"}]}` as Lambda's API takes it.
///
/// # Errors
/// The first pattern that is none. Its place in the file is known to whoever reads the file.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<FilterCriteria, D::Error> {
    let texts = match deserializer.deserialize_any(CriteriaVisitor)? {
        Written::List(patterns) => patterns.into_iter().map(|PatternText(text)| text).collect(),
        Written::Text(text) => texts_of(&text).map_err(wrong)?,
    };
    FilterCriteria::parse(texts).map_err(wrong)
}

fn wrong<E: Error>(what: impl fmt::Display) -> E {
    E::custom(format!("{KEY}: {what}"))
}

/// The patterns in a text of its own.
fn texts_of(text: &str) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OfTheApi {
        #[serde(rename = "Filters")]
        filters: Vec<Filter>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        #[serde(rename = "Pattern")]
        pattern: String,
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.get("Filters").is_some() => {
            let OfTheApi { filters } =
                serde_json::from_value(value).map_err(|error| error.to_string())?;
            Ok(filters.into_iter().map(|filter| filter.pattern).collect())
        }
        _ => Ok(vec![text.to_owned()]),
    }
}

enum Written {
    List(Vec<PatternText>),
    Text(String),
}

struct CriteriaVisitor;

impl<'de> Visitor<'de> for CriteriaVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of patterns, each a JSON text or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Written, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Written::List)
    }
}

/// The text of a pattern that is one.
struct PatternText(String);

impl<'de> Deserialize<'de> for PatternText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternVisitor)
    }
}

struct PatternVisitor;

impl<'de> Visitor<'de> for PatternVisitor {
    type Value = PatternText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern: a JSON text or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PatternText, E> {
        // Compiled here as well, so that the error gets the line of this pattern.
        FilterCriteria::parse([text]).map_err(wrong)?;
        Ok(PatternText(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<PatternText, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(table))?;
        let text = value.to_string();
        if text.contains(TOML_DATE) {
            return Err(wrong("JSON has no dates: put them into quotes"));
        }
        self.visit_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use crate::intake::IntakeSettings;

    fn texts(toml: &str) -> Vec<String> {
        let settings: IntakeSettings = toml::from_str(toml).unwrap();
        settings.filter_criteria.texts().map(str::to_owned).collect()
    }

    #[test]
    fn patterns_are_texts_or_tables_or_what_the_api_takes() {
        let pattern = r#"{"data":{"level":["ERROR",{"prefix":"W"}],"n":[1.50]}}"#;
        assert_eq!(texts(&format!("filter_criteria = ['{pattern}']")), [pattern]);
        assert_eq!(texts(&format!("filter_criteria = '{pattern}'")), [pattern]);
        assert_eq!(
            texts(
                "filter_criteria = [{ data = { level = ['ERROR', { prefix = 'W' }], n = [1.50] } }]"
            ),
            [r#"{"data":{"level":["ERROR",{"prefix":"W"}],"n":[1.5]}}"#]
        );
        let other = r#"{"partitionKey":["k"]}"#;
        assert_eq!(
            texts(&format!("filter_criteria = [{{ partitionKey = ['k'] }}, '{pattern}']")),
            [other, pattern]
        );
        let api = serde_json::json!({"Filters": [{"Pattern": pattern}, {"Pattern": other}]});
        assert_eq!(texts(&format!("filter_criteria = '{api}'")), [pattern, other]);
        for none in [
            "",
            "filter_criteria = []",
            "filter_criteria = ''",
            "filter_criteria = '{\"Filters\":[]}'",
        ] {
            assert!(texts(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn mistakes_are_told_with_the_place_of_their_pattern() {
        for (toml, words, at) in [
            (
                "filter_criteria = [\n'{\"data\":{\"a\":[1]}}',\n'{\"data\":{\"a\":1}}']",
                "filter_criteria: Invalid filter pattern definition. data: \"a\" must be an object or an array",
                "'{\"data\":{\"a\":1}}'",
            ),
            (
                "filter_criteria = [\n{ level = ['x'] }]",
                "filter_criteria: Invalid filter pattern definition. level is no key of a Kinesis record",
                "{ level = ['x'] }",
            ),
            (
                "filter_criteria = [{ data = { t = [2015-05-17] } }]",
                "filter_criteria: JSON has no dates: put them into quotes",
                "{ data = { t = [2015-05-17] } }",
            ),
            ("filter_criteria = [1]", "expected a pattern: a JSON text or a table", "1"),
            (
                "filter_criteria = 1",
                "expected a list of patterns, each a JSON text or a table",
                "1",
            ),
            ("filter_criteria = '{'", "not JSON at byte 1", "'{'"),
            (
                "filter_criteria = '{\"Filters\":[{\"pattern\":\"x\"}]}'",
                "unknown field `pattern`",
                "'{\"Filters\":[{\"pattern\":\"x\"}]}'",
            ),
        ] {
            let error = toml::from_str::<IntakeSettings>(toml).unwrap_err();
            assert!(error.message().contains(words), "{toml}: {}", error.message());
            assert_eq!(&toml[error.span().unwrap()], at, "{toml}");
        }
        let eleven = format!("filter_criteria = [{}]", "'{\"data\":{\"a\":[1]}}',".repeat(11));
        let error = toml::from_str::<IntakeSettings>(&eleven).unwrap_err();
        assert!(error.message().contains("11 filters are too many"), "{}", error.message());
    }
}
