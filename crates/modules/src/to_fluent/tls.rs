//! TLS towards receivers: whom this side trusts, by which name, and the certificate that it shows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls_platform_verifier::BuilderVerifierExt;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
};
use tracing::warn;

use super::invalid::InvalidSettings;
use super::settings::Settings;

/// What connections over TLS have in common. The files are looked at again at each connection, so
/// that a renewed certificate needs no restart.
pub(super) struct Tls {
    files: Files,
    server_name: Option<ServerName<'static>>,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Files {
    authorities: Option<PathBuf>,
    /// Of this side: its certificate and its key.
    client: Option<(PathBuf, PathBuf)>,
}

struct Current {
    /// Of the contents of the files.
    fingerprint: [u8; 32],
    connector: TlsConnector,
}

impl Tls {
    /// As `settings` say. The files are read once, so that what is wrong with them shows at the start.
    pub(super) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        let client = settings.tls_client_certificate_file.clone();
        let files = Files {
            authorities: settings.tls_ca_file.clone(),
            client: client.zip(settings.tls_client_key_file.clone()),
        };
        let server_name = match &settings.tls_server_name {
            Some(name) => Some(server_name(name).ok_or(InvalidSettings::Mismatch {
                key: "tls_server_name",
                why: "is neither a name in the DNS nor an address",
            })?),
            None => None,
        };
        let current = Mutex::new(Current::of(&Contents::read(&files)?)?);
        Ok(Self { files, server_name, current })
    }

    /// The name that the certificate of a receiver at `host` has to have.
    pub(super) fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        self.server_name.clone().or_else(|| server_name(host))
    }

    /// What connects, by the files as they are now, or as they were while a renewal is not whole.
    /// Reads files: not for an async thread.
    pub(super) fn connector(&self) -> TlsConnector {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = Contents::read(&self.files).and_then(|contents| {
            let is_new = contents.fingerprint() != current.fingerprint;
            is_new.then(|| Current::of(&contents)).transpose()
        });
        match renewed {
            Ok(None) => {}
            Ok(Some(renewed)) => *current = renewed,
            Err(error) => warn!(%error, "TLS goes on with the files as they were"),
        }
        current.connector.clone()
    }
}

impl Current {
    fn of(contents: &Contents) -> Result<Self, InvalidSettings> {
        let connector = TlsConnector::from(Arc::new(contents.config()?));
        Ok(Self { fingerprint: contents.fingerprint(), connector })
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// The setting of each file, and what is in it.
struct Contents {
    authorities: Option<(&'static str, Vec<u8>)>,
    client: Option<[(&'static str, Vec<u8>); 2]>,
}

impl Contents {
    fn read(files: &Files) -> Result<Self, InvalidSettings> {
        let read = |key: &'static str, path: &Path| match std::fs::read(path) {
            Ok(content) => Ok((key, content)),
            Err(error) => {
                let why = format!("cannot read {}: {error}", path.display());
                Err(InvalidSettings::File { key, why })
            }
        };
        let authorities = files.authorities.as_deref().map(|path| read("tls_ca_file", path));
        let client = files.client.as_ref().map(|(certificate, key)| {
            Ok([
                read("tls_client_certificate_file", certificate)?,
                read("tls_client_key_file", key)?,
            ])
        });
        Ok(Self { authorities: authorities.transpose()?, client: client.transpose()? })
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (_, content) in self.authorities.iter().chain(self.client.iter().flatten()) {
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        hash.finalize().into()
    }

    fn config(&self) -> Result<ClientConfig, InvalidSettings> {
        let unusable = |key, error: rustls::Error| InvalidSettings::File {
            key,
            why: format!("cannot be used: {error}"),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("tls_ca_file", error))?;
        let builder = match &self.authorities {
            Some((key, content)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(key, content)? {
                    roots.add(certificate).map_err(|error| unusable(key, error))?;
                }
                builder.with_root_certificates(roots)
            }
            None => builder.with_platform_verifier().map_err(|error| {
                let why = format!("is needed, for this machine has no authorities: {error}");
                InvalidSettings::File { key: "tls_ca_file", why }
            })?,
        };
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some([(certificate_key, certificate), (key_key, key)]) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
                    let why = format!("is no private key in PEM: {error}");
                    InvalidSettings::File { key: key_key, why }
                })?;
                builder
                    .with_client_auth_cert(certificates(certificate_key, certificate)?, key)
                    .map_err(|error| unusable(certificate_key, error))?
            }
        };
        // Fluentd asks for certificates without giving its sessions a context, and OpenSSL then
        // answers a session that goes on with an internal error: each connection would fail but the first.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// The certificates in a file, at least one.
fn certificates(
    key: &'static str,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, InvalidSettings> {
    let found = CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(InvalidSettings::File { key, why: "has no certificate in PEM".to_owned() }),
        Err(error) => {
            Err(InvalidSettings::File { key, why: format!("is no certificate in PEM: {error}") })
        }
    }
}

/// What to do about a connection that TLS did not get through.
pub(super) fn advice(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "name the receiver's authority with `tls_ca_file`"
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "say which name its certificate has with `tls_server_name`",
        Some(Error::InvalidCertificate(_)) => "look at the receiver's certificate",
        Some(Error::InvalidMessage(_)) => {
            "it does not speak TLS; write fluent:// in its address, or set TLS up there"
        }
        Some(Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        )) => "it may want a certificate: `tls_client_certificate_file`",
        _ => "check that it speaks TLS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings { tls_ca_file: Some(folder.join("ca.pem")), ..Settings::default() }
    }

    fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["host".to_owned()]).unwrap()
    }

    fn wrong(settings: &Settings) -> String {
        Tls::new(settings).err().unwrap().to_string()
    }

    #[test]
    fn files_that_cannot_be_used_name_their_setting() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        assert!(wrong(&settings).starts_with("tls_ca_file: cannot read "));
        std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
        assert_eq!(wrong(&settings), "tls_ca_file: has no certificate in PEM");
        std::fs::write(folder.path().join("ca.pem"), certificate().cert.pem()).unwrap();
        assert!(Tls::new(&settings).is_ok());
        let named = Settings { tls_server_name: Some("a b".to_owned()), ..settings.clone() };
        assert!(wrong(&named).starts_with("tls_server_name is neither"));
        let (certificate_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k"));
        let client = Settings {
            tls_client_certificate_file: Some(certificate_file.clone()),
            tls_client_key_file: Some(key_file.clone()),
            ..settings
        };
        assert!(wrong(&client).starts_with("tls_client_certificate_file: cannot read"));
        std::fs::write(&certificate_file, certificate().cert.pem()).unwrap();
        std::fs::write(&key_file, "x").unwrap();
        assert!(wrong(&client).starts_with("tls_client_key_file: is no private key"));
        std::fs::write(&key_file, certificate().signing_key.serialize_pem()).unwrap();
        assert!(wrong(&client).starts_with("tls_client_certificate_file: cannot be used"));
    }

    #[test]
    fn renewed_files_are_noticed_and_the_same_are_not_read_into_a_new_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let write = || std::fs::write(folder.path().join("ca.pem"), certificate().cert.pem());
        write().unwrap();
        let tls = Tls::new(&settings).unwrap();
        let config = || Arc::as_ptr(tls.connector().config());
        let first = tls.connector();
        assert_eq!(config(), Arc::as_ptr(first.config()));
        // Half of a renewal: what was there goes on.
        std::fs::write(folder.path().join("ca.pem"), "nothing yet").unwrap();
        assert_eq!(config(), Arc::as_ptr(first.config()));
        write().unwrap();
        assert_ne!(config(), Arc::as_ptr(first.config()));
    }

    #[test]
    fn the_name_is_that_of_the_setting_or_of_the_host() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate().cert.pem()).unwrap();
        let settings = settings(folder.path());
        let tls = Tls::new(&settings).unwrap();
        assert_eq!(tls.server_name("host").unwrap().to_str(), "host");
        assert_eq!(tls.server_name("::1").unwrap().to_str(), "::1");
        let named = Settings { tls_server_name: Some("other".to_owned()), ..settings };
        assert_eq!(Tls::new(&named).unwrap().server_name("host").unwrap().to_str(), "other");
    }
}
