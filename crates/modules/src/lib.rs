//! What is done with a batch: intake (decode, choose, change, reject in one place), the destinations,
//! and the failed store.
//!
//! Each destination implements [`Module`](baikonur_stream::Module) and has the same files:
//! `settings.rs` (what the configuration says), `encode.rs` (events to bytes), `send.rs` (bytes to
//! the destination), `mod.rs` (what became of the batch). `es_cleaner` has no batches: it deletes old
//! indices, and reaches clusters as `to_es` does, through `cluster`. This room runs neither in a
//! mapping nor in a function of Lambda: whoever opens a module hands it its clients and its clock.

#[cfg(test)]
mod batches;
pub mod cluster;
pub mod es_cleaner;
pub mod failed_store;
pub mod fields;
pub mod forward;
pub mod intake;
pub mod objects;
mod secret;
pub mod settings;
pub mod to_es;
pub mod to_fluent;
pub mod to_s3;

pub use secret::Secret;
