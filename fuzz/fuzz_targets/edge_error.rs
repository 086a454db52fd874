//! Is there an answer that makes the gateway say what it should not, wait beyond all measure, or send a request again
//! that may have been worked on?
#![no_main]

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use memgate::config::Retry;
use memgate::upstream::edge_error::{self, MAX_READ};
use memgate::upstream::verdict::Attempt;
use memgate::upstream::{Called, EdgeError, Effect, Outcome, RetryPolicy, Verdict, retry_after};

const HOST: &str = "api.supermemory.ai";
const PROVIDER: &str = "api.anthropic.com";

/// `name: value` lines up to a blank one, and what comes then.
fn message(text: &[u8]) -> (HeaderMap, &[u8]) {
    let (mut headers, mut rest) = (HeaderMap::new(), text);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            break;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all(body).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

fn assert_harmless(error: &EdgeError) {
    let short = |text: &Option<String>, longest, beside: &[u8]| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || beside.contains(&byte);
        text.as_ref()
            .is_none_or(|text| (1..=longest).contains(&text.len()) && text.bytes().all(allowed))
    };
    assert!(short(&error.name, 64, b"_"));
    assert!(short(&error.zone, 253, b".-_"));
    assert!(short(&error.ray_id, 64, b"-"));
    assert!(error.pause() <= retry_after::LONGEST);
    let told = edge_error::explain(error);
    assert!(
        told.len() < 1000 && !told.contains(char::is_control),
        "{told}"
    );
}

/// `choice`: what else is known of the attempt.
fn assert_sent_once(outcome: &Outcome, choice: u8) {
    let switch = |bit: u8| choice >> bit & 1 == 1;
    let fresh = ["__cf_bm".to_owned()];
    let attempt = Attempt {
        number: u32::from(choice % 4) + 1,
        called: Called {
            host: HOST,
            provider: if switch(2) { PROVIDER } else { HOST },
        },
        fresh_cookies: if switch(3) { &fresh } else { &[] },
        retried_for_cookies: switch(4),
        delivering: switch(5),
        bypass: switch(6),
    };
    let policy = RetryPolicy::new(Retry {
        attempts: 3,
        initial_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(60),
        budget: 0.2,
    });

    let verdict = policy.judge(outcome, &attempt, 0.5);

    drop(Effect::of(outcome, &attempt));
    let again = matches!(verdict, Verdict::Retry { .. } | Verdict::Bypass { .. });
    assert!(!(again && outcome.may_have_been_processed()), "{outcome:?}");
    assert!(!(again && attempt.delivering));
    match verdict {
        Verdict::Retry { wait, .. } => {
            assert!(attempt.number < 3 && wait <= Duration::from_secs(120));
        }
        Verdict::Refuse { retry_after, .. } => assert!(retry_after <= retry_after::LONGEST),
        Verdict::Deliver | Verdict::Bypass { .. } => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[high, low, choice], text)) = data.split_first_chunk() else {
        return;
    };
    let status = 100 + u16::from_be_bytes([high, low]) % 500;
    let now: SystemTime = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let (mut headers, body) = message(text);

    let error = edge_error::read(status, &headers, body, now);
    let outcome = Outcome::of_answer(status, &headers, body, now);

    assert!(status >= 400 || error.is_none());
    match (&error, &outcome) {
        (Some(error), Outcome::Edge(same)) => assert_eq!(error, same),
        (None, outcome) => assert!(!matches!(outcome, Outcome::Edge(_))),
        (Some(_), outcome) => panic!("an edge error that is {outcome:?}"),
    }
    error.as_ref().inspect(|error| assert_harmless(error));
    assert_sent_once(&outcome, choice);
    let beginning = &body[..body.len().min(MAX_READ)];
    assert_eq!(edge_error::read(status, &headers, beginning, now), error);
    if headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
        .is_none()
        && body.len() < MAX_READ / 2
    {
        assert_eq!(
            edge_error::read(status, &headers, &packed(body), now),
            error
        );
    }
});
