//! The table of what may be sent again, row by row.

use std::time::UNIX_EPOCH;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// With no other lane at hand.
const ROUTER: Attempt<'_> = Attempt {
    number: 1,
    called: Called {
        host: "api.supermemory.ai",
        provider: "api.anthropic.com",
    },
    fresh_cookies: &[],
    retried_for_cookies: false,
    delivering: false,
    bypass: false,
};
const DIRECT: Attempt<'_> = Attempt {
    called: Called {
        host: "api.anthropic.com",
        provider: "api.anthropic.com",
    },
    ..ROUTER
};

fn policy() -> RetryPolicy {
    RetryPolicy::new(config::Retry {
        attempts: 3,
        initial_delay: SECOND,
        max_delay: 60 * SECOND,
        budget: 0.2,
    })
}

fn answer(status: u16, retry_after: Option<u64>, body: &str) -> Outcome {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", seconds.into());
    }
    Outcome::of_answer(status, &headers, body.as_bytes(), UNIX_EPOCH)
}

fn edge(status: u16, code: u16, zone: &str, retry_after: Option<u64>) -> Outcome {
    let body = format!(r#"{{"cloudflare_error":true,"error_code":{code},"zone":"{zone}"}}"#);
    answer(status, retry_after, &body)
}

fn error(status: u16, kind: &str, retry_after: Option<u64>) -> Outcome {
    let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"x"}}}}"#);
    answer(status, retry_after, &body)
}

fn challenge() -> Outcome {
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("cf-mitigated"),
        http::HeaderValue::from_static("challenge"),
    )]);
    Outcome::of_answer(403, &headers, b"<html>", UNIX_EPOCH)
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deliver => "deliver".to_owned(),
        Verdict::Retry { wait, reason } => format!("{} {}", wait.as_secs(), reason.as_str()),
        Verdict::Bypass { reason } => format!("bypass {}", reason.as_str()),
        Verdict::Refuse {
            retry_after,
            certain,
        } => {
            let certain = if certain { "certain" } else { "uncertain" };
            format!("refuse {} {certain}", retry_after.as_secs())
        }
    }
}

fn cookies() -> Vec<String> {
    vec!["__cf_bm".to_owned()]
}

fn retry(seconds: u64, reason: Reason) -> Verdict {
    let wait = Duration::from_secs(seconds);
    Verdict::Retry { wait, reason }
}

