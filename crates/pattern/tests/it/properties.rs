//! What holds for any pattern and any data.

use baikonur_pattern::Pattern;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::naive;

/// Few names and few values, so that they meet.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

/// Names of which some are paths.
fn dotted_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.a.b", "."]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abAB/]{0,4}",
        prop::sample::select(vec![
            "", "ab*", "\\", "é", "É", "10.0.0.1", "10.0.9.9", "::1", "0:0::1", "1"
        ])
        .prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(10),
        json!(1e1),
        json!(2.5),
        json!(-3),
        json!(100),
    ])
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(Value::from),
        3 => number(),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn event(
    leaf: BoxedStrategy<Value>,
    names: BoxedStrategy<String>,
    with_arrays: bool,
) -> impl Strategy<Value = Value> {
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let members = prop::collection::vec((names.clone(), inner.clone()), 0..4);
        let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
        let array = prop::collection::vec(inner, 0..4).prop_map(Value::Array);
        if with_arrays { prop_oneof![2 => object, 1 => array].boxed() } else { object.boxed() }
    });
    prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), value), 0..4).prop_map(
        |members| {
            let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Object(members.collect())
        },
    )
}

fn texts() -> impl Strategy<Value = Value> {
    prop::collection::vec("[abAB/]{1,3}", 1..3).prop_map(Value::from)
}

fn wildcard() -> impl Strategy<Value = String> {
    prop::collection::vec("[abAB/]{1,2}", 1..4).prop_map(|pieces| pieces.join("*"))
}

fn matcher() -> impl Strategy<Value = Value> {
    let operator = |operator: &'static str| move |operand: String| json!({ operator: operand });
    let bound = |low: &'static str, high: &'static str| {
        (-4_i64..5, 1_i64..9).prop_map(
            move |(bottom, more)| json!({ "numeric": [low, bottom, high, bottom + more] }),
        )
    };
    let one_bound = (prop::sample::select(vec!["=", "<", "<=", ">", ">="]), number())
        .prop_map(|(operator, at)| json!({ "numeric": [operator, at] }));
    prop_oneof![
        4 => leaf(),
        1 => any::<bool>().prop_map(|exists| json!({ "exists": exists })),
        1 => text().prop_map(operator("exactly")),
        1 => text().prop_map(operator("prefix")),
        1 => text().prop_map(operator("suffix")),
        1 => text().prop_map(operator("equals-ignore-case")),
        1 => text().prop_map(|text| json!({ "prefix": { "equals-ignore-case": text } })),
        1 => text().prop_map(|text| json!({ "suffix": { "equals-ignore-case": text } })),
        1 => wildcard().prop_map(operator("wildcard")),
        1 => prop::sample::select(vec!["10.0.0.0/16", "::/120", "0.0.0.0/0"])
            .prop_map(|network| json!({ "cidr": network })),
        1 => one_bound,
        1 => bound(">", "<="),
        1 => bound(">=", "<"),
        1 => text().prop_map(operator("anything-but")),
        1 => number().prop_map(|number| json!({ "anything-but": number })),
        1 => texts().prop_map(|texts| json!({ "anything-but": texts })),
        1 => (prop::sample::select(vec!["prefix", "suffix", "equals-ignore-case"]), texts())
            .prop_map(|(operator, texts)| json!({ "anything-but": { operator: texts } })),
        1 => wildcard().prop_map(|text| json!({ "anything-but": { "wildcard": text } })),
    ]
}

