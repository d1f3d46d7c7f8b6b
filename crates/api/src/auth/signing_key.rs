//! Signing keys: derived from a secret for one day, one region and this service, and what they
//! make of a canonical request.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt;

use baikonur_stream::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{ALGORITHM, SERVICE, TERMINATOR, amz_date};

/// The key of one secret, day and region, ready to sign.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// What a signature is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) at: Timestamp,
    pub(crate) region: &'a str,
    /// Of the canonical request.
    pub(crate) hash: [u8; 32],
}

impl SigningKey {
    /// The key for a day (`20260101`) and a region.
    pub(crate) fn derive(secret: &str, day: &str, region: &str) -> Self {
        Self::of(secret, [day, region, SERVICE, TERMINATOR])
    }

    fn of(secret: &str, scope: [&str; 4]) -> Self {
        let first = keyed(format!("AWS4{secret}").as_bytes());
        let step = |key: Hmac<Sha256>, part: &str| {
            keyed(&key.chain_update(part.as_bytes()).finalize().into_bytes())
        };
        Self(scope.into_iter().fold(first, step))
    }

    /// The signature of `signed`.
    pub(crate) fn sign(&self, signed: Signed<'_>) -> [u8; 32] {
        self.over(signed).finalize().into_bytes().into()
    }

    /// Whether `signature` is that of `signed`. It takes the same time wherever they differ.
    pub(crate) fn verify(&self, signed: Signed<'_>, signature: &[u8; 32]) -> bool {
        self.over(signed).verify_slice(signature).is_ok()
    }

    fn over(&self, signed: Signed<'_>) -> Hmac<Sha256> {
        let date = amz_date::format(signed.at);
        let (day, region, hash) = (&date[..8], signed.region, hex(&signed.hash));
        let text = format!("{ALGORITHM}\n{date}\n{day}/{region}/{SERVICE}/{TERMINATOR}\n{hash}");
        self.0.clone().chain_update(text.as_bytes())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("below 16");
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A hash from its lower-case hexadecimal digits.
pub(crate) fn parse_hex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    let mut hash = [0; 32];
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_derived_as_the_documentation_does() {
        // The example of "Deriving the signing key" in the AWS General Reference.
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let key = SigningKey::of(secret, ["20150830", "us-east-1", "iam", "aws4_request"]);
        let documented = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        let same = keyed(&parse_hex(documented.as_bytes()).unwrap());
        let sign = |key: Hmac<Sha256>| key.chain_update(b"x").finalize().into_bytes();
        assert_eq!(sign(key.0), sign(same));
    }

    #[test]
    fn a_signature_is_good_for_what_was_signed_alone() {
        let key = SigningKey::derive("secret", "20260101", "us-east-1");
        let at = Timestamp::from_seconds(1_767_225_600);
        let signed = Signed { at, region: "us-east-1", hash: sha256(b"a") };
        let signature = key.sign(signed);
        assert!(key.verify(signed, &signature));
        assert!(!key.verify(Signed { hash: sha256(b"b"), ..signed }, &signature));
        assert!(
            !key.verify(
                Signed { at: Timestamp::from_seconds(1_767_225_601), ..signed },
                &signature
            )
        );
        let other = SigningKey::derive("secret", "20260102", "us-east-1");
        assert!(!other.verify(signed, &signature));
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let hash = sha256(b"");
        let text = hex(&hash);
        assert_eq!(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(parse_hex(text.as_bytes()), Some(hash));
        for wrong in
            ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &format!("{text}00")]
        {
            assert_eq!(parse_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
