//! Cloudflare, Supermemory and Anthropic on one TLS port of loopback, as one host or as two.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Message};
use super::cloudflare::{self, CapacityGate, CookieGate, Gates, RateGate};
use super::console::Console;
use super::h2::H2Limits;
use super::head::{Asked, Head};
use super::hosts::Hosts;
use super::listener::{Listener, Port};
use super::openai;
use super::pace::Tempo;
use super::record::Retention;
use super::reply::Reply;
use super::server::{Manner, Server, Site};
use super::supermemory::{self, Memory};
use super::tls::{Alpn, Ca};
use super::{anthropic, anthropic::Provider, anthropic::Tokens};

/// The first host's name, under which it is known to the control port.
const ROUTER: &str = "api.supermemory.ai";

/// How a simulated edge is set up; the default needs nothing else.
#[derive(Clone)]
pub struct EdgeOptions {
    pub listen: SocketAddr,
    /// A plain-HTTP port for `/__stats` and its like; the TLS port serves them too.
    pub control: Option<SocketAddr>,
    /// Names in the certificate.
    pub names: Vec<String>,
    pub alpn: Alpn,
    /// None: a CA of its own.
    pub ca: Option<Arc<Ca>>,
    pub h2: H2Limits,
    pub cookie_gate: Option<CookieGate>,
    pub rate: Option<RateGate>,
    pub capacity: Option<CapacityGate>,
    pub provider: Provider,
    pub memory: Memory,
    /// The pause between the events of a stream.
    pub event_delay: Duration,
    /// The wait before what the model says.
    pub first_byte: Duration,
    /// From a stream's head to its end; goes before `event_delay`.
    pub stream_time: Option<Duration>,
    pub retention: Retention,
    /// The provider's own host on the same port; none: one host plays everything.
    pub direct: Option<DirectHost>,
}

/// The provider called directly, behind an edge of its own.
#[derive(Clone)]
pub struct DirectHost {
    pub name: String,
    pub gates: Gates,
    /// None: the very provider that is behind the router.
    pub provider: Option<Provider>,
}

impl Default for DirectHost {
    fn default() -> Self {
        Self {
            name: "api.anthropic.com".to_owned(),
            gates: Gates::default(),
            provider: None,
        }
    }
}

impl Default for EdgeOptions {
    fn default() -> Self {
        let names = [ROUTER, "api.anthropic.com", "localhost", "127.0.0.1"];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control: None,
            names: names.map(str::to_owned).to_vec(),
            alpn: Alpn::default(),
            ca: None,
            h2: H2Limits::default(),
            cookie_gate: None,
            rate: None,
            capacity: None,
            provider: Provider::default(),
            memory: Memory::default(),
            event_delay: Duration::ZERO,
            first_byte: Duration::ZERO,
            stream_time: None,
            retention: Retention::default(),
            direct: None,
        }
    }
}

/// A running edge; it stops when dropped. It is the console of its first host.
pub struct Edge {
    first: Console,
    direct: Option<(String, Console)>,
    ca: Arc<Ca>,
    listener: Listener,
    control: Option<Listener>,
}

impl Edge {
    /// Starts on the runtime of the caller.
    pub async fn start(mut options: EdgeOptions) -> io::Result<Self> {
        let ca = match options.ca.take() {
            Some(ca) => ca,
            None => Arc::new(Ca::generate()?),
        };
        let direct = options.direct.take();
        let direct = direct.map(|direct| direct.server(&mut options));
        let tls = ca.server_config(&options.names, options.alpn)?;
        let (listen, control) = (options.listen, options.control);
        let first = options.server();
        let hosts = Hosts::new(Arc::clone(&first), direct.iter().cloned().collect());
        let control = control
            .map(|addr| Listener::open(addr, &hosts, Port::Control))
            .transpose()?;
        Ok(Self {
            listener: Listener::open(listen, &hosts, Port::Tls(tls))?,
            control,
            first: Console::of(&first),
            direct: direct.map(|direct| (direct.name.clone(), Console::of(&direct))),
            ca,
        })
    }

    /// A default edge whose first POSTs get these answers, in order.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        let edge = Self::start(EdgeOptions::default()).await?;
        edge.script(answers);
        Ok(edge)
    }

    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Listener::addr)
    }

    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    pub fn write_ca(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.ca.write(path)
    }

    /// The host of this name; the first one where there is no other of that name.
    pub fn host(&self, name: &str) -> &Console {
        let named = self.direct.as_ref().filter(|(known, _)| known == name);
        named.map_or(&self.first, |(_, console)| console)
    }

    /// Closes the port and every connection.
    pub async fn stop(self) {
        self.listener.stop().await;
    }
}

impl Deref for Edge {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.first
    }
}

impl EdgeOptions {
    fn manner(&self, gates: Gates) -> Manner {
        Manner {
            retention: self.retention,
            h2: self.h2,
            tempo: Tempo {
                first_byte: self.first_byte,
                between: self.event_delay,
                stream: self.stream_time,
            },
            gates,
        }
    }

    fn server(mut self) -> Arc<Server> {
        let gates = Gates {
            cookies: self.cookie_gate.take(),
            rate: self.rate.take(),
            capacity: self.capacity.take(),
        };
        let manner = self.manner(gates);
        let site = Host {
            provider: self.provider,
            router: Some(self.memory),
        };
        Server::new(ROUTER, site, manner)
    }
}

impl DirectHost {
    fn server(self, options: &mut EdgeOptions) -> Arc<Server> {
        let site = Host {
            provider: self.provider.unwrap_or_else(|| options.provider.clone()),
            router: None,
        };
        if !options.names.contains(&self.name) {
            options.names.push(self.name.clone());
        }
        Server::new(&self.name, site, options.manner(self.gates))
    }
}

struct Host {
    provider: Provider,
    /// What the router says; none at the provider's own host.
    router: Option<Memory>,
}

impl Host {
    fn provider(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        let path = asked.head.path();
        if path.ends_with("/v1/messages") {
            self.provider.message(asked, scripted)
        } else if path.ends_with("/v1/messages/count_tokens") {
            self.provider.count_tokens(asked)
        } else if path.ends_with("/chat/completions") {
            openai::completion(asked, &self.provider, scripted)
        } else if path == "/" {
            Reply::new(200)
        } else {
            anthropic::error(404, "not_found_error", "Not found")
        }
    }
}

impl Site for Host {
    fn reply(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        let Some(usual) = &self.router else {
            return match self.leaks(&asked.head) {
                true => anthropic::error(400, "invalid_request_error", "fields of another host"),
                false => self.provider(asked, scripted),
            };
        };
        if !supermemory::owns(asked.head.path()) {
            return self.provider(asked, scripted);
        }
        supermemory::refuse(asked).unwrap_or_else(|| {
            let mut reply = self.provider(asked, scripted);
            let memory = scripted.and_then(|message| message.memory.as_ref());
            memory
                .unwrap_or(usual)
                .report(&asked.head, asked.body.len(), &mut reply);
            reply
        })
    }

    fn dress(&self, _: &Head, reply: &mut Reply) {
        cloudflare::dress(reply);
    }

    fn tokens(&self) -> &Tokens {
        &self.provider.tokens
    }

    fn leaks(&self, head: &Head) -> bool {
        self.router.is_none()
            && head
                .headers
                .iter()
                .any(|(name, _)| supermemory::means(name))
    }
}
