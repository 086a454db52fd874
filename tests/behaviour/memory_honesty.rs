//! The router fails open: does the client hear when an answer carries no memory?

use memgate::sim::{Memory, answer};

use crate::harness::*;
use crate::logs;
use crate::two_ways::*;

fn failed() -> Memory {
    Memory {
        error: Some("boom: the memory's own trouble".to_owned()),
        unchanged: false,
    }
}

fn unchanged() -> Memory {
    Memory {
        error: None,
        unchanged: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_says_what_became_of_its_memory_and_is_counted_and_logged_so() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    for (memory, said) in [
        (failed(), "error"),
        (unchanged(), "unchanged"),
        (Memory::default(), "on"),
    ] {
        for stream in [false, true] {
            edge.script([answer::remembered(memory.clone())]);
            let id = format!("memory-{said}-{stream}");
            let mut body = turn("hello");
            body["stream"] = stream.into();

            let request = gateway.post("/v1/messages").header("x-request-id", &id);
            let answer = request.body(body.to_string()).send().await.unwrap();

            assert_eq!(route(&answer), (200, "direct"), "{id}");
            assert_eq!(header(&answer, "x-memgate-memory"), said, "{id}");
            answer.bytes().await.unwrap();
            assert_eq!(logs::access_line(&id).await["memory"], said);
        }
        let counted = gateway.metric("memory_total", &[("state", said)]).await;
        assert_eq!(counted, 2.0, "{said}");
    }
    assert_eq!(
        edge.stats().posts,
        6,
        "an answer without memory is an answer"
    );
    assert!(!gateway.is_paused(ROUTER_LANE));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_that_is_none_nothing_is_said_of_memory() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([answer::provider_error(400, "invalid_request_error", "no")]);

    let answer = gateway.message("hello").await;

    assert_eq!(route(&answer), (400, "direct"));
    assert_eq!(header(&answer, "x-memgate-memory"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_the_router_says_nothing_of_memory() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "domains: [anthropic.com]").models(
        "model_list:\n- model_name: claude-sonnet-4.5\n  litellm_params: {model: anthropic/claude-sonnet-4-5-20250929, api_key: sk-ant-test-provider, api_base: 'https://api.anthropic.com'}\n\
         general_settings: {master_key: sk-test-master-0001}\n",
    );
    let gateway = gateway.start().await;

    let answer = gateway.message("hello").await;

    assert_eq!(route(&answer), (200, "direct"));
    assert_eq!(header(&answer, "x-memgate-memory"), "");
    assert_eq!(provider(&edge).stats().posts, 1);
}
