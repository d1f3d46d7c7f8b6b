//! Constraints on members, checked after the types and reported together, as the service does.

use std::fmt::{self, Display, Write as _};

use crate::limits::VIOLATIONS_MAX;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::{Blob, Boolean, Integer, List, Moment, Text};

/// One constraint of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// It must be there.
    Required,
    /// Characters of a text, bytes of a blob, elements of a list: at least, at most.
    Length(usize, usize),
    /// A number: at least, at most.
    Range(i32, i32),
    /// A text: the pattern as messages print it, and whether a text has it.
    Pattern(&'static str, fn(&str) -> bool),
    /// A text: the words allowed, in the order in which messages print them.
    OneOf(&'static [&'static str]),
    /// A list of texts: what each of them must keep to.
    Each(&'static Rule),
    /// A map of texts: characters of keys and of values, at least and at most.
    Pairs { keys: (usize, usize), values: (usize, usize) },
}

pub(crate) use Rule::{Length, OneOf, Range, Required};

/// Stream names, consumer names, shard ids.
pub(crate) const NAME: Rule = Rule::Pattern("[a-zA-Z0-9_.-]+", |text| {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(legal)
});
/// Their length.
pub(crate) const NAME_LENGTH: Rule = Length(1, 128);
/// Hash keys.
pub(crate) const HASH_KEY: Rule = Rule::Pattern(r"0|([1-9]\d{0,38})", |text| is_decimal(text, 39));
/// Sequence numbers.
pub(crate) const SEQUENCE_NUMBER: Rule =
    Rule::Pattern(r"0|([1-9]\d{0,128})", |text| is_decimal(text, 129));
/// Stream ARNs.
pub(crate) const STREAM_ARN: Rule =
    Rule::Pattern(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+", is_stream_arn);
/// ARNs of whatever has tags or a policy.
pub(crate) const RESOURCE_ARN: Rule =
    Rule::Pattern(r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+", |text| {
        let mut resource = text.splitn(6, ':').skip(5);
        let kinds = ["stream/", "channel/", "queue/"];
        let named = |resource: &str| kinds.iter().any(|kind| resource.contains(kind));
        is_kinesis_arn(text) && resource.next().is_some_and(named) && !text.ends_with('/')
    });
/// ARNs of registered consumers.
pub(crate) const CONSUMER_ARN: Rule = Rule::Pattern(
    r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
    |text| {
        let Some((stream, consumer)) = text.split_once("/consumer/") else { return false };
        let created = consumer.split_once(':').map(|(_, created)| created);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_stream_arn(stream) && created.is_some_and(is_number)
    },
);
/// Stream ids.
pub(crate) const STREAM_ID: Rule = Rule::Pattern("[a-z0-9]{20}-[a-z0-9]{3}", |text| {
    let legal = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let parts = text.split_once('-');
    parts.is_some_and(|(a, b)| (a.len(), b.len()) == (20, 3) && legal(a) && legal(b))
});
/// Their length.
pub(crate) const ARN_LENGTH: Rule = Length(1, 2048);

fn is_decimal(text: &str, digits_max: usize) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits && (text == "0" || (1..=digits_max).contains(&text.len()) && !text.starts_with('0'))
}

fn is_kinesis_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, _region, account, resource] = parts[..] else { return false };
    arn == "arn"
        && partition.starts_with("aws")
        && service == "kinesis"
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !resource.contains(char::is_whitespace)
}

fn is_stream_arn(text: &str) -> bool {
    let resource = text.splitn(6, ':').nth(5).and_then(|r| r.strip_prefix("stream/"));
    is_kinesis_arn(text) && resource.is_some_and(|name| !name.is_empty())
}

/// Where a member is, built without allocating and printed only when it is named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The request itself.
    Request,
    /// A member of a structure.
    Member(&'p Path<'p>, &'static str),
    /// An element of a list, from 1.
    Element(&'p Path<'p>, usize),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => Ok(()),
            Self::Member(Self::Request, name) => lower_camel(name, f),
            Self::Member(parent, name) => {
                write!(f, "{parent}.")?;
                lower_camel(name, f)
            }
            Self::Element(parent, index) => write!(f, "{parent}.{index}.member"),
        }
    }
}

