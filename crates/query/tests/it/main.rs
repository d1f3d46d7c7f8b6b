//! Statements over archives that are made here, against answers that are worked out without SQL.

mod archives;
mod damage;
mod limits;
mod lines;
mod parquet;
