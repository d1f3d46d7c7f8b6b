//! What botocore signed is accepted; with any one thing changed it is not.

use super::*;

#[test]
fn what_botocore_signs_is_accepted() {
    let authenticator = authenticator();
    for vector in vectors() {
        let account = match vector.access_key_id.as_str() {
            "ASIAEXAMPLE" => "222222222222",
            _ => "000000000000",
        };
        let caller = Caller {
            account: account.into(),
            region: vector.region.clone(),
            access_key_id: Some(vector.access_key_id.clone()),
        };
        // The second time the signing key is known.
        for _ in 0..2 {
            assert_eq!(
                vector.check(&authenticator, signed_at()),
                Ok(caller.clone()),
                "{}",
                vector.name
            );
        }
    }
}

#[test]
fn a_request_that_was_changed_is_refused() {
    let (knows_keys, knows_none) = (authenticator(), authenticator());
    let mut refused = 0;
    for vector in vectors() {
        vector.check(&knows_keys, signed_at()).unwrap();
        for (what, changed) in changes(&vector) {
            assert_ne!(changed, vector, "{what}");
            if changed.head().is_none() {
                continue;
            }
            for authenticator in [&knows_keys, &knows_none] {
                let checked = changed.check(authenticator, signed_at());
                let error = checked.expect_err(&format!("{}: {what}", vector.name));
                assert!(!error.contains("secret") && !error.contains("wJalrX"), "{error}");
            }
            refused += 1;
        }
    }
    assert!(refused > 400, "only {refused} changes were tried");
}

/// Everything that can be changed of a request, one at a time.
fn changes(vector: &Signed) -> Vec<(String, Signed)> {
    let mut changes = vec![
        ("the method".to_owned(), Signed { method: "PATCH".into(), ..vector.clone() }),
        (
            "the path".to_owned(),
            vector.with_target(|target| {
                let path = target.split('?').next().unwrap();
                target.replacen(path, &format!("{path}x"), 1)
            }),
        ),
        (
            "one more parameter".to_owned(),
            vector.with_target(|target| match target.contains('?') {
                true => format!("{target}&extra=1"),
                false => format!("{target}?extra=1"),
            }),
        ),
    ];
    if vector.name != UNSIGNED_PAYLOAD {
        for body in [format!("{} ", vector.body), vector.body.replacen('{', "[", 1), String::new()]
        {
            changes.push((format!("the body {body}"), Signed { body, ..vector.clone() }));
        }
    }
    if let Some((path, query)) = vector.target.split_once('?') {
        let pairs: Vec<&str> = query.split('&').collect();
        for (place, pair) in pairs.iter().enumerate() {
            let query_with = |pair: &str| {
                let mut pairs = pairs.clone();
                pairs[place] = pair;
                vector.with_target(|_| format!("{path}?{}", pairs.join("&")))
            };
            changes.push((format!("more of {pair}"), query_with(&format!("{pair}0"))));
            changes.push((format!("{pair} twice"), query_with(&format!("{pair}&{pair}"))));
            changes.push((format!("no {pair}"), query_with("")));
        }
    }
    for (name, value) in &vector.headers {
        changes.push((
            format!("more of {name}"),
            vector.with_header(name, |value| format!("{value}0")),
        ));
        changes.push((
            format!("less of {name}"),
            vector
                .with_header(name, |value| value.chars().take(value.chars().count() / 2).collect()),
        ));
        // Without a Host, the address stands in for it.
        if name != "Host" {
            changes.push((format!("no {name}"), vector.without_header(name)));
        }
        let mut twice = vector.clone();
        twice.headers.push((name.clone(), value.clone()));
        changes.push((format!("{name} twice"), twice));
    }
    changes.extend(changes_of_the_signature(vector));
    // Half of an empty header is the whole one.
    changes.retain(|(_, changed)| changed != vector && !changed.is_same_to_the_signature(vector));
    changes
}

fn changes_of_the_signature(vector: &Signed) -> Vec<(String, Signed)> {
    let replaced = |from: &str, to: &str| {
        let what = format!("{to} for {from}");
        let changed = match vector.presigned {
            0 => vector.with_header("Authorization", |value| value.replacen(from, to, 1)),
            _ => vector.with_target(|target| target.replacen(from, to, 1)),
        };
        (what, changed)
    };
    let (separator, semicolon) = if vector.presigned == 0 { ("/", ";") } else { ("%2F", "%3B") };
    let mut changes = vec![
        replaced(&vector.region, "us-west-2"),
        replaced("AKIDEXAMPLE", "ASIAEXAMPLE"),
        replaced("ASIAEXAMPLE", "AKIDEXAMPLE"),
        replaced("20260102", "20260103"),
        replaced(&format!("{separator}kinesis"), &format!("{separator}firehose")),
        replaced("aws4_request", "aws5_request"),
        replaced(&format!("host{semicolon}"), ""),
        replaced(&format!("content-type{semicolon}"), ""),
        replaced(&format!("content-type{semicolon}host"), &format!("host{semicolon}content-type")),
        replaced("content-type", "Content-Type"),
        replaced("HMAC", "ECDSA-P256"),
    ];
    for digit in "0123456789abcdef".chars() {
        changes.push(replaced(&format!("Signature={digit}"), "Signature=0"));
        changes.push(replaced(&format!("Signature={digit}"), "Signature=F"));
    }
    changes.retain(|(_, changed)| changed != vector);
    changes
}

impl Signed {
    /// Whether the signature does not tell them apart: blanks at the end of a header.
    fn is_same_to_the_signature(&self, other: &Self) -> bool {
        let trimmed = |signed: &Self| {
            let words = |value: &String| value.split_whitespace().collect::<Vec<_>>().join(" ");
            signed
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), words(value)))
                .collect::<Vec<_>>()
        };
        let rest = |signed: &Self| Self { headers: Vec::new(), ..signed.clone() };
        trimmed(self) == trimmed(other) && rest(self) == rest(other)
    }
}
