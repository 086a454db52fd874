//! What the simulator remembers, and how a running one is asked and told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memgate::sim::{Ca, Edge, EdgeOptions, Hold, Retention, answer};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::client::{
    SOON, ask, browser, connect, edge, edge_with, h2, h2_post, post, tls_config, tls_config_of, url,
};

async fn controlled() -> (Edge, String) {
    let edge = edge_with(EdgeOptions {
        control: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..EdgeOptions::default()
    })
    .await;
    let control = format!("http://{}", edge.control_addr().unwrap());
    (edge, control)
}

#[tokio::test]
async fn a_request_is_remembered_as_it_came() {
    let edge = edge().await;
    let body = json!({"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": "abc"}]});

    let request = post(&browser(&edge), &edge, &body)
        .header("X-Odd-Case", "1")
        .header("cookie", "__cf_bm=a; _cfuvid=b");
    request.send().await.unwrap();

    let seen = &edge.requests()[0];
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.status, Some(200));
    assert_eq!(seen.header("x-sm-user-id"), Some("alice"));
    assert_eq!(seen.cookie("_cfuvid"), Some("b"));
    assert_eq!(seen.json(), body);
    assert_eq!(seen.body.length, body.to_string().len());
    assert_eq!(seen.body.sha256.len(), 64);
    assert_eq!(seen.body.sha256, seen.body.decoded_sha256);
    assert!(seen.body.complete);
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    let place = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert!(
        place("x-supermemory-api-key") < place("x-sm-user-id"),
        "in order: {names:?}"
    );
}

#[tokio::test]
async fn the_ring_forgets_the_oldest_and_the_counters_do_not() {
    let edge = edge_with(EdgeOptions {
        retention: Retention {
            requests: 2,
            body: 4,
            digests: false,
            ..Retention::default()
        },
        ..EdgeOptions::default()
    })
    .await;
    let client = browser(&edge);

    for text in ["one", "two", "three"] {
        post(&client, &edge, &ask(text)).send().await.unwrap();
    }

    let seen = edge.requests();
    assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(seen[0].body.kept.len(), 4);
    assert_eq!(seen[0].body.sha256, "");
    assert_eq!(edge.stats().posts, 3);
}

/// A whole request and its answer: a ticket to resume with comes along with the first bytes read.
async fn visit(edge: &Edge, config: Arc<ClientConfig>) {
    let mut tls = connect(edge, config).await;
    let request = b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    tls.write_all(request).await.unwrap();
    tokio::io::copy(&mut tls, &mut tokio::io::sink())
        .await
        .unwrap();
}

