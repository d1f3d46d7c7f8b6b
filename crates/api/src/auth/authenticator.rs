//! The entry: a request in, its caller or a refusal out, in one of two modes.

use std::sync::Arc;

use baikonur_stream::Timestamp;
use bytes::Bytes;
use hyper::http::request::Parts;

use super::credentials::Credentials;
use super::presence::check_presence;
use super::verifier::Verifier;
use crate::wire::error::ApiError;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the credential: 12 digits.
    pub account: String,
    /// The region of the credential's scope.
    pub region: String,
    /// The access key id; none where signatures are not verified.
    pub access_key_id: Option<String>,
}

/// Says who sent a request.
#[derive(Debug)]
pub struct Authenticator(Mode);

#[derive(Debug)]
enum Mode {
    /// What looks signed is from the owner of the server.
    Unverified(Arc<Caller>),
    Verified(Verifier),
}

impl Authenticator {
    /// Takes every request that looks signed as one from this account and region.
    pub fn unverified(account: String, region: String) -> Self {
        Self(Mode::Unverified(Arc::new(Caller { account, region, access_key_id: None })))
    }

    /// Takes requests that are signed by one of `credentials`. Those that name no account are of
    /// `account`.
    pub fn verified(credentials: Credentials, account: String) -> Self {
        Self(Mode::Verified(Verifier::new(credentials, account)))
    }

    /// Who sent this request, by its signature. `secure`: the connection is encrypted.
    pub(crate) fn check(
        &self,
        head: &Parts,
        body: &[u8],
        now: Timestamp,
        secure: bool,
    ) -> Result<Arc<Caller>, ApiError> {
        check_presence(&head.headers, head.uri.query())?;
        match &self.0 {
            Mode::Unverified(caller) => Ok(Arc::clone(caller)),
            Mode::Verified(verifier) => verifier.verify(head, body, now, secure),
        }
    }

    /// The same without a server, for fuzzing: who sent this request, or the HTTP status and the body
    /// of the refusal.
    pub fn caller(
        &self,
        head: &Parts,
        body: &[u8],
        now: Timestamp,
        secure: bool,
    ) -> Result<Arc<Caller>, (u16, Bytes)> {
        self.check(head, body, now, secure).map_err(|refusal| {
            (refusal.code.status(), refusal.body(crate::wire::format::Format::Json).into())
        })
    }
}
