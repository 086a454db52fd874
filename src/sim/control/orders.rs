//! What the control port takes, in JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::sim::answer::Answer;
use crate::sim::anthropic::TokenRule;
use crate::sim::cloudflare::{CookieGate, RateGate, Schedule};
use crate::sim::script::Rule;
use crate::sim::server::Server;

/// What `POST /__script` takes: answers for the next POSTs in order, and rules.
///
/// ```json
/// {"answers": [{"say": {"cloudflare": {"code": 1200, "zone": "api.anthropic.com", "form": "html"}}, "times": 2},
///              {"say": {"reply": {"status": 413, "body": "no"}}, "early": "reset_no_error"},
///              {"cut": {"at": {"after_events": 3}, "how": "abort"}, "pace": {"between_ms": 50}}],
///  "rules": [{"method": "GET", "path": "/key/info", "first": 3, "answer": {"say": {"reply": {"status": 500}}}}]}
/// ```
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::sim) struct Orders {
    answers: Vec<Answer>,
    rules: Vec<Rule>,
}

impl Orders {
    pub(in crate::sim) fn give(self, server: &Server) {
        server.script.extend(self.answers);
        for rule in self.rules {
            server.script.add_rule(rule);
        }
    }
}

/// A capacity as it is written: a number, a schedule, or none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Room {
    Limit(usize),
    Steps(String),
    None,
}

impl Room {
    fn schedule(self) -> Result<Schedule, String> {
        match self {
            Self::Limit(limit) => Ok(Schedule::always(Some(limit))),
            Self::Steps(steps) => steps.parse(),
            Self::None => Ok(Schedule::always(None)),
        }
    }
}

/// What `POST /__capacity` takes: `{"capacity": 12}` or `{"schedule": "50@0,12@20"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CapacityOrder {
    #[serde(alias = "schedule")]
    capacity: Room,
    refusal: Option<Answer>,
}

impl CapacityOrder {
    pub(super) fn give(self, server: &Server) -> Result<(), String> {
        let schedule = self.capacity.schedule()?;
        if let Some(refusal) = self.refusal {
            server.door.set_refusal(refusal);
        }
        server.door.capacity.follow(schedule);
        Ok(())
    }
}

/// What `POST /__gates` takes: what is absent stays, `null` takes a gate away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateOrders {
    #[serde(default, deserialize_with = "given")]
    capacity: Option<Room>,
    refusal: Option<Answer>,
    #[serde(default, deserialize_with = "given")]
    rate: Option<Option<RateOrder>>,
    #[serde(default, deserialize_with = "given")]
    cookies: Option<Option<CookieOrder>>,
    #[serde(default, deserialize_with = "given")]
    tokens: Option<Option<TokenRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateOrder {
    requests: u32,
    #[serde(default = "a_second")]
    per_ms: u64,
    block_s: Option<u64>,
}

fn a_second() -> u64 {
    1000
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CookieOrder {
    lifetime_ms: Option<u64>,
    promised_ms: Option<u64>,
    refusal: Option<Answer>,
}

/// A field that is there, be it `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl GateOrders {
    pub(super) fn give(self, server: &Server) -> Result<(), String> {
        let schedule = self.capacity.map(Room::schedule).transpose()?;
        let door = &server.door;
        if let Some(refusal) = self.refusal {
            door.set_refusal(refusal);
        }
        if let Some(schedule) = schedule {
            door.capacity.follow(schedule);
        }
        if let Some(rate) = self.rate {
            door.set_rate(rate.map(RateOrder::gate));
        }
        if let Some(cookies) = self.cookies {
            door.set_cookies(cookies.map(CookieOrder::gate));
        }
        if let Some(tokens) = self.tokens {
            server.site.tokens().set(tokens);
        }
        Ok(())
    }
}

impl RateOrder {
    fn gate(self) -> RateGate {
        let usual = RateGate::default();
        RateGate {
            requests: self.requests,
            per: Duration::from_millis(self.per_ms),
            block: self.block_s.map_or(usual.block, Duration::from_secs),
            ..usual
        }
    }
}

impl CookieOrder {
    fn gate(self) -> CookieGate {
        let usual = CookieGate::default();
        let lifetime = self.lifetime_ms.map(Duration::from_millis);
        CookieGate {
            lifetime: lifetime.unwrap_or(usual.lifetime),
            promised: self.promised_ms.map(Duration::from_millis),
            refusal: self.refusal.unwrap_or(usual.refusal),
            ..usual
        }
    }
}

/// What `POST /__pace` takes: what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PaceOrder {
    first_byte_ms: Option<u64>,
    between_ms: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    stream_ms: Option<Option<u64>>,
}

impl PaceOrder {
    pub(super) fn give(self, server: &Server) {
        let mut tempo = server.tempo.lock();
        if let Some(wait) = self.first_byte_ms {
            tempo.first_byte = Duration::from_millis(wait);
        }
        if let Some(pause) = self.between_ms {
            tempo.between = Duration::from_millis(pause);
        }
        if let Some(stream) = self.stream_ms {
            tempo.stream = stream.map(Duration::from_millis);
        }
    }
}
