//! How does the gateway come up and go down? Sockets, services, background work, stopping.

mod answering;
mod background;
mod certificate;
mod connection;
mod control;
mod entrance;
mod handed;
mod keys;
mod lifecycle;
mod logs;
mod pid_file;
mod reach;
mod reload;
mod services;
mod signals;
mod sockets;
mod systemd;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::Service as PingoraService;
use pingora::services::background::background_service;
use tokio::sync::watch;

use self::answering::Roll;
use self::background::Upkeep;
use self::control::{Control, ControlSocket};
pub use self::control::{Order, Said, What};
use self::lifecycle::{Lifecycle, Stops};
use self::pid_file::PidFile;
use self::reload::{Orders, Reloader, Source};
pub use self::reload::{Read, Reload};
use self::services::{Doors, Ours, add_data_services};
pub use self::signals::Signals;
use self::sockets::{BoundListener, Listeners, handed_over};
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
    #[error("server.control_socket: {path}: {error}", path = path.display())]
    Control { path: PathBuf, error: io::Error },
    #[error("no runtime: {0}")]
    Runtime(io::Error),
}

/// A gateway that holds its sockets and is ready to serve.
pub struct Bound {
    gateway: Arc<Gateway>,
    listeners: Listeners,
    egress: Option<SocketAddr>,
    admin: Option<BoundListener>,
    control: Option<ControlSocket>,
    roots: Option<RootBundle>,
    source: Option<Source>,
}

/// A gateway that serves on a thread of its own; dropping it stops it.
pub struct Running {
    pub addresses: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
    pub egress: Option<SocketAddr>,
    pub gateway: Arc<Gateway>,
    pub reload: Reload,
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
        let mut listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let admin = config.admin.map(BoundListener::private).transpose()?;
        let egress = config.egress.as_ref().map(|egress| egress.listen);
        let egress = egress.map(BoundListener::private).transpose()?;
        let egress_address = egress.as_ref().map(|listener| listener.address);
        // Of the same services, so that it shares the connections to the upstreams.
        listeners.extend(egress);
        let control = config.server.control_socket.as_deref();
        let control = control.map(ControlSocket::bind).transpose()?;
        let snapshot = Snapshot::build(config, clock)?;
        background::load_cookies(&snapshot);
        Ok(Self {
            gateway: Arc::new(Gateway::new(snapshot)),
            listeners: listeners.into_iter().map(Arc::new).collect(),
            egress: egress_address,
            admin,
            control,
            roots,
            source: None,
        })
    }

    /// It can be told to read its configuration again, which is in these files now.
    pub fn reading_again(mut self, files: Vec<PathBuf>, read: Read) -> Self {
        self.source = Some(Source { read, files });
        self
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        let data = self.listeners.iter().filter(|one| !one.door.private);
        data.map(|listener| listener.address).collect()
    }

    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|listener| listener.address)
    }

    pub fn egress(&self) -> Option<SocketAddr> {
        self.egress
    }

    /// Serves until a signal says stop.
    pub fn run(self, signals: Signals) -> Result<(), StartError> {
        let (stop, asked) = watch::channel(false);
        let (reload, orders) = Reload::new();
        let stops = Stops {
            stop,
            asked,
            signals: Mutex::new(Some(signals)),
        };
        self.serve(stops, reload, orders)
    }

    /// Serves on a thread of its own, without touching the process's signals.
    pub fn spawn(self) -> Running {
        let (stop, asked) = watch::channel(false);
        let (reload, orders) = Reload::new();
        let stops = Stops {
            stop: stop.clone(),
            asked,
            signals: Mutex::default(),
        };
        let (addresses, admin, egress) = (self.addresses(), self.admin(), self.egress());
        let gateway = Arc::clone(&self.gateway);
        let reloads = reload.clone();
        let thread = std::thread::spawn(move || {
            if let Err(error) = self.serve(stops, reloads, orders) {
                log::error!(target: "memgate::server", "{error}");
            }
        });
        Running {
            addresses,
            admin,
            egress,
            gateway,
            reload,
            stop,
            thread: Some(thread),
        }
    }

    fn serve(self, stops: Stops, reload: Reload, orders: Orders) -> Result<(), StartError> {
        let snapshot = self.gateway.snapshot();
        prime(&snapshot)?;
        let mut server =
            Server::new_with_opt_and_conf(None, server_conf(&snapshot.config, self.roots.as_ref()));
        let (close, closing) = watch::channel(false);
        let (listeners, open) = watch::channel(self.listeners);
        let doors = Doors {
            listeners: open.clone(),
            closing,
            own_calls: Arc::default(),
        };
        for h2c in [false, true] {
            let proxy = Proxy::new(Arc::clone(&self.gateway), self.egress);
            add_data_services(&mut server, proxy, h2c, &doors);
        }
        let roll = Roll {
            listeners: doors.listeners,
            admin: self.admin.as_ref().map(|listener| listener.address),
            own_calls: doors.own_calls,
        };
        if let Some(listener) = &self.admin {
            server.add_service(admin_service(&self.gateway, listener)?);
        }
        let gateway = Arc::clone(&self.gateway);
        let mut upkeep = background_service(
            "upkeep",
            Upkeep {
                gateway: Arc::clone(&self.gateway),
                conf: Arc::clone(&server.configuration),
                listeners: open,
                reloader: Reloader::new(gateway, listeners, orders, self.source),
                control: Control {
                    gateway: Arc::clone(&self.gateway),
                    socket: self.control,
                    reload: reload.clone(),
                    stop: stops.stop.clone(),
                },
            },
        );
        upkeep.threads = Some(1);
        server.add_service(upkeep);
        let shutdown_signal = Box::new(Lifecycle {
            gateway: Arc::clone(&self.gateway),
            listeners: close,
            stops,
            reload,
            roll,
        });
        let pid_file = PidFile::write(snapshot.config.server.pid_file.as_deref())?;
        server.run(RunArgs { shutdown_signal });
        drop(pid_file);
        background::save_cookies(&self.gateway.snapshot());
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

fn admin_service(
    gateway: &Arc<Gateway>,
    listener: &BoundListener,
) -> Result<Ours<impl PingoraService + 'static>, StartError> {
    let mut service = admin::service(Arc::clone(gateway));
    service.add_tcp(&listener.address.to_string());
    service.threads = Some(1);
    Ok(Ours {
        service,
        fds: handed_over(listener)?,
    })
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
