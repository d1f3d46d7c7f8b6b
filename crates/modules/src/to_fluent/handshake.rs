//! The handshake of receivers with a shared key: HELO, PING, PONG, as version 1 of the Forward
//! protocol has it. Each side shows that it knows the key, and neither says it.

use std::io;

use rmp::encode;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::answer::{Helo, NotExpected, Parsed, Pong, parse_helo, parse_pong};
use super::connect::Wire;
use super::settings::Credentials;

/// Bytes of a HELO or a PONG at most: those of Fluentd and Fluent Bit have less than 500.
const ANSWER_BYTES_MAX: usize = 8192;
const SALT_BYTES: usize = 16;
/// Characters of a foreign reason that are shown.
const REASON_CHARACTERS_MAX: usize = 200;

/// Why there is no trust.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(
        "no greeting came: it has no shared key; set one up there, or leave `shared_key` out here"
    )]
    NoHelo,
    #[error("it did not answer in time")]
    Silent,
    #[error(
        "it closed the connection, as Fluent Bit does when the key differs; check `shared_key`"
    )]
    Closed,
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    NotExpected(NotExpected),
    #[error("it refuses: {0:?}; check `shared_key`, `username` and `password`")]
    Refused(String),
    #[error(
        "it does not prove that it knows the key: its `shared_key` is another one, or it is not the receiver that you mean"
    )]
    NotAuthenticated,
    #[error(
        "it calls itself {0:?} as this side does, so that its proof could be an echo; give this side another `self_hostname`"
    )]
    SameName(String),
    #[error("this machine has no random numbers: {0}")]
    Random(String),
}

/// A talk with a receiver that has just been connected to.
pub(super) struct Handshake<'h> {
    pub(super) wire: &'h mut dyn Wire,
    /// What came from the receiver and was not read yet.
    pub(super) received: &'h mut Vec<u8>,
    pub(super) credentials: &'h Credentials,
}

impl Handshake<'_> {
    /// Waits for the greeting.
    pub(super) async fn greeting(&mut self) -> Result<Helo, HandshakeError> {
        self.answer(parse_helo).await
    }

    /// Answers a greeting; returns once each side trusts the other.
    pub(super) async fn prove(&mut self, helo: &Helo) -> Result<(), HandshakeError> {
        let salt = salt()?;
        let ping = ping(self.credentials, helo, &salt);
        self.wire.write_all(&ping).await.map_err(HandshakeError::Io)?;
        self.wire.flush().await.map_err(HandshakeError::Io)?;
        let pong = self.answer(parse_pong).await?;
        check_pong(self.credentials, helo, &salt, &pong)
    }

    async fn answer<T>(&mut self, parse: fn(&[u8]) -> Parsed<T>) -> Result<T, HandshakeError> {
        loop {
            if let Some((answer, length)) =
                parse(self.received).map_err(HandshakeError::NotExpected)?
            {
                self.received.drain(..length);
                return Ok(answer);
            }
            if self.received.len() > ANSWER_BYTES_MAX {
                return Err(HandshakeError::NotExpected(NotExpected::TooLong));
            }
            match self.wire.read_buf(self.received).await {
                Ok(0) => return Err(HandshakeError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(HandshakeError::Closed);
                }
                Err(error) => return Err(HandshakeError::Io(error)),
            }
        }
    }
}

/// Sixteen random bytes, spelled in hexadecimal: Fluent Bit takes a salt as text only.
fn salt() -> Result<String, HandshakeError> {
    let mut salt = [0; SALT_BYTES];
    let random = aws_lc_rs::default_provider().secure_random;
    random.fill(&mut salt).map_err(|error| HandshakeError::Random(format!("{error:?}")))?;
    Ok(hexadecimal(&salt))
}

/// `["PING", self_hostname, salt, digest, username, password digest]`
fn ping(credentials: &Credentials, helo: &Helo, salt: &str) -> Vec<u8> {
    let Credentials { shared_key, user, self_hostname } = credentials;
    let key = shared_key.reveal().as_bytes();
    let digest = digest(&[salt.as_bytes(), self_hostname.as_bytes(), &helo.nonce, key]);
    // Who asks for no user is told of none.
    let (username, password) = match user {
        Some((name, password)) if !helo.auth.is_empty() => {
            let password = password.reveal().as_bytes();
            (name.as_str(), self::digest(&[&helo.auth, name.as_bytes(), password]))
        }
        _ => ("", String::new()),
    };
    let mut ping = Vec::new();
    let wrote = encode::write_array_len(&mut ping, 6).and_then(|_| {
        ["PING", self_hostname, salt, &digest, username, &password]
            .into_iter()
            .try_for_each(|text| encode::write_str(&mut ping, text))
    });
    wrote.expect("a Vec takes all that is written");
    ping
}