fn pattern(
    matcher: BoxedStrategy<Value>,
    names: BoxedStrategy<String>,
) -> impl Strategy<Value = Value> {
    let list = prop::collection::vec(matcher, 1..3).prop_map(Value::Array);
    let top = names.clone();
    let value = list.prop_recursive(3, 12, 3, move |inner| {
        let members = prop::collection::vec((names.clone(), inner.clone()), 1..4);
        let members = members.prop_map(|members| members.into_iter().collect::<Map<_, _>>());
        let or = (members.clone(), prop::collection::vec(members.clone(), 2..4));
        let or = or.prop_map(|(mut members, alternatives)| {
            members.insert("$or".to_owned(), alternatives.into());
            Value::Object(members)
        });
        prop_oneof![3 => members.prop_map(Value::Object), 1 => or]
    });
    prop::collection::vec((top, value), 1..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Two numbers: fields match by chance, so that what decides is which of them are of one element.
fn one_or_two() -> BoxedStrategy<Value> {
    prop_oneof![Just(json!(1)), Just(json!(2))].boxed()
}

fn element() -> impl Strategy<Value = Value> {
    let member = |name: &'static str| (Just(name.to_owned()), one_or_two());
    let inner = prop::collection::vec((prop_oneof![Just("x"), Just("y")], one_or_two()), 0..3)
        .prop_map(|members| members.into_iter().collect::<Value>());
    let list = prop::collection::vec(inner, 0..4).prop_map(Value::Array);
    prop::collection::vec(
        prop_oneof![member("x"), member("y"), member("z"), (Just("l".to_owned()), list)],
        0..5,
    )
    .prop_map(|members| members.into_iter().collect())
}

/// Fields of elements, and of elements in them; some of them in alternatives.
fn fields_of_elements() -> impl Strategy<Value = Value> {
    let matcher = prop_oneof![3 => one_or_two(), 1 => Just(json!({ "exists": false }))];
    let list = || prop::collection::vec(matcher.clone(), 1..3).prop_map(Value::Array);
    let names = |some: &[&str]| {
        prop::sample::subsequence(
            some.iter().map(|&one| one.to_owned()).collect::<Vec<_>>(),
            1..=some.len(),
        )
    };
    let of =
        |names: Vec<String>, lists: Vec<Value>| names.into_iter().zip(lists).collect::<Map<_, _>>();
    let lists = || prop::collection::vec(list(), 3);
    let inner = (names(&["x", "y"]), lists()).prop_map(move |(names, lists)| of(names, lists));
    let outer = (names(&["x", "y", "z"]), lists()).prop_map(move |(names, lists)| of(names, lists));
    (outer, prop::option::of(inner.clone()), prop::option::of((inner.clone(), inner))).prop_map(
        |(mut outer, inner, alternatives)| {
            if let Some(inner) = inner {
                outer.insert("l".to_owned(), Value::Object(inner));
            }
            let mut root = Map::new();
            root.insert("a".to_owned(), Value::Object(outer));
            if let Some((one, other)) = alternatives {
                root.insert("$or".to_owned(), json!([{ "a": { "l": one } }, { "b": other }]));
            }
            Value::Object(root)
        },
    )
}

/// The answer for a pattern that is taken; alternatives may name a field twice, which is refused.
fn check(pattern: &Value, event: &Value) -> Result<(), TestCaseError> {
    let compiled = match Pattern::parse(&pattern.to_string()) {
        Ok(compiled) => compiled,
        Err(error) => {
            prop_assert!(error.to_string().contains("multiple times"), "{} {}", error, pattern);
            return Ok(());
        }
    };
    let expected = naive::matches(pattern, event);
    for text in [event.to_string(), serde_json::to_string_pretty(event).unwrap()] {
        prop_assert_eq!(compiled.matches(text.as_bytes()), expected, "{} on {}", pattern, event);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_agrees_with_the_plain_evaluator(
        pattern in pattern(matcher().boxed(), name().boxed()), event in event(leaf().boxed(), name().boxed(), true)
    ) {
        check(&pattern, &event)?;
    }

    #[test]
    fn it_agrees_with_the_plain_evaluator_where_names_are_paths(
        pattern in pattern(matcher().boxed(), dotted_name().boxed()), event in event(leaf().boxed(), dotted_name().boxed(), false)
    ) {
        check(&pattern, &event)?;
    }

    #[test]
    fn it_agrees_with_the_plain_evaluator_on_what_is_of_one_element(
        pattern in fields_of_elements(), a in prop::collection::vec(element(), 0..5),
        b in prop::collection::vec(element(), 0..3)
    ) {
        check(&pattern, &json!({ "a": a, "b": b }))?;
    }

    #[test]
    fn nothing_makes_it_panic(pattern in any::<String>(), event in any::<Vec<u8>>()) {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.matches(&event);
        }
    }

    #[test]
    fn broken_data_makes_no_difference_but_to_match_or_not(
        pattern in pattern(matcher().boxed(), name().boxed()), event in event(leaf().boxed(), name().boxed(), true),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let Ok(compiled) = Pattern::parse(&pattern.to_string()) else { return Ok(()) };
        let mut text = event.to_string().into_bytes();
        for (index, byte) in changes {
            let at = index.index(text.len());
            text[at] = b"\"\\{}[],:0-.eE \nntf\xff"[usize::from(byte) % 19];
        }
        let matched = compiled.matches(&text);
        prop_assert_eq!(compiled.matches(&text), matched);
        if serde_json::from_slice::<serde_json::Value>(&text).is_err() && !text.contains(&b'\\') {
            prop_assert!(!matched, "{}", String::from_utf8_lossy(&text));
        }
    }
}
