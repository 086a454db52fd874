//! Do our own listeners answer? Each is asked over a connection such as clients make. It counts if it was this process
//! that took the connection: where the service manager holds the sockets, another instance takes from them too.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::certificate::Certificate;
use super::sockets::{BoundListener, Listeners};
use crate::gateway::Gateway;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Until it is asked again: another instance took the call, most likely.
const AGAIN: Duration = Duration::from_millis(5);
/// How often it is told what keeps us from being ready.
const TELL: Duration = Duration::from_secs(5);

/// All who have to answer before the process is ready.
pub(super) struct Roll {
    pub listeners: watch::Receiver<Listeners>,
    pub admin: Option<SocketAddr>,
    pub own_calls: Arc<OwnCalls>,
}

/// Connections that this process makes to itself, and whether it took them.
#[derive(Default)]
pub(super) struct OwnCalls {
    /// So that nobody else's connection asks for the lock.
    open: AtomicUsize,
    calls: Mutex<HashMap<SocketAddr, bool>>,
}

/// One of them, from this address, until it is dropped.
struct Call<'c> {
    calls: &'c OwnCalls,
    from: SocketAddr,
}

/// What is asked of whom.
struct Question<'q> {
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
    /// Method and target.
    asks: &'static str,
    /// Anything else than a 200 is an answer as well.
    any_status: bool,
    /// Where to see who took it; `None`: nobody else can.
    calls: Option<&'q OwnCalls>,
}

impl Roll {
    /// Comes back when every thread has opened its listeners and every listener has answered.
    pub(super) async fn all_answer(&self, gateway: &Gateway) {
        let mut wait = Wait(Instant::now());
        while !gateway.pulse.all_beat() {
            wait.a_little("a thread has not opened its listeners").await;
        }
        let listeners = Arc::clone(&self.listeners.borrow());
        let questions = listeners.iter().map(|listener| self.question(listener));
        let admin = self.admin.map(|address| Question {
            address,
            certificate: None,
            asks: "GET /healthz",
            any_status: false,
            calls: None,
        });
        for question in questions.chain(admin) {
            while let Err(why) = question.ask().await {
                let why = format!("{}: {why}", question.address);
                wait.a_little(&why).await;
            }
        }
    }

    fn question(&self, listener: &BoundListener) -> Question<'_> {
        Question {
            address: listener.address,
            certificate: listener.certificate.clone(),
            // The egress port serves nothing of its own, and would ask a host for any path.
            asks: match listener.door.private {
                true => "OPTIONS *",
                false => "GET /health",
            },
            any_status: listener.door.private,
            calls: Some(&self.own_calls),
        }
    }
}

/// Since it was last told what we wait for.
struct Wait(Instant);

impl Wait {
    async fn a_little(&mut self, why: &str) {
        if self.0.elapsed() > TELL {
            self.0 = Instant::now();
            log::warn!(target: "memgate::server", "not ready yet: {why}");
        }
        sleep(AGAIN).await;
    }
}

impl OwnCalls {
    /// A connection came from there.
    pub(super) fn arrived(&self, from: SocketAddr) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(took) = self.calls.lock().get_mut(&plain(from)) {
            *took = true;
        }
    }

    fn announce(&self, from: SocketAddr) -> Call<'_> {
        self.calls.lock().insert(plain(from), false);
        self.open.fetch_add(1, Ordering::Relaxed);
        Call { calls: self, from }
    }
}

