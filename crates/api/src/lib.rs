//! The HTTP front: the Kinesis API as AWS SDKs and the AWS CLI speak it (JSON 1.1, CBOR 1.1), over
//! the contracts of streams.
//!
//! A request passes `server` (connections, limits, the order of checks), `auth` (who signed it),
//! then its operation in `kinesis`, which reads and writes with `wire`. Handlers translate:
//! they know neither disks nor retention nor routing, and any implementation of the contracts can
//! stand behind them.
//!
//! Where signatures are not verified, the server takes loopback addresses only.

mod auth;
mod in_process;
mod kinesis;
mod limits;
mod server;
mod wire;

use std::sync::Arc;

use baikonur_stream::{Administer, Clock, Read, Write};

pub use auth::{
    Authenticator, Caller, Credential, CredentialFault, Credentials, CredentialsFileError, Post,
    Signer,
};
pub use in_process::{InProcess, event_stream_message};
pub use server::{
    Certificates, Limits, NoPages, Page, Pages, ServeError, Server, ServerSettings, Tls, TlsError,
};
pub use wire::format::Format;

/// The streams that are served.
#[derive(Clone)]
pub struct Streams {
    /// For consumers.
    pub read: Arc<dyn Read>,
    /// For producers.
    pub write: Arc<dyn Write>,
    /// For their owner.
    pub administer: Arc<dyn Administer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}