/// What facts say, row by row: why; what ended the attempt; its Retry-After; the verdict where no other lane is at hand,
/// where one is, and where no attempt is left and no other lane is at hand.
const TABLE: &str = "
    an answer                              | 200                              | 1  | deliver            | deliver              | deliver
    1200 of the host called                | 503 edge 1200 api.supermemory.ai | 20 | 0 edge_refused     | bypass edge_refused  | refuse 20 certain
    1200 of its domain                     | 503 edge 1200 supermemory.ai     | 20 | 0 edge_refused     | bypass edge_refused  | refuse 20 certain
    1200 without a wait                    | 503 edge 1200 supermemory.ai     | -  | 0 edge_refused     | bypass edge_refused  | refuse 60 certain
    1200 with a day's wait                 | 503 edge 1200 supermemory.ai     | 86400 | 0 edge_refused  | bypass edge_refused  | refuse 86400 certain
    1200 of a zone behind the router       | 503 edge 1200 api.anthropic.com  | 1  | 0 may_duplicate    | bypass edge_refused  | refuse 1 uncertain
    1200 of a zone nobody knows            | 503 edge 1200 example.com        | -  | 0 may_duplicate    | bypass edge_refused  | refuse 60 uncertain
    1200 that names nothing, by a router   | 503 text error code: 1200        | 1  | 0 may_duplicate    | bypass edge_refused  | refuse 1 uncertain
    1015 of the host called                | 429 edge 1015 api.supermemory.ai | 10 | 0 edge_refused     | bypass edge_refused  | refuse 10 certain
    1015 without a wait                    | 429 edge 1015 supermemory.ai     | -  | 0 edge_refused     | bypass edge_refused  | refuse 30 certain
    1015 of a zone behind the router       | 429 edge 1015 api.anthropic.com  | 1  | 0 may_duplicate    | bypass edge_refused  | refuse 1 uncertain
    1025                                   | 429 edge 1025 api.supermemory.ai | 1  | deliver            | bypass route_down    | deliver
    1027                                   | 429 edge 1027 api.supermemory.ai | 1  | deliver            | bypass route_down    | deliver
    1001                                   | 530 edge 1001 api.supermemory.ai | 1  | deliver            | bypass route_down    | deliver
    1016                                   | 530 text error code: 1016        | 1  | deliver            | bypass route_down    | deliver
    1033                                   | 530 edge 1033 api.supermemory.ai | 1  | deliver            | bypass route_down    | deliver
    530                                    | 530                              | 1  | deliver            | bypass route_down    | deliver
    521                                    | 521                              | -  | 0 edge_refused     | bypass route_down    | deliver
    521 of a zone behind the router        | 521 edge 521 api.anthropic.com   | -  | 0 may_duplicate    | bypass route_down    | deliver
    523 in time                            | 523 text error code: 523         | 3  | 3 edge_refused     | bypass route_down    | deliver
    523 much later                         | 523 text error code: 523         | 61 | deliver            | bypass route_down    | deliver
    no connection                          | connect                          | -  | 0 not_sent         | 0 not_sent           | deliver
    no connection in time                  | connect_timeout                  | -  | 0 not_sent         | bypass route_down    | deliver
    a stream refused                       | unprocessed                      | -  | 0 not_sent         | 0 not_sent           | deliver
    429 that says when                     | 429 api rate_limit_error         | 7  | 7 provider_refused | 7 provider_refused   | deliver
    429 of whomever                        | 429                              | 7  | 7 provider_refused | 7 provider_refused   | deliver
    429 much later                         | 429 api rate_limit_error         | 61 | deliver            | deliver              | deliver
    429 that does not say when             | 429 api rate_limit_error         | -  | deliver            | deliver              | deliver
    529                                    | 529 api overloaded_error         | -  | 0 provider_refused | 0 provider_refused   | deliver
    529 as a mere status                   | 529                              | 2  | 2 provider_refused | 2 provider_refused   | deliver
    a spending limit                       | 429 api insufficient_quota       | -  | deliver            | deliver              | deliver
    a spending limit that says when        | 429 api insufficient_quota       | 1  | deliver            | deliver              | deliver
    a bad request                          | 400 api invalid_request_error    | 1  | deliver            | deliver              | deliver
    no credit                              | 402 api billing_error            | 1  | deliver            | deliver              | deliver
    403 of the API                         | 403 api permission_error         | 1  | deliver            | deliver              | deliver
    403 of the edge                        | 403 edge 1020 api.supermemory.ai | 1  | deliver            | deliver              | deliver
    an address that is banned              | 403 edge 1006 api.supermemory.ai | 1  | deliver            | deliver              | deliver
    a challenge                            | 403 challenge                    | 1  | deliver            | deliver              | deliver
    a fault of ours                        | 409 edge 1013 api.supermemory.ai | 1  | deliver            | deliver              | deliver
    a request too large                    | 413 api request_too_large        | 1  | deliver            | deliver              | deliver
    a 503 that is not proved to be 1200    | 503                              | 1  | deliver            | deliver              | deliver
    a 503 of the API                       | 503 api overloaded_error         | 1  | deliver            | deliver              | deliver
    the API's 500                          | 500 api api_error                | 1  | deliver            | deliver              | deliver
    an overload inside a 500               | 500 api overloaded_error         | 1  | deliver            | deliver              | deliver
    the API's 504                          | 504 api timeout_error            | 1  | deliver            | deliver              | deliver
    a page of the edge                     | 502 text <html>Error code 502    | 1  | deliver            | deliver              | deliver
    a page without a code                  | 503 text <html>Back soon         | 1  | deliver            | deliver              | deliver
    520                                    | 520                              | 1  | deliver            | deliver              | deliver
    522                                    | 522                              | 1  | deliver            | deliver              | deliver
    524                                    | 524                              | 1  | deliver            | deliver              | deliver
    525                                    | 525                              | 1  | deliver            | deliver              | deliver
    526                                    | 526                              | 1  | deliver            | deliver              | deliver
    1101                                   | 500 edge 1101 api.supermemory.ai | 1  | deliver            | deliver              | deliver
    1102                                   | 503 edge 1102 api.supermemory.ai | 1  | deliver            | deliver              | deliver
    a reset after the request              | written                          | -  | deliver            | deliver              | deliver
    no answer in time                      | silent                           | -  | deliver            | deliver              | deliver
    an answer cut short                    | answering                        | -  | deliver            | deliver              | deliver
    a stream cut short                     | truncated                        | -  | deliver            | deliver              | deliver
    an error inside a stream               | event                            | -  | deliver            | deliver              | deliver
