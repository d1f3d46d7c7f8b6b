//! The modules as AWS Lambda functions: an event in, batches to a module, the answer of `ReportBatchItemFailures` out.
//!
//! A function is told what it is by its handler and its environment, opens its module once, and is invoked with the
//! records of a shard: it delivers them in parts, closes what is held, keeps what is rejected, and answers in time with
//! where to go on. The binary `bootstrap` puts it on the Lambda runtime.

mod answer;
mod cleaning;
mod environment;
mod event;
mod function;
mod open;

pub use answer::{Answer, BatchItemFailure};
pub use cleaning::{Cleaned, CleaningError, clean};
pub use environment::{Environment, InvalidEnvironment};
pub use event::{InvalidEvent, KinesisEvent};
pub use function::Function;
pub use open::{OpenError, Opened, open_function};