impl Call<'_> {
    fn was_taken(&self) -> bool {
        let calls = self.calls.calls.lock();
        calls.get(&plain(self.from)).copied().unwrap_or_default()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.calls.lock().remove(&plain(self.from));
        self.calls.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Without what only this end knows of an IPv6 address.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

impl Question<'_> {
    async fn ask(&self) -> Result<(), String> {
        let heard = timeout(PATIENCE, self.heard()).await;
        let heard = heard.map_err(|_late| "no answer".to_owned())?;
        let head = heard.map_err(|error| error.to_string())?;
        let is_http = head.starts_with("HTTP/1.1 ");
        if !(head.starts_with("HTTP/1.1 200 ") || self.any_status && is_http) {
            let said = head.lines().next().unwrap_or_default();
            return Err(format!("it said {said:?}"));
        }
        Ok(())
    }

    async fn heard(&self) -> io::Result<String> {
        let to = reachable(self.address);
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Known before it connects, as it may be taken before we hear that it is there.
        socket.bind(SocketAddr::new(to.ip(), 0))?;
        let from = socket.local_addr()?;
        let call = self.calls.map(|calls| calls.announce(from));
        let stream = socket.connect(to).await?;
        let head = match &self.certificate {
            None => spoken(stream, self.asks, to).await?,
            Some(certificate) => {
                let name = ServerName::from(to.ip());
                let stream = connector(certificate)?.connect(name, stream).await?;
                spoken(stream, self.asks, to).await?
            }
        };
        if call.is_some_and(|call| !call.was_taken()) {
            return Err(io::Error::other("another process took the connection"));
        }
        Ok(head)
    }
}

/// Where whoever listens there can be called.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => reachable.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => reachable.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    reachable
}

/// The beginning of what is answered.
async fn spoken(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    asks: &str,
    to: SocketAddr,
) -> io::Result<String> {
    let request = format!("{asks} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (mut head, mut piece) = (Vec::new(), [0; 512]);
    while !head.contains(&b'\n') {
        match stream.read(&mut piece).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend(piece.iter().take(length)),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn connector(certificate: &Arc<Certificate>) -> io::Result<TlsConnector> {
    let Some(provider) = CryptoProvider::get_default() else {
        return Err(io::Error::other("no cryptography"));
    };
    let ours = Ours {
        certificate: Arc::clone(certificate),
        provider: Arc::clone(provider),
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ours))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Believes in the certificate of the listener that it calls, whoever signed it, and in no other.
#[derive(Debug)]
struct Ours {
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Ours {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.certificate.is(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(TlsError::General("it shows another certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// Answers every connection with this head; `takes` is told of them.
    async fn server(
        head: &'static str,
        takes: Option<Arc<OwnCalls>>,
    ) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            loop {
                let (mut stream, from) = listener.accept().await.unwrap();
                if let Some(calls) = &takes {
                    calls.arrived(from);
                }
                let mut asked = [0; 512];
                assert!(stream.read(&mut asked).await.unwrap() > 0);
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        });
        (address, served)
    }

    async fn asked(address: SocketAddr, any_status: bool, calls: &OwnCalls) -> Result<(), String> {
        let question = Question {
            address,
            certificate: None,
            asks: "GET /health",
            any_status,
            calls: Some(calls),
        };
        question.ask().await
    }

    #[tokio::test]
    async fn an_answer_counts_when_this_process_took_the_call() {
        let calls = Arc::<OwnCalls>::default();
        let ok = "HTTP/1.1 200 OK\r\n\r\n";
        let (ours, _) = server(ok, Some(Arc::clone(&calls))).await;
        let (anothers, _) = server(ok, None).await;

        let taken = asked(ours, false, &calls).await;
        let not_ours = asked(anothers, false, &calls).await;

        assert_eq!(taken, Ok(()));
        assert!(not_ours.unwrap_err().contains("another process"));
        assert_eq!(calls.calls.lock().len(), 0, "nothing is kept of them");
    }

    #[tokio::test]
    async fn an_error_is_an_answer_only_where_nothing_else_is_served() {
        let calls = Arc::<OwnCalls>::default();
        let refusal = "HTTP/1.1 403 Forbidden\r\n\r\n";
        let (address, _) = server(refusal, Some(Arc::clone(&calls))).await;

        assert_eq!(asked(address, true, &calls).await, Ok(()));
        let why = asked(address, false, &calls).await.unwrap_err();
        assert!(why.contains("403 Forbidden"), "{why}");
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);

        assert!(asked(address, true, &OwnCalls::default()).await.is_err());
    }

    #[test]
    fn who_listens_everywhere_is_called_on_loopback() {
        let to = |address: &str| reachable(address.parse().unwrap()).to_string();

        assert_eq!(to("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(to("[::]:1"), "[::1]:1");
        assert_eq!(to("10.1.2.3:1"), "10.1.2.3:1");
    }
}