";

fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let rows = table.lines().filter(|row| !row.trim().is_empty());
    rows.map(|row| {
        row.split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    })
}

fn outcome(ended: &str, retry_after: &str) -> Outcome {
    let retry_after = retry_after.parse().ok();
    let (status, body) = ended.split_once(' ').unwrap_or((ended, ""));
    let (kind, rest) = body.split_once(' ').unwrap_or((body, ""));
    let status = match status {
        "connect" => return Outcome::of_transport(Phase::Connect),
        "connect_timeout" => return Outcome::of_transport(Phase::ConnectTimedOut),
        "unprocessed" => return Outcome::of_transport(Phase::Unprocessed),
        "written" => return Outcome::of_transport(Phase::Written),
        "silent" => return Outcome::of_transport(Phase::Silent),
        "truncated" => return Outcome::Truncated,
        "event" => {
            return Outcome::ErrorEvent {
                kind: ProviderError::Overloaded,
            };
        }
        "answering" => return Outcome::of_transport(Phase::Answering),
        status => status.parse().unwrap(),
    };
    match (kind, rest.split_once(' ')) {
        ("edge", Some((code, zone))) => edge(status, code.parse().unwrap(), zone, retry_after),
        ("challenge", _) => challenge(),
        ("api", _) => error(status, rest, retry_after),
        _ => answer(status, retry_after, rest),
    }
}

#[test]
fn each_end_of_an_attempt_has_the_verdict_that_facts_give_it() {
    let with_bypass = Attempt {
        bypass: true,
        ..ROUTER
    };
    let last = Attempt {
        number: 3,
        ..ROUTER
    };
    for [why, ended, retry_after, alone, bypass, at_last] in rows(TABLE) {
        let outcome = outcome(ended, retry_after);
        let judge = |attempt| said(policy().judge(&outcome, attempt, 0.0));

        assert_eq!(judge(&ROUTER), alone, "{why}");
        assert_eq!(judge(&with_bypass), bypass, "{why}, with a bypass");
        assert_eq!(judge(&last), at_last, "{why}, at the last attempt");
    }
}

#[test]
fn without_an_attempt_left_another_lane_is_taken_where_nothing_was_sent() {
    let last = Attempt {
        number: 3,
        bypass: true,
        ..ROUTER
    };
    for (ended, verdict) in [
        ("503 edge 1200 api.supermemory.ai", "bypass edge_refused"),
        ("503 edge 1200 api.anthropic.com", "bypass edge_refused"),
        ("521", "bypass route_down"),
        ("connect", "bypass not_sent"),
        ("unprocessed", "bypass not_sent"),
        ("529", "deliver"),
        ("written", "deliver"),
        ("524", "deliver"),
        ("500 edge 1101 api.supermemory.ai", "deliver"),
    ] {
        let outcome = outcome(ended, "-");

        assert_eq!(
            said(policy().judge(&outcome, &last, 0.0)),
            verdict,
            "{ended}"
        );
    }
}

#[test]
fn an_error_that_names_nothing_is_the_hosts_own_where_nothing_is_behind_it() {
    let full = answer(503, Some(5), "error code: 1200");

    let direct = policy().judge(&full, &DIRECT, 0.0);
    let router = policy().judge(&full, &ROUTER, 0.0);

    assert_eq!(direct, retry(0, Reason::EdgeRefused));
    assert_eq!(router, retry(0, Reason::MayDuplicate));
}

#[test]
fn a_refusal_that_brought_cookies_is_tried_once_at_once() {
    let gate = edge(503, 1200, "api.supermemory.ai", Some(60));
    let cookies = cookies();
    for bypass in [false, true] {
        let first = Attempt {
            fresh_cookies: &cookies,
            bypass,
            ..ROUTER
        };
        let second = Attempt {
            number: 2,
            retried_for_cookies: true,
            ..first
        };

        let verdicts = [first, second].map(|attempt| said(policy().judge(&gate, &attempt, 0.0)));

        let then = if bypass {
            "bypass edge_refused"
        } else {
            "0 edge_refused"
        };
        assert_eq!(verdicts, ["0 fresh_cookies", then]);
    }
}

