//! W3C trace context: what comes is checked, and what goes up is the same trace with a span of the gateway's own.

use memgate::sim::{Console, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, SeenRequest};

use crate::harness::*;
use crate::logs;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

async fn world() -> World {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    World {
        gateway: gateway.start().await,
        edge,
        litellm,
    }
}

impl World {
    /// Sends a turn with `model`; what it looked like upstream.
    async fn ask(&self, id: &str, model: &str, headers: &[(&str, &str)]) -> SeenRequest {
        let path = if model == MODEL {
            "/v1/messages"
        } else {
            "/v1/chat/completions"
        };
        let mut request = self.gateway.post(path).header("x-request-id", id);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = turn("x").to_string().replace(MODEL, model);
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap();
        let console: &Console = if model == MODEL {
            &self.edge
        } else {
            &self.litellm
        };
        asked(console).pop().unwrap()
    }
}

fn field(seen: &SeenRequest, name: &str) -> Option<String> {
    let fields: Vec<_> = seen
        .headers
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .collect();
    assert!(fields.len() <= 1, "{name}: {fields:?}");
    fields.first().map(|(_, value)| value.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_trace_goes_on_with_another_span_on_both_ways() {
    let world = world().await;
    for (id, model) in [("trace-direct", MODEL), ("trace-litellm", OTHER)] {
        let headers = [("traceparent", PARENT), ("tracestate", "vendor=a,other=b")];

        let seen = world.ask(id, model, &headers).await;

        let passed = field(&seen, "traceparent").unwrap();
        let parts: Vec<&str> = passed.split('-').collect();
        assert_eq!(
            (parts[0], parts[1], parts[3]),
            ("00", TRACE, "01"),
            "{passed}"
        );
        assert_ne!(parts[2], "00f067aa0ba902b7", "the span is ours");
        assert_eq!(
            field(&seen, "tracestate").as_deref(),
            Some("vendor=a,other=b")
        );
        let line = logs::access_line(id).await;
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_trace_is_replaced_by_a_new_one_and_its_state_is_dropped() {
    let world = world().await;
    let upper = PARENT.to_uppercase();
    for (number, parent) in ["garbage", &upper, &PARENT.replace(TRACE, &"0".repeat(32))]
        .into_iter()
        .enumerate()
    {
        for model in [MODEL, OTHER] {
            let id = format!("trace-bad-{number}-{model}");
            let headers = [("traceparent", parent), ("tracestate", "vendor=a")];

            let seen = world.ask(&id, model, &headers).await;

            let passed = field(&seen, "traceparent").unwrap();
            assert_eq!(passed.len(), 55, "{passed}");
            assert!(!passed.contains(TRACE) && passed.is_ascii(), "{passed}");
            assert_eq!(field(&seen, "tracestate"), None, "{parent}");
            let line = logs::access_line(&id).await;
            assert_eq!(line["trace_id"], passed[3..35], "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_trace_get_one_each() {
    let world = world().await;

    let first = field(&world.ask("trace-none-1", MODEL, &[]).await, "traceparent").unwrap();
    let second = field(&world.ask("trace-none-2", MODEL, &[]).await, "traceparent").unwrap();

    assert_ne!(first[3..35], second[3..35]);
    assert!(
        first.ends_with("-02"),
        "nobody sends it to a collector, so it is not sampled: {first}"
    );
}
