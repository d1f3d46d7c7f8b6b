//! How a cluster of Elasticsearch or OpenSearch is reached: settings, nodes, credentials, and one call over HTTP.
//!
//! `settings` says where and as whom, `amazon` what a host name of Amazon's tells of itself, `signing` signs for its
//! services, `nodes` remembers which nodes answer, `client` makes a call on one that does, `server` finds out what
//! answers there. What is called and what the answers mean is up to those who call.

mod amazon;
mod client;
#[cfg(test)]
pub(crate) mod doubles;
mod nodes;
mod refusal;
mod server;
mod settings;
mod signing;

pub use amazon::AwsService;
pub use aws_credential_types::provider::SharedCredentialsProvider;
pub use client::gzip;
pub(crate) use client::{Answered, Call, Client, Content, chain, query, segment};
pub(crate) use refusal::{ServerError, is_explained, whole_error};
pub(crate) use server::{Flavour, Found, Server};
pub use settings::{InvalidSettings, Settings};
pub use signing::{Amazon, AmazonIdentity};