fn lower_camel(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut letters = name.chars();
    if let Some(first) = letters.next() {
        f.write_char(first.to_ascii_lowercase())?;
    }
    f.write_str(letters.as_str())
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    /// Adds one: `value` as messages print it, with its blank and its quotes.
    pub(crate) fn add(&mut self, value: impl Display, path: &Path<'_>, rule: impl Display) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(format!("Value{value} at '{path}' failed to satisfy constraint: {rule}"));
        }
    }

    /// Adds a required member that is missing.
    pub(crate) fn add_null(&mut self, path: &Path<'_>) {
        self.add(" null", path, "Member must not be null");
    }

    /// Adds a length out of range: the length, the least and the most.
    pub(crate) fn check_length(
        &mut self,
        (length, min, max): (usize, usize, usize),
        value: impl Display,
        path: &Path<'_>,
    ) {
        let rule = "Member must have length";
        if length < min {
            self.add(value, path, format_args!("{rule} greater than or equal to {min}"));
        } else if length > max {
            self.add(value, path, format_args!("{rule} less than or equal to {max}"));
        }
    }

    /// Adds a blob whose length is out of range.
    pub(crate) fn check_blob(
        &mut self,
        length: usize,
        (min, max): (usize, usize),
        path: &Path<'_>,
    ) {
        let value = format_args!(" 'java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]'");
        self.check_length((length, min, max), value, path);
    }

    /// The error that lists them, if there are any.
    pub(crate) fn into_result(self) -> Result<(), ApiError> {
        match self.0.len() {
            0 => Ok(()),
            count => {
                let plural = if count == 1 { "" } else { "s" };
                let items = self.0.join("; ");
                let message = format!("{count} validation error{plural} detected: {items}");
                Err(ApiError::new(ErrorCode::Validation, message))
            }
        }
    }
}

/// The error for one required member that is missing.
pub(crate) fn missing(member: &'static str) -> ApiError {
    let mut violations = Violations::default();
    let path = Path::Member(&Path::Request, member);
    violations.add_null(&path);
    violations.into_result().expect_err("there is one violation")
}

/// A value that rules can be held against.
pub(crate) trait Constrained {
    /// Adds to `violations` each rule that the value at `path` breaks.
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations);
}

impl<T: Constrained> Constrained for Option<T> {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        match self {
            Some(value) => value.check(rules, path, violations),
            None if rules.iter().any(|rule| matches!(rule, Required)) => {
                violations.add_null(path);
            }
            None => {}
        }
    }
}

/// A value in messages.
struct Quoted<T>(T);

impl<T: Display> Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " '{}'", self.0)
    }
}

impl Constrained for Text<'_> {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        let text = self.as_str();
        for rule in rules {
            match *rule {
                // As many bytes as characters are allowed cannot be too many characters.
                Length(min, max) if (min..=max).contains(&text.len()) && min <= 1 => {}
                Length(min, max) => {
                    let length = text.chars().count();
                    violations.check_length((length, min, max), Quoted(text), path);
                }
                Rule::Pattern(pattern, has) if !has(text) => {
                    let rule = "Member must satisfy regular expression pattern";
                    violations.add(Quoted(text), path, format_args!("{rule}: {pattern}"));
                }
                OneOf(words) if !words.contains(&text) => {
                    let rule = "Member must satisfy enum value set";
                    let words = words.join(", ");
                    violations.add(Quoted(text), path, format_args!("{rule}: [{words}]"));
                }
                Required
                | Range(..)
                | Rule::Pattern(..)
                | OneOf(_)
                | Rule::Each(_)
                | Rule::Pairs { .. } => {}
            }
        }
    }
}

impl Constrained for Integer {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        let rule = "Member must have value";
        for (min, max) in rules.iter().filter_map(|rule| match rule {
            Range(min, max) => Some((*min, *max)),
            _ => None,
        }) {
            if self.0 < min {
                let rule = format_args!("{rule} greater than or equal to {min}");
                violations.add(Quoted(self.0), path, rule);
            } else if self.0 > max {
                violations.add(
                    Quoted(self.0),
                    path,
                    format_args!("{rule} less than or equal to {max}"),
                );
            }
        }
    }
}

