//! What each end of an attempt tells lanes.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

use super::*;
use crate::upstream::outcome::ProviderError;
use crate::upstream::verdict::Called;

const ROUTER: Attempt<'_> = Attempt {
    number: 1,
    called: Called {
        host: "api.supermemory.ai",
        provider: "api.anthropic.com",
    },
    fresh_cookies: &[],
    retried_for_cookies: false,
    delivering: false,
    bypass: true,
};

fn refused(seconds: u64) -> Sign {
    Sign::Refused {
        pause: Duration::from_secs(seconds),
    }
}

fn answer(status: u16, body: &str) -> Outcome {
    Outcome::of_answer(status, &HeaderMap::new(), body.as_bytes(), UNIX_EPOCH)
}

fn edge(status: u16, code: u16, zone: &str) -> Outcome {
    let zone = format!(r#"{{"cloudflare_error":true,"error_code":{code},"zone":"{zone}"}}"#);
    answer(status, &zone)
}

fn of(outcome: &Outcome) -> (Sign, Reach) {
    let effect = Effect::of(outcome, &ROUTER);
    (effect.sign, effect.reach)
}

#[test]
fn the_zone_that_a_refusal_names_decides_how_far_it_reaches() {
    for (zone, reach) in [
        ("api.supermemory.ai", Reach::Host),
        ("supermemory.ai", Reach::Host),
        ("api.anthropic.com", Reach::Lane),
        ("anthropic.com", Reach::Lane),
        ("example.com", Reach::Lane),
    ] {
        assert_eq!(of(&edge(503, 1200, zone)), (refused(60), reach), "{zone}");
        assert_eq!(of(&edge(429, 1015, zone)), (refused(30), reach), "{zone}");
    }
    let unsaid = answer(503, "error code: 1200");
    assert_eq!(of(&unsaid), (refused(60), Reach::Host), "none is the host");
}

#[test]
fn a_refusal_asks_for_the_pause_that_it_names() {
    let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "7".parse().unwrap())]);

    let full = Outcome::of_answer(503, &headers, b"error code: 1200", UNIX_EPOCH);

    assert_eq!(of(&full).0, refused(7));
}

#[test]
fn a_refusal_that_brings_cookies_demands_them_once() {
    let cookies = ["__cf_bm".to_owned(), "_cfuvid".to_owned()];
    let first = Attempt {
        fresh_cookies: &cookies,
        ..ROUTER
    };
    let second = Attempt {
        retried_for_cookies: true,
        ..first
    };
    let own = edge(503, 1200, "api.supermemory.ai");
    let behind = edge(503, 1200, "api.anthropic.com");

    let demanded = Sign::CookiesDemanded {
        names: cookies.to_vec(),
        captured: true,
        pause: Duration::from_secs(60),
    };
    assert_eq!(Effect::of(&own, &first).sign, demanded);
    assert_eq!(Effect::of(&own, &second).sign, refused(60));
    assert_eq!(
        Effect::of(&behind, &first).sign,
        refused(60),
        "the provider's edge sets no cookies here"
    );
}

#[test]
fn a_lane_that_does_not_do_its_work_has_failed() {
    for (status, code) in [
        (429, 1025),
        (429, 1027),
        (530, 1001),
        (530, 1016),
        (530, 1033),
        (530, 530),
        (521, 521),
        (523, 523),
        (500, 1101),
        (503, 1102),
    ] {
        let own = of(&edge(status, code, "api.supermemory.ai"));
        let behind = of(&edge(status, code, "api.anthropic.com"));

        assert_eq!(own, (Sign::Failed, Reach::Host), "{code}");
        assert_eq!(behind, (Sign::Failed, Reach::Lane), "{code}");
    }
    let connect = Outcome::of_transport(Phase::Connect);
    assert_eq!(of(&connect), (Sign::Failed, Reach::Host));
}

#[test]
fn what_is_of_one_key_or_one_request_says_nothing_about_the_lane() {
    let api = r#"{"type":"error","error":{"type":"x"}}"#;
    for outcome in [
        answer(400, api),
        answer(429, api),
        answer(529, api),
        answer(500, api),
        answer(429, ""),
        answer(503, ""),
        edge(403, 1020, "api.supermemory.ai"),
        edge(409, 1013, "api.supermemory.ai"),
        edge(524, 524, "api.supermemory.ai"),
        edge(525, 525, "api.supermemory.ai"),
        Outcome::of_transport(Phase::Unprocessed),
        Outcome::of_transport(Phase::Written),
        Outcome::of_transport(Phase::Silent),
        Outcome::of_transport(Phase::Answering),
        Outcome::Truncated,
        Outcome::ErrorEvent {
            kind: ProviderError::Overloaded,
        },
    ] {
        assert_eq!(of(&outcome).0, Sign::Neutral, "{outcome:?}");
    }
    assert_eq!(of(&Outcome::Answered), (Sign::Head, Reach::Lane));
}

/// Status 503, HTML, no cookie and no Retry-After, met while calling the router.
const FIRST_PAGE: &str = "<!DOCTYPE html><html><head><title>Rate Limited</title></head><body>\
    <h1>Error 1200</h1><h2>This website has been temporarily rate limited</h2>\
    <p>Too many requests for api.anthropic.com. Try again later.</p></body></html>";

#[test]
fn the_page_that_started_it_all_is_met_by_the_bypass_and_pauses_the_routers_lane_alone() {
    let headers = HeaderMap::from_iter(
        [
            ("content-type", "text/html; charset=UTF-8"),
            ("server", "cloudflare"),
            ("cf-ray", "99798f8c4cb7ecbe-WAW"),
        ]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
    );

    let outcome = Outcome::of_answer(503, &headers, FIRST_PAGE.as_bytes(), UNIX_EPOCH);

    let Outcome::Edge(error) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.class(), EdgeClass::QueueFull);
    assert_eq!(error.zone.as_deref(), Some("api.anthropic.com"));
    assert_eq!(error.ray_id.as_deref(), Some("99798f8c4cb7ecbe-WAW"));
    assert_eq!(of(&outcome), (refused(60), Reach::Lane));
    let policy = crate::upstream::RetryPolicy::new(crate::config::Retry {
        attempts: 3,
        initial_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(60),
        budget: 0.2,
    });
    assert_eq!(
        policy.judge(&outcome, &ROUTER, 0.5),
        crate::upstream::Verdict::Bypass {
            reason: crate::upstream::Reason::EdgeRefused
        }
    );
}
