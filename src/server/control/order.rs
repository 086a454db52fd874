//! What may an operator order of a running gateway, and what comes of it at once?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gateway::{Gateway, Setting, Snapshot, Thing};
use crate::upstream::lane::Cause;

/// How callers are named that no keys file names.
const MASTER: &str = "master";
const LITELLMS: &str = "litellm:";
/// As long as a lane can be paused.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One line on the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub what: What,
    /// After so many milliseconds it takes itself back.
    pub for_millis: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// `None`: as the configuration has it.
    Bypass(Option<bool>),
    Memory(bool),
    Pause(String),
    Resume(String),
    /// `None`: as the configuration has it.
    Limit {
        lane: String,
        most: Option<usize>,
    },
    Key {
        name: String,
        enabled: bool,
    },
    Show,
    Drain,
    Reload,
}

/// What is said to whoever ordered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub done: bool,
    pub text: String,
}

impl Order {
    /// Lays the hand on what it is for; `Err`: why not.
    pub(super) fn carry_out(&self, gateway: &Gateway) -> Result<String, String> {
        let snapshot = gateway.snapshot();
        let time = self.for_millis.map(Duration::from_millis);
        let hand = Hand {
            snapshot: &snapshot,
            time,
        };
        match &self.what {
            What::Bypass(set) => Ok(hand.lay(Thing::Bypass, set.map(on_or_off))),
            What::Memory(on) => hand.memory(*on),
            What::Pause(lane) => hand.pause(lane),
            What::Resume(lane) => hand.resume(lane),
            What::Limit { lane, most } => hand.limit(lane, *most),
            What::Key { name, enabled } => hand.key(name, *enabled),
            What::Show => Ok(hand.show()),
            What::Drain | What::Reload => Err("this is not for here".to_owned()),
        }
    }
}

fn on_or_off(on: bool) -> Setting {
    if on { Setting::On } else { Setting::Off }
}

/// Of one order.
struct Hand<'a> {
    snapshot: &'a Snapshot,
    time: Option<Duration>,
}

impl Hand<'_> {
    /// `None` takes it back.
    fn lay(&self, thing: Thing, setting: Option<Setting>) -> String {
        let valve = &self.snapshot.valve;
        match setting {
            None => {
                valve.take_back(&thing);
                format!("{thing} as configured")
            }
            Some(setting) => {
                let said = format!("{thing} {setting}{}", self.how_long());
                let now = self.snapshot.clock.now();
                let until = self.time.and_then(|time| now.checked_add(time));
                valve.set(thing, setting, until);
                said
            }
        }
    }

    fn memory(&self, on: bool) -> Result<String, String> {
        if on {
            return Ok(self.lay(Thing::Memory, None));
        }
        if self.snapshot.bypasses().is_empty() {
            return Err(
                "no model has a way past the memory router (`direct.bypass: provider` opens it)"
                    .to_owned(),
            );
        }
        Ok(self.lay(Thing::Memory, Some(Setting::Off)))
    }

    fn pause(&self, lane: &str) -> Result<String, String> {
        let upstream = self.snapshot.lane(lane)?;
        upstream
            .lane
            .pause(self.time.unwrap_or(DAY), Cause::Operator);
        Ok(format!("{} paused{}", upstream.name(), self.how_long()))
    }

    fn resume(&self, lane: &str) -> Result<String, String> {
        let upstream = self.snapshot.lane(lane)?;
        upstream.lane.resume();
        Ok(format!("{} resumes", upstream.name()))
    }

    fn limit(&self, lane: &str, most: Option<usize>) -> Result<String, String> {
        let upstream = self.snapshot.lane(lane)?;
        if most == Some(0) {
            return Err("a lane lets one through at least; `pause` it instead".to_owned());
        }
        let thing = Thing::Limit(upstream.name().to_owned());
        let said = self.lay(thing, most.map(Setting::Number));
        self.snapshot.follow_policy();
        Ok(said)
    }

    fn key(&self, name: &str, enabled: bool) -> Result<String, String> {
        if !self.knows_key(name) {
            // This is logged, and a key itself may stand where its name belongs.
            return Err("no key is called so (its name is meant, not the key)".to_owned());
        }
        let thing = Thing::Key(name.to_owned());
        if enabled {
            return Ok(self.lay(thing, None));
        }
        let is_litellms = name.starts_with(LITELLMS);
        if is_litellms && !self.snapshot.config.auth.litellm {
            return Err(
                "without `auth.litellm` no key of LiteLLM's is known here: block it in LiteLLM (/key/block)"
                    .to_owned(),
            );
        }
        let said = self.lay(thing, Some(Setting::Off));
        let litellm = &self.snapshot.config.litellm;
        let judges = litellm.api_key.is_none() && !litellm.urls.is_empty();
        if judges && (is_litellms || name == MASTER) {
            return Ok(format!(
                "{said}; for models that LiteLLM serves, LiteLLM judges it: take it back there too"
            ));
        }
        Ok(said)
    }

    /// LiteLLM's are known when they come.
    fn knows_key(&self, name: &str) -> bool {
        let litellms = name.strip_prefix(LITELLMS);
        let may_come = litellms.is_some_and(|alias| !alias.chars().any(char::is_control));
        let held = || {
            self.snapshot
                .valve
                .disables(name, self.snapshot.clock.now())
        };
        let file = self.snapshot.config.auth.keys_file.as_ref();
        let listed = file.is_some_and(|file| file.keys.iter().any(|key| *key.name == *name));
        let used = || {
            let views = self.snapshot.accounts.views();
            views.iter().any(|view| *view.name == *name)
        };
        listed || name == MASTER || may_come || held() || used()
    }

    fn show(&self) -> String {
        let now = self.snapshot.clock.now();
        let mut lines: Vec<String> = Vec::new();
        for (held, left) in self.snapshot.valve.shown(now) {
            let left = left.map_or(String::new(), |left| format!(" for {left:.0?} more"));
            lines.push(format!("{held}{left}"));
        }
        for upstream in self.snapshot.lanes() {
            let view = upstream.lane.view();
            let pause = match view.pause_remaining() {
                Duration::ZERO => String::new(),
                left => format!(", paused for {left:.0?} more"),
            };
            lines.push(format!(
                "{}: {} in flight of {}, {} wait{pause}",
                upstream.name(),
                view.in_flight,
                view.limit,
                view.queued
            ));
        }
        lines.join("\n")
    }

    fn how_long(&self) -> String {
        self.time
            .map_or(String::new(), |time| format!(" for {time:?}"))
    }
}
