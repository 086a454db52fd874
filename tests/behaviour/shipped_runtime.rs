//! The runtime that is shipped, which no second gateway in a process could use: claims that hang on it, each in a process.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::harness::SHIPPED_RUNTIME;

/// Each starts one gateway.
const CLAIMS: [&str; 19] = [
    "broken_streams::a_broken_stream_is_counted_and_logged",
    "broken_streams::a_plain_stream_of_litellm_ends_with_its_dialects_error_event",
    "cold_start::cookies_that_expire_under_load_cost_three_refusals_at_most_and_no_client_anything",
    "deadlines::a_json_answer_that_falls_silent_ends_uncleanly",
    "departures::a_client_that_leaves_is_counted_and_logged_as_such",
    "departures::leaving_during_the_wait_for_another_attempt_ends_the_request",
    "departures::leaving_ends_a_request_to_litellm_at_once",
    "early_answers::an_early_refusal_over_http_1_is_delivered_classified_and_counts_one_post",
    "early_answers::an_early_refusal_over_http_2_is_delivered_classified_and_counts_one_post",
    "early_answers::sixty_uploads_at_once_outlive_sixty_early_refusals",
    "http2::streams_of_one_h2_connection_run_side_by_side",
    "passing::a_websocket_passes_both_ways",
    "pipelining::requests_sent_in_one_go_are_answered_in_order",
    "queues::a_client_that_leaves_the_line_frees_its_place_at_once_and_costs_no_post",
    "retry_transport::what_http_2_says_was_not_looked_at_is_sent_again",
    "reuse::a_goodbye_costs_no_request_and_the_next_connection_resumes_the_session",
    "reuse::those_who_come_at_once_wait_for_a_connection_instead_of_opening_their_own",
    "stream_ends::a_client_that_hangs_up_after_an_error_event_has_not_left_early",
    "stream_ends::litellms_streams_are_held_to_their_dialects_end_where_it_has_one",
];
/// At once: each has threads enough of its own.
const PROCESSES: usize = 2;
/// Of one claim, on a machine that has much else to do.
const TIME: Duration = Duration::from_secs(120);

async fn run(claim: &str) -> Option<Output> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child
        .args([claim, "--exact", "--nocapture"])
        .env(SHIPPED_RUNTIME, "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(TIME, child.output()).await;
    ended.ok().map(Result::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_the_runtime_holds_on_the_one_that_is_shipped() {
    let places = Semaphore::new(PROCESSES);
    let claims = CLAIMS.map(async |claim| {
        let _place = places.acquire().await;
        let Some(output) = run(claim).await else {
            return Some(format!("{claim} did not end within {TIME:?}"));
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let held = output.status.success() && said.contains("1 passed");
        let errors = String::from_utf8_lossy(&output.stderr);
        (!held).then(|| format!("{claim}\n{said}\n{errors}"))
    });

    let failed: Vec<String> = futures::future::join_all(claims)
        .await
        .into_iter()
        .flatten()
        .collect();

    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
