//! How does the gateway come up and go down? Sockets, services, background work, stopping.

mod background;
mod certificate;
mod connection;
mod entrance;
mod keys;
mod lifecycle;
mod pid_file;
mod reach;
mod sockets;
mod systemd;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use pingora_proxy::http_proxy;
use tokio::sync::watch;

use self::background::Upkeep;
use self::entrance::{Door, Entrance};
use self::lifecycle::Lifecycle;
pub use self::lifecycle::outlive_harmless_signals;
use self::pid_file::PidFile;
use self::sockets::{BoundListener, Sockets};
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
    sockets: Sockets,
    listeners: Vec<BoundListener>,
    admin: Option<SocketAddr>,
    egress: Option<SocketAddr>,
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
        let mut sockets = Sockets::new();
        let listeners = config
            .listen
            .iter()
            .map(|listener| sockets.bind_listener(listener))
            .collect::<Result<Vec<_>, _>>()?;
        let admin = config
            .admin
            .map(|address| sockets.bind(address))
            .transpose()?;
        let egress = config
            .egress
            .as_ref()
            .map(|egress| sockets.bind(egress.listen))
            .transpose()?;
        let snapshot = Snapshot::build(config, clock)?;
        background::load_cookies(&snapshot);
        Ok(Self {
            gateway: Arc::new(Gateway::new(snapshot)),
            sockets,
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
        self.admin
    }

    pub fn egress(&self) -> Option<SocketAddr> {
        self.egress
    }

    /// Serves until a signal says stop.
    pub fn run(self) -> Result<(), StartError> {
        let (_stop, asked) = watch::channel(false);
        self.serve(asked, true)
    }

    /// Serves on a thread of its own, without touching the process's signals.
    pub fn spawn(self) -> Running {
        let (stop, asked) = watch::channel(false);
        let (addresses, admin, egress) = (self.addresses(), self.admin, self.egress);
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

    fn serve(mut self, asked: watch::Receiver<bool>, signals: bool) -> Result<(), StartError> {
        let snapshot = self.gateway.snapshot();
        prime(&snapshot)?;
        let mut server =
            Server::new_with_opt_and_conf(None, server_conf(&snapshot.config, self.roots.as_ref()));
        let (close, closing) = watch::channel(false);
        let certificates = std::mem::take(&mut self.sockets.certificates);
        let fds = self.sockets.into_shared();
        let (h2c, mut plain): (Vec<_>, Vec<_>) = self
            .listeners
            .into_iter()
            .partition(|listener| listener.h2c);
        // Of the same service, so that it shares the connections to the upstreams.
        plain.extend(self.egress.map(BoundListener::plain));
        for (listeners, h2c) in [(plain, false), (h2c, true)] {
            if !listeners.is_empty() {
                let proxy = Proxy::new(Arc::clone(&self.gateway), self.egress);
                let service = data_service(&server.configuration, proxy, listeners, h2c);
                server.add_service(Ours {
                    service,
                    fds: fds.clone(),
                    closing: Some(closing.clone()),
                });
            }
        }
        if let Some(address) = self.admin {
            let mut service = admin::service(Arc::clone(&self.gateway));
            service.add_tcp(&address.to_string());
            service.threads = Some(1);
            server.add_service(Ours {
                service,
                fds,
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

fn data_service(
    conf: &Arc<ServerConf>,
    proxy: Proxy,
    listeners: Vec<BoundListener>,
    h2c: bool,
) -> Service<Entrance> {
    let gateway = Arc::clone(proxy.gateway());
    let egress = proxy.egress();
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(gateway.snapshot().config.limits.keepalive_timeout);
    // So that CONNECT is refused as all else is, by the proxy.
    options.allow_connect_method_proxying = true;
    let mut proxy = http_proxy(conf, proxy);
    proxy.server_options = Some(options);
    let (configs, doors): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .map(|listener| {
            let config = listener.config();
            let door = Door {
                address: listener.address,
                tls: listener.tls.map(TlsSettings::build),
                private: Some(listener.address) == egress,
            };
            (config, door)
        })
        .unzip();
    let name = if h2c { "data-h2c" } else { "data" };
    let mut service = Service::new(name.to_owned(), Entrance::new(doors, proxy, gateway));
    for config in configs {
        service.add_listener(config);
    }
    service
}

/// A service on our sockets, with a close of its own: Pingora's ends the process with it.
struct Ours<S> {
    service: S,
    fds: ListenFds,
    closing: Option<ShutdownWatch>,
}

#[async_trait]
impl<S: PingoraService> PingoraService for Ours<S> {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let shutdown = self.closing.take().unwrap_or(shutdown);
        self.service
            .start_service(Some(self.fds.clone()), shutdown, listeners_per_fd)
            .await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
