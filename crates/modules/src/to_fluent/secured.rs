//! TLS and the handshake, against receivers that keep to the protocol and receivers that do not.

use std::path::PathBuf;
use std::sync::Arc;

use baikonur_stream::{Delivery, Outcome};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rmp::decode::{read_array_len, read_str_from_slice};
use rmp::encode::{write_array_len, write_bin, write_bool, write_map_len, write_str};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::Settings;
use super::doubles::{ReceiverDouble, Ways, settings};
use super::faults::{batch, deliverer, line};
use super::handshake::digest;
use crate::secret::Secret;

const NONCE: &[u8] = b"\xff\x00nonce";
const AUTH_SALT: &[u8] = b"salt\x80";

/// How a receiver greets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Greeting {
    /// As the protocol has it, with the key `key` and the user `me` with the password `pass`.
    Honest { keepalive: bool },
    /// Takes whatever it is shown, and proves another key.
    Impostor,
    /// Sends back the proof that it got.
    Echo,
    /// Never ends its greeting.
    Endless,
    /// Closes the connection when it has heard the proof.
    Closes,
    /// Takes the proof and says nothing.
    FallsSilent,
}

impl Greeting {
    /// Greets; gives whether the connection is kept, and nothing when it is closed.
    pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        buffer: &mut Vec<u8>,
    ) -> Option<bool> {
        if matches!(self, Self::Endless) {
            let endless =
                [b"\x92\xa4HELO\x81\xa1x\xdb\x7f\xff\xff\xff", &[b'x'; 50_000][..]].concat();
            while stream.write_all(&endless).await.is_ok() {}
            return None;
        }
        let keepalive = !matches!(self, Self::Honest { keepalive: false });
        stream.write_all(&helo(keepalive)).await.ok()?;
        let ping = loop {
            if let Some(ping) = ping(buffer) {
                break ping;
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        };
        let [name, salt, proof, user, password] = ping;
        let proof_of = |name: &str, key: &str| {
            digest(&[salt.as_bytes(), name.as_bytes(), NONCE, key.as_bytes()])
        };
        let (accepted, reason, hostname, shown) = match self {
            Self::Honest { .. } if proof != proof_of(&name, "key") => {
                (false, "shared key mismatch", "", String::new())
            }
            Self::Honest { .. }
                if user != "me" || password != digest(&[AUTH_SALT, b"me", b"pass"]) =>
            {
                (false, "username/password mismatch", "", String::new())
            }
            Self::Honest { .. } => (true, "", "server", proof_of("server", "key")),
            Self::Impostor => (true, "", "server", proof_of("server", "another")),
            Self::Echo => (true, "", &*name, proof),
            Self::Closes | Self::Endless => return None,
            Self::FallsSilent => std::future::pending().await,
        };
        let mut pong = Vec::new();
        write_array_len(&mut pong, 5).unwrap();
        write_str(&mut pong, "PONG").unwrap();
        write_bool(&mut pong, accepted).unwrap();
        for text in [reason, hostname, &shown] {
            write_str(&mut pong, text).unwrap();
        }
        stream.write_all(&pong).await.ok()?;
        stream.flush().await.ok()?;
        accepted.then_some(keepalive)
    }
}

fn helo(keepalive: bool) -> Vec<u8> {
    let mut helo = Vec::new();
    write_array_len(&mut helo, 2).unwrap();
    write_str(&mut helo, "HELO").unwrap();
    write_map_len(&mut helo, 3).unwrap();
    write_str(&mut helo, "nonce").unwrap();
    write_bin(&mut helo, NONCE).unwrap();
    write_str(&mut helo, "auth").unwrap();
    write_bin(&mut helo, AUTH_SALT).unwrap();
    write_str(&mut helo, "keepalive").unwrap();
    write_bool(&mut helo, keepalive).unwrap();
    helo
}

/// Name, salt, proof, user and password of a PING; none when it is not whole.
fn ping(buffer: &mut Vec<u8>) -> Option<[String; 5]> {
    let mut rest = buffer.as_slice();
    assert_eq!(read_array_len(&mut rest).ok()?, 6);
    let mut texts = Vec::new();
    for _ in 0..6 {
        let (text, after) = read_str_from_slice(rest).ok()?;
        texts.push(text.to_owned());
        rest = after;
    }
    assert_eq!(texts.remove(0), "PING");
    let left = rest.len();
    buffer.drain(..buffer.len() - left);
    texts.try_into().ok()
}

