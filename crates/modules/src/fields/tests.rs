//! What becomes of the fields of an event, beside a tree of `serde_json` that is changed step by step.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use baikonur_record::scan;
use baikonur_stream::{SequenceNumber, Timestamp};

use super::*;

pub(super) fn fields(toml: &str) -> Fields {
    Fields::new(&settings(toml).unwrap(), "host-1").unwrap()
}

fn settings(toml: &str) -> Result<FieldsSettings, toml::de::Error> {
    toml::from_str(toml)
}

fn place() -> Place<'static> {
    Place {
        stream: "router",
        shard: "shardId-000000000000",
        sequence_number: SequenceNumber::new(1_700_000_000, 0, 7, 1_700_000_000),
        arrival: Timestamp::from_millis(1_700_000_000_000),
    }
}

fn change(fields: &Fields, text: &str, max: usize) -> Result<Option<String>, TooLarge> {
    let mut seen = Seen::default();
    scan::root(text.as_bytes(), |cursor, key| {
        fields.see(key, &mut seen);
        cursor.value().map(drop)
    })
    .unwrap();
    let changed = fields.change(text.as_bytes(), &place(), seen, max)?;
    Ok(changed.map(|changed| String::from_utf8(changed).unwrap()))
}

/// What is written of `text`.
fn changed(toml: &str, text: &str) -> String {
    change(&fields(toml), text, 1 << 20).unwrap().unwrap_or_else(|| text.to_owned())
}

