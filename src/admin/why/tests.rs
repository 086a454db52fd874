//! Is the cause that is told the one that there is?

use super::*;
use crate::telemetry::Recent;
use crate::upstream::lane::Cause;

const ROUTER: &str = "api.supermemory.ai → api.anthropic.com";
const NOON: Duration = Duration::from_secs(1_763_467_200);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + NOON + Duration::from_secs(seconds)
}

fn lane(name: &str, gate: GateView) -> LaneScene {
    LaneScene {
        name: name.to_owned(),
        host: name.split(' ').next().unwrap().to_owned(),
        gate,
        queued: 0,
        way_round: WayRound::None,
    }
}

fn paused(seconds: u64, cause: Cause) -> GateView {
    GateView::Paused {
        remaining: Duration::from_secs(seconds),
        cause,
    }
}

/// A gateway of two lanes after this, `seconds` past noon.
fn scene(recent: &Recent, seconds: u64) -> Scene {
    Scene {
        now: at(seconds),
        gateway: Own {
            open: true,
            ..Own::default()
        },
        lanes: vec![
            lane("api.anthropic.com", GateView::Open),
            lane(ROUTER, GateView::Open),
        ],
        litellm: None,
        troubles: recent.troubles(at(seconds)),
        edge_errors: Vec::new(),
        lately: Point::default(),
    }
}

