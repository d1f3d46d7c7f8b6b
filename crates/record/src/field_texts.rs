//! The texts of any fields of a record, for those who make something else of a record than a log event.

use bytes::Bytes;

use crate::FieldPath;
use crate::field_path::Candidates;
use crate::schema::{object, scalar_text};

/// What stands at each of `paths` in `json`: the text of a string, or a number as it is written. `None` where there is
/// neither, and everywhere when `json` is no JSON object.
pub fn field_texts(json: &Bytes, paths: &[FieldPath]) -> Vec<Option<Bytes>> {
    let mut found: Vec<_> = paths.iter().map(|_| Candidates::default()).collect();
    let root = object(json, |key, value| {
        for (path, found) in paths.iter().zip(&mut found) {
            path.offer(found, key, value);
        }
    });
    if root.is_err() {
        return vec![None; paths.len()];
    }
    let text =
        |(path, found): (&FieldPath, Candidates)| scalar_text(json, path.resolve(json, found)?);
    paths.iter().zip(found).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &'static str, paths: &[&str]) -> Vec<Option<String>> {
        let paths: Vec<_> = paths.iter().map(|path| FieldPath::parse(path).unwrap()).collect();
        let text = |found: Option<Bytes>| Some(String::from_utf8(found?.to_vec()).unwrap());
        field_texts(&Bytes::from_static(json.as_bytes()), &paths).into_iter().map(text).collect()
    }

    #[test]
    fn texts_and_numbers_are_found_wherever_they_stand() {
        let json = r#"{"host":"a\"b","user":{"id":-7.50,"tags":["x","y"]},"on":true,"none":null}"#;
        let found = texts(json, &["host", "user.id", "/user/tags/1", "on", "none", "user", "no"]);
        let expected = [Some("a\"b"), Some("-7.50"), Some("y"), None, None, None, None];
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for json in ["", "[1]", "{\"a\":1", "\u{feff}{\"a\":1}"] {
            assert_eq!(texts(json, &["a", "b"]), [None, None], "{json}");
        }
    }
}
