//! LiteLLM's stand-in: both dialects, keys, WebSocket, death and return.

use futures_util::{SinkExt, StreamExt};
use memgate::sim::{Hold, LiteLlm, LiteLlmOptions, Outcome, Rule, VirtualKey, answer};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{SOON, ask, events};

fn client() -> reqwest::Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn litellm() -> LiteLlm {
    LiteLlm::start(LiteLlmOptions::default()).await.unwrap()
}

async fn with_keys() -> LiteLlm {
    let key = |name: &str| VirtualKey::new(name);
    LiteLlm::start(LiteLlmOptions {
        master_key: Some("sk-master".to_owned()),
        keys: vec![
            VirtualKey {
                models: vec!["gpt-4o".to_owned()],
                expires: Some("2999-01-01T00:00:00Z".to_owned()),
                ..key("sk-good")
            },
            VirtualKey {
                blocked: true,
                ..key("sk-blocked")
            },
            VirtualKey {
                expires: Some("2020-01-01T00:00:00Z".to_owned()),
                ..key("sk-old")
            },
        ],
        ..LiteLlmOptions::default()
    })
    .await
    .unwrap()
}

fn chat(text: &str) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn chat_completions_are_answered_under_both_paths() {
    let litellm = litellm().await;

    for path in ["/v1/chat/completions", "/chat/completions"] {
        let url = format!("{}{path}", litellm.url());
        let response = client().post(url).json(&chat("hi")).send().await.unwrap();

        assert!(response.headers().contains_key("x-litellm-call-id"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "echo: hi");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn a_chat_stream_ends_with_usage_if_asked_and_with_done() {
    let litellm = litellm().await;
    let mut body = chat("hi there");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});

    let url = format!("{}/v1/chat/completions", litellm.url());
    let stream = client()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    assert!(stream.ends_with("data: [DONE]\n\n"));
    let chunks = events(&stream);
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "echo: hi there");
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert!(last["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_chat_can_call_a_tool_streamed_or_not() {
    let litellm = litellm().await;
    let mut body = chat("use the tool");
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let url = format!("{}/v1/chat/completions", litellm.url());

    let whole: Value = client()
        .post(&url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    body["stream"] = json!(true);
    let stream = client()
        .post(&url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    body["messages"] = json!([{"role": "tool", "tool_call_id": "call_1", "content": "rain"}]);
    body["stream"] = json!(false);
    let after: Value = client()
        .post(&url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();

    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], r#"{"city":"sim"}"#);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let arguments: String = events(&stream)
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, r#"{"city":"sim"}"#);
    assert_eq!(
        after["choices"][0]["message"]["content"],
        "tool result: rain"
    );
}

#[tokio::test]
async fn messages_models_embeddings_responses_and_health_are_there() {
    let litellm = litellm().await;
    let client = client();
    let url = |path: &str| format!("{}{path}", litellm.url());
    let post = |path: &str, body: Value| {
        let request = client
            .post(url(path))
            .header("anthropic-version", "2023-06-01");
        let sent = request.json(&body).send();
        async { sent.await.unwrap().json::<Value>().await.unwrap() }
    };

    let message = post("/v1/messages", ask("x")).await;
    let models: Value = client
        .get(url("/v1/models"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let embedding = post("/v1/embeddings", json!({"model": "e", "input": "x"})).await;
    let response = post("/v1/responses", json!({"model": "gpt-4o", "input": "x"})).await;
    let alive = client.get(url("/health/liveliness")).send().await.unwrap();

    assert_eq!(message["content"][0]["text"], "echo: x");
    assert_eq!(models["data"][0]["id"], "gpt-4o");
    assert!(embedding["data"][0]["embedding"].is_array());
    assert_eq!(response["object"], "response");
    assert_eq!(alive.status(), 200);
}

#[tokio::test]
async fn anything_else_comes_back_described() {
    let litellm = litellm().await;

    let seen: Value = client()
        .put(format!("{}/team/update?x=1&y=%2F", litellm.url()))
        .body("abc")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();

    assert_eq!(seen["method"], "PUT");
    assert_eq!(seen["path"], "/team/update");
    assert_eq!(seen["query"], "x=1&y=%2F");
    assert_eq!(
        seen["body_sha256"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[tokio::test]
async fn a_key_learns_its_own_rights_and_strangers_learn_nothing() {
    let litellm = with_keys().await;
    let client = client();
    let info = |key: &'static str| {
        let url = format!("{}/key/info", litellm.url());
        client.get(url).bearer_auth(key).send()
    };

    let good: Value = info("sk-good").await.unwrap().json().await.unwrap();
    let mut refused = Vec::new();
    for key in ["sk-blocked", "sk-old", "sk-nobody"] {
        refused.push(info(key).await.unwrap().status().as_u16());
    }

    assert_eq!(good["info"]["models"], json!(["gpt-4o"]));
    assert_eq!(good["info"]["expires"], "2999-01-01T00:00:00Z");
    assert_eq!(refused, [401, 401, 401]);
    assert_eq!(litellm.stats().by_path["/key/info"], 4);
}

#[tokio::test]
async fn keys_are_asked_for_and_held_to_their_models() {
    let litellm = with_keys().await;
    let client = client();
    let url = format!("{}/v1/chat/completions", litellm.url());
    let mut other = chat("x");
    other["model"] = json!("gpt-5");

    let bare = client.post(&url).json(&chat("x")).send().await.unwrap();
    let good = client
        .post(&url)
        .bearer_auth("sk-good")
        .json(&chat("x"))
        .send()
        .await
        .unwrap();
    let beyond = client
        .post(&url)
        .bearer_auth("sk-good")
        .json(&other)
        .send()
        .await
        .unwrap();
    let master = client
        .post(&url)
        .header("x-api-key", "sk-master")
        .json(&other)
        .send()
        .await
        .unwrap();

    assert_eq!(bare.status(), 401);
    assert_eq!(good.status(), 200);
    assert_eq!(beyond.status(), 401);
    assert_eq!(master.status(), 200);
}

#[tokio::test]
async fn a_web_socket_echoes() {
    let litellm = litellm().await;
    let url = format!("ws://{}/v1/realtime?model=gpt-4o", litellm.addr());

    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send(Message::text("one")).await.unwrap();
    let text = socket.next().await.unwrap().unwrap();
    socket.send(Message::binary(vec![0, 255])).await.unwrap();
    let binary = socket.next().await.unwrap().unwrap();
    socket.close(None).await.unwrap();

    assert_eq!(text, Message::text("one"));
    assert_eq!(binary, Message::binary(vec![0, 255]));
    assert_eq!(litellm.requests()[0].status, Some(101));
}

#[tokio::test]
async fn it_dies_and_comes_back_on_the_same_port() {
    let litellm = litellm().await;
    let url = format!("{}/health/liveliness", litellm.url());
    let alive = || client().get(&url).send();

    let before = alive().await.unwrap().status();
    litellm.stop().await;
    let dead = alive().await;
    litellm.restart().await.unwrap();
    let after = alive().await.unwrap().status();

    assert_eq!((before.as_u16(), after.as_u16()), (200, 200));
    assert!(dead.is_err_and(|error| error.is_connect()));
    assert_eq!(litellm.stats().by_path["/health/liveliness"], 2);
}

#[tokio::test]
async fn its_death_cuts_the_streams_it_carries() {
    let litellm = litellm().await;
    litellm.script([answer::stream(["data: 1\n\n", "data: 2\n\n"])
        .cut(memgate::sim::At::AfterEvents(1), memgate::sim::How::Stall)]);
    let url = format!("{}/v1/chat/completions", litellm.url());
    let mut response = client().post(url).json(&chat("x")).send().await.unwrap();
    response.chunk().await.unwrap();

    litellm.stop().await;

    assert!(response.chunk().await.is_err());
    assert_eq!(litellm.stats().in_flight, 0);
    assert_eq!(litellm.requests()[0].outcome, Outcome::Dropped);
}

#[tokio::test]
async fn a_rule_answers_the_requests_it_matches_as_often_as_it_says() {
    let litellm = litellm().await;
    litellm.rule(
        Rule::new(answer::status(500))
            .method("GET")
            .path("/v1/models")
            .first(2),
    );
    litellm.rule(Rule::new(answer::status(418)).body("teapot"));
    let client = client();
    let models = || client.get(format!("{}/v1/models", litellm.url())).send();
    let chat_url = format!("{}/v1/chat/completions", litellm.url());

    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(models().await.unwrap().status().as_u16());
    }
    for text in ["a teapot", "a kettle"] {
        let response = client
            .post(&chat_url)
            .json(&chat(text))
            .send()
            .await
            .unwrap();
        statuses.push(response.status().as_u16());
    }

    assert_eq!(statuses, [500, 500, 200, 418, 200]);
}

#[tokio::test]
async fn a_stand_in_that_is_told_to_end_finishes_what_it_has_and_says_which_answer_is_the_last() {
    let litellm = litellm().await;
    let hold = Hold::default();
    litellm.script([answer::usual().held(&hold)]);
    let client = client();
    let url = |path: &str| format!("{}{path}", litellm.url());
    let chat = client.post(url("/v1/chat/completions")).json(&chat("hi"));
    let asked = tokio::spawn(chat.send());
    assert!(litellm.wait_until(|seen| seen.in_flight == 1, SOON).await);

    let (last, ()) = tokio::join!(
        async {
            while TcpStream::connect(litellm.addr()).await.is_ok() {
                tokio::task::yield_now().await;
            }
            hold.release();
            let answered = asked.await.unwrap().unwrap();
            assert_eq!(answered.status(), 200);
            answered.bytes().await.unwrap();
            // By the same connection: there is no other any more.
            client.get(url("/v1/models")).send().await.unwrap()
        },
        litellm.leave(SOON)
    );

    assert_eq!(last.status(), 200);
    assert_eq!(last.headers()["connection"], "close");
}
