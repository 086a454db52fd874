//! Is each answer taken for what it is?

use std::time::UNIX_EPOCH;

use super::*;
use crate::upstream::EdgeClass;

fn outcome(status: u16, fields: &[(&'static str, &str)], body: &str) -> Outcome {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    Outcome::of_answer(status, &headers, body.as_bytes(), UNIX_EPOCH)
}

fn provider(outcome: &Outcome) -> Option<ProviderError> {
    match outcome {
        Outcome::Provider { error, .. } => Some(*error),
        _ => None,
    }
}

#[test]
fn what_is_below_400_is_an_answer() {
    for status in [200, 204, 304] {
        assert_eq!(outcome(status, &[], "error code: 1200"), Outcome::Answered);
    }
}

#[test]
fn anthropics_errors_are_told_by_their_type() {
    for (status, kind, error) in [
        (400, "invalid_request_error", ProviderError::InvalidRequest),
        (401, "authentication_error", ProviderError::Authentication),
        (402, "billing_error", ProviderError::Billing),
        (403, "permission_error", ProviderError::Permission),
        (404, "not_found_error", ProviderError::NotFound),
        (413, "request_too_large", ProviderError::TooLarge),
        (429, "rate_limit_error", ProviderError::RateLimit),
        (500, "api_error", ProviderError::Api),
        (504, "timeout_error", ProviderError::Timeout),
        (529, "overloaded_error", ProviderError::Overloaded),
        (500, "overloaded_error", ProviderError::Overloaded),
    ] {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"x"}}}}"#);

        assert_eq!(
            provider(&outcome(status, &[], &body)),
            Some(error),
            "{kind}"
        );
    }
}

#[test]
fn openais_errors_and_unknown_ones_are_told_by_type_or_status() {
    for (status, body, error) in [
        (
            401,
            r#"{"error":{"type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ProviderError::Authentication,
        ),
        (
            404,
            r#"{"error":{"type":"invalid_request_error","code":"model_not_found"}}"#,
            ProviderError::NotFound,
        ),
        (
            500,
            r#"{"error":{"type":"server_error"}}"#,
            ProviderError::Api,
        ),
        (
            401,
            r#"{"error":"invalid x-api-key"}"#,
            ProviderError::Authentication,
        ),
        (
            400,
            r#"{"error":"[SUPERMEMORY] No user ID found"}"#,
            ProviderError::InvalidRequest,
        ),
        (503, r#"{"message":"x"}"#, ProviderError::Overloaded),
        (
            429,
            r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#,
            ProviderError::RateLimit,
        ),
    ] {
        assert_eq!(provider(&outcome(status, &[], body)), Some(error), "{body}");
    }
}

#[test]
fn a_limit_on_spending_is_no_rate_limit() {
    for (status, body) in [
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        ),
        (
            429,
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#,
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"enforced_spend_limit_reached: wait"}}"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits."}}"#,
        ),
    ] {
        let outcome = outcome(status, &[], body);

        assert_eq!(
            provider(&outcome),
            Some(ProviderError::SpendLimit),
            "{body}"
        );
        assert_eq!(outcome.as_str(), "provider_spend_limit");
    }
}

#[test]
fn an_error_that_nothing_proves_is_left_unproved() {
    let outcome = outcome(
        503,
        &[("server", "cloudflare"), ("retry-after", "9")],
        "no healthy upstream",
    );

    let retry_after = Some(Duration::from_secs(9));
    assert_eq!(
        outcome,
        Outcome::Unproved {
            status: 503,
            retry_after
        }
    );
}

#[test]
fn the_apis_own_request_id_proves_it_without_a_body() {
    let outcome = outcome(529, &[("request-id", "req_1")], "");

    assert_eq!(provider(&outcome), Some(ProviderError::Overloaded));
}

#[test]
fn a_page_is_the_edges_even_beside_a_request_id() {
    let outcome = outcome(
        503,
        &[("request-id", "req_1")],
        "<html><h1>Error 1200</h1></html>",
    );

    assert!(matches!(outcome, Outcome::Edge(ref error) if error.class() == EdgeClass::QueueFull));
    assert_eq!(outcome.as_str(), "edge_queue_full");
}

#[test]
fn a_packed_error_of_the_api_is_read() {
    let body = zstd::encode_all(
        &br#"{"type":"error","error":{"type":"overloaded_error"}}"#[..],
        3,
    )
    .unwrap();
    let headers = HeaderMap::from_iter([(http::header::CONTENT_ENCODING, "zstd".parse().unwrap())]);

    let outcome = Outcome::of_answer(500, &headers, &body, UNIX_EPOCH);

    assert_eq!(provider(&outcome), Some(ProviderError::Overloaded));
}

#[test]
fn an_error_event_is_told_by_its_type_or_the_status_in_it() {
    for (data, kind) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
            Some(ProviderError::Overloaded),
        ),
        (
            r#"{"error":{"message":"x","type":null,"code":"429"}}"#,
            Some(ProviderError::RateLimit),
        ),
        (
            r#"{"error":{"message":"x","code":503}}"#,
            Some(ProviderError::Overloaded),
        ),
        (
            r#"{"error":{"code":"insufficient_quota"}}"#,
            Some(ProviderError::SpendLimit),
        ),
        (r#"{"error":"gone"}"#, Some(ProviderError::Api)),
        (r#"{"error":{"type":"over"#, Some(ProviderError::Api)),
        (r#"{"error":null,"id":"x"}"#, None),
        (r#"{"id":"x"}"#, None),
    ] {
        assert_eq!(ProviderError::of_event(data.as_bytes()), kind, "{data}");
    }
}

#[test]
fn each_way_a_connection_fails_has_its_own_label() {
    let phases = [
        Phase::Connect,
        Phase::ConnectTimedOut,
        Phase::Unprocessed,
        Phase::Written,
        Phase::Silent,
        Phase::Answering,
    ];

    let labels = phases.map(|phase| Outcome::of_transport(phase).as_str());

    let mut distinct = std::collections::BTreeSet::from(labels);
    distinct.insert(Outcome::Truncated.as_str());
    assert_eq!(distinct.len(), phases.len() + 1);
}

#[test]
fn what_may_have_been_worked_on_is_known_as_such() {
    let api = r#"{"type":"error","error":{"type":"api_error"}}"#;
    for (status, body) in [
        (200, ""),
        (500, api),
        (503, ""),
        (502, "<html>"),
        (520, ""),
        (524, ""),
        (500, "error code: 1101"),
    ] {
        assert!(
            outcome(status, &[], body).may_have_been_processed(),
            "{status} {body}"
        );
    }
    for (status, body) in [
        (429, api),
        (529, api),
        (529, ""),
        (400, api),
        (521, ""),
        (503, "error code: 1200"),
        (429, "error code: 1015"),
        (403, "error code: 1020"),
        (404, "<html>"),
        (400, "<html>"),
    ] {
        assert!(
            !outcome(status, &[], body).may_have_been_processed(),
            "{status} {body}"
        );
    }
    for (phase, processed) in [
        (Phase::Connect, false),
        (Phase::ConnectTimedOut, false),
        (Phase::Unprocessed, false),
        (Phase::Written, true),
        (Phase::Silent, true),
        (Phase::Answering, true),
    ] {
        assert_eq!(
            Outcome::of_transport(phase).may_have_been_processed(),
            processed,
            "{phase:?}"
        );
    }
}
