//! What AWS answers, operator by operator. The cases are those of EventBridge's `TestEventPattern`, of Lambda, and of the
//! documented corners; beside the engine the plain evaluator has to give the same answer.

use baikonur_pattern::Pattern;
use serde_json::Value;

use crate::naive;

fn check(cases: &[(&str, &str, bool)]) {
    for (pattern, event, expected) in cases {
        let compiled = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(compiled.matches(event.as_bytes()), *expected, "{pattern} on {event}");
        let [pattern, event]: [Value; 2] =
            [pattern, event].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(naive::matches(&pattern, &event), *expected, "naive: {pattern} on {event}");
    }
}

#[test]
fn plain_values_are_compared_exactly() {
    check(&[
        (r#"{"event_type":["function_1"]}"#, r#"{"event_type":"function_1"}"#, true),
        (r#"{"event_type":["function_1"]}"#, r#"{"event_type":"function_2"}"#, false),
        (r#"{"event_type":["function_1"]}"#, r#"{"event_type":"function_11"}"#, false),
        (r#"{"s":["A 🚀 trailing "]}"#, r#"{"s":"A 🚀 trailing "}"#, true),
        (r#"{"s":["A 🚀 trailing "]}"#, r#"{"s":"A 🚀 trailing"}"#, false),
        (r#"{"s":["A 🚀 trailing "]}"#, r#"{"s":"A \ud83d\ude80 trailing "}"#, true),
        (r#"{"s":[""]}"#, r#"{"s":""}"#, true),
        (r#"{"s":[""]}"#, r#"{"s":" "}"#, false),
        (r#"{"s":[""]}"#, r#"{"s":null}"#, false),
        (r#"{"r":[null]}"#, r#"{"r":null}"#, true),
        (r#"{"r":[null]}"#, r#"{"r":"null"}"#, false),
        (r#"{"r":["null"]}"#, r#"{"r":null}"#, false),
        (r#"{"r":[null]}"#, r#"{"r":""}"#, false),
        (r#"{"r":[null]}"#, r#"{"r":[]}"#, false),
        (r#"{"r":[null]}"#, r#"{}"#, false),
        (r#"{"b":[false]}"#, r#"{"b":false}"#, true),
        (r#"{"b":[false]}"#, r#"{"b":true}"#, false),
        (r#"{"b":[true]}"#, r#"{"b":"true"}"#, false),
        (r#"{"s":["abc"]}"#, r#"{"s":"ABC"}"#, false),
        (r#"{"s":[{"exactly":"abc"}]}"#, r#"{"s":"abc"}"#, true),
        (r#"{"s":[{"exactly":"abc"}]}"#, r#"{"s":"abcd"}"#, false),
        (r#"{"star":["*"],"bs":["\\"]}"#, r#"{"star":"*","bs":"\\"}"#, true),
        (r#"{"star":["*"]}"#, r#"{"star":"x"}"#, false),
    ]);
}

#[test]
fn numbers_are_equal_whatever_their_spelling() {
    check(&[
        (r#"{"n":[300]}"#, r#"{"n":300.0}"#, true),
        (r#"{"n":[300]}"#, r#"{"n":3.0e2}"#, true),
        (r#"{"n":[3.018e2]}"#, r#"{"n":301.8}"#, true),
        (r#"{"n":[300]}"#, r#"{"n":"300"}"#, false),
        (r#"{"n":["300"]}"#, r#"{"n":300}"#, false),
        (r#"{"n":[0]}"#, r#"{"n":-0.0}"#, true),
        (r#"{"n":[-5]}"#, r#"{"n":5}"#, false),
    ]);
    // Doubles cannot tell these.
    let account = Pattern::parse(r#"{"n":[12345678901234567890]}"#).unwrap();
    assert!(account.matches(br#"{"n":12345678901234567890}"#));
    assert!(!account.matches(br#"{"n":12345678901234567891}"#));
}

#[test]
fn fields_are_all_wanted_and_found_by_their_paths() {
    check(&[
        (r#"{"a":[1],"b":[2]}"#, r#"{"a":1,"b":2,"c":3}"#, true),
        (r#"{"a":[1],"b":[2]}"#, r#"{"a":1,"b":3}"#, false),
        (r#"{"a":[1],"b":[2]}"#, r#"{"a":1}"#, false),
        (r#"{"MY_KEY":["v"]}"#, r#"{"my_key":"v"}"#, false),
        (r#"{"schlüssel":["v"]}"#, r#"{"schl\u00fcssel":"v"}"#, true),
        (r#"{"detail":{"k":["v"]}}"#, r#"{"detail":{"k":"v"}}"#, true),
        (r#"{"detail":{"k":["v"]}}"#, r#"{"k":"v"}"#, false),
        (r#"{"detail":{"k":["v"]}}"#, r#"{"detail":"{\"k\":\"v\"}"}"#, false),
        (r#"{"state":{"status":["running"]}}"#, r#"{"state.status":"running"}"#, true),
        (r#"{"state":{"status":["running"]}}"#, r#"{"state.status":{"status":"running"}}"#, false),
        (r#"{"state.status":["running"]}"#, r#"{"state":{"status":"running"}}"#, true),
        (r#"{"state.status":{"status":["running"]}}"#, r#"{"state":{"status":"running"}}"#, false),
        (r#"{"a":{"b":{"c":[1]}}}"#, r#"{"a.b":{"c":1}}"#, true),
        (r#"{"a":{"b":[1],"c":[2]}}"#, r#"{"a.b":1,"a":{"c":2}}"#, true),
        (r#"{"a":{"b":[1],"c":[2]}}"#, r#"{"a":{"c":2},"a.b":1}"#, true),
        (r#"{"":["x"]}"#, r#"{"":"x"}"#, true),
    ]);
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let matches =
        |pattern: &str, event: &str| Pattern::parse(pattern).unwrap().matches(event.as_bytes());
    assert!(!matches(r#"{"a":[1]}"#, r#"{"a":1,"a":2}"#));
    assert!(matches(r#"{"a":[1]}"#, r#"{"a":2,"a":1}"#));
    assert!(!matches(r#"{"a":{"b":[1]}}"#, r#"{"a":{"b":1},"a":{}}"#));
    assert!(matches(r#"{"a":[{"exists":false}]}"#, r#"{"a":1,"\u0061":{}}"#));
    assert!(!matches(r#"{"l":{"a":[{"exists":false}]}}"#, r#"{"l":[{"a":1},{"a":1,"a":{}}]}"#));
    assert!(matches(r#"{"a":[1],"a":[2]}"#, r#"{"a":2}"#));
    assert!(!matches(r#"{"a":[1],"a":[2]}"#, r#"{"a":1}"#));
    let many: String = (0..100).map(|n| format!(r#""{n}":[1],"#)).collect();
    let pattern = format!(r#"{{{many}"last":[1]}}"#);
    let event = many.replace(['[', ']'], "");
    assert!(matches(&pattern, &format!(r#"{{{event}"last":1}}"#)));
    assert!(!matches(&pattern, &format!(r#"{{{event}"last":1,"99":2}}"#)));
    assert!(matches(&pattern, &format!(r#"{{"99":2,"last":2,{event}"last":1}}"#)));
}

#[test]
fn prefixes_and_suffixes() {
    check(&[
        (r#"{"t":[{"prefix":"2022-07-13"}]}"#, r#"{"t":"2022-07-13T13:48:01Z"}"#, true),
        (r#"{"t":[{"prefix":"2022-07-99"}]}"#, r#"{"t":"2022-07-13T13:48:01Z"}"#, false),
        (r#"{"s":[{"prefix":""}]}"#, r#"{"s":""}"#, true),
        (r#"{"s":[{"prefix":""}]}"#, r#"{"s":12}"#, false),
        (r#"{"s":[{"prefix":"1"}]}"#, r#"{"s":12}"#, false),
        (r#"{"s":[{"prefix":{"equals-ignore-case":"EventB"}}]}"#, r#"{"s":"EvEnTbridge"}"#, true),
        (r#"{"s":[{"prefix":{"equals-ignore-case":"EventB"}}]}"#, r#"{"s":"even"}"#, false),
        (r#"{"f":[{"suffix":".png"}]}"#, r#"{"f":"image.png"}"#, true),
        (r#"{"f":[{"suffix":".PNG"}]}"#, r#"{"f":"image.png"}"#, false),
        (r#"{"f":[{"suffix":""}]}"#, r#"{"f":"x"}"#, true),
        (r#"{"f":[{"suffix":{"equals-ignore-case":".png"}}]}"#, r#"{"f":"image.PNG"}"#, true),
        (r#"{"f":[{"suffix":{"equals-ignore-case":".png"}}]}"#, r#"{"f":"image.jpg"}"#, false),
        (r#"{"f":[{"suffix":"\n"}]}"#, r#"{"f":"line\n"}"#, true),
    ]);
}

#[test]
fn case_is_ignored_where_that_is_asked_for() {
    check(&[
        (r#"{"x":[{"equals-ignore-case":"ec2 instance"}]}"#, r#"{"x":["EC2 Instance"]}"#, true),
        (r#"{"x":[{"equals-ignore-case":"ec2 instance"}]}"#, r#"{"x":"EC2 Instances"}"#, false),
        (r#"{"x":[{"equals-ignore-case":""}]}"#, r#"{"x":""}"#, true),
        (r#"{"x":[{"equals-ignore-case":""}]}"#, r#"{"x":"test"}"#, false),
        (r#"{"x":[{"equals-ignore-case":"1"}]}"#, r#"{"x":1}"#, false),
    ]);
}

#[test]
fn anything_but_takes_what_is_there_and_is_something_else() {
    check(&[
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":"pending"}"#, true),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":"initializing"}"#, false),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":null}"#, true),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":true}"#, true),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{}"#, false),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":{}}"#, false),
        (r#"{"s":[{"anything-but":"initializing"}]}"#, r#"{"s":["initializing","x"]}"#, true),
        (r#"{"s":[{"anything-but":["stopped","overloaded"]}]}"#, r#"{"s":"pending"}"#, true),
        (r#"{"s":[{"anything-but":["stopped","overloaded"]}]}"#, r#"{"s":"stopped"}"#, false),
        (r#"{"x":[{"anything-but":123}]}"#, r#"{"x":789}"#, true),
        (r#"{"x":[{"anything-but":123}]}"#, r#"{"x":123.0}"#, false),
        (r#"{"x":[{"anything-but":123}]}"#, r#"{"x":"123"}"#, true),
        (r#"{"x":[{"anything-but":[100,200,300]}]}"#, r#"{"x":999}"#, true),
        (r#"{"x":[{"anything-but":[100,200,300]}]}"#, r#"{"x":100}"#, false),
        (r#"{"x":[{"anything-but":0}]}"#, r#"{"x":789}"#, true),
        (r#"{"s":[{"anything-but":{"prefix":"init"}}]}"#, r#"{"s":"post-init"}"#, true),
        (r#"{"s":[{"anything-but":{"prefix":"init"}}]}"#, r#"{"s":"init-prefix"}"#, false),
        (r#"{"s":[{"anything-but":{"prefix":"init"}}]}"#, r#"{"s":12}"#, true),
        (r#"{"s":[{"anything-but":{"prefix":"init"}}]}"#, r#"{"s":null}"#, true),
        (r#"{"s":[{"anything-but":{"prefix":"init"}}]}"#, r#"{}"#, false),
        (r#"{"s":[{"anything-but":{"prefix":["init","post"]}}]}"#, r#"{"s":"post-init"}"#, false),
        (r#"{"f":[{"anything-but":{"suffix":".txt"}}]}"#, r#"{"f":"file.txt.bak"}"#, true),
        (r#"{"f":[{"anything-but":{"suffix":".txt"}}]}"#, r#"{"f":"file.txt"}"#, false),
        (r#"{"f":[{"anything-but":{"suffix":[".txt",".jpg"]}}]}"#, r#"{"f":"file.jpg"}"#, false),
        (r#"{"f":[{"anything-but":{"suffix":[".txt",".jpg"]}}]}"#, r#"{"f":null}"#, true),
        (r#"{"f":[{"anything-but":{"suffix":[".txt",".jpg"]}}]}"#, r#"{}"#, false),
        (r#"{"s":[{"anything-but":{"equals-ignore-case":"init"}}]}"#, r#"{"s":"INIT"}"#, false),
        (r#"{"s":[{"anything-but":{"equals-ignore-case":"init"}}]}"#, r#"{"s":"pending"}"#, true),
        (r#"{"s":[{"anything-but":{"equals-ignore-case":"init"}}]}"#, r#"{"s":null}"#, true),
        (r#"{"s":[{"anything-but":{"equals-ignore-case":["a","b"]}}]}"#, r#"{"s":"B"}"#, false),
        (r#"{"s":[{"anything-but":{"equals-ignore-case":"init"}}]}"#, r#"{}"#, false),
        (r#"{"p":[{"anything-but":{"wildcard":"*/dir/*"}}]}"#, r#"{"p":"dir/init/file"}"#, true),
        (r#"{"p":[{"anything-but":{"wildcard":"*/dir/*"}}]}"#, r#"{"p":123}"#, true),
        (r#"{"p":[{"anything-but":{"wildcard":"*/dir/*"}}]}"#, r#"{}"#, false),
        (r#"{"p":[{"anything-but":{"wildcard":"*/init/*"}}]}"#, r#"{"p":"dir/init/file"}"#, false),
        (
            r#"{"p":[{"anything-but":{"wildcard":["*/init/*","*/dir/*"]}}]}"#,
            r#"{"p":"dir/post/dir"}"#,
            true,
        ),
        (
            r#"{"p":[{"anything-but":{"wildcard":["*/init/*","*/dir/*"]}}]}"#,
            r#"{"p":"dir/init/dir"}"#,
            false,
        ),
        (r#"{"p":[{"anything-but":{"wildcard":""}}]}"#, r#"{"p":"dir/init/file"}"#, true),
        (r#"{"p":[{"anything-but":{"wildcard":""}}]}"#, r#"{"p":""}"#, false),
    ]);
}

#[test]
fn numeric_ranges_take_numbers_alone() {
    check(&[
        (r#"{"c":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"c":3}"#, true),
        (r#"{"c":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"c":5}"#, true),
        (r#"{"c":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"c":42}"#, false),
        (r#"{"c":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"c":0}"#, false),
        (r#"{"c":[{"numeric":[">=",0,"<",5]}]}"#, r#"{"c":0}"#, true),
        (r#"{"c":[{"numeric":[">=",0,"<",5]}]}"#, r#"{"c":5}"#, false),
        (r#"{"c":[{"numeric":[">=",-1.5,"<",0.25]}]}"#, r#"{"c":-1.25}"#, true),
        (r#"{"x":[{"numeric":["=",301.8]}]}"#, r#"{"x":301.8}"#, true),
        (r#"{"x":[{"numeric":["=",301.8]}]}"#, r#"{"x":3.018e2}"#, true),
        (r#"{"n":[{"numeric":[">",100]}]}"#, r#"{"n":101.0}"#, true),
        (r#"{"n":[{"numeric":[">",100]}]}"#, r#"{"n":"300"}"#, false),
        (r#"{"n":[{"numeric":[">",100]}]}"#, r#"{"n":null}"#, false),
        (r#"{"n":[{"numeric":["<",100]}]}"#, r#"{"n":-100}"#, true),
        (r#"{"n":[{"numeric":["<=",100]}]}"#, r#"{"n":[500,100]}"#, true),
    ]);
}

#[test]
fn existence_is_that_of_leaves() {
    check(&[
        (r#"{"s":[{"exists":true}]}"#, r#"{"s":"pending"}"#, true),
        (r#"{"s":[{"exists":true}]}"#, r#"{"s":null}"#, true),
        (r#"{"s":[{"exists":true}]}"#, r#"{"c":{"c1":1}}"#, false),
        (r#"{"k":[{"exists":true}]}"#, r#"{"k":{"S":"x"}}"#, false),
        (r#"{"k":[{"exists":false}]}"#, r#"{"k":{"S":"x"}}"#, true),
        (r#"{"k":{"S":[{"exists":true}]}}"#, r#"{"k":{"S":"x"}}"#, true),
        (r#"{"r":[{"exists":true}]}"#, r#"{"r":[]}"#, false),
        (r#"{"r":[{"exists":true}]}"#, r#"{"r":[[],[null]]}"#, true),
        (r#"{"r":[{"exists":false}]}"#, r#"{"r":[[]]}"#, true),
        (r#"{"a":{"b":{"c":[{"exists":false}]}}}"#, r#"{"a":{"b2":"v"}}"#, true),
        (r#"{"a":{"b":{"c":[{"exists":false}]}}}"#, r#"{"a":{"b":{"c":"v"}}}"#, false),
        (r#"{"a":{"b":{"c":[{"exists":false}]}}}"#, r#"{"a":[{"b":{}},{"b":{"c":0}}]}"#, false),
    ]);
}

#[test]
fn a_list_is_alternatives() {
    let list = r#"{"k":[{"exists":true},{"prefix":"IGNORED"},{"suffix":"IGNORED"}]}"#;
    let roses = r#"{"k":{"S":[{"anything-but":["roses"]},{"exists":false}]}}"#;
    let numbers = r#"{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}"#;
    let two = r#"{"l":{"a":["x",{"exists":false}],"b":["y",{"exists":false}]}}"#;
    check(&[
        (list, r#"{"k":"my-value"}"#, true),
        (roses, r#"{"k":{"S":"ABCD"}}"#, true),
        (roses, r#"{"k":{"S":"roses"}}"#, false),
        (roses, r#"{"k":{}}"#, true),
        (roses, r#"{}"#, true),
        (numbers, r#"{"N":"42"}"#, true),
        (numbers, r#"{"N":"101"}"#, false),
        (numbers, r#"{"N":101}"#, true),
        (two, r#"{"l":[{"a":"x"},{"a":"z"}]}"#, true),
        (two, r#"{"l":[{"a":"z"},{"c":"x"}]}"#, false),
        (two, r#"{"l":[{"a":"x","b":"z"},{"a":"z","b":"y"}]}"#, false),
        (two, r#"{"l":[{"a":"x","b":"y"},{"a":"z","b":"z"}]}"#, true),
        (two, r#"{"l":[{"a":"x"},{"b":"y"}]}"#, false),
    ]);
}

#[test]
fn addresses_are_those_of_their_network() {
    check(&[
        (r#"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, r#"{"ip":"10.0.0.255"}"#, true),
        (r#"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, r#"{"ip":"10.0.0.256"}"#, false),
        (r#"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, r#"{"ip":"10.0.1.1"}"#, false),
        (r#"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, r#"{"ip":123}"#, false),
        (
            r#"{"ip":[{"cidr":"2001:db8:1234:1a00::/64"}]}"#,
            r#"{"ip":"2001:0db8:1234:1a00:0000:0000:0000:0000"}"#,
            true,
        ),
        (
            r#"{"ip":[{"cidr":"2001:db8:1234:1a00::/64"}]}"#,
            r#"{"ip":"2001:0db8:123f:1a01:0000:0000:0000:0000"}"#,
            false,
        ),
        (r#"{"p":["2001:db8::1"]}"#, r#"{"p":"2001:0db8:0:0:0:0:0:1"}"#, true),
        (r#"{"p":["10.0.0.1"]}"#, r#"{"p":"10.0.0.1"}"#, true),
        (r#"{"p":["10.0.0.1"]}"#, r#"{"p":"10.0.0.2"}"#, false),
    ]);
}

#[test]
fn a_wildcard_is_held_against_the_whole_text() {
    let users = r#"{"f":[{"wildcard":"/Users/*/doc.txt"}]}"#;
    let dirs = r#"{"f":[{"wildcard":"/Users/*/dir/dir/doc.txt"}]}"#;
    check(&[
        (users, r#"{"f":"/Users/ls_user/dir/dir/dir/doc.txt"}"#, true),
        (users, r#"{"f":"/Users/ls_user/dir/notmatchingdoc.txt"}"#, false),
        (users, r#"{"f":"/Users/doc.txt"}"#, false),
        (dirs, r#"{"f":"/Users/ls_user/dir/dir/doc.txt"}"#, true),
        (dirs, r#"{"f":"/Users/ls_user/dir/otherdir/doc.txt"}"#, false),
        (r#"{"f":[{"wildcard":""}]}"#, r#"{"f":"x"}"#, false),
        (r#"{"f":[{"wildcard":"*"}]}"#, r#"{"f":""}"#, true),
        (r#"{"f":[{"wildcard":"*"}]}"#, r#"{"f":5}"#, false),
    ]);
}

#[test]
fn an_array_is_any_of_its_elements_and_two_fields_are_of_one() {
    let both = r#"{"users":{"id":[1],"name":["b"]}}"#;
    let deep = r#"{"a":{"x":[1],"b":{"y":[2],"z":[3]}}}"#;
    check(&[
        (r#"{"r":["a","b","c"]}"#, r#"{"r":["x","a"]}"#, true),
        (r#"{"r":["a","b","c"]}"#, r#"{"r":["x"]}"#, false),
        (r#"{"r":["a"]}"#, r#"{"r":[["x",["a"]]]}"#, true),
        (r#"{"a":{"id":[{"exists":true}]}}"#, r#"{"a":[{"k1":1},{"id":"x"},{"k2":2}]}"#, true),
        (both, r#"{"users":[{"id":1,"name":"a"},{"id":2,"name":"b"}]}"#, false),
        (both, r#"{"users":[{"id":1,"name":"a"},{"id":1,"name":"b"}]}"#, true),
        (both, r#"{"users":[[{"id":1}],[{"name":"b"}]]}"#, false),
        (both, r#"{"users":[[{"id":1},{"name":"b","id":1}]]}"#, true),
        (both, r#"{"users":{"id":[2,1],"name":["a","b"]}}"#, true),
        (both, r#"{"users":[{"id":[2,1],"name":["a","b"]}]}"#, true),
        (deep, r#"{"a":[{"x":1,"b":[{"y":2},{"z":3}]}]}"#, false),
        (deep, r#"{"a":[{"x":1,"b":[{"y":2},{"z":3,"y":2}]}]}"#, true),
        (deep, r#"{"a":[{"x":1,"b":{"y":2}},{"x":1,"b":{"z":3}}]}"#, false),
        (deep, r#"{"a":[{"x":1},{"b":{"y":2,"z":3}}]}"#, false),
        (r#"{"a":["x"],"a.b":["y"]}"#, r#"{"a":["x",{"b":"y"}]}"#, true),
        (r#"{"a":{"x":[1]},"b":{"x":[2]}}"#, r#"{"a":[{"x":1}],"b":[{"x":2}]}"#, true),
    ]);
}

#[test]
fn or_needs_one_of_its_objects() {
    let three = r#"{"$or":[{"c":[{"numeric":[">",0,"<=",5]}]},{"d":[{"numeric":["<",10]}]},{"x":[{"numeric":["=",301.8]}]}]}"#;
    let beside = r#"{"a":[1],"$or":[{"b":[2]},{"c":[3],"d":[4]}]}"#;
    let nested = r#"{"o":{"$or":[{"p":[1]},{"$or":[{"q":[2]},{"r":[3]}]}]}}"#;
    let same_element = r#"{"l":{"z":[3],"$or":[{"x":[1]},{"y":[2]}]}}"#;
    let split = r#"{"l":{"z":[3]},"$or":[{"l":{"x":[1]}},{"l":{"y":[2]}}]}"#;
    let absent = r#"{"$or":[{"a":[{"exists":false}]},{"b":[1]}]}"#;
    check(&[
        (three, r#"{"c":0,"d":0,"x":901.8}"#, true),
        (three, r#"{"c":0,"d":10,"x":901.8}"#, false),
        (three, r#"{"x":301.8}"#, true),
        (beside, r#"{"a":1,"b":2}"#, true),
        (beside, r#"{"a":1,"c":3,"d":4}"#, true),
        (beside, r#"{"a":1,"c":3}"#, false),
        (beside, r#"{"b":2}"#, false),
        (nested, r#"{"o":{"r":3}}"#, true),
        (nested, r#"{"o":{"p":2,"q":1,"r":4}}"#, false),
        (same_element, r#"{"l":[{"z":3},{"x":1}]}"#, false),
        (same_element, r#"{"l":[{"z":3,"y":2},{"x":1}]}"#, true),
        (split, r#"{"l":[{"z":3},{"x":1}]}"#, false),
        (split, r#"{"l":[{"z":3,"x":1}]}"#, true),
        (absent, r#"{}"#, true),
        (absent, r#"{"a":1}"#, false),
        (absent, r#"{"a":1,"b":1}"#, true),
    ]);
}

#[test]
fn many_operators_together() {
    let all = r#"{"time":[{"prefix":"2017-10-02"}],"state":[{"anything-but":"initializing"}],
        "c":[{"numeric":[">",0,"<=",5]}],"x":[{"anything-but":[100,200]}]}"#;
    check(&[
        (all, r#"{"time":"2017-10-02T18:43:48Z","state":"running","c":3,"x":50}"#, true),
        (all, r#"{"time":"2017-10-02T18:43:48Z","state":"running","c":3,"x":100}"#, false),
        (all, r#"{"time":"2017-10-02T18:43:48Z","state":"initializing","c":3,"x":50}"#, false),
        (all, r#"{"time":"2017-10-03T18:43:48Z","state":"running","c":3,"x":50}"#, false),
        (all, r#"{"time":"2017-10-02T18:43:48Z","state":"running","c":6,"x":50}"#, false),
    ]);
}

#[test]
fn what_is_no_json_object_matches_nothing() {
    let absent = Pattern::parse(r#"{"a":[{"exists":false}]}"#).unwrap();
    assert!(absent.matches(b" {} "));
    for text in [
        &b""[..],
        b"x",
        b"[]",
        b"1",
        b"\"{}\"",
        b"null",
        b"{",
        b"{}}",
        b"{\"a\"}",
        b"{\"b\":01}",
        b"\xef\xbb\xbf{}",
        b"{\"b\":\"\xff\"}",
        b"[{}]",
        b"{\"b\":{\"c\":}}",
    ] {
        assert!(!absent.matches(text), "{}", String::from_utf8_lossy(text));
    }
}