#[tokio::test]
async fn sessions_are_resumed_in_either_tls_version() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let edge = edge().await;
        let config = tls_config_of(&edge, b"http/1.1", &[version]);

        visit(&edge, config.clone()).await;
        visit(&edge, config).await;

        let connections = edge.stats().connections;
        assert_eq!(
            (connections.tls_full, connections.tls_resumed),
            (1, 1),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn connections_are_told_apart_by_protocol() {
    let edge = edge().await;

    visit(&edge, tls_config(&edge, b"http/1.1")).await;
    let (mut requests, _driver) = h2(&edge).await;
    requests
        .send_request(h2_post(), true)
        .unwrap()
        .0
        .await
        .unwrap();

    let connections = edge.stats().connections;
    assert_eq!(connections.accepted, 2);
    assert_eq!((connections.h1, connections.h2), (1, 1));
    assert_eq!(connections.tls_full, 2);
}

#[tokio::test]
async fn edges_that_share_a_ca_are_trusted_together() {
    let ca = Arc::new(Ca::generate().unwrap());
    let options = || EdgeOptions {
        ca: Some(Arc::clone(&ca)),
        ..EdgeOptions::default()
    };
    let (one, other) = (edge_with(options()).await, edge_with(options()).await);

    visit(&other, tls_config(&one, b"http/1.1")).await;

    assert_eq!(other.stats().requests, 1);
}

#[tokio::test]
async fn the_most_requests_in_flight_at_once_are_counted() {
    let edge = edge().await;
    let hold = Hold::default();
    edge.script([answer::message("slow").held(&hold).times(3)]);
    let client = browser(&edge);

    let body = ask("x");
    let all = (0..3).map(|_| post(&client, &edge, &body).send());
    let all_there = async {
        edge.wait_until(|stats| stats.in_flight == 3, SOON).await;
        hold.release();
    };
    let (all, ()) = tokio::join!(futures_util::future::join_all(all), all_there);
    for done in all {
        done.unwrap();
    }

    let stats = edge.stats();
    assert_eq!(stats.in_flight_max, 3);
    assert!(edge.wait_until(|stats| stats.in_flight == 0, SOON).await);
    assert_eq!(stats.by_status[&200], 3);
}

#[tokio::test]
async fn a_running_edge_is_scripted_asked_and_reset_over_its_control_port() {
    let (edge, control) = controlled().await;
    let client = browser(&edge);
    let plain = reqwest::Client::new();
    let script = json!({
        "answers": [
            {"say": {"cloudflare": {"code": 1200, "zone": "api.anthropic.com", "retry_after": 7, "form": "plain"}}, "times": 2},
            {"say": {"reply": {"status": 418, "headers": [["x-tea", "green"]], "body": "short"}}, "pace": {"delay_ms": 1}},
            {"say": {"message": {"text": "hello"}}, "early": null, "cut": {"at": {"after_bytes": 3}, "how": {"pause": 1}}},
        ],
        "rules": [{"path": "/elsewhere", "answer": {"say": {"reply": {"status": 204}}}}],
    });

    let told = plain
        .post(format!("{control}/__script"))
        .json(&script)
        .send()
        .await
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(
            post(&client, &edge, &ask("x"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    let ruled = client.get(url(&edge, "/elsewhere")).send().await.unwrap();
    let stats: Value = plain
        .get(format!("{control}/__stats"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    plain
        .post(format!("{control}/__reset"))
        .send()
        .await
        .unwrap();

    assert_eq!(told.status(), 200);
    assert_eq!(statuses, [503, 503, 418, 200]);
    assert_eq!(ruled.status(), 204);
    assert_eq!(stats["stats"]["posts"], 4);
    assert_eq!(stats["requests"][2]["status"], 418);
    assert_eq!(stats["stats"]["requests"], 5, "control is not counted");
    assert_eq!(edge.stats().posts, 0);
}

#[tokio::test]
async fn a_script_with_an_unknown_word_is_refused() {
    let (_edge, control) = controlled().await;
    let script = json!({"answers": [{"sya": "default"}]});

    let told = reqwest::Client::new()
        .post(format!("{control}/__script"))
        .json(&script);
    let told = told.send().await.unwrap();

    assert_eq!(told.status(), 400);
    assert!(told.text().await.unwrap().contains("unknown field `sya`"));
}

#[tokio::test]
async fn the_body_of_a_remembered_request_can_be_read_again() {
    let (edge, control) = controlled().await;
    let asked = ask("what was I?");
    let client = browser(&edge);
    post(&client, &edge, &asked).send().await.unwrap();
    let id = edge.requests()[0].id;
    let read = |id: u64| reqwest::get(format!("{control}/__body?id={id}"));

    let kept: Value = read(id).await.unwrap().json().await.unwrap();
    let stranger = read(id + 1).await.unwrap();

    assert_eq!(kept, asked);
    assert_eq!(stranger.status(), 404);
}

#[tokio::test]
async fn control_paths_work_on_the_tls_port_and_are_not_recorded() {
    let edge = edge().await;

    let response = browser(&edge)
        .get(url(&edge, "/__stats?requests=0"))
        .send()
        .await
        .unwrap();

    let stats: Value = response.json().await.unwrap();
    assert!(stats.get("requests").is_none());
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test]
async fn waiting_gives_up_at_its_deadline() {
    let edge = edge().await;

    let came = edge
        .wait_until(|stats| stats.posts > 0, Duration::from_millis(20))
        .await;

    assert!(!came);
}

#[tokio::test]
async fn a_stopped_edge_has_closed_its_port() {
    let edge = edge().await;
    let addr = edge.addr();

    edge.stop().await;

    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
