//! Who calls: AWS Signature Version 4, verified against credentials, or only looked at.
//!
//! A request passes `presence` (does it look signed at all), `claim` (what its header or query says
//! of the signature), then `verifier`: `canonical` puts what was signed into one text, and
//! `signing_key` says what the signature of that text must be. `signer` is the other side. What is
//! refused is refused in the words of `refusal`, which tell nothing of what was expected.

mod amz_date;
mod authenticator;
mod canonical;
mod claim;
mod credentials;
mod credentials_file;
mod presence;
mod refusal;
mod signer;
mod signing_key;
#[cfg(test)]
mod tests;
mod verifier;

pub use authenticator::{Authenticator, Caller};
pub use credentials::{Credential, CredentialFault, Credentials};
pub use credentials_file::CredentialsFileError;
pub use signer::{Post, Signer};

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service in credential scopes.
const SERVICE: &str = "kinesis";
/// The end of credential scopes.
const TERMINATOR: &str = "aws4_request";
