//! Foreign patterns and foreign data: bounded, whatever they are.

use baikonur_pattern::{PATTERN_CHARACTERS_MAX, Pattern};

#[test]
fn a_pattern_has_so_many_characters() {
    let of_length = |length: usize| format!(r#"{{"a":["{}"]}}"#, "ü".repeat(length - 10));
    assert!(Pattern::parse(&of_length(PATTERN_CHARACTERS_MAX)).is_ok());
    let error = Pattern::parse(&of_length(PATTERN_CHARACTERS_MAX + 1)).unwrap_err();
    assert!(error.to_string().ends_with("a pattern has at most 4096"), "{error}");
}

#[test]
fn a_path_has_so_many_names() {
    let nested = |depth: usize| format!("{}[1]{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let event = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(Pattern::parse(&nested(100)).unwrap().matches(event(100).as_bytes()));
    assert!(!Pattern::parse(&nested(100)).unwrap().matches(event(101).as_bytes()));
    for deep in [nested(101), nested(600), format!(r#"{{"{}":[1]}}"#, ".".repeat(100))] {
        let error = Pattern::parse(&deep).unwrap_err().to_string();
        assert!(error.contains("names deep") || error.contains("less nesting"), "{error}");
    }
}

#[test]
fn alternatives_make_so_many_combinations() {
    let or = |number: usize, size: usize| {
        let members: Vec<_> = (0..size).map(|n| format!(r#"{{"f{number}_{n}":[1]}}"#)).collect();
        format!(r#""o{number}":{{"$or":[{}]}}"#, members.join(","))
    };
    assert!(Pattern::parse(&format!("{{{},{},{}}}", or(0, 10), or(1, 10), or(2, 10))).is_ok());
    let error = Pattern::parse(&format!("{{{},{},{}}}", or(0, 10), or(1, 10), or(2, 11)));
    assert!(error.unwrap_err().to_string().contains("more than 1000 combinations"));
    let mixed = |fields: usize| {
        let fields: Vec<_> =
            (0..fields).map(|n| format!(r#""f{n}":["x",{{"exists":false}}]"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let nine = Pattern::parse(&mixed(9)).unwrap();
    assert!(nine.matches(br#"{"f0":"x","f8":"x"}"#));
    assert!(!nine.matches(br#"{"f0":"x","f8":"y"}"#));
    assert!(Pattern::parse(&mixed(10)).is_err());
    let wide: Vec<_> = (0..100).map(|n| format!(r#""w{n}":[1]"#)).collect();
    let error = Pattern::parse(&format!("{{{},{}}}", wide.join(","), or(0, 120))).unwrap_err();
    assert!(error.to_string().contains("more than 10000 fields"), "{error}");
}

#[test]
fn deep_data_is_passed_or_refused_without_a_deep_stack() {
    let pattern = Pattern::parse(r#"{"a":[1],"b":{"c":[2]}}"#).unwrap();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let with = |deep: &str| format!(r#"{{"a":[{deep},1],"b":[{{"x":{deep}}},{{"c":2}}]}}"#);
    assert!(pattern.matches(with(&deep(500)).as_bytes()));
    assert!(!pattern.matches(with(&deep(1_000_000)).as_bytes()));
    assert!(!pattern.matches(format!(r#"{{"a":{}"#, "[".repeat(1_000_000)).as_bytes()));
    assert!(!pattern.matches(r#"{"b":"#.repeat(1_000_000).as_bytes()));
    assert!(!pattern.matches(r#"{"b":["#.repeat(1_000_000).as_bytes()));
}

#[test]
fn numbers_of_any_size_are_compared_and_not_computed() {
    let pattern = Pattern::parse(r#"{"n":[{"numeric":[">",1e300,"<",1e999999999]}]}"#).unwrap();
    let event = |number: &str| format!(r#"{{"n":{number}}}"#);
    assert!(pattern.matches(event(&"9".repeat(1_000_000)).as_bytes()));
    assert!(pattern.matches(event("1e999999998").as_bytes()));
    assert!(!pattern.matches(event("1e9999999999999999999999999999").as_bytes()));
    assert!(!pattern.matches(event("1e-9999999999999999999999999999").as_bytes()));
    assert!(!pattern.matches(event(&format!("0.{}1", "0".repeat(1_000_000))).as_bytes()));
}

#[test]
fn a_wildcard_does_not_go_back() {
    let pattern = Pattern::parse(r#"{"s":[{"wildcard":"*a*a*a*a*b"}]}"#).unwrap();
    let event = format!(r#"{{"s":"{}"}}"#, "a".repeat(4_000_000));
    assert!(!pattern.matches(event.as_bytes()));
}

#[test]
fn many_elements_need_no_memory_of_their_own() {
    let pattern = Pattern::parse(r#"{"l":{"x":[1],"y":[{"exists":false},2]}}"#).unwrap();
    let event = format!(r#"{{"l":[{}{{"x":1}}]}}"#, r#"{"x":2},[],"x",[{"x":3}],"#.repeat(100_000));
    assert!(pattern.matches(event.as_bytes()));
}
