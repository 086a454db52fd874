//! What no log line, metric, page or error ever holds: keys, cookies, prompts.

use memgate::sim::answer::{self, Answer, At, How};
use memgate::sim::cloudflare;

use crate::access_log::{CLIENT_COOKIE, PROMPT, VIRTUAL, WRONG, World, world};
use crate::harness::*;
use crate::logs;

/// A key that nobody can be asked about.
const UNASKED: &str = "sk-unasked-canary-5513";

/// Everything that goes wrong in its own way, so that every line that can be written is.
fn mishaps() -> Vec<Answer> {
    let event = format!("data: {{\"text\":\"{PROMPT}\"}}\n\n");
    let stream = || answer::stream([event.clone(), event.clone()]);
    vec![
        answer::message(PROMPT),
        answer::provider_error(400, "invalid_request_error", "no"),
        answer::provider_error(529, "overloaded_error", "no"),
        cloudflare::queue_full()
            .zone("api.anthropic.com")
            .retry_after(0),
        cloudflare::challenge(),
        answer::status(503),
        stream(),
        stream().cut(At::AfterEvents(1), How::Abort),
        stream().cut(At::AfterBytes(9), How::Truncate),
        answer::usual().cut(At::AfterBytes(20), How::Truncate),
        answer::usual().cut(At::BeforeHead, How::Abort),
        answer::usual().cut(At::BeforeHead, How::Reset(2)),
        answer::usual().header("set-cookie", "__cf_bm=bad\u{1}value; Secure"),
        answer::raw(format!("HTTP/1.1 200 OK\r\nbad header {PROMPT}\r\n\r\n")),
    ]
}

/// Requests of every kind; the bodies of the errors they got.
async fn many_requests(world: &World) -> Vec<String> {
    let direct = turn(PROMPT).to_string();
    let other = direct.replace(MODEL, OTHER);
    let broken = direct.replace('}', "");
    let mut errors = Vec::new();
    let mut ids = 0..;
    let mut ask = async |path: &str, key: &str, body: &str| {
        let id = format!("canary-{}", ids.next().unwrap());
        let (status, body, _) = world.ask(&id, path, key, body).await;
        errors.extend((status >= 400).then_some(body));
    };
    for key in [MASTER, VIRTUAL, WRONG] {
        ask("/v1/messages", key, &direct).await;
        ask("/v1/messages", key, &broken).await;
        for path in ["/v1/chat/completions", "/v1/embeddings", "/key/info"] {
            ask(path, key, &other).await;
        }
        ask("/engines/claude-sonnet-4.5/chat", key, &other).await;
    }
    for mishap in mishaps() {
        world.edge.script([mishap.clone()]);
        ask("/v1/messages", MASTER, &direct).await;
        world.litellm.script([mishap]);
        ask("/v1/chat/completions", MASTER, &other).await;
    }
    world.litellm.stop().await;
    ask("/v1/messages", UNASKED, &direct).await;
    ask("/v1/chat/completions", VIRTUAL, &other).await;
    errors
}

/// Everything the gateway told anybody, and where.
async fn told(gateway: &TestGateway) -> Vec<(String, String)> {
    let lines = logs::lines().into_iter();
    let mut told: Vec<_> = lines.map(|line| (line.target, line.text)).collect();
    for page in ["/status", "/metrics"] {
        let answer = gateway.http().get(gateway.admin_url(page)).send().await;
        told.push((page.to_owned(), answer.unwrap().text().await.unwrap()));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_no_cookie_and_no_prompt_is_in_any_line_metric_page_or_error() {
    let world = world().await;

    let errors = many_requests(&world).await;
    let mut told = told(&world.gateway).await;
    told.extend(errors.into_iter().map(|body| ("error".to_owned(), body)));

    let seen = world.edge.requests().into_iter();
    let cookies: Vec<String> = seen
        .flat_map(|request| request.cookies)
        .map(|(_, value)| value)
        .collect();
    assert!(cookies.len() > 4, "cookies were sent");
    let keys = [MASTER, PROVIDER_KEY, SUPERMEMORY_KEY, VIRTUAL, WRONG];
    let secrets = keys.into_iter().chain([UNASKED, PROMPT, CLIENT_COOKIE]);
    for secret in secrets.chain(cookies.iter().map(String::as_str)) {
        for (place, text) in &told {
            assert!(!text.contains(secret), "{secret:?} in {place}: {text}");
        }
    }
}
