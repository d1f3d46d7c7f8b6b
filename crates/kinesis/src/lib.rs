//! Amazon Kinesis, or any endpoint that speaks its API, behind the contracts `Administer`, `Read`
//! (by polling and by enhanced fan-out) and `Write`, with positions in a local folder; and what
//! stands beside it on Amazon: sums in CloudWatch, topics in SNS, queues in SQS.

mod administer;
mod change;
mod cloud_watch;
mod connect;
mod consumer;
mod counters;
mod describe;
mod fan_out;
mod folder_progress;
mod pause;
mod place;
mod polling;
mod queues;
mod records;
mod refusal;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod service;
mod subscription;
mod topics;
mod trouble;
mod write;

pub use administer::AmazonKinesis;
pub use cloud_watch::{CloudWatch, Flow, FlowSum};
pub use connect::{Connection, NoCertificates};
pub use fan_out::FanOut;
pub use folder_progress::{FolderError, FolderProgress};
pub use polling::{Polling, describe_metrics};
pub use queues::Queues;
pub use topics::Topics;
pub use write::Producer;
