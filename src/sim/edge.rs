//! Cloudflare, Supermemory and Anthropic as one TLS host on loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Message};
use super::cloudflare::{self, CookieGate, Gate};
use super::console::Console;
use super::h2::H2Limits;
use super::head::{Asked, Head};
use super::listener::{Listener, Port};
use super::openai;
use super::record::Retention;
use super::reply::Reply;
use super::server::{Server, Site};
use super::supermemory::{self, Memory};
use super::tls::{Alpn, Ca};
use super::{anthropic, anthropic::Provider};

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
    pub provider: Provider,
    pub memory: Memory,
    /// The pause between the events of a stream.
    pub event_delay: Duration,
    pub retention: Retention,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        let names = [
            "api.supermemory.ai",
            "api.anthropic.com",
            "localhost",
            "127.0.0.1",
        ];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control: None,
            names: names.map(str::to_owned).to_vec(),
            alpn: Alpn::default(),
            ca: None,
            h2: H2Limits::default(),
            cookie_gate: None,
            provider: Provider::default(),
            memory: Memory::default(),
            event_delay: Duration::ZERO,
            retention: Retention::default(),
        }
    }
}

/// A running edge; it stops when dropped.
pub struct Edge {
    console: Console,
    gate: Option<Arc<Gate>>,
    ca: Arc<Ca>,
    listener: Listener,
    control: Option<Listener>,
}

impl Edge {
    /// Starts on the runtime of the caller.
    pub async fn start(options: EdgeOptions) -> io::Result<Self> {
        let ca = match options.ca {
            Some(ca) => ca,
            None => Arc::new(Ca::generate()?),
        };
        let tls = ca.server_config(&options.names, options.alpn)?;
        let gate = options.cookie_gate.map(|rules| Arc::new(Gate::new(rules)));
        let site = Host {
            gate: gate.clone(),
            provider: options.provider,
            memory: options.memory,
        };
        let server = Server::new(site, options.retention, options.h2, options.event_delay);
        let control = options
            .control
            .map(|addr| Listener::open(addr, &server, Port::Control))
            .transpose()?;
        Ok(Self {
            listener: Listener::open(options.listen, &server, Port::Tls(tls))?,
            control,
            console: Console::of(&server),
            gate,
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

    /// Makes every cookie issued so far worthless.
    pub fn expire_cookies(&self) {
        if let Some(gate) = &self.gate {
            gate.expire();
        }
    }

    /// Closes the port and every connection.
    pub async fn stop(self) {
        self.listener.stop().await;
    }
}

impl Deref for Edge {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.console
    }
}

struct Host {
    gate: Option<Arc<Gate>>,
    provider: Provider,
    memory: Memory,
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
    fn door(&self, head: &Head) -> Option<Answer> {
        self.gate.as_ref().and_then(|gate| gate.refuse(head))
    }

    fn reply(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        if !supermemory::owns(asked.head.path()) {
            return self.provider(asked, scripted);
        }
        supermemory::refuse(asked).unwrap_or_else(|| {
            let mut reply = self.provider(asked, scripted);
            self.memory
                .report(&asked.head, asked.body.len(), &mut reply);
            reply
        })
    }

    fn dress(&self, _: &Head, reply: &mut Reply) {
        cloudflare::dress(reply);
    }
}
