//! What is wrong, since when, at whom, who is affected, what does the gateway do about it, and what should a person do?
//!
//! A pure function of what there is to see: the status page and `memgate why` show what it says.

mod amounts;
mod finding;
mod words;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::clock::stamp;
use crate::gateway::EdgeErrorNote;
use crate::telemetry::{Ill, Place, Point};
use crate::upstream::lane::GateView;

pub(super) use self::finding::Finding;
use self::finding::at_litellm;

/// What was not met for so long is over, unless its lane still is closed for it.
const FRESH: Duration = Duration::from_secs(60);
/// So many are told; whoever has more to read reads the page.
const TOLD: usize = 3;
pub(super) const LITELLM: &str = "litellm";

/// All that there is to judge by.
pub(super) struct Scene {
    pub now: SystemTime,
    pub gateway: Own,
    pub lanes: Vec<LaneScene>,
    /// A replica lives; `None`: there is no LiteLLM.
    pub litellm: Option<bool>,
    pub troubles: Vec<Place>,
    /// Latest last.
    pub edge_errors: Vec<EdgeErrorNote>,
    /// Of the last five minutes.
    pub lately: Point,
}

/// The gateway's own state.
#[derive(Default)]
pub(super) struct Own {
    pub draining: bool,
    pub no_room: bool,
    /// Some key is known, or anybody may come.
    pub open: bool,
    /// Files of ours whose certificates end soon, and when.
    pub certificates: Vec<(String, SystemTime)>,
    /// What the files say by now cannot be taken over.
    pub refused: Option<Refused>,
}

pub(super) struct Refused {
    pub at: SystemTime,
    /// A fault to a line.
    pub why: String,
    /// Since when what is at work instead is.
    pub in_place: SystemTime,
}

pub(super) struct LaneScene {
    pub name: String,
    pub host: String,
    pub gate: GateView,
    pub queued: usize,
    pub way_round: WayRound,
}

/// Where requests go while a lane is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WayRound {
    None,
    Provider(String),
    LiteLlm,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Well,
    /// Everybody is served, somehow.
    Strained,
    /// Somebody is not served.
    Failing,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Strained => "strained",
            Self::Failing => "failing",
        }
    }
}

/// The answer.
pub(super) struct Why {
    pub level: Level,
    pub paragraph: String,
    /// The gravest first.
    pub findings: Vec<Finding>,
}

