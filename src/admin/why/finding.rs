//! What is wrong at one place, and how is that said?

use std::time::SystemTime;

use super::amounts::{clock, number, span};
use super::words::{Words, words};
use super::{LITELLM, LaneScene, Level, Scene, WayRound};
use crate::gateway::EdgeErrorNote;
use crate::telemetry::{Ill, Place};
use crate::upstream::lane::GateView;

/// A lane is closed, and nothing that it met itself is the reason.
pub(super) const PAUSED: &str = "paused";
/// LiteLLM, by its health checks or by those who meet nobody there.
const DOWN: &str = "litellm_down";
/// Below this share of the attempts, what passes by itself is no news.
const RARE: f64 = 0.05;

/// One thing that is wrong, told.
pub(in crate::admin) struct Finding {
    /// The code's own word for it.
    pub cause: &'static str,
    /// A lane, `litellm`, or the gateway itself.
    pub at: String,
    pub level: Level,
    pub since: Option<SystemTime>,
    pub led_round: usize,
    pub failed: usize,
    pub rank: u8,
    pub sentence: String,
}

impl Finding {
    pub(super) fn of_ours(cause: &'static str, level: Level, sentence: String) -> Self {
        Self {
            cause,
            at: "memgate".to_owned(),
            level,
            since: None,
            led_round: 0,
            failed: 0,
            rank: 9,
            sentence,
        }
    }

    /// What is wrong at a lane now, if anything is.
    pub(super) fn at_lane(lane: &LaneScene, scene: &Scene) -> Option<Self> {
        let place = scene.trouble(&lane.name);
        let told = place.and_then(|place| worst(place, scene, lane.is_closed()));
        match (place, told) {
            (Some(place), Some((ill, words))) if words.stubborn || lane.is_felt(place) => {
                Some(Self::of_ill(place, ill, words, Some(lane), scene))
            }
            _ => Self::of_pause(lane),
        }
    }

    fn of_ill(
        place: &Place,
        ill: &Ill,
        words: &Words,
        lane: Option<&LaneScene>,
        scene: &Scene,
    ) -> Self {
        let edge = scene.edge_error(&place.at, ill);
        let edge = edge.filter(|_| ill.what.starts_with("edge_"));
        let names = Names::of(&place.at, lane, edge);
        let shown = if place.at == LITELLM {
            "LiteLLM"
        } else {
            &place.at
        };
        let mut said = vec![format!(
            "Since {} {shown} {}{}.",
            clock(ill.since, scene.now),
            names.filled(words.does),
            evidence(ill, edge),
        )];
        said.push(people(place, ill, lane));
        said.extend(lane.and_then(LaneScene::doing));
        said.push(format!("{}.", names.filled(words.act)));
        Self {
            cause: ill.what,
            at: place.at.clone(),
            level: if place.failed > 0 {
                Level::Failing
            } else {
                Level::Strained
            },
            since: Some(ill.since),
            led_round: place.led_round,
            failed: place.failed,
            rank: words.rank,
            sentence: said.join(" "),
        }
    }

    fn of_pause(lane: &LaneScene) -> Option<Self> {
        let GateView::Paused { remaining, .. } = lane.gate else {
            return None;
        };
        let sentence = format!(
            "{} is paused for another {}. {} Nothing to do.",
            lane.name,
            span(remaining),
            lane.meanwhile()
        );
        Some(Self {
            at: lane.name.clone(),
            rank: 1,
            ..Self::of_ours(PAUSED, Level::Strained, sentence)
        })
    }
}

/// LiteLLM has no lane: it is asked, and fails or does not.
pub(super) fn at_litellm(scene: &Scene) -> Option<Finding> {
    let place = scene.trouble(LITELLM)?;
    let down = scene.litellm == Some(false);
    // Its probes pass again.
    let is_over = |ill: &Ill| !down && ill.what == DOWN && ill.times == 0;
    let ills = place
        .ills
        .iter()
        .filter(|ill| !is_over(ill))
        .map(|ill| Ill {
            what: match ill.what {
                "connect" | "connect_failed" | "connect_timeout" => DOWN,
                what => what,
            },
            ..ill.clone()
        });
    let place = Place {
        ills: ills.collect(),
        ..place.clone()
    };
    let (ill, words) = worst(&place, scene, down)?;
    Some(Finding::of_ill(&place, ill, words, None, scene))
}

