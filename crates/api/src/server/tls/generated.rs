//! A certificate of the server's own making, for clients that are given its authority.
//!
//! The authority signs this one certificate, and its key is kept nowhere: whoever trusts it trusts
//! this server and nothing else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::{Pair, TlsError};

/// What every one is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Nobody but the owner: it is a secret.
const KEY_MODE: u32 = 0o600;
/// Everybody: clients may read it.
const CERTIFICATE_MODE: u32 = 0o644;

/// The certificate in `directory`, and the file of its authority.
pub(super) fn provide(directory: &Path, host: Option<&str>) -> Result<(Pair, PathBuf), TlsError> {
    let path = |name: &str| directory.join(name);
    let pair = Pair { certificate: path("certificate.pem"), key: path("key.pem") };
    let authority = path("ca.pem");
    let names: Vec<&str> = NAMES.into_iter().chain(host).collect();
    if !can_be_used(&pair, &authority, &names) {
        generate(&pair, &authority, &names)?;
        tracing::info!(authority = %authority.display(), ?names, "a certificate was made; clients must be given its authority");
    }
    Ok((pair, authority))
}

/// Whether all was written, by a process that may have been killed, and is for all of `names`.
fn can_be_used(pair: &Pair, authority: &Path, names: &[&str]) -> bool {
    let is_for = |name: &&str| {
        let Ok(chain) = pair.certificates() else { return false };
        let Ok(name) = ServerName::try_from(*name) else { return false };
        ParsedCertificate::try_from(&chain[0])
            .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    };
    authority.exists() && pair.acceptor().is_ok() && names.iter().all(is_for)
}

fn generate(pair: &Pair, authority: &Path, names: &[&str]) -> Result<(), TlsError> {
    let mut params = lasting(CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, "baikonur generated authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = lasting(CertificateParams::new(names)?);
    params.distinguished_name.push(DnType::CommonName, "baikonur");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;

    for (path, text, mode) in [
        (&pair.key, key.serialize_pem(), KEY_MODE),
        (&pair.certificate, certificate.pem() + &issuer.pem(), CERTIFICATE_MODE),
        // Last: without it the others are made again.
        (&authority.to_owned(), issuer.pem(), CERTIFICATE_MODE),
    ] {
        let wrap = |source| TlsError::Write { path: path.clone(), source };
        write(path, &text, mode).map_err(wrap)?;
    }
    Ok(())
}

/// It is renewed by deleting it: nobody watches a date here.
fn lasting(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A new file: an old one would keep its mode.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(pair: &Pair, authority: &Path) -> [Vec<u8>; 3] {
        [&pair.key, &pair.certificate, authority].map(|path| fs::read(path).unwrap())
    }

    #[test]
    fn what_was_made_is_used_again_until_it_is_broken_or_for_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data/tls");
        let (pair, authority) = provide(&directory, None).unwrap();
        let made = read(&pair, &authority);
        let mode = fs::metadata(&pair.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, KEY_MODE);
        provide(&directory, None).unwrap();
        provide(&directory, Some("localhost")).unwrap();
        assert_eq!(read(&pair, &authority), made);

        provide(&directory, Some("logs.example.com")).unwrap();
        let named = read(&pair, &authority);
        assert_ne!(named, made);
        provide(&directory, None).unwrap();
        provide(&directory, Some("logs.example.com")).unwrap();
        assert_eq!(read(&pair, &authority), named, "it is for more names than asked for");

        let mut before = named;
        for (path, text) in [
            (&pair.key, ""),
            (&pair.key, "-----BEGIN PRIVATE KEY-----"),
            (&pair.certificate, "nothing of the kind"),
        ] {
            fs::write(path, text).unwrap();
            provide(&directory, None).unwrap();
            let after = read(&pair, &authority);
            assert_ne!(after, before, "{} {text:?}", path.display());
            before = after;
        }
        fs::remove_file(&authority).unwrap();
        provide(&directory, None).unwrap();
        assert_ne!(read(&pair, &authority), before);
        let mode = fs::metadata(&pair.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, KEY_MODE);
    }
}
