//! TLS: the certificate that is shown, from files that may be renewed while the server runs.

mod generated;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ServerConfig};

/// The names of the protocols (IANA, TLS ALPN protocol IDs), in the order of preference.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Where the certificate of a server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// From files of the owner, in PEM.
    Files {
        /// The server's certificate first, then those that lead to its authority.
        certificate: PathBuf,
        /// The private key of the first: PKCS #8, PKCS #1 or SEC 1.
        key: PathBuf,
    },
    /// Made at the first start, for `localhost`, `127.0.0.1` and `::1`, and kept for the next.
    Generated {
        /// The folder where it is kept; made if it is missing.
        directory: PathBuf,
        /// One more name or address that clients know the server by.
        host: Option<String>,
    },
}

impl Tls {
    /// Says what is wrong, if anything is. No file is opened.
    ///
    /// # Errors
    /// A host that is neither a name in the DNS nor an address.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Generated { host: Some(host), .. } if ServerName::try_from(&**host).is_err() => {
                Err(format!("host is {host:?}, neither a name nor an address"))
            }
            _ => Ok(()),
        }
    }
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM with what is looked for.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// A certificate that cannot be used, or a key that is not its own.
    #[error("{} and {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// No certificate can be made for the host asked for.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// What was made cannot be kept.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// A certificate with its key, read anew when its files change.
#[derive(Debug)]
pub struct Certificates {
    pair: Pair,
    authority: Option<PathBuf>,
    shown: Mutex<Shown>,
}

/// What is shown now, and the files that it was read from.
struct Shown {
    stamps: [Stamp; 2],
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest is a secret.
        f.debug_struct("Shown").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

/// By what a change of a file is noticed; none when it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// The files of a certificate and its key.
#[derive(Debug, Clone)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Reads the certificate; makes it first if it is a generated one that is missing, broken, or
    /// not for the host asked for. A generated one lies in a folder that nobody else may use.
    ///
    /// # Errors
    /// That it cannot be read, used, made or written.
    pub fn open(tls: &Tls) -> Result<Self, TlsError> {
        let (pair, authority) = match tls {
            Tls::Files { certificate, key } => {
                (Pair { certificate: certificate.clone(), key: key.clone() }, None)
            }
            Tls::Generated { directory, host } => {
                let (pair, authority) = generated::provide(directory, host.as_deref())?;
                (pair, Some(authority))
            }
        };
        // Before they are read: what changes meanwhile is read again.
        let stamps = pair.stamps();
        let acceptor = pair.acceptor()?;
        Ok(Self { pair, authority, shown: Mutex::new(Shown { stamps, acceptor }) })
    }

    /// The certificate that clients must trust, of a generated one.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Takes handshakes with the certificate as it is in its files now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        // Two calls of the system that wait for nothing, beside a handshake.
        let stamps = self.pair.stamps();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.stamps != stamps {
            // Half a renewal fails, too: the other half changes the stamps again.
            shown.stamps = stamps;
            let certificate = self.pair.certificate.display();
            match self.pair.acceptor() {
                Ok(acceptor) => {
                    tracing::info!(%certificate, "the certificate was renewed");
                    shown.acceptor = acceptor;
                }
                Err(error) => {
                    tracing::warn!(%error, %certificate, "the certificate changed and cannot be used; the one before is shown");
                }
            }
        }
        shown.acceptor.clone()
    }
}

impl Pair {
    fn stamps(&self) -> [Stamp; 2] {
        [&self.certificate, &self.key].map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = &self.certificate;
        let wrap = |source| TlsError::Read { path: path.clone(), source };
        let found = CertificateDer::pem_file_iter(path).map_err(wrap)?;
        let found = found.collect::<Result<Vec<_>, _>>().map_err(wrap)?;
        if found.is_empty() { Err(wrap(pem::Error::NoItemsFound)) } else { Ok(found) }
    }

    fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let chain = self.certificates()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| TlsError::Read { path: self.key.clone(), source })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|source| {
            let Self { certificate, key } = self.clone();
            TlsError::Unusable { certificate, key, source }
        })?;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(directory: &Path, host: Option<&str>) -> Certificates {
        let (directory, host) = (directory.to_owned(), host.map(str::to_owned));
        Certificates::open(&Tls::Generated { directory, host }).unwrap()
    }

    /// The first certificate that is shown now.
    fn shown(certificates: &Certificates) -> TlsAcceptor {
        certificates.acceptor()
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let check = |host: &str| {
            Tls::Generated { directory: "x".into(), host: Some(host.to_owned()) }.check()
        };
        for host in ["logs.example.com", "10.0.0.1", "fe80::1", "logs"] {
            check(host).unwrap();
        }
        for host in ["", "http://logs", "logs:443", "a b"] {
            assert!(check(host).unwrap_err().starts_with("host is "), "{host}");
        }
    }

    #[test]
    fn files_that_changed_are_read_again_and_the_last_good_pair_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        generated(&old, None);
        generated(&new, Some("logs.example.com"));
        let files = |name: &str| [old.join(name), new.join(name)];
        let [certificate, new_certificate] = files("certificate.pem");
        let [key, new_key] = files("key.pem");
        let certificates =
            Certificates::open(&Tls::Files { certificate: certificate.clone(), key: key.clone() })
                .unwrap();
        assert_eq!(certificates.authority(), None);
        let is_same =
            |one: &TlsAcceptor, other: &TlsAcceptor| Arc::ptr_eq(one.config(), other.config());
        let first = shown(&certificates);
        assert!(is_same(&first, &shown(&certificates)));
        // The certificate alone does not fit the old key.
        std::fs::copy(&new_certificate, &certificate).unwrap();
        assert!(is_same(&first, &shown(&certificates)));
        std::fs::remove_file(&key).unwrap();
        assert!(is_same(&first, &shown(&certificates)));
        std::fs::copy(&new_key, &key).unwrap();
        let second = shown(&certificates);
        assert!(!is_same(&first, &second) && is_same(&second, &shown(&certificates)));
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        generated(&one, None);
        generated(&other, None);
        let told = |certificate: PathBuf, key: PathBuf| {
            Certificates::open(&Tls::Files { certificate, key }).unwrap_err().to_string()
        };
        let (certificate, key) = (one.join("certificate.pem"), one.join("key.pem"));
        let missing = told(folder.path().join("missing"), key.clone());
        assert!(missing.contains("missing: "), "{missing}");
        assert!(told(key.clone(), key.clone()).contains("cannot read"), "no certificate in it");
        assert!(told(certificate.clone(), certificate.clone()).contains("cannot read"), "no key");
        assert!(told(certificate, other.join("key.pem")).contains("cannot be used"));
    }
}
