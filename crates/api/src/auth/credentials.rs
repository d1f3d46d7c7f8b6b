//! The credentials that callers may have: access key ids with their secrets, and whose they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// One access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    account: Option<String>,
}

/// What is wrong with a credential. The words begin with the key that is meant, and hold no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialFault {
    /// Other characters would be ambiguous in a credential scope.
    #[error("access_key_id must be 1 to 128 letters, digits, '-', '_' or '.'")]
    AccessKeyId,
    /// Everybody can sign with an empty secret.
    #[error("secret_access_key must not be empty or contain blanks")]
    SecretAccessKey,
    /// It could not be sent.
    #[error("session_token must not be empty or contain blanks")]
    SessionToken,
    /// Accounts are as in ARNs.
    #[error("account must be 12 digits")]
    Account,
    /// Two credentials would be meant.
    #[error("access_key_id is that of another credential with another secret, token or account")]
    Taken,
}

/// Never shown.
#[derive(Clone, PartialEq, Eq)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Secret {
    fn new(text: String) -> Option<Self> {
        let legal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        legal.then_some(Self(text))
    }
}

/// The longest access key id, by `AccessKey` of the IAM API.
const ACCESS_KEY_ID_MAX: usize = 128;

impl Credential {
    /// An access key. Without an account (12 digits) it is of the server's own; with a session token
    /// it is good only together with it.
    ///
    /// # Errors
    /// The first part that cannot be right.
    pub fn new(
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        account: Option<String>,
    ) -> Result<Self, CredentialFault> {
        let of_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let length = access_key_id.len();
        if length == 0 || length > ACCESS_KEY_ID_MAX || !access_key_id.bytes().all(of_id) {
            return Err(CredentialFault::AccessKeyId);
        }
        let is_account =
            |account: &String| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !account.as_ref().is_none_or(is_account) {
            return Err(CredentialFault::Account);
        }
        let secret_access_key =
            Secret::new(secret_access_key).ok_or(CredentialFault::SecretAccessKey)?;
        let session_token = session_token
            .map(|token| Secret::new(token).ok_or(CredentialFault::SessionToken))
            .transpose()?;
        Ok(Self { access_key_id, secret_access_key, session_token, account })
    }

    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(crate) fn secret_access_key(&self) -> &str {
        &self.secret_access_key.0
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| &*token.0)
    }

    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether a request with this session token, or none, may be of this credential. It takes the
    /// same time wherever tokens differ.
    pub(crate) fn has_token(&self, token: Option<&str>) -> bool {
        match (self.session_token(), token) {
            (Some(own), Some(token)) => own.as_bytes().ct_eq(token.as_bytes()).into(),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Credentials by access key id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Arc<Credential>>);

impl Credentials {
    /// Adds one; the same one may be added again.
    ///
    /// # Errors
    /// There is another of the same access key id.
    pub fn add(&mut self, credential: Credential) -> Result<(), CredentialFault> {
        match self.0.get(&credential.access_key_id) {
            Some(known) if **known != credential => Err(CredentialFault::Taken),
            Some(_) => Ok(()),
            None => {
                self.0.insert(credential.access_key_id.clone(), Arc::new(credential));
                Ok(())
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, so that nobody is let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The account of each; none for the server's own.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.values().map(|credential| credential.account())
    }

    pub(crate) fn get(&self, access_key_id: &str) -> Option<&Arc<Credential>> {
        self.0.get(access_key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(parts: [&str; 4]) -> Result<Credential, CredentialFault> {
        let [id, secret, token, account] = parts.map(str::to_owned);
        let given = |text: String| (text != "-").then_some(text);
        Credential::new(id, secret, given(token), given(account))
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        assert!(credential(["AKID", "s/+=", "t", "123456789012"]).is_ok());
        let long = "a".repeat(129);
        for (parts, fault) in [
            (["", "s", "-", "-"], CredentialFault::AccessKeyId),
            (["a/b", "s", "-", "-"], CredentialFault::AccessKeyId),
            ([&long, "s", "-", "-"], CredentialFault::AccessKeyId),
            (["a", "", "-", "-"], CredentialFault::SecretAccessKey),
            (["a", "s ", "-", "-"], CredentialFault::SecretAccessKey),
            (["a", "s", "", "-"], CredentialFault::SessionToken),
            (["a", "s", "-", "12"], CredentialFault::Account),
        ] {
            assert_eq!(credential(parts), Err(fault), "{parts:?}");
        }
    }

    #[test]
    fn one_access_key_id_is_one_credential() {
        let mut credentials = Credentials::default();
        assert!(credentials.is_empty());
        let one = credential(["a", "one", "-", "-"]).unwrap();
        assert_eq!(credentials.add(one.clone()), Ok(()));
        assert_eq!(credentials.add(one), Ok(()));
        let other = credential(["a", "two", "-", "-"]).unwrap();
        assert_eq!(credentials.add(other), Err(CredentialFault::Taken));
        assert_eq!(credentials.len(), 1);
        assert_eq!(credentials.get("a").unwrap().secret_access_key(), "one");
    }

    #[test]
    fn secrets_are_not_shown_and_tokens_must_be_equal() {
        let with = credential(["a", "hidden1", "hidden2", "-"]).unwrap();
        assert!(!format!("{with:?}").contains("hidden"), "{with:?}");
        assert!(with.has_token(Some("hidden2")));
        assert!(!with.has_token(Some("hidden")) && !with.has_token(None));
        let without = credential(["a", "s", "-", "-"]).unwrap();
        assert!(without.has_token(None) && !without.has_token(Some("t")));
    }
}
