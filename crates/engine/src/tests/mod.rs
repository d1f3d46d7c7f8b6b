//! The store as a whole: on real files, and on a disk that fails on demand.

mod crash;
mod damage;
mod format;
mod full;
mod reshard;
mod retention;
mod shadow;
mod streams;
mod verify;
mod world;
