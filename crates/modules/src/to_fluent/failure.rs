//! Why messages did not arrive, in words that say what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::answer::NotExpected;
use super::endpoint::Endpoint;
use super::handshake::HandshakeError;
use super::tls::advice;

/// Messages did not arrive, or nothing shows that they did.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error(
        "{endpoint}: cannot connect: {source}; check that the receiver runs and that its address is right"
    )]
    Unreachable { endpoint: Endpoint, source: io::Error },
    /// There is a connection, but no TLS.
    #[error("{endpoint}: no TLS: {source}; {}", advice(source))]
    Tls { endpoint: Endpoint, source: io::Error },
    /// There is a connection, but no trust.
    #[error("{endpoint} was not let in: {what}")]
    Handshake { endpoint: Endpoint, what: HandshakeError },
    /// There was a connection, but it broke.
    #[error("{endpoint}: the connection broke before all was acknowledged: {source}")]
    Lost { endpoint: Endpoint, source: io::Error },
    /// The receiver is silent.
    #[error(
        "{endpoint} acknowledged nothing for {} s; check that it supports acknowledgements, or raise `ack_seconds`",
        patience.as_secs()
    )]
    Silent { endpoint: Endpoint, patience: Duration },
    /// The receiver reads nothing, or too little.
    #[error(
        "{endpoint} took too little for {} s; check what holds it up, or raise `ack_seconds`",
        patience.as_secs()
    )]
    Slow { endpoint: Endpoint, patience: Duration },
    /// The receiver wants more than messages.
    #[error("{endpoint} says something that is no acknowledgement: {what}")]
    NotAnAck { endpoint: Endpoint, what: NotExpected },
}

impl SendError {
    /// Whether somebody listened, so that the message itself may have been too much.
    pub(super) fn is_of_a_receiver_that_is_there(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Silent { .. } | Self::Slow { .. })
    }
}

/// What went wrong at one server after the other.
#[derive(Debug)]
pub(super) struct Failures(Vec<SendError>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Of several of one server only the last is told.
    pub(super) fn push(&mut self, error: SendError) {
        let endpoint = error.endpoint();
        self.0.retain(|other| other.endpoint() != endpoint);
        self.0.push(error);
    }

    /// The newest one.
    pub(super) fn last(&self) -> Option<&SendError> {
        self.0.last()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl SendError {
    fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Unreachable { endpoint, .. }
            | Self::Tls { endpoint, .. }
            | Self::Handshake { endpoint, .. }
            | Self::Lost { endpoint, .. }
            | Self::Silent { endpoint, .. }
            | Self::Slow { endpoint, .. }
            | Self::NotAnAck { endpoint, .. } => endpoint,
        }
    }
}
