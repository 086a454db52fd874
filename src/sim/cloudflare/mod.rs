//! Cloudflare in front of a host: the errors it makes itself, and the scripts that ask for them.

mod capacity;
mod code;
mod door;
mod gate;
mod page;
mod rate;
mod schedule;

use serde::Deserialize;

pub(super) use self::capacity::Slot;
pub use self::capacity::{CapacityGate, Room};
pub use self::door::Gates;
pub(super) use self::door::{Door, Guard};
pub use self::gate::CookieGate;
pub use self::rate::RateGate;
pub use self::schedule::Schedule;
use super::answer::{Answer, Say, say};
use super::head::Head;
use super::reply::Reply;

/// One error of the edge itself; its form follows what the client accepts unless it is fixed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EdgeError {
    pub(super) code: u16,
    #[serde(default)]
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) retry_after: Option<u64>,
    #[serde(default)]
    pub(super) form: Form,
    #[serde(default)]
    pub(super) ray: Option<String>,
    #[serde(default)]
    pub(super) challenge: bool,
}

/// The forms one and the same error comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// JSON, Markdown or HTML, by the request's Accept.
    #[default]
    Negotiated,
    Html,
    Json,
    Markdown,
    /// `error code: 1015` and nothing else.
    Plain,
}

impl Form {
    fn settle(self, head: &Head) -> Self {
        if self != Self::Negotiated {
            return self;
        }
        let accepts = |kind: &str| head.values("accept").any(|value| value.contains(kind));
        if accepts("application/json") || accepts("application/problem+json") {
            Self::Json
        } else if accepts("text/markdown") {
            Self::Markdown
        } else {
            Self::Html
        }
    }
}

/// Any of Cloudflare's own errors by its number: 1000 to 1200, 520 to 530.
pub fn error(code: u16) -> Answer {
    say(Say::Cloudflare(EdgeError {
        code,
        zone: None,
        retry_after: code::of(code).retry_after,
        form: Form::Negotiated,
        ray: None,
        challenge: false,
    }))
}

/// 1200: the edge's queue for an origin is full.
pub fn queue_full() -> Answer {
    error(1200)
}

/// 1015: the zone owner's rate limit.
pub fn rate_limited() -> Answer {
    error(1015)
}

/// 1020: a firewall rule said no.
pub fn denied() -> Answer {
    error(1020)
}

/// 1101: the Worker crashed, perhaps after it did its work.
pub fn worker_crashed() -> Answer {
    error(1101)
}

/// A challenge that only a browser passes; always HTML.
pub fn challenge() -> Answer {
    say(Say::Cloudflare(EdgeError {
        code: 403,
        zone: None,
        retry_after: None,
        form: Form::Html,
        ray: None,
        challenge: true,
    }))
}

/// The page that was met in the wild while calling Supermemory: no cookie, no Retry-After,
/// and it names the provider's zone.
pub fn rate_limited_page() -> Answer {
    say(Say::Cloudflare(EdgeError {
        code: 1200,
        zone: Some("api.anthropic.com".to_owned()),
        retry_after: None,
        form: Form::Html,
        ray: Some("99798f8c4cb7ecbe-WAW".to_owned()),
        challenge: false,
    }))
}

/// A `Set-Cookie` line as Cloudflare writes it; `life` of `None` makes a session cookie.
pub fn set_cookie(
    name: &str,
    value: &str,
    domain: Option<&str>,
    life: Option<std::time::Duration>,
) -> String {
    gate::line(name, value, domain, life)
}

impl EdgeError {
    pub(super) fn reply(&self, head: &Head) -> Reply {
        let host = head.authority.rsplit_once(':');
        let host = host.map_or(head.authority.as_str(), |(host, _)| host);
        let facts = page::Facts {
            about: code::of(self.code),
            zone: self.zone.as_deref().unwrap_or(host),
            ray: self.ray.clone().unwrap_or_else(ray),
            retry_after: self.retry_after,
        };
        let reply = if self.challenge {
            page::challenge(&facts)
        } else {
            facts.page(self.form.settle(head))
        };
        let reply = reply
            .with("cache-control", "private, max-age=0, no-store, no-cache")
            .with("cf-ray", facts.ray);
        match self.retry_after {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        }
    }
}

/// What every answer that came through Cloudflare carries: it proves nothing.
pub(super) fn dress(reply: &mut Reply) {
    reply.default_header("server", || "cloudflare".to_owned());
    reply.default_header("cf-ray", ray);
    reply.default_header("cf-cache-status", || "DYNAMIC".to_owned());
}

fn ray() -> String {
    format!("{:016x}-WAW", fastrand::u64(..))
}