fn only(scene: &Scene) -> Finding {
    let mut findings = why(scene).findings;
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

#[test]
fn a_full_edge_is_told_with_its_zone_ray_people_probe_and_that_nothing_is_to_be_done() {
    let recent = Recent::default();
    recent.went_wrong(ROUTER, "edge_queue_full", "r-1", at(120));
    for person in 0..41 {
        recent.led_round(ROUTER, &person.to_string(), at(121));
    }
    let mut scene = scene(&recent, 142);
    scene.lanes[1].gate = paused(38, Cause::Refused);
    scene.lanes[1].way_round = WayRound::Provider("api.anthropic.com".to_owned());
    scene.edge_errors.push(EdgeErrorNote {
        // An edge's answer is read before its attempt is counted.
        time: at(120) - Duration::from_millis(1),
        lane: ROUTER.to_owned(),
        status: 503,
        code: Some(1200),
        zone: Some("api.anthropic.com".to_owned()),
        ray_id: Some("99798f8c4cb7ecbe-WAW".to_owned()),
        request_id: "r-1".to_owned(),
    });

    let why = why(&scene);

    assert_eq!(
        why.paragraph,
        "Since 12:02 UTC api.supermemory.ai → api.anthropic.com answers error 1200: too many requests are waiting \
         at the edge of api.anthropic.com (ray 99798f8c4cb7ecbe-WAW). 41 people are served past it by \
         api.anthropic.com, without memory. The lane is closed meanwhile; the next probe goes in 38 s. Nothing to \
         do: it passes when the edge has room again."
    );
    assert_eq!(why.level, Level::Strained, "everybody is served");
}

#[test]
fn when_nothing_is_wrong_it_says_so_with_numbers() {
    let mut scene = scene(&Recent::default(), 0);
    let silent = why(&scene).paragraph;
    scene.lately.answered = 1_234;
    let busy = why(&scene).paragraph;

    assert!(silent.contains("Nobody asked"), "{silent}");
    assert_eq!(
        busy,
        "All is well. 1,234 requests in the last five minutes, and none failed."
    );
}

#[test]
fn what_is_rare_and_passes_is_no_news_and_a_refused_key_is_however_rare() {
    let recent = Recent::default();
    recent.went_wrong(ROUTER, "provider_api", "r-1", at(0));
    recent.went_wrong(ROUTER, "provider_authentication", "r-2", at(0));
    for _ in 0..1_000 {
        recent.went_well(ROUTER);
    }

    assert_eq!(only(&scene(&recent, 1)).cause, "provider_authentication");
}

#[test]
fn a_refusal_that_another_attempt_made_good_is_not_told() {
    let recent = Recent::default();
    recent.went_wrong(ROUTER, "edge_queue_full", "r-1", at(0));
    let unnoticed = why(&scene(&recent, 1)).level;
    recent.led_round(ROUTER, "anna", at(0));

    assert_eq!(unnoticed, Level::Well);
    assert_eq!(only(&scene(&recent, 1)).cause, "edge_queue_full");
}

#[test]
fn what_was_not_met_for_a_minute_is_over_unless_its_lane_is_still_closed_for_it() {
    let recent = Recent::default();
    recent.went_wrong(ROUTER, "edge_origin_down", "r-1", at(0));
    recent.failed(ROUTER, "anna", at(0));
    let over = scene(&recent, 61);
    let mut closed = scene(&recent, 61);
    closed.lanes[1].gate = paused(20, Cause::Circuit);

    assert_eq!(why(&over).level, Level::Well);
    assert_eq!(only(&closed).cause, "edge_origin_down");
    assert_eq!(only(&closed).since, Some(at(0)));
}

#[test]
fn a_lane_that_is_silent_for_its_neighbours_sake_is_not_told_beside_it() {
    let recent = Recent::default();
    recent.went_wrong(ROUTER, "edge_queue_full", "r-1", at(0));
    let mut scene = scene(&recent, 1);
    scene.lanes[1].gate = paused(59, Cause::Refused);
    let beside = "api.supermemory.ai → api.openai.com";
    scene.lanes.push(lane(beside, paused(59, Cause::Host)));

    assert_eq!(only(&scene).at, ROUTER);
    scene.troubles.clear();
    let alone = why(&scene);
    assert_eq!(alone.findings.len(), 2, "{}", alone.paragraph);
}

#[test]
fn what_touches_most_people_comes_first_and_only_the_first_few_are_told() {
    let recent = Recent::default();
    recent.went_wrong("api.anthropic.com", "provider_overloaded", "r-1", at(0));
    recent.failed("api.anthropic.com", "anna", at(0));
    recent.went_wrong(ROUTER, "tls", "r-2", at(0));
    for person in ["anna", "ben"] {
        recent.failed(ROUTER, person, at(0));
    }
    let mut scene = scene(&recent, 1);
    scene.gateway.draining = true;
    scene.gateway.no_room = true;

    let why = why(&scene);

    let causes: Vec<_> = why.findings.iter().map(|finding| finding.cause).collect();
    assert_eq!(
        causes,
        ["tls", "provider_overloaded", "no_room", "draining"]
    );
    assert!(why.paragraph.contains("2 people got errors."));
    assert!(why.paragraph.ends_with("the status page has it."));
    assert!(!why.paragraph.contains("stopping"));
}

#[test]
fn litellm_is_down_from_the_first_who_met_nobody_until_its_probes_pass() {
    let recent = Recent::default();
    recent.went_wrong("litellm", "connect_failed", "r-1", at(0));
    recent.failed("litellm", "anna", at(0));
    let scene_at = |seconds, healthy| Scene {
        litellm: Some(healthy),
        ..scene(&recent, seconds)
    };
    let met = only(&scene_at(1, true));
    recent.stands("litellm", "litellm_down", at(9));
    let down = only(&scene_at(10, false));

    assert_eq!((met.cause, met.level), ("litellm_down", Level::Failing));
    assert_eq!(down.cause, "litellm_down");
    assert!(
        met.sentence
            .starts_with("Since 12:00 UTC LiteLLM takes no connection"),
        "{}",
        met.sentence
    );
    assert_eq!(why(&scene_at(70, true)).level, Level::Well);
}

#[test]
fn a_certificate_of_ours_that_ends_soon_is_told() {
    let mut scene = scene(&Recent::default(), 0);
    let end = at(3 * 86_400);
    scene.gateway.certificates = vec![("edge.pem".to_owned(), end)];

    let finding = only(&scene);

    assert_eq!(
        (finding.cause, finding.level),
        ("certificate_ends", Level::Strained)
    );
    assert!(
        finding
            .sentence
            .contains("edge.pem, which clients are shown, ends in 3 days")
    );
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_with_its_place_and_what_would_be_right() {
    let mut scene = scene(&Recent::default(), 180);
    let fault = "/etc/memgate.yaml:7:19: `retry.attempts` is `many`, it takes a number";
    scene.gateway.refused = Some(Refused {
        at: at(120),
        why: fault.to_owned(),
        in_place: at(0),
    });

    let finding = only(&scene);

    assert_eq!(
        (finding.cause, finding.level, finding.since),
        ("configuration", Level::Strained, Some(at(120)))
    );
    assert_eq!(
        finding.sentence,
        format!(
            "The configuration as it was read at 12:02 UTC cannot be used: {fault}. The one of 12:00 UTC stays at \
             work. Mend it and order a reload; `memgate check` names all that is wrong."
        )
    );
}

#[test]
fn of_many_faults_the_first_is_told_and_how_many_more_there_are() {
    let told = |why: &str| {
        let mut scene = scene(&Recent::default(), 180);
        scene.gateway.refused = Some(Refused {
            at: at(120),
            why: why.to_owned(),
            in_place: at(0),
        });
        only(&scene).sentence
    };

    assert!(told("a:1:1: x\na:2:1: y").contains("a:1:1: x (and 1 fault more)."));
    assert!(told("a:1:1: x\nb\nc").contains("a:1:1: x (and 2 faults more)."));
}

#[test]
fn every_word_for_a_failure_has_words_for_people() {
    use crate::gateway::Failure;
    use crate::upstream::{Outcome, Phase};

    let phases = [
        Phase::Connect,
        Phase::ConnectTimedOut,
        Phase::Unprocessed,
        Phase::Written,
        Phase::Silent,
        Phase::Answering,
    ];
    let failures = [
        Failure::Unresolved,
        Failure::Connect,
        Failure::Tls,
        Failure::Broken,
        Failure::Unprocessed,
        Failure::Invalid,
        Failure::Unreadable,
        Failure::FirstByteTimeout,
        Failure::LiteLlmDown,
    ];
    let of_phases = phases.map(|phase| Outcome::of_transport(phase).as_str());
    let of_failures = failures.map(Failure::as_str);

    for word in of_phases.iter().chain(&of_failures) {
        assert!(words::words(word).is_some(), "{word}");
    }
    assert!(words::words("provider_invalid_request").is_none());
}

#[test]
fn times_and_numbers_are_as_people_say_them() {
    let now = at(0);
    assert_eq!(amounts::clock(now, now), "12:00 UTC");
    assert_eq!(
        amounts::clock(now - Duration::from_secs(86_400), now),
        "2025-11-17 12:00 UTC"
    );
    assert_eq!(amounts::span(Duration::from_millis(1_200)), "2 s");
    assert_eq!(amounts::span(Duration::from_secs(600)), "10 min");
    assert_eq!(amounts::number(1, "person"), "1 person");
    assert_eq!(amounts::number(1_234_567, "time"), "1,234,567 times");
}