#[test]
fn what_is_not_touched_keeps_its_bytes() {
    let text =
        r#"{"n":1.50e+01,"big":123456789012345678901234567890,"s":"\u00e9\/","a":[1, 2],"x":0}"#;
    assert_eq!(changed("drop = ['x']", text), text.replace(r#","x":0"#, ""));
    assert_eq!(changed("drop = ['n']", text), text.replace(r#""n":1.50e+01,"#, ""));
    assert_eq!(changed("rename = { x = 'y' }", text), text.replace(r#""x""#, r#""y""#));
    assert_eq!(changed("redact = ['x']", text), text.replace(":0}", r#":"[redacted]"}"#));
    assert_eq!(changed("add = { z = 1 }", text), text.replace(":0}", r#":0,"z":1}"#));
    let all =
        "drop = ['no']\nrename = { no1 = 'no2' }\nredact = [{ pattern = 'none' }]\nadd = { x = 1 }";
    assert_eq!(change(&fields(all), text, 1000), Ok(None), "nothing to change");
}

#[test]
fn members_are_dropped_wherever_they_stand() {
    for (drop, text, expected) in [
        ("a", r#"{"a":1}"#, "{}"),
        ("a", r#"{ "a" : 1 , "b" : 2 }"#, r#"{ "b" : 2 }"#),
        ("a", r#"{"b":2,"a":{"c":[1]}}"#, r#"{"b":2}"#),
        ("a", r#"{"a":1,"a":2,"b":3,"a":4,"a":5,"c":6,"a":7}"#, r#"{"b":3,"c":6}"#),
        ("a", r#"{"\u0061":1,"b":2}"#, r#"{"b":2}"#),
        ("a.b", r#"{"a":{"b":1,"c":2},"b":3}"#, r#"{"a":{"c":2},"b":3}"#),
        ("a.b", r#"{"a":{"b":1},"a.b":2}"#, r#"{"a":{}}"#),
        ("a.b", r#"{"a":[{"b":1},[[{"b":2,"c":3}],4],5,[]]}"#, r#"{"a":[{},[[{"c":3}],4],5,[]]}"#),
        ("a.b", r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        (r"a\.b", r#"{"a":{"b":1},"a.b":2}"#, r#"{"a":{"b":1}}"#),
        ("a", "{\n\"b\":1,\r\n\"a\":2\n}", r#"{"b":1}"#),
    ] {
        assert_eq!(changed(&format!("drop = ['{drop}']"), text), expected, "{drop} of {text}");
    }
}

#[test]
fn a_renamed_field_stays_where_it_stands() {
    for (settings, text, expected) in [
        ("rename = { msg = 'message' }", r#"{"msg":1,"b":2}"#, r#"{"message":1,"b":2}"#),
        ("rename = { 'a.b' = 'c' }", r#"{"a":{"b":1},"a.b":2}"#, r#"{"a":{"c":1},"a.c":2}"#),
        ("rename = { a = 'b' }", r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
        ("rename = { a = 'b' }\noverwrite = true", r#"{"b":2,"a":1,"b":3}"#, r#"{"b":1}"#),
        ("rename = { a = 'b' }\noverwrite = true", r#"{"b":2}"#, r#"{"b":2}"#),
        ("rename = { a = 'b' }\ndrop = ['b']", r#"{"a":1,"b":2}"#, r#"{"b":1}"#),
        ("rename = { a = 'x\"' }", r#"{"a":{"a":1}}"#, r#"{"x\"":{"a":1}}"#),
        ("rename = { a = 'x', 'a.b' = 'y' }", r#"{"a":{"b":1}}"#, r#"{"x":{"y":1}}"#),
    ] {
        assert_eq!(changed(settings, text), expected, "{settings} of {text}");
    }
}

#[test]
fn what_is_redacted_is_seen_under_no_name() {
    for (settings, text, expected) in [
        ("redact = ['a']", r#"{"a":{"b":[1]},"c":"x"}"#, r#"{"a":"[redacted]","c":"x"}"#),
        ("redact = ['a']", r#"{"a":1,"a":2}"#, r#"{"a":"[redacted]","a":"[redacted]"}"#),
        (
            "redact = [{ key = 'a.b', with = '*\"' }]",
            r#"{"a":[{"b":1}],"a.b":null}"#,
            r#"{"a":[{"b":"*\""}],"a.b":"*\""}"#,
        ),
        // By the name before and after renaming, also where that does not happen.
        ("rename = { a = 'b' }\nredact = ['b']", r#"{"a":1}"#, r#"{"b":"[redacted]"}"#),
        ("rename = { a = 'b' }\nredact = ['a']", r#"{"a":1}"#, r#"{"b":"[redacted]"}"#),
        (
            "rename = { a = 'b' }\nredact = ['b']",
            r#"{"a":1,"b":2}"#,
            r#"{"a":"[redacted]","b":"[redacted]"}"#,
        ),
        (
            "rename = { a = 'x', 'a.b' = 'y' }\nredact = ['x.y']",
            r#"{"a":{"b":1}}"#,
            r#"{"x":{"y":"[redacted]"}}"#,
        ),
        (
            r"redact = [{ pattern = '\d{4}', with = '#' }]",
            r#"{"1234":"1234 5678","a":[{"b":"\u0031234\n"}],"n":1234}"#,
            r##"{"1234":"# #","a":[{"b":"#\n"}],"n":1234}"##,
        ),
        (
            r"redact = [{ key = 'a', pattern = 'x', with = '#' }]",
            r#"{"a":["x",{"x":"yx"}],"b":"x"}"#,
            r##"{"a":["#",{"x":"y#"}],"b":"x"}"##,
        ),
        (
            "redact = [{ key = 'a', pattern = 'x', with = '#' }, 'a.b']",
            r#"{"a":{"b":"x","c":"x"}}"#,
            r##"{"a":{"b":"[redacted]","c":"#"}}"##,
        ),
    ] {
        assert_eq!(changed(settings, text), expected, "{settings} of {text}");
    }
}

#[test]
fn added_fields_never_make_a_key_twice() {
    for (settings, text, expected) in [
        (
            "add = { s = '{stream}', n = 1, t = true, f = 1.5 }",
            "{}",
            r#"{"f":1.5,"n":1,"s":"router","t":true}"#,
        ),
        ("add = { a = 1 }", r#"{"a":2}"#, r#"{"a":2}"#),
        ("add = { a = 1, b = 2 }", r#"{"\u0061":2}"#, r#"{"\u0061":2,"b":2}"#),
        ("add = { a = 1 }\noverwrite = true", r#"{"a":2,"b":3,"a":4}"#, r#"{"b":3,"a":1}"#),
        ("add = { a = 1 }\ndrop = ['a']", r#"{"a":2}"#, r#"{"a":1}"#),
        ("add = { a = 1 }\ndrop = ['b']", r#"{"a":2,"b":3}"#, r#"{"a":2}"#),
        (r"add = { 'a\.b' = 1 }", "{ }", r#"{ "a.b":1}"#),
        ("add = { a = 1 }", " {\"b\":\n2} ", r#"{"b":2,"a":1}"#),
    ] {
        assert_eq!(changed(settings, text), expected, "{settings} of {text}");
    }
}

#[test]
fn nothing_grows_beyond_its_bound() {
    let text = r#"{"a":"xxxxxxxxxx"}"#;
    for settings in [
        "add = { long = 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' }",
        "redact = [{ pattern = 'x', with = 'yyyyyyyyyyyyyyyy' }]",
        "redact = [{ key = 'a', with = 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' }]",
    ] {
        assert_eq!(change(&fields(settings), text, 30), Err(TooLarge), "{settings}");
        assert!(change(&fields(settings), text, 300).unwrap().is_some());
    }
    assert_eq!(change(&fields("drop = ['b']"), text, 0), Ok(None), "nothing is made");
}

#[test]
fn deep_nesting_is_passed_without_a_stack() {
    let deep = format!(
        r#"{{"a":{}"x"{},"b":1}}"#,
        "[".repeat(scan::DEPTH_MAX),
        "]".repeat(scan::DEPTH_MAX)
    );
    assert_eq!(
        changed("drop = ['b', 'a.c']\nredact = [{ pattern = 'x', with = 'y' }]", &deep),
        deep.replace(r#","b":1"#, "").replace('x', "y")
    );
}

#[test]
fn mistakes_are_told_with_the_place_of_their_entry() {
    for (toml, words, at) in [
        ("drop = [\n'a',\n'b..c']", "nothing between two dots", "'b..c'"),
        ("drop = ['a',\n'a']", "a is dropped twice", "'a'"),
        (
            "drop = ['a']\nredact = [\n{ key = 'a.b' }]",
            "a.b is below a, which is dropped",
            "{ key = 'a.b' }",
        ),
        (
            "redact = [{ pattern = 'ok' },\n{ pattern = '(' }]",
            "\"(\" is no pattern: unclosed group",
            "{ pattern = '(' }",
        ),
        (
            "redact = [{ key = 'a' }, { key = 'a', with = 'x' }]",
            "a is redacted twice",
            "{ key = 'a', with = 'x' }",
        ),
        ("redact = [{ with = 'x' }]", "names a key, a pattern, or both", "{ with = 'x' }"),
        (
            "redact = [{ key = 'a', with = 'x', hash = 'y' }]",
            "one is enough",
            "{ key = 'a', with = 'x', hash = 'y' }",
        ),
        ("rename = { a = 'x',\nb = 'x' }", "would both become x", "'x'"),
        ("rename = { a = 'b', b = 'c' }", "a would become b, which is renamed itself", "'c'"),
        ("rename = { a = 'a' }", "a already has this name", "'a'"),
        ("rename = { 'a.b' = 'a.c' }", "gets a name, not a path", "'a.c'"),
        ("add = { 'a.b' = 1 }", "fields are added to the event itself", "1"),
        ("add = { a = '{now}' }", "there is no {now}", "'{now}'"),
        ("add = { a = nan }", "is no number of JSON", "nan"),
        ("add = { a = [] }", "expected a text, a number, or true or false", "[]"),
        (
            "parse = ['json', 'syslog']",
            "\"syslog\" is none of cloudwatch, container, json",
            "'syslog'",
        ),
        ("parse = ['json', 'json']", "json is there twice", "'json'"),
        ("overwrite = 1", "expected a boolean", "1"),
        ("drop = []\nremove = []", "unknown field `remove`, expected one of `parse`", "remove"),
    ] {
        let error = settings(toml).unwrap_err();
        assert!(error.message().contains(words), "{toml}: {}", error.message());
        assert_eq!(&toml[error.span().unwrap()], at, "{toml}");
    }
    let error = settings("add = { message = 'x' }\nrename = { msg = 'message' }").unwrap_err();
    assert!(error.message().contains("would become message, which is added as well"));
    let salted = settings("redact = [{ key = 'a', hash = 'secret-secret' }]").unwrap_err();
    assert!(!salted.message().contains("secret-secret"), "{}", salted.message());
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let toml = "parse = ['json', 'cloudwatch']\ndrop = ['a', 'b.c']\nrename = { d = 'e' }\nadd = { f = 1 }\n\
                redact = [{ key = 'g', hash = 'salt-of-16-bytes' }, { pattern = 'h' }, { key = 'i', pattern = 'j' }]";
    let settings = settings(toml).unwrap();
    let words = "parse cloudwatch, json; drop a, b.c; rename d to e; redact g, h, j in i; add f";
    assert_eq!(settings.in_words().as_deref(), Some(words));
    assert!(!format!("{settings:?}").contains("salt-of"));
    assert!(!format!("{:?}", Fields::new(&settings, "")).contains("salt-of"));
    assert_eq!(FieldsSettings::default().in_words(), None);
    assert!(Fields::new(&FieldsSettings::default(), "").is_none());
    assert!(!settings.names_the_host());
}

/// Settings as the model takes them; paths have no escapes.
#[derive(Debug, Clone)]
struct Steps {
    drop: Vec<&'static str>,
    rename: Vec<(&'static str, &'static str)>,
    redact: Vec<&'static str>,
    search: bool,
    add: Vec<&'static str>,
    overwrite: bool,
}

impl Steps {
    fn toml(&self) -> String {
        let list =
            |names: &[&str]| names.iter().map(|name| format!("'{name}', ")).collect::<String>();
        let rename: Vec<_> = self.rename.iter().map(|(a, b)| format!("'{a}' = '{b}'")).collect();
        let add: Vec<_> = self.add.iter().map(|name| format!("'{name}' = '+'")).collect();
        let mut redact: Vec<_> =
            self.redact.iter().map(|key| format!("{{ key = '{key}', with = '-' }}")).collect();
        if self.search {
            redact.push("{ pattern = '[aé]', with = '#' }".to_owned());
        }
        format!(
            "drop = [{}]\nrename = {{ {} }}\nredact = [{}]\nadd = {{ {} }}\noverwrite = {}",
            list(&self.drop),
            rename.join(", "),
            redact.join(", "),
            add.join(", "),
            self.overwrite
        )
    }

    /// The same on a tree.
    fn apply(&self, event: &mut Map<String, Value>) {
        self.object(event, "", &[String::new()]);
        for &name in &self.add {
            if self.overwrite || !event.contains_key(name) {
                event.insert(name.to_owned(), json!("+"));
            }
        }
    }

    /// `before` leads here by the names that the event came with, `all` by these and those after renaming.
    fn object(&self, object: &mut Map<String, Value>, before: &str, all: &[String]) {
        object.retain(|name, _| !self.drop.contains(&&*format!("{before}{name}")));
        let mut made = Map::new();
        let names: Vec<String> = object.keys().cloned().collect();
        let mut moves = Vec::new();
        for name in &names {
            let path = format!("{before}{name}");
            let renamed =
                self.rename.iter().find(|(from, _)| *from == path).and_then(|(from, to)| {
                    let last = from.rsplit('.').next().unwrap();
                    Some(format!("{}{to}", name.strip_suffix(last)?))
                });
            let known: Vec<String> = all
                .iter()
                .flat_map(|prefix| {
                    let new = renamed.iter().map(move |new| format!("{prefix}{new}"));
                    new.chain([format!("{prefix}{name}")])
                })
                .collect();
            let value = object.get_mut(name).unwrap();
            if known.iter().any(|path| self.redact.contains(&&**path)) {
                *value = json!("-");
            } else {
                let inner: Vec<_> = known.iter().map(|path| format!("{path}.")).collect();
                self.value(value, &format!("{path}."), &inner);
            }
            moves.push((name.clone(), renamed));
        }
        for (name, renamed) in moves {
            match renamed {
                Some(new) if !names.contains(&new) || self.overwrite => {
                    made.insert(new, object[&name].clone());
                }
                _ => {
                    made.entry(name.clone()).or_insert_with(|| object[&name].clone());
                }
            }
        }
        *object = made;
    }

    fn value(&self, value: &mut Value, before: &str, all: &[String]) {
        match value {
            Value::Object(object) => self.object(object, before, all),
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.value(item, before, all));
            }
            Value::String(text) if self.search => {
                *text = text.replace(['a', 'é'], "#");
            }
            _ => {}
        }
    }
}

const NAMES: [&str; 7] = ["a", "b", "c", "a.b", "b.c", "a.b.c", "é\"k"];
const PATHS: [&str; 9] = ["a", "b", "c", "a.b", "a.c", "b.c", "a.b.c", "b.a", "c.a.b"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["", "a", "é\"\\\n", "日 b a"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner).prop_map(Value::from),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let member = (prop::sample::select(&NAMES[..]).prop_map(str::to_owned), value);
    prop::collection::vec(member, 0..5).prop_map(|members| members.into_iter().collect())
}

fn steps() -> impl Strategy<Value = Steps> {
    let paths = || prop::collection::vec(prop::sample::select(&PATHS[..]), 0..3);
    let rename = (prop::sample::select(&PATHS[..]), prop::sample::select(vec!["b", "c", "d", "x"]));
    let add = prop::collection::vec(prop::sample::select(vec!["a", "b", "y", "x"]), 0..3);
    (paths(), prop::collection::vec(rename, 0..3), paths(), any::<bool>(), add, any::<bool>())
        .prop_map(|(drop, rename, redact, search, add, overwrite)| Steps {
            drop,
            rename,
            redact,
            search,
            add,
            overwrite,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// One pass over the text does what the steps do, one after the other, on a tree.
    #[test]
    fn the_text_becomes_what_the_tree_becomes(steps in steps(), event in object(value()), pretty in any::<bool>()) {
        // Most of those refused name a field twice.
        let Ok(settings) = settings(&steps.toml()) else { return Ok(()) };
        let Some(fields) = Fields::new(&settings, "host") else { return Ok(()) };
        let text = if pretty { serde_json::to_string_pretty(&event) } else { serde_json::to_string(&event) }.unwrap();
        let changed = change(&fields, &text, 1 << 20).unwrap();
        let mut expected = event.clone();
        steps.apply(&mut expected);
        let got = changed.as_deref().unwrap_or(&text);
        prop_assert_eq!(serde_json::from_str::<Value>(got).unwrap(), Value::Object(expected.clone()), "{}", got);
        match &changed {
            Some(changed) => prop_assert!(!changed.contains(['\n', '\r'])),
            None => prop_assert_eq!(expected, event),
        }
    }

    /// Whatever text comes, what is read of it is one line of JSON, and the same again.
    #[test]
    fn what_is_read_is_an_object(
        head in prop::sample::select(vec!["", "2016-10-06T00:17:09.6Z stdout F ", "2016-10-06T00:17:09Z stderr P:x "]),
        text in r#"[ -~\n]{0,40}|\{"log":"[a-z{}\\\\"\\n:]{0,12}","stream":"stdout"\}|\{"message":"\{[a-z:\\\\"]{0,9}\}"\}"#,
    ) {
        let fields = fields("parse = ['cloudwatch', 'container', 'json']");
        let text = format!("{head}{text}");
        let read = fields.read(text.as_bytes(), None, 1 << 20).unwrap();
        prop_assert_eq!(&read, &fields.read(text.as_bytes(), None, 1 << 20).unwrap());
        if let Some(read) = read {
            prop_assert!(!read.contains(&b'\n'));
            prop_assert!(serde_json::from_slice::<Map<String, Value>>(&read).is_ok(), "{:?}", read);
        }
    }
}
