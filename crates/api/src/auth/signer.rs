//! Signing requests, for clients of the API.

use baikonur_stream::Timestamp;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

use super::canonical::{self, Head};
use super::credentials::Credential;
use super::signing_key::{Signed, SigningKey, hex, sha256};
use super::{ALGORITHM, SERVICE, TERMINATOR, amz_date};

/// Signs as one access key, for one region.
#[derive(Debug, Clone)]
pub struct Signer {
    credential: Credential,
    region: String,
}

/// Where a request goes; all requests of the API are POSTs.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// Host, and port unless it is the scheme's own.
    pub authority: &'a str,
    /// As sent, such as `/`.
    pub path: &'a str,
    /// As sent, without the question mark.
    pub query: Option<&'a str>,
}

impl Signer {
    /// Signs as `credential`, for `region`.
    pub fn new(credential: Credential, region: String) -> Self {
        Self { credential, region }
    }

    /// Signs a request sent at `now` with these headers, none of which may be repeated; adds `Host`,
    /// the date, the session token and the signature to them.
    ///
    /// # Errors
    /// The authority or the region has characters that no header can have.
    pub fn sign(
        &self,
        post: Post<'_>,
        headers: &mut HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), InvalidHeaderValue> {
        let date = amz_date::format(now);
        headers.insert(HOST, HeaderValue::from_str(post.authority)?);
        headers.insert(HeaderName::from_static("x-amz-date"), HeaderValue::from_str(&date)?);
        if let Some(token) = self.credential.session_token() {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-amz-security-token"), token);
        }
        headers.remove(AUTHORIZATION);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let names = names.join(";");
        let head =
            Head { method: "POST", path: post.path, query: post.query, authority: None, headers };
        let hash = canonical::hash(head, &names, None, &hex(&sha256(body)))
            .expect("the names are those of the headers");
        let (day, region) = (&date[..8], &*self.region);
        let key = SigningKey::derive(self.credential.secret_access_key(), day, region);
        let signature = hex(&key.sign(Signed { at: now, region, hash }));
        let id = self.credential.access_key_id();
        let authorization = format!(
            "{ALGORITHM} Credential={id}/{day}/{region}/{SERVICE}/{TERMINATOR}, \
             SignedHeaders={names}, Signature={signature}"
        );
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization)?);
        Ok(())
    }
}
