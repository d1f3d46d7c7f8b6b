//! The store from outside: on real files, and on a disk that fails on demand.

mod crash;
mod format;
mod simulated;
mod streams;
mod world;
