//! Whom do we trust? The platform's certificate authorities, and the operator's own beside them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A PEM bundle that lives as long as this value. The file is in memory alone, so that nothing stays of it however the
/// process ends, and no folder need be writable; it is found by its descriptor.
pub struct RootBundle(File);

impl RootBundle {
    /// The platform's roots and those in `extra`, in one file: Pingora's own `ca_file` setting would
    /// replace the platform's.
    pub fn merged(extra: &Path) -> io::Result<Self> {
        let own = fs::read(extra)?;
        let wrong = |error: &dyn std::fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {error}", extra.display()),
            )
        };
        let parsed: Vec<_> = CertificateDer::pem_slice_iter(&own)
            .collect::<Result<_, _>>()
            .map_err(|e| wrong(&e))?;
        if parsed.is_empty() {
            return Err(wrong(&"no certificate in it"));
        }
        let mut file = File::from(memfd_create("memgate-roots", MemfdFlags::CLOEXEC)?);
        for certificate in rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .chain(&parsed)
        {
            file.write_all(pem(certificate).as_bytes())?;
        }
        file.flush()?;
        Ok(Self(file))
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_authority_stands_beside_the_platforms() {
        let own = rcgen::generate_simple_self_signed(["own.example".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), own.cert.pem()).unwrap();

        let bundle = RootBundle::merged(file.path()).unwrap();

        let merged = fs::read(bundle.path()).unwrap();
        let merged: Vec<_> = CertificateDer::pem_slice_iter(&merged)
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(merged.contains(own.cert.der()));
        assert_eq!(
            merged.len(),
            rustls_native_certs::load_native_certs().certs.len() + 1
        );
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();

        let refusal = RootBundle::merged(file.path()).err().unwrap();

        assert!(
            refusal.to_string().contains("no certificate in it"),
            "{refusal}"
        );
    }
}
