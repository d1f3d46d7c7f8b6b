//! SQL over an archive: objects of JSON lines and Parquet, in a bucket or a folder, as tables, one for each log type.
//!
//! [`Archive`] lists the objects and says from their keys (`layout`) what they hold. [`Engine`] lets SQLite run a
//! statement over virtual tables (`table`), which choose objects by their dates and partitions before one is opened
//! (`choice`), read them on threads of their own ahead of the statement (`scan`), and take out of them the fields that
//! the statement asks for and no others (`lines` and `fields`, or `parquet`). Nothing is ever written.
//!
//! Memory is bounded whatever the archive holds: what is read ahead is a few blocks for each thread, a line may have
//! [`LINE_BYTES_MAX`] bytes, and SQLite sorts on disk what is more than a few MiB.

mod archive;
mod cells;
mod choice;
mod columns;
mod engine;
mod error;
mod fields;
mod format;
mod layout;
mod lines;
mod parquet;
mod progress;
mod scan;
mod snappy;
mod store;
mod table;

pub use archive::{Archive, Table, Wanted};
pub use engine::{Engine, Flow, Interrupter, Options, Sink, Value};
pub use error::QueryError;
pub use lines::LINE_BYTES_MAX;
pub use progress::{Figures, Progress};
pub use store::ArchiveStore;