impl Constrained for Blob<'_> {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        let length = self.decoded_length();
        for rule in rules {
            if let Length(min, max) = *rule {
                violations.check_blob(length, (min, max), path);
            }
        }
    }
}

impl<T: Constrained> Constrained for List<T> {
    fn check(&self, rules: &[Rule], path: &Path<'_>, violations: &mut Violations) {
        for rule in rules {
            if let Length(min, max) = *rule {
                // The elements are not printed, as in newer replies of the service.
                let value = if self.length == 0 { " '[]'" } else { "" };
                violations.check_length((self.length, min, max), value, path);
            }
        }
        for (index, element) in self.elements.iter().enumerate() {
            element.check(&[], &Path::Element(path, index + 1), violations);
        }
    }
}

impl Constrained for Boolean {
    fn check(&self, _: &[Rule], _: &Path<'_>, _: &mut Violations) {}
}

impl Constrained for Moment {
    fn check(&self, _: &[Rule], _: &Path<'_>, _: &mut Violations) {}
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn items(value: &impl Constrained, rules: &[Rule]) -> Vec<String> {
        let mut violations = Violations::default();
        value.check(rules, &Path::Member(&Path::Request, "StreamName"), &mut violations);
        let constraint = |item: &String| item.split(" constraint: ").last().unwrap().to_owned();
        violations.0.iter().map(constraint).collect()
    }

    fn text(text: &str) -> Text<'_> {
        Text(Cow::Borrowed(text))
    }

    #[test]
    fn an_empty_name_breaks_the_length_and_the_pattern() {
        let found = items(&text(""), &[NAME_LENGTH, NAME]);
        assert_eq!(
            found,
            [
                "Member must have length greater than or equal to 1",
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
            ]
        );
        assert!(items(&text("router_1.A-b"), &[NAME_LENGTH, NAME]).is_empty());
        assert_eq!(items(&text(&"x".repeat(129)), &[NAME_LENGTH]).len(), 1);
    }

    #[test]
    fn lengths_count_characters() {
        assert!(items(&text(&"é".repeat(256)), &[Length(1, 256)]).is_empty());
        assert_eq!(items(&text(&"é".repeat(257)), &[Length(1, 256)]).len(), 1);
    }

    #[test]
    fn messages_name_value_path_and_rule() {
        let mut violations = Violations::default();
        let list = Path::Member(&Path::Request, "Records");
        let path = Path::Element(&list, 1);
        let key = Path::Member(&path, "PartitionKey");
        None::<Text<'_>>.check(&[Required], &key, &mut violations);
        Integer(0).check(&[Range(1, 10)], &Path::Member(&Path::Request, "Limit"), &mut violations);
        let error = violations.into_result().unwrap_err();
        assert_eq!(
            error.message.unwrap(),
            "2 validation errors detected: Value null at 'records.1.member.partitionKey' failed to \
             satisfy constraint: Member must not be null; Value '0' at 'limit' failed to satisfy \
             constraint: Member must have value greater than or equal to 1"
        );
    }

    #[test]
    fn at_most_ten_items_are_listed() {
        let mut violations = Violations::default();
        for _ in 0..50 {
            violations.add(" null", &Path::Request, "x");
        }
        let message = violations.into_result().unwrap_err().message.unwrap();
        assert!(message.starts_with("10 validation errors detected: "));
    }

    #[test]
    fn patterns_are_those_of_the_model() {
        let has = |rule: Rule, text: &str| match rule {
            Rule::Pattern(_, has) => has(text),
            _ => unreachable!(),
        };
        for number in ["0", "1", &"9".repeat(39)] {
            assert!(has(HASH_KEY, number), "{number}");
        }
        for number in ["", "00", "01", "-1", "1x", &"9".repeat(40)] {
            assert!(!has(HASH_KEY, number), "{number}");
        }
        assert!(has(STREAM_ARN, "arn:aws:kinesis:us-east-1:000000000000:stream/a"));
        assert!(has(STREAM_ARN, "arn:aws-cn:kinesis::000000000000:stream/a:b"));
        for arn in [
            "",
            "arn",
            "arn:aws:kinesis:r:00000000000:stream/a",
            "arn:aws:kinesis:r:000000000000:stream/",
        ] {
            assert!(!has(STREAM_ARN, arn), "{arn}");
        }
    }
}
