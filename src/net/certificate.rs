//! The certificate: the operator's PEM files, or one of our own in the data directory.
//!
//! **Our own is never overwritten:** clients pin it, so a new one locks all of them out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;

/// A chain, the server's own certificate first, and its key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Certificate {
    pub(super) fn from_files(cert: &Path, key: &Path) -> Result<Certificate, String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
        let chain =
            chain.map_err(|e| format!("the certificate {} is not read: {e}", cert.display()))?;
        if chain.is_empty() {
            return Err(format!("{} holds no certificate in PEM form", cert.display()));
        }
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|e| format!("the private key {} is not read: {e}", key.display()))?;
        let mode = fs::metadata(key).map(|m| m.permissions().mode()).unwrap_or(0);
        if mode & 0o007 != 0 {
            log::warn!("the private key {} is open to every user of this machine", key.display());
        }
        Ok(Certificate { chain, key: secret })
    }

    /// `cert.pem` and `key.pem` of the data directory, made at the first start.
    pub(super) fn own(config: &Config) -> Result<Certificate, String> {
        let directory = &config.data_dir;
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        match (cert.exists(), key.exists()) {
            (true, true) => {}
            (true, false) => {
                return Err(format!(
                    "{} is there without its {}: bring the key back, or remove the certificate to \
                     get a new pair, whose new address every client must be told",
                    cert.display(),
                    key.display()
                ));
            }
            // A key alone is what a first start leaves that was cut short between the two.
            (false, _) => {
                make(config, &cert, &key).map_err(|why| {
                    format!("no certificate could be made in {}: {why}", directory.display())
                })?;
                log::info!("made a self-signed certificate in {}", directory.display());
            }
        }
        Certificate::from_files(&cert, &key)
    }

    /// What `end-cert=` of an address holds: SHA-256 of the server's own certificate, in base64 of
    /// the URL alphabet with its padding, so that it can stand in an address as it is.
    pub(super) fn pin(&self) -> String {
        let certificate = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        URL_SAFE.encode(ring::digest::digest(&ring::digest::SHA256, certificate))
    }
}

fn make(config: &Config, cert: &Path, key: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&config.data_dir)?;
    let pair = match fs::read_to_string(key) {
        Ok(pem) => KeyPair::from_pem(&pem)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // ECDSA: a Pi signs with it thirty times as fast as with RSA.
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            save(key, 0o600, &pair.serialize_pem())?;
            pair
        }
        Err(error) => return Err(error.into()),
    };
    let name = config.server_name.trim_matches(['[', ']']).to_owned();
    let mut names = vec![name.clone()];
    for other in ["localhost", "127.0.0.1", "::1"] {
        if other != name {
            names.push(other.to_owned());
        }
    }
    let mut params = CertificateParams::new(names)?;
    // Up to 4096. It is pinned by its bytes, and a Pi's clock may stand at 1970.
    params.not_before = rcgen::date_time_ymd(1970, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
    save(cert, 0o644, &params.self_signed(&pair)?.pem())?;
    Ok(())
}

/// All of it or nothing, also when the power fails.
fn save(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let draft = path.with_extension("pem.tmp");
    // Left by a start that was cut short.
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_rustls::rustls;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::UnixTime;

    use super::*;

    fn config(directory: &tempfile::TempDir) -> Config {
        let mut config = Config::for_tests();
        config.data_dir = directory.path().join("new/data");
        config
    }

    #[test]
    fn our_own_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let pin = Certificate::own(&config).unwrap().pin();
        assert_eq!(pin.len(), 44);
        assert_eq!(Certificate::own(&config).unwrap().pin(), pin);
        let key = config.data_dir.join("key.pem");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn it_is_good_whatever_a_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = Certificate::own(&config(&directory)).unwrap().chain.remove(0);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        let name = "im.test".try_into().unwrap();
        for secs in [0, 60, 1_795_000_000, 4_102_444_800] {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(secs));
            verifier.verify_server_cert(&certificate, &[], &name, &[], now).unwrap();
        }
    }

    #[test]
    fn a_first_start_that_was_cut_short_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let first = Certificate::own(&config).unwrap();
        fs::remove_file(config.data_dir.join("cert.pem")).unwrap();
        fs::write(config.data_dir.join("cert.pem.tmp"), "half").unwrap();
        let second = Certificate::own(&config).unwrap();
        assert_eq!(first.key.secret_der(), second.key.secret_der());
    }

    #[test]
    fn a_certificate_without_its_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        Certificate::own(&config).unwrap();
        let cert = config.data_dir.join("cert.pem");
        let before = fs::read(&cert).unwrap();
        fs::remove_file(config.data_dir.join("key.pem")).unwrap();
        let error = Certificate::own(&config).unwrap_err();
        assert!(error.contains("without its"), "{error}");
        assert_eq!(fs::read(&cert).unwrap(), before);
    }

    #[test]
    fn files_that_are_none_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pem");
        let error = Certificate::from_files(&path, &path).unwrap_err();
        assert!(error.contains("x.pem"), "{error}");
        fs::write(&path, "nothing").unwrap();
        let error = Certificate::from_files(&path, &path).unwrap_err();
        assert!(error.contains("x.pem holds no certificate"), "{error}");
    }
}
