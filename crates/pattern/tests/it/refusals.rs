//! What is no pattern, and how that is said.

use baikonur_pattern::Pattern;

fn refusal(pattern: &str) -> String {
    match Pattern::parse(pattern) {
        Ok(_) => panic!("{pattern} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_mistake_is_told_with_its_field_in_the_words_of_event_ruler() {
    for (pattern, words) in [
        ("null", "Filter is not an object"),
        (r#""simple string""#, "Filter is not an object"),
        (r#"["not","a","dict"]"#, "Filter is not an object"),
        ("{", "not JSON at byte 1: a key in quotes is expected there"),
        ("", "not JSON at byte 0: a value is expected there"),
        (r#"{"a":[1]}}"#, "not JSON at byte 9: end of text is expected there"),
        ("{}", "Empty objects are not allowed"),
        (r#"{"eventSource":"aws:sqs"}"#, r#""eventSource" must be an object or an array"#),
        (r#"{"d":{"i":42}}"#, r#"d: "i" must be an object or an array"#),
        (r#"{"d":{"i":null}}"#, r#"d: "i" must be an object or an array"#),
        (r#"{"r":[]}"#, "r: Empty arrays are not allowed"),
        (r#"{"d":{}}"#, "d: Empty objects are not allowed"),
        (r#"{"d":[[1]]}"#, "d: Match value must be String, number, true, false, or null"),
        (r#"{"d":[{}]}"#, "d: Match expression name not found"),
        (r#"{"d":[{"prefix":"a","suffix":"b"}]}"#, "d: Only one key allowed in match expression"),
        (r#"{"e":[{"NUMERIC":["=",5]}]}"#, "e: Unrecognized match type NUMERIC"),
        (r#"{"k":[{"EXISTS":true}]}"#, "k: Unrecognized match type EXISTS"),
        (r#"{"k":[{"exists":"true"}]}"#, "k: exists match pattern must be either true or false."),
        (r#"{"s":[{"exactly":1}]}"#, "s: exact match pattern must be a string"),
        (r#"{"s":[{"prefix":123}]}"#, "s: prefix match pattern must be a string"),
        (r#"{"s":[{"prefix":["x"]}]}"#, "s: prefix match pattern must be a string"),
        (r#"{"s":[{"prefix":{"suffix":"x"}}]}"#, "s: Unsupported prefix pattern: suffix"),
        (
            r#"{"s":[{"prefix":{"equals-ignore-case":1}}]}"#,
            "s: equals-ignore-case match pattern must be a string",
        ),
        (r#"{"f":[{"suffix":123}]}"#, "f: suffix match pattern must be a string"),
        (r#"{"f":[{"suffix":["x"]}]}"#, "f: suffix match pattern must be a string"),
        (
            r#"{"x":[{"equals-ignore-case":["a"]}]}"#,
            "x: equals-ignore-case match pattern must be a string",
        ),
        (
            r#"{"x":[{"equals-ignore-case":{"prefix":"a"}}]}"#,
            "x: equals-ignore-case match pattern must be a string",
        ),
        (
            r#"{"s":[{"anything-but":null}]}"#,
            "s: Value of anything-but must be an array or single string/number value.",
        ),
        (
            r#"{"s":[{"anything-but":true}]}"#,
            "s: Value of anything-but must be an array or single string/number value.",
        ),
        (
            r#"{"s":[{"anything-but":["stopped",null]}]}"#,
            "s: Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            r#"{"s":[{"anything-but":["a",1]}]}"#,
            "s: Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        (r#"{"s":[{"anything-but":[]}]}"#, "s: Empty arrays are not allowed"),
        (r#"{"s":[{"anything-but":{"prefix":""}}]}"#, "s: Null prefix/suffix not allowed"),
        (r#"{"s":[{"anything-but":{"suffix":["a",""]}}]}"#, "s: Null prefix/suffix not allowed"),
        (
            r#"{"s":[{"anything-but":{"prefix":123}}]}"#,
            "s: prefix/suffix match pattern must be a string",
        ),
        (
            r#"{"s":[{"anything-but":{"prefix":[123,"t"]}}]}"#,
            "s: prefix/suffix match pattern must be a string",
        ),
        (
            r#"{"f":[{"anything-but":{"prefix":{"equals-ignore-case":"f"}}}]}"#,
            "f: Value of anything-but must be an array or single string/number value.",
        ),
        (
            r#"{"s":[{"anything-but":{"equals-ignore-case":123}}]}"#,
            "s: Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
        (
            r#"{"s":[{"anything-but":{"equals-ignore-case":[1,2]}}]}"#,
            "s: Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
        (
            r#"{"s":[{"anything-but":{"wildcard":1}}]}"#,
            "s: wildcard match pattern must be a string",
        ),
        (
            r#"{"s":[{"anything-but":{"numeric":["=",1]}}]}"#,
            "s: Unsupported anything-but pattern: numeric",
        ),
        (r#"{"c":[{"numeric":10}]}"#, "c: Value of numeric must be an array."),
        (r#"{"c":[{"numeric":[]}]}"#, "c: Invalid member in numeric match: ]"),
        (r#"{"c":[{"numeric":[5]}]}"#, "c: Invalid member in numeric match: 5"),
        (r#"{"c":[{"numeric":["~",5]}]}"#, "c: Unrecognized numeric range operator: ~"),
        (r#"{"c":[{"numeric":[">",0,">",0]}]}"#, "c: Bad numeric range operator: >"),
        (r#"{"c":[{"numeric":[">",0,5]}]}"#, "c: Bad value in numeric range: 5"),
        (r#"{"c":[{"numeric":[">",0,"<"]}]}"#, "c: Value of < must be numeric"),
        (r#"{"c":[{"numeric":["="]}]}"#, "c: Value of equals must be numeric"),
        (r#"{"c":[{"numeric":["<","5"]}]}"#, "c: Value of < must be numeric"),
        (r#"{"c":[{"numeric":["<",5,">",0]}]}"#, "c: Too many elements in numeric expression"),
        (r#"{"c":[{"numeric":[">",0,"<",5,6]}]}"#, "c: Too many elements in numeric expression"),
        (r#"{"c":[{"numeric":[">",5,"<",5.0]}]}"#, "c: Bottom must be less than top"),
        (r#"{"ip":[{"cidr":"bad-filter"}]}"#, "ip: Malformed CIDR, one '/' required"),
        (
            r#"{"ip":[{"cidr":"bad-/64filter"}]}"#,
            "ip: Malformed CIDR, mask bits must be an integer",
        ),
        (r#"{"ip":[{"cidr":"xx.11.xx/8"}]}"#, "ip: Nonstandard IP address: xx.11.xx"),
        (r#"{"ip":[{"cidr":["x"]}]}"#, "ip: prefix match pattern must be a string"),
        (r#"{"f":[{"wildcard":"a**b"}]}"#, "f: Consecutive wildcard characters at pos 2"),
        (r#"{"f":[{"wildcard":"a\\b"}]}"#, "f: Invalid escape character at pos 2"),
        (
            r#"{"f":[{"wildcard":"*:*:*:*:*:event-bus/*"}]}"#,
            "f: Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences \
             after a wildcard character (at most 5 are taken)",
        ),
        (r#"{"f":[{"wildcard":123}]}"#, "f: wildcard match pattern must be a string"),
        (r#"{"f":[{"wildcard":["*"]}]}"#, "f: wildcard match pattern must be a string"),
        (r#"{"$or":{"a":[1]}}"#, "It must be an Array followed with $or."),
        (r#"{"$or":[{"a":[1]}]}"#, "There must have at least 2 Objects in $or relationship."),
        (r#"{"o":{"$or":[]}}"#, "o: There must have at least 2 Objects in $or relationship."),
        (r#"{"$or":[{"a":[1]},1]}"#, "Only JSON object is allowed in array of $or relationship."),
        (r#"{"$or":[{"a":[1]},{}]}"#, "Empty objects are not allowed"),
        (
            r#"{"a":{"$or":[{"prefix":["x"]},{"b":[1]}]}}"#,
            "a: prefix is Ruler reserved fieldName which cannot be used inside $or.",
        ),
        (
            r#"{"a":[1],"$or":[{"a":[2]},{"b":[1]}]}"#,
            "a: Path `a` cannot be allowed multiple times",
        ),
        (r#"{"a":{"b":[1]},"a.b":[1]}"#, "a.b: Path `a.b` cannot be allowed multiple times"),
    ] {
        let expected = format!("Invalid filter pattern definition. {words}");
        assert_eq!(refusal(pattern), expected, "{pattern}");
    }
}

#[test]
fn names_that_are_reserved_in_or_are_names_elsewhere() {
    assert!(Pattern::parse(r#"{"prefix":["x"],"exists":{"numeric":[1]}}"#).is_ok());
}
