//! Tests alone: the rooms and arrows of ARCHITECTURE.md against `cargo metadata`, and the habits
//! of the tree (headers, names, lengths) against its files.
