//! The table of what may be sent again, row by row.

use std::time::UNIX_EPOCH;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ROUTER: Attempt<'_> = Attempt {
    number: 1,
    host: "api.supermemory.ai",
    provider: "api.anthropic.com",
    fresh_cookies: false,
    retried_for_cookies: false,
    delivering: false,
};
const DIRECT: Attempt<'_> = Attempt {
    host: "api.anthropic.com",
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

fn retry(seconds: u64, reason: Reason) -> Verdict {
    let wait = Duration::from_secs(seconds);
    Verdict::Retry { wait, reason }
}

/// Rows of: why, what ended the attempt, its Retry-After, the wait and reason of the retry.
const SAFE: &str = "
    1200 of the host called       | 503 edge 1200 api.supermemory.ai | 20 | 20 edge_refused
    1200 of its domain            | 503 edge 1200 supermemory.ai     | 20 | 20 edge_refused
    1200 without a wait           | 503 edge 1200 supermemory.ai     | -  | 60 edge_refused
    1015 of the host called       | 429 edge 1015 api.supermemory.ai | 10 | 10 edge_refused
    1015 without a wait           | 429 edge 1015 supermemory.ai     | -  | 30 edge_refused
    521                           | 521                              | -  | 0 edge_refused
    523 in time                   | 523 text error code: 523         | 3  | 3 edge_refused
    429 that says when            | 429 api rate_limit_error         | 7  | 7 provider_refused
    429 of whomever               | 429                              | 7  | 7 provider_refused
    529                           | 529 api overloaded_error         | -  | 0 provider_refused
    529 as a mere status          | 529                              | 2  | 2 provider_refused
    no connection                 | connect                          | -  | 0 not_sent
    a stream refused              | unprocessed                      | -  | 0 not_sent
";

const UNSAFE: &str = "
    an answer                              | 200                              | 1
    1200 of a zone behind the router       | 503 edge 1200 api.anthropic.com  | 1
    1200 of a zone nobody knows            | 503 edge 1200 example.com        | 1
    1200 that names nothing, by a router   | 503 text error code: 1200        | 1
    1015 of a zone behind the router       | 429 edge 1015 api.anthropic.com  | 1
    a 503 that is not proved to be 1200    | 503                              | 1
    a 503 of the API                       | 503 api overloaded_error         | 1
    the API's 500                          | 500 api api_error                | 1
    an overload inside a 500               | 500 api overloaded_error         | 1
    a page of the edge                     | 502 text <html>Error code 502    | 1
    a page without a code                  | 503 text <html>Back soon         | 1
    520                                    | 520                              | 1
    522                                    | 522                              | 1
    524                                    | 524                              | 1
    525                                    | 525                              | 1
    530                                    | 530 text error code: 1016        | 1
    1101                                   | 500 edge 1101 api.supermemory.ai | 1
    1102                                   | 503 edge 1102 api.supermemory.ai | 1
    1027                                   | 429 edge 1027 api.supermemory.ai | 1
    429 that does not say when             | 429 api rate_limit_error         | -
    a spending limit                       | 429 api insufficient_quota       | -
    a spending limit that says when        | 429 api insufficient_quota       | 1
    a bad request                          | 400 api invalid_request_error    | 1
    no credit                              | 402 api billing_error            | 1
    403 of the API                         | 403 api permission_error         | 1
    403 of the edge                        | 403 edge 1020 api.supermemory.ai | 1
    a request too large                    | 413 api request_too_large        | 1
    a reset after the request              | written                          | -
    no answer in time                      | silent                           | -
    an answer cut short                    | answering                        | -
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
        "unprocessed" => return Outcome::of_transport(Phase::Unprocessed),
        "written" => return Outcome::of_transport(Phase::Written),
        "silent" => return Outcome::of_transport(Phase::Silent),
        "answering" => return Outcome::of_transport(Phase::Answering),
        status => status.parse().unwrap(),
    };
    match (kind, rest.split_once(' ')) {
        ("edge", Some((code, zone))) => edge(status, code.parse().unwrap(), zone, retry_after),
        ("api", _) => error(status, rest, retry_after),
        _ => answer(status, retry_after, rest),
    }
}

#[test]
fn what_no_server_has_seen_is_sent_again() {
    for [why, ended, retry_after, expected] in rows(SAFE) {
        let verdict = policy().judge(&outcome(ended, retry_after), &ROUTER, 0.0);

        let Verdict::Retry { wait, reason } = verdict else {
            panic!("{why} is delivered")
        };
        assert_eq!(
            format!("{} {}", wait.as_secs(), reason.as_str()),
            expected,
            "{why}"
        );
    }
}

#[test]
fn what_a_server_may_have_seen_is_not() {
    for [why, ended, retry_after] in rows(UNSAFE) {
        let outcome = outcome(ended, retry_after);
        let fresh = Attempt {
            fresh_cookies: true,
            ..ROUTER
        };

        assert_eq!(
            policy().judge(&outcome, &ROUTER, 0.5),
            Verdict::Deliver,
            "{why}"
        );
        assert_eq!(
            policy().judge(&outcome, &fresh, 0.5),
            Verdict::Deliver,
            "{why}, with cookies"
        );
    }
}

#[test]
fn an_error_that_names_nothing_is_the_hosts_own_where_nothing_is_behind_it() {
    let full = answer(503, Some(5), "error code: 1200");

    assert_eq!(
        policy().judge(&full, &DIRECT, 0.0),
        retry(5, Reason::EdgeRefused)
    );
    assert_eq!(policy().judge(&full, &ROUTER, 0.0), Verdict::Deliver);
}

#[test]
fn a_refusal_that_brought_cookies_is_tried_once_at_once() {
    let gate = edge(503, 1200, "api.supermemory.ai", Some(60));
    let first = Attempt {
        fresh_cookies: true,
        ..ROUTER
    };
    let second = Attempt {
        number: 2,
        retried_for_cookies: true,
        ..first
    };

    assert_eq!(
        policy().judge(&gate, &first, 0.9),
        retry(0, Reason::FreshCookies)
    );
    assert_eq!(
        policy().judge(&gate, &second, 0.0),
        retry(60, Reason::EdgeRefused)
    );
}

#[test]
fn a_longer_wait_than_allowed_is_told_and_not_slept() {
    let outcome = |seconds| edge(503, 1200, "api.supermemory.ai", Some(seconds));

    assert_eq!(
        policy().judge(&outcome(60), &ROUTER, 0.0),
        retry(60, Reason::EdgeRefused)
    );
    assert_eq!(policy().judge(&outcome(61), &ROUTER, 0.0), Verdict::Deliver);
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
            Verdict::Deliver => 0,
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
        }
    }

    #[test]
    fn no_server_error_status_alone_is_ever_repeated(status in 500..600_u16, wait in 0..9_u64) {
        prop_assume!(![521, 523, 529].contains(&status));

        let verdict = policy().judge(&answer(status, Some(wait), ""), &ROUTER, 0.5);

        prop_assert_eq!(verdict, Verdict::Deliver);
    }
}
