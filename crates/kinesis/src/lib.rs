//! Amazon Kinesis, or any endpoint that speaks its API, behind the contract `Administer`; and what
//! stands beside it on Amazon: sums in CloudWatch, topics in SNS, queues in SQS.

mod administer;
mod change;
mod cloud_watch;
mod connect;
mod counters;
mod describe;
mod queues;
mod refusal;
#[cfg(test)]
mod scripted;
mod topics;

pub use administer::AmazonKinesis;
pub use cloud_watch::{CloudWatch, Flow, FlowSum};
pub use connect::{Connection, NoCertificates};
pub use queues::Queues;
pub use topics::Topics;
