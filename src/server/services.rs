//! Which threads take connections, and from which sockets? The services that Pingora runs for the listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, Server, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::listening::Service;
use pingora_proxy::{HttpProxy, http_proxy};

use super::StartError;
use super::entrance::{Door, Entrance};
use super::sockets::{BoundListener, handed_over};
use crate::proxy::Proxy;

/// Takes connections on the listeners. Threads that share no tasks are a service each: Pingora puts what goes on
/// beside a request on any thread of its service, and would wake two for every one. HTTP/2 between servers
/// is few connections with many requests: those are spread over the threads of one service.
pub(super) fn add_data_services(
    server: &mut Server,
    proxy: Proxy,
    listeners: &[BoundListener],
    h2c: bool,
    closing: &ShutdownWatch,
) -> Result<(), StartError> {
    if listeners.is_empty() {
        return Ok(());
    }
    let gateway = Arc::clone(proxy.gateway());
    let doors = doors(listeners, proxy.egress())?;
    let conf = Arc::clone(&server.configuration);
    let proxy = Arc::new(data_proxy(&conf, proxy, h2c));
    let is_alone = !h2c && !conf.work_stealing;
    let name = if h2c { "data-h2c" } else { "data" };
    for _ in 0..if is_alone { conf.threads } else { 1 } {
        let entrance = Entrance::new(Arc::clone(&doors), Arc::clone(&proxy), Arc::clone(&gateway));
        let mut service = Service::new(name.to_owned(), entrance);
        service.threads = is_alone.then_some(1);
        let taken = listeners.iter().map(BoundListener::again);
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        for listener in &taken {
            service.add_listener(listener.config());
        }
        server.add_service(Ours {
            service,
            fds: handed_over(taken),
            closing: Some(closing.clone()),
        });
    }
    Ok(())
}

fn doors(
    listeners: &[BoundListener],
    egress: Option<SocketAddr>,
) -> Result<Arc<[Door]>, StartError> {
    let door = |listener: &BoundListener| {
        Ok(Door {
            address: listener.address,
            tls: listener.tls()?.map(TlsSettings::build),
            private: Some(listener.address) == egress,
        })
    };
    listeners.iter().map(door).collect()
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

/// A service on our sockets, with a close of its own: Pingora's ends the process with it.
pub(super) struct Ours<S> {
    pub service: S,
    pub fds: ListenFds,
    pub closing: Option<ShutdownWatch>,
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
