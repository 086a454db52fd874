//! Which threads take connections, and from which sockets? The services that Pingora runs for the listeners.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, Server, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::listening::Service;
use pingora_proxy::{HttpProxy, http_proxy};
use pingora_runtime::current_handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::StartError;
use super::answering::OwnCalls;
use super::entrance::Entrance;
use super::sockets::{BoundListener, Listeners, handed_over};
use crate::gateway::{Gateway, Heart};
use crate::proxy::Proxy;

/// Between two beats of a thread.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What the services that take connections share.
#[derive(Clone)]
pub(super) struct Doors {
    pub listeners: watch::Receiver<Listeners>,
    pub closing: ShutdownWatch,
    pub own_calls: Arc<OwnCalls>,
}

/// Takes connections on the listeners. Threads that share no tasks are a service each: Pingora puts what goes on
/// beside a request on any thread of its service, and would wake two for every one. HTTP/2 between servers
/// is few connections with many requests: those are spread over the threads of one service.
pub(super) fn add_data_services(server: &mut Server, proxy: Proxy, h2c: bool, doors: &Doors) {
    let gateway = Arc::clone(proxy.gateway());
    let conf = Arc::clone(&server.configuration);
    let proxy = Arc::new(data_proxy(&conf, proxy, h2c));
    let is_alone = !h2c && !conf.work_stealing;
    for _ in 0..if is_alone { conf.threads } else { 1 } {
        server.add_service(Doorkeeper {
            h2c,
            threads: is_alone.then_some(1),
            proxy: Arc::clone(&proxy),
            heart: Some(gateway.pulse.expect()),
            gateway: Arc::clone(&gateway),
            doors: doors.clone(),
        });
    }
}

fn data_proxy(conf: &Arc<ServerConf>, proxy: Proxy, h2c: bool) -> HttpProxy<Proxy> {
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    let limits = proxy.gateway().snapshot().config.limits;
    options.h2_idle_timeout = Some(limits.keepalive_timeout);
    // So that CONNECT is refused as all else is, by the proxy.
    options.allow_connect_method_proxying = true;
    let mut proxy = http_proxy(conf, proxy);
    proxy.server_options = Some(options);
    proxy
}

/// Opens and closes listeners as they are wanted, each a service of Pingora's on the threads of this one.
struct Doorkeeper {
    /// It serves those that speak HTTP/2 without TLS, or all others.
    h2c: bool,
    threads: Option<usize>,
    proxy: Arc<HttpProxy<Proxy>>,
    gateway: Arc<Gateway>,
    /// Until it begins to beat.
    heart: Option<Heart>,
    doors: Doors,
}

/// A listener that is open.
struct Open {
    listener: Arc<BoundListener>,
    close: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Doorkeeper {
    /// Whether all are open that should be.
    fn follow(&mut self, open: &mut Vec<Open>, listeners_per_fd: usize) -> bool {
        let wanted = Arc::clone(&self.doors.listeners.borrow_and_update());
        open.retain(|open| {
            let stays = wanted.iter().any(|one| Arc::ptr_eq(one, &open.listener));
            if !stays {
                // Requests under way go on, and connections end with them.
                open.close.send_replace(true);
            }
            stays
        });
        let is_new = |one: &&Arc<BoundListener>| {
            let known = open.iter().any(|open| Arc::ptr_eq(one, &open.listener));
            one.h2c() == self.h2c && !known
        };
        let new: Vec<_> = wanted.iter().filter(is_new).collect();
        let mut all = true;
        for listener in new {
            match self.open(listener, listeners_per_fd) {
                Ok(opened) => open.push(opened),
                Err(error) => {
                    all = false;
                    log::error!(target: "memgate::server", "{error}");
                }
            }
        }
        all
    }

    fn open(
        &self,
        listener: &Arc<BoundListener>,
        listeners_per_fd: usize,
    ) -> Result<Open, StartError> {
        let (proxy, gateway) = (Arc::clone(&self.proxy), Arc::clone(&self.gateway));
        let entrance = Entrance {
            door: Arc::clone(&listener.door),
            proxy,
            gateway,
            own_calls: Arc::clone(&self.doors.own_calls),
        };
        let mut service = Service::new(self.name().to_owned(), entrance);
        service.add_listener(listener.config());
        let fds = handed_over(listener)?;
        let (close, closing) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            service
                .start_service(Some(fds), closing, listeners_per_fd)
                .await;
        });
        Ok(Open {
            listener: Arc::clone(listener),
            close,
            accepting,
        })
    }
}

#[async_trait]
impl PingoraService for Doorkeeper {
    /// Its closing is its own: Pingora's ends the process with it.
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let mut open = Vec::new();
        loop {
            let all = self.follow(&mut open, listeners_per_fd);
            if let Some(heart) = self.heart.take_if(|_| all) {
                tokio::spawn(beat(heart, Arc::clone(&self.gateway)));
            }
            tokio::select! {
                Ok(()) = self.doors.listeners.changed() => {}
                _ = self.doors.closing.wait_for(|closing| *closing) => break,
            }
        }
        for open in &open {
            open.close.send_replace(true);
        }
        join_all(open.into_iter().map(|open| open.accepting)).await;
        self.proxy.http_cleanup().await;
    }

    fn name(&self) -> &str {
        if self.h2c { "data-h2c" } else { "data" }
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}

/// For ever, while the threads of the service move. Each beat is a task of its own, which any of them may get: where
/// there are several, one that is stuck keeps one sooner or later, and no other follows.
async fn beat(heart: Heart, gateway: Arc<Gateway>) {
    let heart = Arc::new(heart);
    loop {
        let (heart, gateway) = (Arc::clone(&heart), Arc::clone(&gateway));
        let beats = async move { heart.beat(gateway.snapshot().clock.now()) };
        if current_handle().spawn(beats).await.is_err() {
            // The threads are ending, or it will be missed.
            return;
        }
        sleep(BEAT).await;
    }
}

/// A service on our sockets.
pub(super) struct Ours<S> {
    pub service: S,
    pub fds: ListenFds,
}

#[async_trait]
impl<S: PingoraService> PingoraService for Ours<S> {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
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
