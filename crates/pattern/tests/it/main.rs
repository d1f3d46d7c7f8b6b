//! Patterns held against data: a table of what AWS answers, and a plain evaluator to agree with.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod kinesis;
mod limits;
mod naive;
mod properties;
mod refusals;
mod truth;
