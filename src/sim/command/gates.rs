//! The options of `memgate sim` that say who is let in, and how fast.

use std::time::Duration;

use crate::sim::answer::Answer;
use crate::sim::anthropic::{TokenRule, Tokens};
use crate::sim::cloudflare::{CapacityGate, CookieGate, Form, RateGate, Schedule, queue_full};
use crate::sim::edge::DirectHost;
use crate::sim::reply::Encoding;

#[derive(Clone, Debug, clap::Args)]
pub struct GateArgs {
    /// Also play api.anthropic.com, the provider's own host, behind an edge of its own
    #[arg(long)]
    pub direct: bool,
    /// Requests at once behind the edge, the next gets 503/1200: N, or N@SECONDS,N@SECONDS,…
    #[arg(long, value_name = "SPEC")]
    pub capacity: Option<Schedule>,
    /// The same for api.anthropic.com
    #[arg(long, value_name = "SPEC", requires = "direct")]
    pub direct_capacity: Option<Schedule>,
    /// Retry-After where there was no room
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub retry_after: u64,
    /// The form in which it is said that there was no room
    #[arg(long, value_enum, default_value = "negotiated")]
    pub refusal_form: Form,
    /// The zone it names at the first host (default: the host called)
    #[arg(long, value_name = "NAME")]
    pub refusal_zone: Option<String>,
    /// How its body is compressed
    #[arg(long, value_enum)]
    pub refusal_encoding: Option<Encoding>,
    /// Requests per second, beyond which everybody gets 429/1015
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// How long they get it
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub rate_block: u64,
    /// Refuse with 503/1200 whoever does not bring the edge's cookies back
    #[arg(long)]
    pub cookie_gate: bool,
    /// How long a cookie of the gate is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub cookie_lifetime: u64,
    /// How long the cookie itself says it is (default: as long as it is)
    #[arg(long, value_name = "SECONDS")]
    pub cookie_promise: Option<u64>,
    /// The zone that the cookie gate's refusal names (default: the host called)
    #[arg(long, value_name = "NAME")]
    pub zone: Option<String>,
    /// The provider's token bucket, N/BURST: requests per second of each key and model, then 429
    #[arg(long, value_name = "N[/BURST]", value_parser = token_rule)]
    pub tokens: Option<TokenRule>,
    /// The bucket says 529 instead
    #[arg(long)]
    pub overloaded: bool,
}

impl GateArgs {
    pub(super) fn capacity(&self) -> Option<CapacityGate> {
        let refusal = self.refusal();
        let refusal = match &self.refusal_zone {
            Some(zone) => refusal.zone(zone),
            None => refusal,
        };
        Some(CapacityGate {
            capacity: self.capacity.clone().unwrap_or_default(),
            refusal,
        })
    }

    pub(super) fn rate(&self) -> Option<RateGate> {
        let block = Duration::from_secs(self.rate_block);
        self.rate
            .map(|requests| RateGate::per_second(requests).block(block))
    }

    pub(super) fn cookies(&self) -> Option<CookieGate> {
        let usual = CookieGate::default();
        self.cookie_gate.then(|| CookieGate {
            lifetime: Duration::from_secs(self.cookie_lifetime),
            promised: self.cookie_promise.map(Duration::from_secs),
            refusal: match &self.zone {
                Some(zone) => usual.refusal.zone(zone),
                None => usual.refusal,
            },
            ..usual
        })
    }

    pub(super) fn tokens(&self) -> Tokens {
        match self.tokens {
            Some(rule) if self.overloaded => Tokens::limited(rule.overloaded()),
            Some(rule) => Tokens::limited(rule),
            None => Tokens::default(),
        }
    }

    pub(super) fn direct(&self) -> Option<DirectHost> {
        let mut host = DirectHost::default();
        host.gates.cookies = self.cookies();
        host.gates.capacity = Some(CapacityGate {
            capacity: self.direct_capacity.clone().unwrap_or_default(),
            refusal: self.refusal(),
        });
        self.direct.then_some(host)
    }

    fn refusal(&self) -> Answer {
        let refusal = queue_full()
            .retry_after(self.retry_after)
            .form(self.refusal_form);
        match self.refusal_encoding {
            Some(encoding) => refusal.compressed(encoding),
            None => refusal,
        }
    }
}

fn token_rule(text: &str) -> Result<TokenRule, String> {
    let number = |text: &str| {
        let number = text.parse::<f64>().ok().filter(|number| *number > 0.0);
        number.ok_or_else(|| format!("{text:?} is no number above zero"))
    };
    match text.split_once('/') {
        Some((rate, burst)) => Ok(TokenRule::per_second(number(rate)?).burst(number(burst)?)),
        None => Ok(TokenRule::per_second(number(text)?)),
    }
}
