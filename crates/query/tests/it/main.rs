//! Statements over archives that are made here, against answers that are worked out without SQL.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod archives;
mod damage;
mod limits;
mod lines;
mod parquet;
mod passes;