fn with_key(key: &str) -> Settings {
    Settings {
        shared_key: Some(Secret::new(key)),
        username: Some("me".to_owned()),
        password: Some(Secret::new("pass")),
        send_attempts: 1,
        ..settings()
    }
}

async fn deliver(receiver: &ReceiverDouble, settings: &Settings, types: &[&str]) -> Delivery {
    let settings = Settings { destination: receiver.url.clone(), ..settings.clone() };
    deliverer(settings).await.deliver(&batch(types)).await
}

/// Why nothing was delivered.
async fn refused(receiver: &ReceiverDouble, settings: &Settings) -> String {
    let delivery = deliver(receiver, settings, &["a"]).await;
    assert!(receiver.messages().is_empty(), "nothing is said to who is not trusted");
    match delivery.outcome {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

async fn greeting(greeting: Greeting) -> ReceiverDouble {
    let ways = Ways { greeting: Some(greeting), ..Ways::default() };
    ReceiverDouble::start_in(ways, &[]).await
}

#[tokio::test]
async fn who_knows_the_key_and_the_password_delivers() {
    let receiver = greeting(Greeting::Honest { keepalive: true }).await;
    let types = ["a", "b", "a"];
    assert_eq!(deliver(&receiver, &with_key("key"), &types).await, Delivery::delivered());
    assert_eq!(receiver.texts(), [vec![line("a"), line("a")], vec![line("b")]]);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_receiver_that_keeps_no_connection_gets_one_for_each_message() {
    let receiver = greeting(Greeting::Honest { keepalive: false }).await;
    let settings = Settings { destination: receiver.url.clone(), ..with_key("key") };
    let mut deliverer = deliverer(settings).await;
    for _ in 0..2 {
        assert_eq!(deliverer.deliver(&batch(&["a", "b"])).await, Delivery::delivered());
    }
    assert_eq!(receiver.texts(), [[line("a")], [line("b")], [line("a")], [line("b")]]);
    assert_eq!(receiver.connections(), 4);
}

#[tokio::test]
async fn a_wrong_key_or_password_is_told_in_the_receivers_words() {
    let receiver = greeting(Greeting::Honest { keepalive: true }).await;
    let reason = refused(&receiver, &with_key("wrong")).await;
    assert!(reason.contains("it refuses: \"shared key mismatch\""), "{reason}");
    let wrong = Settings { password: Some(Secret::new("no")), ..with_key("key") };
    let reason = refused(&receiver, &wrong).await;
    assert!(reason.contains("it refuses: \"username/password mismatch\""), "{reason}");
    for secret in ["wrong", "no\""] {
        assert!(!reason.contains(secret), "{reason}");
    }
}

#[tokio::test]
async fn a_receiver_that_proves_nothing_gets_nothing() {
    let hasty = Settings { connect_seconds: 1, ..with_key("key") };
    for (kind, words) in [
        (Greeting::Impostor, "does not prove that it knows the key"),
        (Greeting::Echo, "calls itself \"baikonur\" as this side does"),
        (Greeting::Endless, "says more than the protocol has"),
        (Greeting::Closes, "it closed the connection"),
        (Greeting::FallsSilent, "it did not answer in time"),
    ] {
        let receiver = greeting(kind).await;
        let reason = refused(&receiver, &hasty).await;
        assert!(reason.contains(words), "{kind:?}: {reason}");
    }
    let without_key = ReceiverDouble::start(&[]).await;
    let reason = refused(&without_key, &hasty).await;
    assert!(reason.contains("no greeting came"), "{reason}");
}

/// A certificate with its key, in a folder of its own.
struct Identity {
    certified: CertifiedKey<KeyPair>,
    folder: tempfile::TempDir,
}

impl Identity {
    fn new(name: &str) -> Self {
        let certified = generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.pem"), certified.cert.pem()).unwrap();
        let key = certified.signing_key.serialize_pem();
        std::fs::write(folder.path().join("k.pem"), key).unwrap();
        Self { certified, folder }
    }

    fn certificate_file(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("c.pem"))
    }

    fn key_file(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("k.pem"))
    }

    /// A server of this name, which wants to see the certificate of `client` if there is one.
    fn acceptor(&self, client: Option<&Self>) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match client {
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(client.certified.cert.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(self.certified.signing_key.serialize_der()).unwrap();
        let certificate = self.certified.cert.der().clone();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
    }

    async fn receiver(&self, client: Option<&Self>, greeting: Option<Greeting>) -> ReceiverDouble {
        let ways = Ways { tls: Some(self.acceptor(client)), greeting, ..Ways::default() };
        ReceiverDouble::start_in(ways, &[]).await
    }
}

#[tokio::test]
async fn a_receiver_whose_authority_is_known_gets_all_over_tls() {
    let server = Identity::new("127.0.0.1");
    let receiver = server.receiver(None, Some(Greeting::Honest { keepalive: true })).await;
    let settings = Settings { tls_ca_file: server.certificate_file(), ..with_key("key") };
    let types = ["a", "b", "a"];
    assert_eq!(deliver(&receiver, &settings, &types).await, Delivery::delivered());
    assert_eq!(receiver.texts(), [vec![line("a"), line("a")], vec![line("b")]]);
}

#[tokio::test]
async fn who_is_not_trusted_or_has_another_name_gets_nothing_and_the_setting_is_named() {
    let (server, other) = (Identity::new("other.test"), Identity::new("other.test"));
    let receiver = server.receiver(None, None).await;
    let trusting = |authority: &Identity, name: &str| Settings {
        tls_ca_file: authority.certificate_file(),
        tls_server_name: Some(name.to_owned()),
        ..settings()
    };
    let reason = refused(&receiver, &trusting(&other, "other.test")).await;
    assert!(reason.contains("no TLS"), "{reason}");
    let reason = refused(&receiver, &trusting(&server, "mine.test")).await;
    assert!(reason.contains("tls_server_name"), "{reason}");
    let settings = trusting(&server, "other.test");
    assert_eq!(deliver(&receiver, &settings, &["a"]).await, Delivery::delivered());
}

#[tokio::test]
async fn a_receiver_that_wants_a_certificate_gets_it() {
    let (server, client) = (Identity::new("127.0.0.1"), Identity::new("client"));
    let receiver = server.receiver(Some(&client), None).await;
    let without =
        Settings { tls_ca_file: server.certificate_file(), send_attempts: 1, ..settings() };
    let reason = refused(&receiver, &without).await;
    assert!(reason.contains("ertificateRequired"), "{reason}");
    let with = Settings {
        tls_client_certificate_file: client.certificate_file(),
        tls_client_key_file: client.key_file(),
        ..without
    };
    assert_eq!(deliver(&receiver, &with, &["a"]).await, Delivery::delivered());
}

#[tokio::test]
async fn no_connection_goes_on_with_the_session_of_another() {
    let server = Identity::new("127.0.0.1");
    let receiver = server.receiver(None, None).await;
    let settings = Settings {
        destination: receiver.url.clone(),
        tls_ca_file: server.certificate_file(),
        keep_alive_seconds: 0,
        ..settings()
    };
    let mut deliverer = deliverer(settings).await;
    for _ in 0..3 {
        assert_eq!(deliverer.deliver(&batch(&["a"])).await, Delivery::delivered());
    }
    assert_eq!((receiver.connections(), receiver.resumed()), (3, 0));
}

#[tokio::test]
async fn with_and_without_tls_do_not_understand_each_other_and_say_so() {
    let plain =
        ReceiverDouble::start(&[super::doubles::Reply::Say(b"\x15\x03\x03\0\x02\x02\x32")]).await;
    let delivery = deliver(&plain, &settings(), &["a"]).await;
    let Outcome::Failed { reason, .. } = delivery.outcome else { panic!("{delivery:?}") };
    assert!(reason.contains("fluents://"), "{reason}");

    let server = Identity::new("127.0.0.1");
    let greeting = greeting(Greeting::Honest { keepalive: true }).await;
    let url = greeting.url.replace("fluent:", "fluents:");
    let settings =
        Settings { destination: url, tls_ca_file: server.certificate_file(), ..settings() };
    let delivery = deliverer(settings).await.deliver(&batch(&["a"])).await;
    let Outcome::Failed { reason, .. } = delivery.outcome else { panic!("{delivery:?}") };
    assert!(reason.contains("does not speak TLS"), "{reason}");
}
