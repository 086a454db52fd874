//! LiteLLM's stand-in: a plain-HTTP proxy of both dialects that can die and come back.

mod keys;
mod site;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use self::keys::VirtualKey;
use super::anthropic::Provider;
use super::console::Console;
use super::hosts::Hosts;
use super::listener::{Listener, Port};
use super::pace::Tempo;
use super::record::{Retention, Stats};
use super::server::{Manner, Server};
use super::turn::Shape;

/// For those who keep a connection and ask nothing.
const LAST_CALL: Duration = Duration::from_secs(2);

/// How the stand-in is set up; the default takes any key and knows two models.
#[derive(Clone)]
pub struct LiteLlmOptions {
    pub listen: SocketAddr,
    /// What `/v1/models` lists; any name is answered.
    pub models: Vec<String>,
    /// With neither this nor `keys` nobody is asked for a key.
    pub master_key: Option<String>,
    pub keys: Vec<VirtualKey>,
    pub shape: Shape,
    /// The pause between the events of a stream.
    pub event_delay: Duration,
    pub retention: Retention,
}

impl Default for LiteLlmOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            models: ["gpt-4o", "claude-haiku-4-5"].map(str::to_owned).to_vec(),
            master_key: None,
            keys: Vec::new(),
            shape: Shape::default(),
            event_delay: Duration::ZERO,
            retention: Retention::default(),
        }
    }
}

/// A running stand-in; it stops when dropped.
pub struct LiteLlm {
    console: Console,
    hosts: Arc<Hosts>,
    addr: SocketAddr,
    listener: Mutex<Option<Listener>>,
}

impl LiteLlm {
    /// Starts on the runtime of the caller.
    pub async fn start(options: LiteLlmOptions) -> io::Result<Self> {
        let site = site::Proxy {
            models: options.models,
            keys: keys::Ring::new(options.master_key, options.keys),
            provider: Provider {
                shape: options.shape,
                ..Provider::any()
            },
        };
        let manner = Manner {
            retention: options.retention,
            tempo: Tempo {
                between: options.event_delay,
                ..Tempo::default()
            },
            ..Manner::default()
        };
        let server = Server::new("litellm", site, manner);
        let hosts = Hosts::new(Arc::clone(&server), Vec::new());
        let listener = Listener::open(options.listen, &hosts, Port::Plain)?;
        Ok(Self {
            addr: listener.addr(),
            console: Console::of(&server),
            hosts,
            listener: Mutex::new(Some(listener)),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDR`, as LiteLLM's base URL is written.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes the port and every connection, at once; record and script stay.
    pub async fn stop(&self) {
        let listener = self.listener.lock().take();
        if let Some(listener) = listener {
            listener.stop().await;
        }
    }

    /// Stops as LiteLLM does when it is asked to: takes nothing new, and finishes what it has.
    pub async fn leave(&self, patience: Duration) {
        if let Some(listener) = &*self.listener.lock() {
            listener.leave();
        }
        // Whoever keeps a connection is told with the next answer that it was the last.
        let left = |stats: &Stats| stats.in_flight == 0 && stats.connections.open == 0;
        self.console.wait_until(left, LAST_CALL).await;
        let idle = |stats: &Stats| stats.in_flight == 0;
        self.console.wait_until(idle, patience).await;
    }

    /// Comes back on the same port.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        let listener = Listener::open(self.addr, &self.hosts, Port::Plain)?;
        *self.listener.lock() = Some(listener);
        Ok(())
    }
}

impl Deref for LiteLlm {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.console
    }
}
