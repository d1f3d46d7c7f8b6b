//! From the settings of a module to the module: its kind, its clients, who it is to Amazon. The binary and the Lambda
//! functions open modules here, so that both open the same.

mod amazon;
mod elsewhere;
mod kind;
mod open;

pub use amazon::for_cluster;
pub use elsewhere::{elsewhere, producer};
pub use kind::{Kind, Problem};
pub use open::destination;
