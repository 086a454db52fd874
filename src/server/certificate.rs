//! Which certificate does a TLS listener show? What its files hold, looked at again and again, so that a renewed one
//! is shown without a restart. Connections that are open keep what they have.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pingora_core::listeners::tls::TlsSettings;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, FromDer, Validity, X509Certificate};

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
    fn renew(&self, now: SystemTime) -> Result<bool, TlsFault> {
        let (new, old) = (self.files.pair()?, self.pair.load());
        // The same certificate has the same key.
        if new.cert == old.cert {
            return Ok(false);
        }
        if is_valid(&old, now) && !is_valid(&new, now) {
            return Err(TlsFault::Untimely);
        }
        self.pair.store(Arc::new(new));
        Ok(true)
    }

    /// Whether this is what it shows now.
    pub(super) fn is(&self, shown: &CertificateDer<'_>) -> bool {
        let pair = self.pair.load();
        pair.end_entity_cert().is_ok_and(|ours| ours == shown)
    }

    fn not_after(&self) -> Option<SystemTime> {
        let last = validity(&self.pair.load())?.not_after.timestamp();
        let since = Duration::from_secs(u64::try_from(last).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

fn validity(pair: &CertifiedKey) -> Option<Validity> {
    let (_, leaf) = X509Certificate::from_der(pair.end_entity_cert().ok()?).ok()?;
    Some(leaf.validity().clone())
}

fn is_valid(pair: &CertifiedKey, now: SystemTime) -> bool {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = i64::try_from(since.unwrap_or_default().as_secs());
    let now = seconds
        .ok()
        .and_then(|now| ASN1Time::from_timestamp(now).ok());
    now.is_some_and(|now| validity(pair).is_some_and(|validity| validity.is_valid_at(now)))
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
    if !is_valid(&certificate.pair.load(), snapshot.clock.wall()) {
        log::warn!(target: "memgate::tls", "{name}: {}", TlsFault::Untimely);
    }
    let mut trouble = Trouble::default();
    loop {
        snapshot.clock.sleep(LOOK).await;
        let (looked_at, now) = (Arc::clone(certificate), snapshot.clock.wall());
        let renewed = tokio::task::spawn_blocking(move || looked_at.renew(now)).await;
        match renewed {
            Ok(Ok(is_new)) => {
                trouble = Trouble::default();
                if is_new {
                    log::info!(target: "memgate::tls", "{name}: new handshakes get the new certificate");
                    metrics.reloaded_certificate(true);
                    metrics.show_certificate(&name, certificate.not_after());
                }
            }
            Ok(Err(fault)) => {
                if trouble.is_worth_telling(&fault) {
                    log::error!(target: "memgate::tls", "{name}: {fault}; the old certificate and key stay");
                    metrics.reloaded_certificate(false);
                }
            }
            Err(error) => {
                log::error!(target: "memgate::tls", "{name}: looking at it stopped: {error}");
            }
        }
    }
}

/// What was wrong at the last look, and at how many before it.
#[derive(Default)]
struct Trouble {
    fault: Option<TlsFault>,
    looks: u32,
}

impl Trouble {
    /// Once, at the second look: at the first the key may not be written yet.
    fn is_worth_telling(&mut self, fault: &TlsFault) -> bool {
        if self.fault.as_ref() != Some(fault) {
            *self = Self {
                fault: Some(fault.clone()),
                looks: 0,
            };
        }
        self.looks = self.looks.saturating_add(1);
        self.looks == 2
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

    /// Some day of that year.
    fn in_year(year: u64) -> SystemTime {
        const YEAR: u64 = 31_556_952;
        SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * YEAR + YEAR / 2)
    }

    fn made() -> Made {
        made_until(2040)
    }

    /// Valid from 2000 to the beginning of that year.
    fn made_until(year: i32) -> Made {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
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

            assert!(certificate.renew(in_year(2025)).is_err());
            assert_eq!(shown(), first);
        }
        files(folder.path(), &old.cert, &old.key);
        assert_eq!(
            certificate.renew(in_year(2025)),
            Ok(false),
            "nothing is new"
        );
        files(folder.path(), &new.cert, &new.key);
        assert_eq!(certificate.renew(in_year(2025)), Ok(true));
        assert_ne!(shown(), first);
        fs::remove_file(folder.path().join("cert.pem")).unwrap();
        assert!(
            certificate.renew(in_year(2025)).is_err(),
            "a file that is gone"
        );
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

        assert_eq!(certificate.renew(in_year(2025)), Ok(true));
    }

    #[test]
    fn an_expired_certificate_takes_the_place_of_another_expired_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (made_until(2030), made_until(2024));
        let certificate = Certificate::load(&files(folder.path(), &old.cert, &old.key)).unwrap();

        files(folder.path(), &new.cert, &new.key);

        let untimely = Err(TlsFault::Untimely);
        assert_eq!(certificate.renew(in_year(2025)), untimely, "expired");
        assert_eq!(certificate.renew(in_year(2031)), Ok(true), "both are");
        files(folder.path(), &old.cert, &old.key);
        assert_eq!(certificate.renew(in_year(2023)), Ok(true));
        let early = made();
        files(folder.path(), &early.cert, &early.key);
        assert_eq!(certificate.renew(in_year(1999)), Ok(true), "neither is yet");
    }

    #[test]
    fn trouble_is_told_once_and_not_before_it_was_seen_twice() {
        let mut trouble = Trouble::default();
        let mut tell = |fault| trouble.is_worth_telling(&fault);

        assert!(!tell(TlsFault::Strangers), "the key may be on its way");
        assert!(tell(TlsFault::Strangers));
        assert!(!tell(TlsFault::Strangers));
        assert!(!tell(TlsFault::Untimely));
        assert!(tell(TlsFault::Untimely));
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