fn check_pong(
    credentials: &Credentials,
    helo: &Helo,
    salt: &str,
    pong: &Pong,
) -> Result<(), HandshakeError> {
    if !pong.accepted {
        let reason = pong.reason.chars().take(REASON_CHARACTERS_MAX).collect();
        return Err(HandshakeError::Refused(reason));
    }
    // Under this side's name the right digest is the one that it has just sent.
    if pong.hostname == credentials.self_hostname.as_bytes() {
        return Err(HandshakeError::SameName(credentials.self_hostname.clone()));
    }
    let key = credentials.shared_key.reveal().as_bytes();
    let expected = digest(&[salt.as_bytes(), &pong.hostname, &helo.nonce, key]);
    if bool::from(expected.as_bytes().ct_eq(&pong.digest)) {
        Ok(())
    } else {
        Err(HandshakeError::NotAuthenticated)
    }
}

/// SHA-512 over the parts, in hexadecimal.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let hash: [u8; 64] = hash.finalize().into();
    hexadecimal(&hash)
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|half| char::from(DIGITS[usize::from(half)]));
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn credentials() -> Credentials {
        Credentials {
            shared_key: Secret::new("key"),
            user: Some(("me".to_owned(), Secret::new("pass"))),
            self_hostname: "client".to_owned(),
        }
    }

    fn helo(auth: &[u8]) -> Helo {
        Helo { nonce: b"nonce".to_vec(), auth: auth.to_vec(), keepalive: true }
    }

    fn pong(hostname: &str, key: &str) -> Pong {
        Pong {
            accepted: true,
            reason: String::new(),
            hostname: hostname.into(),
            digest: digest(&[b"salt", hostname.as_bytes(), b"nonce", key.as_bytes()]).into(),
        }
    }

    #[test]
    fn digests_are_sha512_in_hexadecimal() {
        // FIPS 180-4, the example of one block.
        assert_eq!(
            digest(&[b"a", b"", b"bc"]),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }

    #[test]
    fn a_user_is_named_only_to_who_asks() {
        let has = |ping: &[u8], text: &[u8]| ping.windows(text.len()).any(|part| part == text);
        let asked = ping(&credentials(), &helo(b"salt2"), "salt");
        assert!(has(&asked, b"\xa2me"));
        assert!(has(&asked, digest(&[b"salt2", b"me", b"pass"]).as_bytes()));
        let not_asked = ping(&credentials(), &helo(b""), "salt");
        assert!(!has(&not_asked, b"me") && not_asked.ends_with(b"\xa0\xa0"));
        for ping in [asked, not_asked] {
            assert!(has(&ping, digest(&[b"salt", b"client", b"nonce", b"key"]).as_bytes()));
            assert!(!has(&ping, b"pass") && !has(&ping, b"\xa3key"));
            assert!(ping.len() < 1023, "what Fluent Bit reads");
        }
    }

    #[test]
    fn salts_differ() {
        let salts = [salt().unwrap(), salt().unwrap()];
        assert!(salts[0] != salts[1] && salts[0].len() == 32);
    }

    #[test]
    fn only_who_knows_the_key_under_another_name_is_trusted() {
        let check = |pong: &Pong| check_pong(&credentials(), &helo(b""), "salt", pong);
        assert!(check(&pong("server", "key")).is_ok());
        for hostname in ["server", ""] {
            let error = check(&pong(hostname, "other")).unwrap_err();
            assert!(matches!(error, HandshakeError::NotAuthenticated), "{error}");
        }
        let mut short = pong("server", "key");
        short.digest.truncate(127);
        assert!(matches!(check(&short), Err(HandshakeError::NotAuthenticated)));
        // An echo of what this side sent.
        assert!(matches!(check(&pong("client", "key")), Err(HandshakeError::SameName(_))));
    }

    #[test]
    fn a_refusal_is_shown_but_not_its_whole_length() {
        let reason = format!("no\n{}", "x".repeat(10_000));
        let refusal = Pong { accepted: false, reason, ..pong("server", "key") };
        let error = check_pong(&credentials(), &helo(b""), "salt", &refusal).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with("it refuses: \"no\\nxxx") && shown.len() < 300, "{shown}");
    }
}