#[test]
fn cookies_change_nothing_for_any_other_end() {
    let cookies = cookies();
    for [why, ended, retry_after, alone, _, _] in rows(TABLE) {
        if why.starts_with("1200") && alone.ends_with("edge_refused") {
            continue;
        }
        let attempt = Attempt {
            fresh_cookies: &cookies,
            ..ROUTER
        };

        let verdict = policy().judge(&outcome(ended, retry_after), &attempt, 0.0);

        assert_eq!(said(verdict), alone, "{why}");
    }
}

#[test]
fn an_edges_refusal_never_reaches_the_client_and_what_was_begun_always_does() {
    let cookies = cookies();
    for [why, ended, retry_after, _, _, _] in rows(TABLE) {
        let outcome = outcome(ended, retry_after);
        for number in 1..5 {
            for (bypass, fresh_cookies) in [(false, &cookies[..]), (true, &[]), (false, &[])] {
                let attempt = Attempt {
                    number,
                    bypass,
                    fresh_cookies,
                    ..ROUTER
                };
                let begun = Attempt {
                    delivering: true,
                    ..attempt
                };
                let refused = why.starts_with("1200") || why.starts_with("1015");

                let verdict = policy().judge(&outcome, &attempt, 0.5);

                assert!(!refused || verdict != Verdict::Deliver, "{why} {attempt:?}");
                let verdict = policy().judge(&outcome, &begun, 0.5);
                assert_eq!(verdict, Verdict::Deliver, "{why}");
            }
        }
    }
}

#[test]
fn attempts_end_and_a_begun_answer_ends_them() {
    let outcome = Outcome::of_transport(Phase::Connect);
    let is_retried = |attempt| policy().judge(&outcome, &attempt, 0.0) != Verdict::Deliver;

    assert!(is_retried(Attempt {
        number: 2,
        ..ROUTER
    }));
    assert!(!is_retried(Attempt {
        number: 3,
        ..ROUTER
    }));
    assert!(!is_retried(Attempt {
        delivering: true,
        ..ROUTER
    }));
}

#[test]
fn jitter_doubles_with_each_attempt_up_to_the_cap() {
    let lost = Outcome::of_transport(Phase::Connect);
    let patient = RetryPolicy::new(config::Retry {
        attempts: u32::MAX,
        initial_delay: SECOND,
        max_delay: 8 * SECOND,
        budget: 0.2,
    });

    let waits = [1, 2, 3, 4, 5, 100].map(|number| {
        match patient.judge(&lost, &Attempt { number, ..ROUTER }, 0.5) {
            Verdict::Retry { wait, .. } => wait.as_millis(),
            _ => 0,
        }
    });

    assert_eq!(waits, [500, 1000, 2000, 4000, 4000, 4000]);
}

proptest! {
    #[test]
    fn a_wait_is_never_under_what_was_asked_nor_far_above(
        asked in 0..200_u32, number in 0..9_u32, random in any::<f64>(),
    ) {
        let outcome = error(429, "rate_limit_error", Some(asked.into()));

        match policy().judge(&outcome, &Attempt { number, ..ROUTER }, random) {
            Verdict::Deliver => prop_assert!(number >= 3 || asked > 60),
            Verdict::Retry { wait, .. } => {
                prop_assert!(number < 3 && asked <= 60);
                prop_assert!(wait >= asked * SECOND && wait <= (asked + 2) * SECOND);
            }
            verdict => prop_assert!(false, "{verdict:?}"),
        }
    }

    #[test]
    fn no_server_error_status_alone_is_ever_repeated(
        status in 500..600_u16, wait in 0..9_u64, bypass: bool,
    ) {
        prop_assume!(![521, 523, 529, 530].contains(&status));

        let verdict = policy().judge(&answer(status, Some(wait), ""), &Attempt { bypass, ..ROUTER }, 0.5);

        prop_assert_eq!(verdict, Verdict::Deliver);
    }
}
