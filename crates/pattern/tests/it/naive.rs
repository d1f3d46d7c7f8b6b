//! Patterns evaluated as they are described: by multiplying `$or` out, listing the leaves of the data, and trying every
//! choice of leaves that are not of two elements of one array.

use serde_json::Value;

/// A leaf, its path, and for each array around it which element of it holds the leaf.
struct Leaf<'e> {
    path: String,
    value: &'e Value,
    elements: Vec<(usize, usize)>,
}

type Combination<'p> = Vec<(String, &'p Vec<Value>)>;

/// Whether `event` matches `pattern`, which is a good one.
pub(crate) fn matches(pattern: &Value, event: &Value) -> bool {
    let Value::Object(_) = event else { return false };
    let mut leaves = Vec::new();
    let mut arrays = 0;
    flatten(event, None, [&[], &[]], &mut arrays, &mut leaves);
    let mut combinations = vec![Vec::new()];
    expand(pattern, None, &mut combinations);
    combinations.iter().any(|combination| choose(combination, &leaves, &mut Vec::new()))
}

fn join(path: Option<&str>, key: &str) -> String {
    path.map_or_else(|| key.to_owned(), |path| format!("{path}.{key}"))
}

/// `elements` are those around `value`, and those around the innermost object: which element of an array a plain value
/// is does not matter.
fn flatten<'e>(
    value: &'e Value,
    path: Option<&str>,
    elements: [&[(usize, usize)]; 2],
    arrays: &mut usize,
    leaves: &mut Vec<Leaf<'e>>,
) {
    let [around, around_object] = elements;
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                flatten(value, Some(&join(path, key)), [around; 2], arrays, leaves);
            }
        }
        Value::Array(members) => {
            let array = *arrays;
            *arrays += 1;
            for (place, member) in members.iter().enumerate() {
                let around = [around, &[(array, place)]].concat();
                flatten(member, path, [&around, around_object], arrays, leaves);
            }
        }
        leaf => {
            let path = path.unwrap_or_default().to_owned();
            leaves.push(Leaf { path, value: leaf, elements: around_object.to_vec() });
        }
    }
}

fn expand<'p>(pattern: &'p Value, path: Option<&str>, combinations: &mut Vec<Combination<'p>>) {
    for (key, value) in pattern.as_object().unwrap() {
        match value {
            Value::Array(alternatives) if key == "$or" => {
                let before = std::mem::take(combinations);
                for alternative in alternatives {
                    let mut with = before.clone();
                    expand(alternative, path, &mut with);
                    combinations.append(&mut with);
                }
            }
            Value::Array(list) => {
                let path = join(path, key);
                combinations.iter_mut().for_each(|one| one.push((path.clone(), list)));
            }
            _ => expand(value, Some(&join(path, key)), combinations),
        }
    }
}

/// Whether there is a leaf for each field of the rest of a combination that fits those chosen before.
fn choose<'e>(
    combination: &[(String, &Vec<Value>)],
    leaves: &'e [Leaf<'e>],
    chosen: &mut Vec<&'e Leaf<'e>>,
) -> bool {
    let Some(((path, list), rest)) = combination.split_first() else { return true };
    let may_be_absent = list.iter().any(|one| one["exists"] == Value::Bool(false));
    if may_be_absent && !leaves.iter().any(|leaf| leaf.path == *path) {
        return choose(rest, leaves, chosen);
    }
    leaves.iter().filter(|leaf| leaf.path == *path).any(|leaf| {
        let fits = chosen.iter().all(|other| {
            other.elements.iter().all(|(array, place)| {
                leaf.elements.iter().all(|(own, own_place)| own != array || own_place == place)
            })
        });
        if !fits || !list.iter().any(|matcher| takes(matcher, leaf.value)) {
            return false;
        }
        chosen.push(leaf);
        let found = choose(rest, leaves, chosen);
        chosen.pop();
        found
    })
}

fn takes(matcher: &Value, value: &Value) -> bool {
    let Value::Object(expression) = matcher else {
        return match (matcher, value) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::String(one), Value::String(other)) => {
                let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
                one == other || (address(one).is_some() && address(one) == address(other))
            }
            _ => matcher == value,
        };
    };
    let (operator, operand) = expression.iter().next().unwrap();
    let text = value.as_str();
    let lower = |text: &str| text.to_lowercase();
    match (operator.as_str(), operand) {
        ("exactly", _) => operand == value,
        ("exists", _) => *operand == Value::Bool(true),
        ("numeric", _) => value.as_f64().is_some_and(|value| in_range(operand, value)),
        ("anything-but", Value::Object(inner)) => {
            let (operator, operand) = inner.iter().next().unwrap();
            let operands = operand.as_array().cloned().unwrap_or_else(|| vec![operand.clone()]);
            !operands.iter().any(|one| takes(&serde_json::json!({ operator: one }), value))
        }
        ("anything-but", Value::Array(list)) => !list.iter().any(|one| takes(one, value)),
        ("anything-but", one) => !takes(one, value),
        ("prefix", Value::Object(inner)) => text.is_some_and(|text| {
            lower(text).starts_with(&lower(inner["equals-ignore-case"].as_str().unwrap()))
        }),
        ("suffix", Value::Object(inner)) => text.is_some_and(|text| {
            lower(text).ends_with(&lower(inner["equals-ignore-case"].as_str().unwrap()))
        }),
        (operator, operand) => text.is_some_and(|text| {
            let operand = operand.as_str().unwrap();
            match operator {
                "prefix" => text.starts_with(operand),
                "suffix" => text.ends_with(operand),
                "equals-ignore-case" => lower(text) == lower(operand),
                "wildcard" => wildcard(operand.as_bytes(), text.as_bytes()),
                "cidr" => in_network(operand, text),
                other => panic!("{other}"),
            }
        }),
    }
}

fn in_range(range: &Value, value: f64) -> bool {
    range.as_array().unwrap().chunks(2).all(|bound| {
        let at = bound[1].as_f64().unwrap();
        match bound[0].as_str().unwrap() {
            "=" => value == at,
            "<" => value < at,
            "<=" => value <= at,
            ">" => value > at,
            ">=" => value >= at,
            other => panic!("{other}"),
        }
    })
}

fn wildcard(wildcard_text: &[u8], text: &[u8]) -> bool {
    match wildcard_text {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skip| wildcard(rest, &text[skip..])),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            text.split_first().is_some_and(|(first, left)| first == byte && wildcard(rest, left))
        }
    }
}

fn in_network(network: &str, text: &str) -> bool {
    let bits = |address: &str| -> Option<String> {
        Some(match address.parse().ok()? {
            std::net::IpAddr::V4(address) => format!("{:032b}", address.to_bits()),
            std::net::IpAddr::V6(address) => format!("{:0128b}", address.to_bits()),
        })
    };
    let (address, length) = network.split_once('/').unwrap();
    let (network, length) = (bits(address).unwrap(), length.parse::<usize>().unwrap());
    bits(text).is_some_and(|own| own.len() == network.len() && own[..length] == network[..length])
}
