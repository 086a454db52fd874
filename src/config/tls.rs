//! What do a listener's certificate and key files hold, and do they belong together?

use rustls::Error;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::TlsFiles;

/// Why a pair of files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    #[error("the certificate cannot be used ({0})")]
    Cert(String),
    #[error("the key cannot be used ({0})")]
    Key(String),
    #[error("the key does not belong to the certificate")]
    Strangers,
    #[error("the certificate has expired, or is not valid yet")]
    Untimely,
}

impl TlsFiles {
    /// Both files as they are now.
    pub fn pair(&self) -> Result<CertifiedKey, TlsFault> {
        joined(self.chain()?, &self.private_key()?)
    }

    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        let chain = CertificateDer::pem_file_iter(&self.cert).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(|error: pem::Error| TlsFault::Cert(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsFault::Cert("it holds none".to_owned()));
        }
        Ok(chain)
    }

    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsFault> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsFault::Key(error.to_string()))
    }
}

/// A chain and the key of its first certificate.
pub(super) fn joined(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'_>,
) -> Result<CertifiedKey, TlsFault> {
    let key = rustls::crypto::ring::sign::any_supported_type(key)
        .map_err(|error| TlsFault::Key(error.to_string()))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(TlsFault::Strangers),
        Err(error) => Err(TlsFault::Cert(error.to_string())),
    }
}
