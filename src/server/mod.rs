//! How does the gateway come up and go down? Sockets, services, background work, stopping.

mod background;
mod certificate;
mod connection;
mod entrance;
mod keys;
mod lifecycle;
mod logs;
mod pid_file;
mod reach;
mod services;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use tokio::sync::watch;

use self::background::Upkeep;
use self::lifecycle::Lifecycle;
pub use self::lifecycle::outlive_harmless_signals;
use self::pid_file::PidFile;
use self::services::{Ours, add_data_services};
use self::sockets::{BoundListener, handed_over};
use crate::admin;
use crate::clock::Clock;
use crate::config::{Config, TlsFault};
use crate::gateway::{BuildError, Gateway, Snapshot};
use crate::proxy::Proxy;
use crate::upstream::roots::RootBundle;

/// How long the first look-up of upstream names may hold the start up.
const DNS_PATIENCE: Duration = Duration::from_secs(3);
/// Attempts Pingora makes at most; `retry.attempts`, replicas and looks at the pool stay below it.
const ATTEMPTS_MAX: usize = 64;

/// Why the gateway did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {error}")]
    Bind {
        address: SocketAddr,
        error: io::Error,
    },
    #[error("{cert}: {fault}", cert = cert.display())]
    Certificate { cert: PathBuf, fault: TlsFault },
    #[error("direct.ca_file: {0}")]
    Roots(io::Error),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cookies.file: {0}")]
    Cookies(String),
    #[error("server.pid_file: {0}")]
    PidFile(io::Error),
    #[error("no runtime: {0}")]
    Runtime(io::Error),
}

/// A gateway that holds its sockets and is ready to serve.
pub struct Bound {
    gateway: Arc<Gateway>,
    listeners: Vec<BoundListener>,
    admin: Option<BoundListener>,
    egress: Option<BoundListener>,
    roots: Option<RootBundle>,
}

/// A gateway that serves on a thread of its own; dropping it stops it.
pub struct Running {
    pub addresses: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
    pub egress: Option<SocketAddr>,
    pub gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Bound {
    /// Builds everything the configuration asks for and takes the sockets.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        // Pingora installs the same provider; the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let roots = config
            .direct
            .ca_file
            .as_deref()
            .map(RootBundle::merged)
            .transpose()
            .map_err(StartError::Roots)?;
        let listeners = config.listen.iter().map(BoundListener::bind);
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let admin = config.admin.map(BoundListener::plain).transpose()?;
        let egress = config.egress.as_ref().map(|egress| egress.listen);
        let egress = egress.map(BoundListener::plain).transpose()?;
        let snapshot = Snapshot::build(config, clock)?;
        background::load_cookies(&snapshot);
        Ok(Self {
            gateway: Arc::new(Gateway::new(snapshot)),
            listeners,
            admin,
            egress,
            roots,
        })
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .map(|listener| listener.address)
            .collect()
    }

    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|listener| listener.address)
    }

    pub fn egress(&self) -> Option<SocketAddr> {
        self.egress.as_ref().map(|listener| listener.address)
    }

    /// Serves until a signal says stop.
    pub fn run(self) -> Result<(), StartError> {
        let (_stop, asked) = watch::channel(false);
        self.serve(asked, true)
    }

    /// Serves on a thread of its own, without touching the process's signals.
    pub fn spawn(self) -> Running {
        let (stop, asked) = watch::channel(false);
        let (addresses, admin, egress) = (self.addresses(), self.admin(), self.egress());
        let gateway = Arc::clone(&self.gateway);
        let thread = std::thread::spawn(move || {
            if let Err(error) = self.serve(asked, false) {
                log::error!(target: "memgate::server", "{error}");
            }
        });
        Running {
            addresses,
            admin,
            egress,
            gateway,
            stop,
            thread: Some(thread),
        }
    }

    fn serve(self, asked: watch::Receiver<bool>, signals: bool) -> Result<(), StartError> {
        let snapshot = self.gateway.snapshot();
        prime(&snapshot)?;
        let mut server =
            Server::new_with_opt_and_conf(None, server_conf(&snapshot.config, self.roots.as_ref()));
        let (close, closing) = watch::channel(false);
        let certificates = self.listeners.iter();
        let certificates = certificates.filter_map(|listener| listener.certificate.clone());
        let certificates = certificates.collect();
        let egress = self.egress();
        let (h2c, mut plain): (Vec<_>, Vec<_>) = self
            .listeners
            .into_iter()
            .partition(|listener| listener.h2c);
        // Of the same services, so that it shares the connections to the upstreams.
        plain.extend(self.egress);
        for (listeners, h2c) in [(plain, false), (h2c, true)] {
            let proxy = Proxy::new(Arc::clone(&self.gateway), egress);
            add_data_services(&mut server, proxy, &listeners, h2c, &closing)?;
        }
        if let Some(listener) = self.admin {
            let mut service = admin::service(Arc::clone(&self.gateway));
            service.add_tcp(&listener.address.to_string());
            service.threads = Some(1);
            server.add_service(Ours {
                service,
                fds: handed_over(vec![listener]),
                closing: None,
            });
        }
        let mut upkeep = background_service(
            "upkeep",
            Upkeep {
                gateway: Arc::clone(&self.gateway),
                conf: Arc::clone(&server.configuration),
                certificates,
            },
        );
        upkeep.threads = Some(1);
        server.add_service(upkeep);
        let shutdown_signal = Box::new(Lifecycle {
            gateway: Arc::clone(&self.gateway),
            listeners: close,
            asked,
            signals,
        });
        let pid_file = PidFile::write(snapshot.config.server.pid_file.as_deref())?;
        server.run(RunArgs { shutdown_signal });
        drop(pid_file);
        background::save_cookies(&snapshot);
        logs::finish(&self.gateway);
        Ok(())
    }
}

impl Running {
    /// Stops as a signal would, and waits for the end.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // A server that is gone already need not be told.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!(target: "memgate::server", "the server's thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Names and replicas as they are now, so that the first request finds them.
fn prime(snapshot: &Snapshot) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    runtime.block_on(async {
        snapshot.resolver.prime(DNS_PATIENCE).await;
        snapshot.litellm.backends.refresh().await;
    });
    Ok(())
}

fn server_conf(config: &Config, roots: Option<&RootBundle>) -> ServerConf {
    let server = &config.server;
    let mut conf = ServerConf {
        threads: server.threads,
        work_stealing: server.work_stealing,
        upstream_keepalive_pool_size: server.upstream_keepalive_pool_size,
        ca_file: roots.map(|bundle| bundle.path().to_string_lossy().into_owned()),
        max_retries: ATTEMPTS_MAX,
        ..ServerConf::default()
    };
    // Both are only used when daemonizing or taking over, which we do not; their defaults are world-writable places.
    conf.pid_file = "/nonexistent/memgate.pid".to_owned();
    conf.upgrade_sock = "/nonexistent/memgate.sock".to_owned();
    conf
}