impl Why {
    pub fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "cause": finding.cause,
                "at": finding.at,
                "level": finding.level.as_str(),
                "since": finding.since.map(stamp),
                "people": {"led_round": finding.led_round, "failed": finding.failed},
                "sentence": finding.sentence,
            })
        });
        json!({
            "level": self.level.as_str(),
            "paragraph": self.paragraph,
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

pub(super) fn why(scene: &Scene) -> Why {
    let mut findings = of_the_gateway(scene);
    findings.extend(
        scene
            .lanes
            .iter()
            .filter_map(|lane| Finding::at_lane(lane, scene)),
    );
    findings.extend(at_litellm(scene));
    findings.extend(certificates(scene));
    findings.extend(configuration(scene));
    drop_echoes(&mut findings, scene);
    findings.sort_by_key(|finding| {
        let people = finding.failed + finding.led_round;
        std::cmp::Reverse((finding.level, people, finding.rank))
    });
    let level = findings
        .first()
        .map_or(Level::Well, |finding| finding.level);
    Why {
        level,
        paragraph: paragraph(&findings, scene),
        findings,
    }
}

fn paragraph(findings: &[Finding], scene: &Scene) -> String {
    if findings.is_empty() {
        return all_well(&scene.lately);
    }
    let told = findings.iter().take(TOLD);
    let mut told: Vec<&str> = told.map(|finding| finding.sentence.as_str()).collect();
    let more = findings.len().saturating_sub(TOLD);
    let rest = match more {
        0 => String::new(),
        1 => "One more thing is wrong; the status page has it.".to_owned(),
        more => format!("{more} more things are wrong; the status page has them."),
    };
    if more > 0 {
        told.push(&rest);
    }
    told.join(" ")
}

fn all_well(lately: &Point) -> String {
    let requests = amounts::number(lately.requests(), "request");
    match (lately.requests(), lately.failed) {
        (0, _) => "All is well. Nobody asked for anything in the last five minutes.".to_owned(),
        (_, 0) => format!("All is well. {requests} in the last five minutes, and none failed."),
        (_, failed) => format!(
            "All is well now. {requests} in the last five minutes, of which {failed} failed."
        ),
    }
}

fn of_the_gateway(scene: &Scene) -> Vec<Finding> {
    let own = &scene.gateway;
    let said = [
        (
            own.draining,
            "draining",
            Level::Strained,
            "This gateway is stopping: it finishes what is under way and takes no new work. Nothing to do: whoever stopped it knows.",
        ),
        (
            own.no_room,
            "no_room",
            Level::Failing,
            "This gateway has no room for another connection. If these are your own clients, raise `limits.connections` and the process's limit of open files; if not, keep strangers away from its port.",
        ),
        (
            !own.open,
            "closed",
            Level::Failing,
            "Nobody can pass to the direct models: there is no keys file, no master key that counts, and LiteLLM is not asked about keys. Set one of them up under `auth`.",
        ),
    ];
    let said = said.into_iter().filter(|(is_so, ..)| *is_so);
    said.map(|(_, cause, level, sentence)| Finding::of_ours(cause, level, sentence.to_owned()))
        .collect()
}

fn certificates(scene: &Scene) -> impl Iterator<Item = Finding> {
    scene.gateway.certificates.iter().map(|(file, end)| {
        let (level, ends) = match end.duration_since(scene.now) {
            Ok(left) => (Level::Strained, format!("ends in {}", amounts::span(left))),
            Err(_) => (Level::Failing, "has ended".to_owned()),
        };
        let sentence = format!(
            "The certificate in {file}, which clients are shown, {ends}. Renew it; the new file is taken up by itself."
        );
        Finding::of_ours("certificate_ends", level, sentence)
    })
}

fn configuration(scene: &Scene) -> Option<Finding> {
    let Refused { at, why, in_place } = scene.gateway.refused.as_ref()?;
    let mut faults = why.lines();
    let first = faults.next().unwrap_or_default();
    let more = match faults.count() as u64 {
        0 => String::new(),
        more => format!(" (and {} more)", amounts::number(more, "fault")),
    };
    let clock = |time| amounts::clock(time, scene.now);
    let sentence = format!(
        "The configuration as it was read at {} cannot be used: {first}{more}. The one of {} stays at work. Mend it and order a reload; `memgate check` names all that is wrong.",
        clock(*at),
        clock(*in_place)
    );
    Some(Finding {
        since: Some(*at),
        ..Finding::of_ours("configuration", Level::Strained, sentence)
    })
}

/// A lane that is paused only because its neighbour was told to be silent needs no sentence beside that one's.
fn drop_echoes(findings: &mut Vec<Finding>, scene: &Scene) {
    let host_of = |at: &str| {
        let mut lanes = scene.lanes.iter();
        lanes
            .find(|lane| lane.name == at)
            .map(|lane| lane.host.clone())
    };
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| finding.cause != finding::PAUSED)
        .filter_map(|finding| host_of(&finding.at))
        .collect();
    findings.retain(|finding| {
        finding.cause != finding::PAUSED
            || host_of(&finding.at).is_none_or(|host| !told.contains(&host))
    });
}

impl Scene {
    fn trouble(&self, at: &str) -> Option<&Place> {
        self.troubles.iter().find(|place| place.at == at)
    }

    /// The last error of an edge that belongs to this ill. The first one was read a moment before the ill began.
    fn edge_error(&self, lane: &str, ill: &Ill) -> Option<&EdgeErrorNote> {
        let belongs =
            |error: &EdgeErrorNote| error.time >= ill.since || error.request_id == ill.request;
        let mut errors = self.edge_errors.iter().rev();
        errors.find(|error| error.lane == lane && belongs(error))
    }

    fn is_fresh(&self, ill: &Ill) -> bool {
        self.now.duration_since(ill.last).unwrap_or_default() < FRESH
    }
}

#[cfg(test)]
mod tests;
