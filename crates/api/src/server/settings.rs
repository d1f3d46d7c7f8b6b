//! What the owner of a server decides.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use crate::auth::Credentials;
use crate::limits::{ANSWER_BYTES_MAX, BODY_BYTES_MAX};

/// Whether the throughput of shards is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limits {
    /// Only what a single call may have.
    #[default]
    Calls,
    /// As Amazon limits reading: 5 calls and 2 MiB a second of a shard, 2 MiB a second for each
    /// consumer with enhanced fan-out. Writing is limited by the streams themselves.
    Aws,
}

/// Where a server listens, what it says of itself, and how much it takes at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The address to listen on, loopback only unless signatures are verified. Default 127.0.0.1:4567.
    pub listen: SocketAddr,
    /// The AWS region in ARNs. Default `us-east-1`.
    pub region: String,
    /// The AWS account in ARNs and messages: 12 digits. Default 000000000000.
    pub account: String,
    /// Those that requests must be signed by. Without, signatures are not verified. Default none.
    pub credentials: Option<Credentials>,
    /// Connections at once; more wait. Default 1024.
    pub connections_max: usize,
    /// Memory for requests under way, with what is decoded from them; more wait. Default 256 MiB.
    pub request_bytes_max: usize,
    /// Whether reading is limited as Amazon limits it. Default: single calls only.
    pub limits: Limits,
    /// Memory for answers under way; more wait. Default 256 MiB.
    pub answer_bytes_max: usize,
}

const MIB: usize = 1024 * 1024;

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4567)),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            credentials: None,
            connections_max: 1024,
            limits: Limits::Calls,
            request_bytes_max: 256 * MIB,
            answer_bytes_max: 256 * MIB,
        }
    }
}

impl ServerSettings {
    /// Whether callers may be of several accounts.
    pub(crate) fn has_many_accounts(&self) -> bool {
        let accounts = self.credentials.iter().flat_map(Credentials::accounts);
        let accounts: BTreeSet<&str> = accounts.map(|of| of.unwrap_or(&self.account)).collect();
        accounts.len() > 1
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// The first setting out of range, with its range.
    pub fn check(&self) -> Result<(), String> {
        let account = &self.account;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("account is {account:?}, not 12 digits"));
        }
        if self.region.is_empty() || self.region.contains([':', ' ']) {
            return Err(format!("region is {:?}, not the name of a region", self.region));
        }
        if self.connections_max == 0 {
            return Err("connections_max is 0, below 1".to_owned());
        }
        for (name, value, min) in [
            ("request_bytes_max", self.request_bytes_max, 2 * BODY_BYTES_MAX),
            ("answer_bytes_max", self.answer_bytes_max, ANSWER_BYTES_MAX),
        ] {
            if value < min {
                return Err(format!("{name} is {value}, below {min}: one call must fit"));
            }
        }
        Ok(())
    }
}
