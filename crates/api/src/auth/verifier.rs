//! Whether a request was signed with a secret that is known here.
//!
//! What costs nothing is checked first. Then the body is hashed, once and where it lies, and with
//! the signing key at hand all that is left is the hash of the canonical request and one HMAC.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use baikonur_stream::Timestamp;
use hyper::http::request::Parts;

use super::authenticator::Caller;
use super::canonical::{self, Head};
use super::claim::{Claim, Form, SIGNATURE_PARAMETER};
use super::credentials::{Credential, Credentials};
use super::refusal;
use super::signing_key::{Signed, SigningKey, hex, sha256};
use crate::wire::error::ApiError;

/// How far the clocks of client and server may be apart:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// The header in which a client says what the payload's hash is.
const CONTENT_HASH: &str = "x-amz-content-sha256";
/// Says that it is not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Verifies signatures by some credentials.
#[derive(Debug)]
pub(crate) struct Verifier {
    credentials: Credentials,
    /// Of credentials that name none.
    account: String,
    keys: SigningKeys,
}

impl Verifier {
    pub(crate) fn new(credentials: Credentials, account: String) -> Self {
        Self { credentials, account, keys: SigningKeys::default() }
    }

    /// Who signed `head` and `body`. `secure`: the connection is encrypted.
    pub(crate) fn verify(
        &self,
        head: &Parts,
        body: &[u8],
        now: Timestamp,
        secure: bool,
    ) -> Result<Arc<Caller>, ApiError> {
        let claim = Claim::read(&head.headers, head.uri.query())?;
        let scope = claim.scope()?;
        check_time(&claim, now)?;
        let credential =
            self.credentials.get(scope.access_key_id).ok_or_else(refusal::unknown_token)?;
        if !credential.has_token(claim.token.as_deref()) {
            return Err(refusal::unknown_token());
        }
        let signature = claim.signature.ok_or_else(refusal::mismatch)?;
        let payload_hash = payload_hash(head, body, secure)?;
        let unsigned_parameter = match claim.form {
            Form::Header => None,
            Form::Query(_) => Some(SIGNATURE_PARAMETER),
        };
        let canonical = Head {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            authority: head.uri.authority().map(|authority| authority.as_str()),
            headers: &head.headers,
        };
        let hash =
            canonical::hash(canonical, &claim.signed_headers, unsigned_parameter, &payload_hash)
                .map_err(|_| refusal::mismatch())?;
        let signed = Signed { at: claim.at, region: scope.region, hash };
        let known = self.keys.get(&claim.credential);
        let fresh = known.is_none();
        let (key, caller) = known.unwrap_or_else(|| self.derived(credential, &claim, scope.region));
        if !key.verify(signed, &signature) {
            return Err(refusal::mismatch());
        }
        if fresh {
            self.keys.keep(&claim.credential, key, &caller);
        }
        Ok(caller)
    }

    fn derived(
        &self,
        credential: &Credential,
        claim: &Claim<'_>,
        region: &str,
    ) -> (SigningKey, Arc<Caller>) {
        let date = super::amz_date::format(claim.at);
        let key = SigningKey::derive(credential.secret_access_key(), &date[..8], region);
        let caller = Caller {
            account: credential.account().unwrap_or(&self.account).to_owned(),
            region: region.to_owned(),
            access_key_id: Some(credential.access_key_id().to_owned()),
        };
        (key, Arc::new(caller))
    }
}

fn check_time(claim: &Claim<'_>, now: Timestamp) -> Result<(), ApiError> {
    let age = match claim.form {
        Form::Query(Some(expires)) => expires,
        Form::Query(None) | Form::Header => CLOCK_SKEW_MAX,
    };
    if now.since(claim.at) > age {
        return Err(refusal::expired(claim.at, now, age));
    }
    if claim.at.since(now) > CLOCK_SKEW_MAX {
        return Err(refusal::not_yet_current(claim.at, now, CLOCK_SKEW_MAX));
    }
    Ok(())
}

/// The hash of the payload as it was signed.
fn payload_hash(head: &Parts, body: &[u8], secure: bool) -> Result<Cow<'static, str>, ApiError> {
    let said = head.headers.get(CONTENT_HASH).map(|value| value.as_bytes());
    if said == Some(UNSIGNED_PAYLOAD.as_bytes()) {
        return if secure { Ok(UNSIGNED_PAYLOAD.into()) } else { Err(refusal::unsigned_payload()) };
    }
    let hash = hex(&sha256(body));
    match said {
        Some(said) if said != hash.as_bytes() => Err(refusal::mismatch()),
        _ => Ok(hash.into()),
    }
}

/// Signing keys in use, by the credential of requests: access key, day and region.
///
/// Only what verified a signature is kept, so that nobody without a secret can fill it.
#[derive(Debug, Default)]
struct SigningKeys(RwLock<HashMap<String, (SigningKey, Arc<Caller>)>>);

/// Some days, regions and keys at once; a key that is forgotten is derived again.
const SIGNING_KEYS_MAX: usize = 1024;

impl SigningKeys {
    fn get(&self, credential: &str) -> Option<(SigningKey, Arc<Caller>)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(credential).cloned()
    }

    fn keep(&self, credential: &str, key: SigningKey, caller: &Arc<Caller>) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= SIGNING_KEYS_MAX {
            // Mostly of days that are over: those in use are back with their next request.
            keys.clear();
        }
        keys.insert(credential.to_owned(), (key, Arc::clone(caller)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_up_to_a_bound() {
        let keys = SigningKeys::default();
        let key = SigningKey::derive("s", "20260101", "r");
        let caller = Arc::new(Caller {
            account: "000000000000".into(),
            region: "r".into(),
            access_key_id: None,
        });
        for number in 0..=SIGNING_KEYS_MAX {
            keys.keep(&number.to_string(), key.clone(), &caller);
            assert!(keys.get(&number.to_string()).is_some());
            assert!(keys.0.read().unwrap().len() <= SIGNING_KEYS_MAX);
        }
        assert!(keys.get("0").is_none());
    }
}
