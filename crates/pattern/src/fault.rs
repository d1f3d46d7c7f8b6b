//! Why a text is no pattern, in the words of event-ruler where it has them, so that a search for them finds answers.

use thiserror::Error;

use crate::limits::{
    COMBINATIONS_MAX, COMBINED_FIELDS_MAX, PATH_NAMES_MAX, PATTERN_CHARACTERS_MAX, WILDCARDS_MAX,
};

/// A text that is no pattern: what AWS Lambda says of it, where, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Invalid filter pattern definition. {}{problem}", before(path))]
pub struct PatternError {
    /// The field whose matchers are wrong, its names joined by dots; empty where it is the pattern as a whole.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

fn before(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each says it in words")]
pub enum Problem {
    #[error("not JSON at byte {at}: {what} is expected there")]
    NotJson { at: usize, what: &'static str },
    #[error("{0} characters are too many: a pattern has at most {PATTERN_CHARACTERS_MAX}")]
    TooLong(usize),
    #[error("Filter is not an object")]
    NotAnObject,
    #[error("\"{0}\" must be an object or an array")]
    NotObjectOrArray(String),
    #[error("Empty objects are not allowed")]
    EmptyObject,
    #[error("Empty arrays are not allowed")]
    EmptyArray,
    #[error("fields stand at most {PATH_NAMES_MAX} names deep")]
    TooDeep,
    #[error("Match value must be String, number, true, false, or null")]
    NotAMatchValue,
    #[error("Match expression name not found")]
    NoMatchType,
    #[error("Only one key allowed in match expression")]
    ManyMatchTypes,
    #[error("Unrecognized match type {0}")]
    MatchType(String),
    #[error("{0} match pattern must be a string")]
    NotAString(&'static str),
    #[error("Unsupported {outer} pattern: {inner}")]
    UnsupportedPattern { outer: &'static str, inner: String },
    #[error("Value of anything-but must be an array or single string/number value.")]
    AnythingButValue,
    #[error("Inside anything but list, start|null|boolean is not supported.")]
    AnythingButMember,
    #[error(
        "Inside anything but list, either all values are number or string, mixed type is not supported"
    )]
    AnythingButMixed,
    #[error(
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    )]
    AnythingButIgnoreCaseMember,
    #[error("Null prefix/suffix not allowed")]
    EmptyPrefixOrSuffix,
    #[error("Value of numeric must be an array.")]
    NumericNotArray,
    #[error("Invalid member in numeric match: {0}")]
    NumericMember(String),
    #[error("Unrecognized numeric range operator: {0}")]
    NumericOperator(String),
    #[error("Bad numeric range operator: {0}")]
    NumericRangeOperator(String),
    #[error("Bad value in numeric range: {0}")]
    NumericRangeValue(String),
    #[error("Value of {0} must be numeric")]
    NumericValue(String),
    #[error("Too many elements in numeric expression")]
    NumericTooMany,
    #[error("Bottom must be less than top")]
    NumericBottom,
    #[error("exists match pattern must be either true or false.")]
    ExistsValue,
    #[error("Malformed CIDR, one '/' required")]
    CidrSlash,
    #[error("Malformed CIDR, mask bits must be an integer")]
    CidrMask,
    #[error("Nonstandard IP address: {0}")]
    CidrAddress(String),
    #[error("{family} mask bits must be 0 to {bits_max}")]
    CidrMaskRange { family: &'static str, bits_max: u32 },
    #[error("Consecutive wildcard characters at pos {0}")]
    ConsecutiveWildcards(usize),
    #[error("Invalid escape character at pos {0}")]
    InvalidEscape(usize),
    #[error(
        "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a \
         wildcard character (at most {WILDCARDS_MAX} are taken)"
    )]
    WildcardTooComplex,
    #[error("It must be an Array followed with $or.")]
    OrNotArray,
    #[error("Only JSON object is allowed in array of $or relationship.")]
    OrMember,
    #[error("There must have at least 2 Objects in $or relationship.")]
    OrTooFew,
    #[error("{0} is Ruler reserved fieldName which cannot be used inside $or.")]
    OrReserved(String),
    #[error("Path `{0}` cannot be allowed multiple times")]
    PathTwice(String),
    #[error(
        "its alternatives make more than {COMBINATIONS_MAX} combinations, or more than {COMBINED_FIELDS_MAX} fields in \
         all of them; a list with {{\"exists\": false}} beside other values counts as two alternatives"
    )]
    TooManyCombinations,
    #[error(
        "{key} is no key of a Kinesis record, so the pattern could not match. What is in a record's data stands below \
         `data`: {{\"data\": {{\"{key}\": [...]}}}}. Beside it there are {known}"
    )]
    NoKinesisKey { key: String, known: String },
    #[error(
        "the data of a Kinesis record is matched as JSON: write an object with the names of its fields, as in \
         {{\"data\": {{\"level\": [\"ERROR\"]}}}}"
    )]
    PlainData,
}