/// What is told of a place: what closed its lane, else what weighs most.
fn worst<'p>(place: &'p Place, scene: &Scene, closed: bool) -> Option<(&'p Ill, &'static Words)> {
    let is_now = |ill: &Ill, words: &Words| {
        let all = (ill.times + ill.good) as f64;
        let often = words.stubborn || ill.times as f64 >= RARE * all;
        closed || scene.is_fresh(ill) && often
    };
    let ills = place.ills.iter().filter_map(|ill| {
        let words = words(ill.what)?;
        is_now(ill, words).then_some((ill, words))
    });
    ills.max_by_key(|(ill, words)| (scene.is_fresh(ill), words.rank, ill.times))
}

/// Where to look it up.
fn evidence(ill: &Ill, edge: Option<&EdgeErrorNote>) -> String {
    let code = edge.and_then(|edge| edge.code);
    // Where the words themselves name the number.
    let named = matches!(ill.what, "edge_queue_full" | "edge_rate_limited");
    let code = code.filter(|_| !named).map(|code| format!("error {code}"));
    let ray = edge.and_then(|edge| edge.ray_id.as_ref());
    let ray = ray.map(|ray| format!("ray {ray}"));
    let times = (ill.times > 1).then(|| number(ill.times, "time"));
    let request = match (&ray, ill.request.as_str()) {
        (None, request) if !request.is_empty() => Some(format!("last in request {request}")),
        _ => None,
    };
    let parts: Vec<String> = [code, ray, times, request].into_iter().flatten().collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" ({})", parts.join(", ")),
    }
}

fn people(place: &Place, ill: &Ill, lane: Option<&LaneScene>) -> String {
    let is = |count: usize| if count == 1 { "is" } else { "are" };
    let mut said = Vec::new();
    if place.led_round > 0 {
        let people = number(place.led_round as u64, "person");
        let past = match lane.map(|lane| &lane.way_round) {
            _ if ill.what == "memory_error" => "by it".to_owned(),
            Some(WayRound::Provider(host)) => format!("past it by {host}"),
            Some(WayRound::LiteLlm) => "past it by LiteLLM".to_owned(),
            _ => "past it".to_owned(),
        };
        said.push(format!(
            "{people} {} served {past}, without memory",
            is(place.led_round)
        ));
    }
    if place.failed > 0 {
        said.push(format!(
            "{} got errors",
            number(place.failed as u64, "person")
        ));
    }
    if let Some(queued) = lane.map(|lane| lane.queued).filter(|queued| *queued > 0) {
        let wait = if queued == 1 { "waits" } else { "wait" };
        said.push(format!(
            "{} {wait} in line",
            number(queued as u64, "request")
        ));
    }
    match said.as_slice() {
        [] => "Nobody was affected so far.".to_owned(),
        [first] => format!("{first}."),
        [first @ .., last] => format!("{} and {last}.", first.join(", ")),
    }
}

impl LaneScene {
    fn is_closed(&self) -> bool {
        matches!(self.gate, GateView::Paused { .. })
    }

    /// Somebody notices. A refusal that another attempt made good is daily bread.
    fn is_felt(&self, place: &Place) -> bool {
        self.is_closed() || self.queued > 0 || place.failed + place.led_round > 0
    }

    /// What the gateway does about it.
    fn doing(&self) -> Option<String> {
        match self.gate {
            GateView::Paused { remaining, .. } => Some(format!(
                "The lane is closed meanwhile; the next probe goes in {}.",
                span(remaining)
            )),
            GateView::Opening => Some("The lane is being opened step by step.".to_owned()),
            GateView::Open => None,
        }
    }

    fn meanwhile(&self) -> String {
        match &self.way_round {
            WayRound::Provider(host) => format!("Requests go to {host} meanwhile, without memory."),
            WayRound::LiteLlm => "Requests go by LiteLLM meanwhile, without memory.".to_owned(),
            WayRound::None => "Requests wait in line meanwhile.".to_owned(),
        }
    }
}

/// What the places in the words stand for.
struct Names<'n> {
    zone: &'n str,
    host: &'n str,
    provider: &'n str,
}

impl<'n> Names<'n> {
    fn of(at: &'n str, lane: Option<&'n LaneScene>, edge: Option<&'n EdgeErrorNote>) -> Self {
        let host = lane.map_or(at, |lane| &lane.host);
        let provider = at.split(" → ").nth(1).unwrap_or(host);
        let zone = edge.and_then(|edge| edge.zone.as_deref());
        Self {
            zone: zone.unwrap_or(host),
            host,
            provider,
        }
    }

    fn filled(&self, words: &str) -> String {
        words
            .replace("{zone}", self.zone)
            .replace("{host}", self.host)
            .replace("{provider}", self.provider)
    }
}
