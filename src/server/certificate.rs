//! Which certificate does a TLS listener show? What its files hold, looked at again and again, so that a renewed one
//! is shown without a restart. Connections that are open keep what they have.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pingora_core::listeners::tls::TlsSettings;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::StartError;
use crate::config::{TlsFault, TlsFiles};
use crate::gateway::Snapshot;

/// How long a renewed pair may wait for its first handshake.
const LOOK: Duration = Duration::from_secs(5);

/// The pair of one listener.
pub(super) struct Certificate {
    files: TlsFiles,
    pair: ArcSwap<CertifiedKey>,
}

impl Certificate {
    pub(super) fn load(files: &TlsFiles) -> Result<Self, StartError> {
        let pair = files.pair().map_err(|fault| unusable(files, fault))?;
        Ok(Self {
            files: files.clone(),
            pair: ArcSwap::from_pointee(pair),
        })
    }

    /// TLS 1.2 or later, HTTP/2 where the client offers it.
    pub(super) fn settings(self: &Arc<Self>) -> Result<TlsSettings, StartError> {
        let mut settings = TlsSettings::intermediate("", "")
            .map_err(|error| unusable(&self.files, TlsFault::Cert(error.to_string())))?;
        settings.set_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        settings.enable_h2();
        Ok(settings)
    }

    /// Takes what the files hold now: whether it is something else. Where it is of no use, the old pair stays.
    fn renew(&self) -> Result<bool, TlsFault> {
        let pair = self.files.pair()?;
        // The same certificate has the same key.
        let is_new = pair.cert != self.pair.load().cert;
        if is_new {
            self.pair.store(Arc::new(pair));
        }
        Ok(is_new)
    }

    fn not_after(&self) -> Option<SystemTime> {
        let pair = self.pair.load();
        let (_, leaf) = X509Certificate::from_der(pair.end_entity_cert().ok()?).ok()?;
        let seconds = u64::try_from(leaf.validity().not_after.timestamp()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

fn unusable(files: &TlsFiles, fault: TlsFault) -> StartError {
    let cert = files.cert.clone();
    StartError::Certificate { cert, fault }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.files.cert.display())
    }
}

/// Follows the files of all listeners.
pub(super) async fn follow(certificates: &[Arc<Certificate>], snapshot: &Snapshot) {
    let followed = certificates.iter().map(|one| follow_one(one, snapshot));
    futures::future::join_all(followed).await;
}

async fn follow_one(certificate: &Arc<Certificate>, snapshot: &Snapshot) {
    let name = certificate.files.cert.display().to_string();
    let metrics = &snapshot.metrics;
    metrics.show_certificate(&name, certificate.not_after());
    let mut trouble = None;
    loop {
        snapshot.clock.sleep(LOOK).await;
        let looked_at = Arc::clone(certificate);
        let renewed = tokio::task::spawn_blocking(move || looked_at.renew()).await;
        trouble = match renewed {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => {
                log::info!(target: "memgate::tls", "{name}: new handshakes get the new certificate");
                metrics.reloaded_certificate(true);
                metrics.show_certificate(&name, certificate.not_after());
                None
            }
            Ok(Err(fault)) => {
                // Once: the next look will find the same.
                if trouble.as_ref() != Some(&fault) {
                    log::error!(target: "memgate::tls", "{name}: {fault}; the old certificate and key stay");
                    metrics.reloaded_certificate(false);
                }
                Some(fault)
            }
            Err(error) => {
                log::error!(target: "memgate::tls", "{name}: looking at it stopped: {error}");
                None
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    struct Made {
        cert: String,
        key: String,
    }

    fn made() -> Made {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2040, 1, 1);
        let key = KeyPair::generate().unwrap();
        Made {
            cert: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn files(folder: &Path, cert: &str, key: &str) -> TlsFiles {
        let files = TlsFiles {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        files
    }

    #[test]
    fn a_pair_that_cannot_be_used_leaves_the_old_one_until_a_good_one_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (made(), made());
        let certificate = Certificate::load(&files(folder.path(), &old.cert, &old.key)).unwrap();
        let shown = || certificate.pair.load().cert.clone();
        let first = shown();

        for (cert, key) in [
            (&new.cert, &old.key),
            (&old.cert, &new.key),
            (&String::new(), &new.key),
            (&new.cert, &String::new()),
            (&new.key, &new.cert),
            (&new.cert.replace('M', "N"), &new.key),
        ] {
            files(folder.path(), cert, key);

            assert!(certificate.renew().is_err());
            assert_eq!(shown(), first);
        }
        files(folder.path(), &old.cert, &old.key);
        assert_eq!(certificate.renew(), Ok(false), "nothing is new");
        files(folder.path(), &new.cert, &new.key);
        assert_eq!(certificate.renew(), Ok(true));
        assert_ne!(shown(), first);
        fs::remove_file(folder.path().join("cert.pem")).unwrap();
        assert!(certificate.renew().is_err(), "a file that is gone");
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_new_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (made(), made());
        let [before, after] = ["before", "after"].map(|name| folder.path().join(name));
        for (place, made) in [(&before, &old), (&after, &new)] {
            fs::create_dir(place).unwrap();
            files(place, &made.cert, &made.key);
        }
        let current = folder.path().join("current");
        std::os::unix::fs::symlink(&before, &current).unwrap();
        let named = TlsFiles {
            cert: current.join("cert.pem"),
            key: current.join("key.pem"),
        };
        let certificate = Certificate::load(&named).unwrap();

        std::os::unix::fs::symlink(&after, folder.path().join("next")).unwrap();
        fs::rename(folder.path().join("next"), &current).unwrap();

        assert_eq!(certificate.renew(), Ok(true));
    }

    #[test]
    fn its_last_day_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let made = made();
        let certificate = Certificate::load(&files(folder.path(), &made.cert, &made.key)).unwrap();

        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(2_208_988_800);
        assert_eq!(certificate.not_after(), Some(day));
    }
}
