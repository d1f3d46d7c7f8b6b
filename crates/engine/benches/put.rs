//! Puts, reads and recovery of the store alone. Figures go to stdout.
fn main() {}
