//! The event filter patterns of AWS, compiled once. Pure.
//!
//! [`Pattern`] is an event filter pattern as EventBridge and AWS Lambda know it; [`FilterCriteria`] is what an event
//! source mapping of a Kinesis stream makes of some of them. A pattern is compiled once and then held against bytes: one
//! pass over the JSON text, in which only the fields that the pattern names are looked at and no tree is built. Neither a
//! foreign pattern nor foreign data can make that pass fail, or take more than a time in proportion to both.
//!
//! Language: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>.

mod address;
mod bits;
mod combine;
mod compile;
mod decimal;
mod document;
mod evaluate;
mod fault;
mod kinesis;
mod letter_case;
mod limits;
mod matcher;
mod numeric;
mod operators;
mod pattern;
mod rule;
mod wildcard;

pub use fault::{PatternError, Problem};
pub use kinesis::{Data, FilterCriteria, FilterCriteriaError, Metadata};
pub use limits::PATTERN_CHARACTERS_MAX;
pub use pattern::Pattern;
