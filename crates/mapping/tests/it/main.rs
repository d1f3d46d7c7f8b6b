//! The mapping as its users have it: whole, over contracts that tests implement.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod simulation;
