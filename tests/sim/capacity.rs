//! The capacity gate: how many are let in at once, what the others are told, and when room is free again.

use std::time::Duration;

use futures_util::future::join_all;
use memgate::sim::cloudflare::{CapacityGate, Form, queue_full};
use memgate::sim::{Edge, EdgeOptions, Encoding, answer};
use serde_json::{Value, json};

use crate::client::{SOON, Wire, ask, browser, connect, edge_with, h2_post, post, tls_config};

/// An edge with this gate whose answers take a while.
async fn slow(gate: CapacityGate) -> Edge {
    edge_with(EdgeOptions {
        capacity: Some(gate),
        // All of a burst are there before the first of them is done.
        first_byte: Duration::from_secs(1),
        ..EdgeOptions::default()
    })
    .await
}

/// The statuses of so many requests sent at once, in order of size.
async fn burst(edge: &Edge, size: usize) -> Vec<u16> {
    let client = browser(edge);
    let requests = (0..size).map(|number| {
        let request = post(&client, edge, &ask(&format!("number {number}")));
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let mut statuses = join_all(requests).await;
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn who_is_one_too_many_is_refused() {
    let edge = slow(CapacityGate::of(3)).await;

    let statuses = burst(&edge, 5).await;

    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    let stats = edge.stats();
    assert_eq!(stats.refused.capacity, 2);
    assert_eq!(stats.edge_errors[&1200], 2);
    assert_eq!(stats.served_heads, 3);
    assert_eq!(edge.room().in_flight_max, 3);
}

#[tokio::test]
async fn a_capacity_of_nothing_refuses_everybody_in_the_words_it_was_given() {
    let refusal = queue_full()
        .zone("api.anthropic.com")
        .retry_after(7)
        .form(Form::Html)
        .compressed(Encoding::Gzip);
    let edge = slow(CapacityGate::of(0).refusing(refusal)).await;

    let response = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.unwrap();
    let mut page = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed), &mut page).unwrap();
    assert!(page.contains("Too many requests for api.anthropic.com"));
}

#[tokio::test]
async fn the_room_changes_while_the_edge_runs() {
    let edge = slow(CapacityGate::default()).await;

    assert_eq!(burst(&edge, 3).await, [200; 3], "no gate, no limit");
    edge.set_capacity(Some(1));
    assert_eq!(burst(&edge, 3).await, [200, 503, 503]);
    edge.set_schedule("0@0,none@3600".parse().unwrap());
    assert_eq!(burst(&edge, 2).await, [503, 503]);
    edge.set_capacity(None);
    assert_eq!(burst(&edge, 3).await, [200; 3]);
}

#[tokio::test]
async fn who_is_inside_stays_when_the_room_shrinks() {
    let edge = slow(CapacityGate::of(2)).await;
    let both = burst(&edge, 2);
    let shrink = async {
        edge.wait_until(|stats| stats.in_flight == 2, SOON).await;
        edge.set_capacity(Some(0));
    };

    let (statuses, ()) = tokio::join!(both, shrink);

    assert_eq!(statuses, [200, 200]);
    assert_eq!(edge.room().capacity, Some(0));
}

/// The bytes of a stream over a connection whose streams have this window, which is never opened further.
async fn streamed(edge: &Edge, window: u32) -> (usize, h2::RecvStream) {
    let tls = connect(edge, tls_config(edge, b"h2")).await;
    let (requests, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .handshake::<_, bytes::Bytes>(tls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut body = ask("x");
    body["stream"] = json!(true);
    let mut requests = requests.ready().await.unwrap();
    let (response, mut upload) = requests.send_request(h2_post(), false).unwrap();
    upload.send_data(body.to_string().into(), true).unwrap();
    let mut answer = response.await.unwrap().into_body();
    let mut length = 0;
    while length < window as usize {
        match answer.data().await {
            Some(piece) => length += piece.unwrap().len(),
            None => break,
        }
    }
    (length, answer)
}

#[tokio::test]
async fn a_place_is_free_before_the_last_bytes_of_a_stream_are_written() {
    let edge = edge_with(EdgeOptions {
        capacity: Some(CapacityGate::of(1)),
        ..EdgeOptions::default()
    })
    .await;
    let (whole, _ended) = streamed(&edge, 65_535).await;

    let lacking = u32::try_from(whole - 5).unwrap();
    let (read, _unread) = streamed(&edge, lacking).await;

    assert_eq!(read, whole - 5);
    assert_eq!(edge.stats().served_whole, 1, "the second is not at its end");
    assert_eq!(edge.room().in_flight, 0);
}

#[tokio::test]
async fn a_place_is_taken_as_long_as_a_stream_goes_on() {
    let edge = edge_with(EdgeOptions {
        capacity: Some(CapacityGate::of(1)),
        ..EdgeOptions::default()
    })
    .await;

    let (_, _unread) = streamed(&edge, 300).await;

    assert_eq!(edge.room().in_flight, 1);
    assert_eq!(burst(&edge, 1).await, [503]);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let edge = slow(CapacityGate::of(1)).await;
    edge.set_tempo(memgate::sim::Tempo {
        first_byte: Duration::from_secs(600),
        ..Default::default()
    });
    let mut wire = Wire::to(&edge).await;
    wire.ask("x").await;
    edge.wait_until(|stats| stats.posts == 1, SOON).await;
    assert_eq!(edge.room().in_flight, 1);

    drop(wire);

    assert!(edge.wait_until(|stats| stats.cancelled == 1, SOON).await);
    assert_eq!(edge.room().in_flight, 0);
}

#[tokio::test]
async fn a_scripted_answer_takes_no_room() {
    let edge = slow(CapacityGate::of(0)).await;
    edge.script([answer::message("hello")]);

    assert_eq!(burst(&edge, 1).await, [200]);
    assert_eq!(burst(&edge, 1).await, [503]);
}

#[tokio::test]
async fn a_rule_about_bodies_leaves_the_gate_to_those_it_does_not_fit() {
    let edge = slow(CapacityGate::of(0)).await;
    edge.rule(memgate::sim::Rule::new(answer::message("hello")).body("number 1"));

    assert_eq!(burst(&edge, 2).await, [200, 503]);
}

#[tokio::test]
async fn the_time_line_counts_everybody() {
    let edge = slow(CapacityGate::of(2)).await;

    burst(&edge, 5).await;
    edge.wait_until(|stats| stats.in_flight == 0, SOON).await;
    let line = edge.timeline();

    let sum = |count: fn(&memgate::sim::Point) -> u64| line.points.iter().map(count).sum::<u64>();
    assert_eq!(sum(|point| point.entered), 2);
    assert_eq!(sum(|point| point.refused), 3);
    assert_eq!(sum(|point| point.left), 2);
    assert!(line.points.iter().any(|point| point.peak == 2));
    let last = line.points.last().unwrap();
    assert_eq!((last.in_flight, last.capacity), (0, Some(2)));
    edge.reset();
    assert!(
        edge.timeline()
            .points
            .iter()
            .all(|point| point.entered == 0)
    );
}

#[tokio::test]
async fn a_stream_takes_its_time_however_many_events_it_has() {
    let whole = Duration::from_secs(1);
    let edge = edge_with(EdgeOptions {
        stream_time: Some(whole),
        ..EdgeOptions::default()
    })
    .await;
    let mut body = ask("one two three four five six");
    body["stream"] = json!(true);

    let began = tokio::time::Instant::now();
    let response = post(&browser(&edge), &edge, &body).send().await.unwrap();
    let head = began.elapsed();
    response.text().await.unwrap();

    assert!(head < whole, "the head comes at once: {head:?}");
    let took = began.elapsed();
    assert!(took >= whole && took < 5 * whole, "{took:?}");
}

#[tokio::test]
async fn a_body_that_is_served_twice_is_a_duplicate_and_a_refused_one_is_not() {
    let edge = slow(CapacityGate::of(0)).await;
    burst(&edge, 1).await;
    edge.set_capacity(None);

    burst(&edge, 2).await;
    assert_eq!(edge.stats().duplicates, 0, "the first was never let in");
    burst(&edge, 1).await;

    assert_eq!(edge.stats().duplicates, 1);
}

#[tokio::test]
async fn what_the_origin_may_have_done_before_an_error_counts_as_served() {
    let edge = slow(CapacityGate::default()).await;
    edge.script([
        memgate::sim::cloudflare::error(524),
        memgate::sim::cloudflare::error(521),
        answer::status(529),
    ]);

    assert_eq!(burst(&edge, 1).await, [524]);
    assert_eq!(burst(&edge, 1).await, [521]);
    assert_eq!(burst(&edge, 1).await, [529]);
    assert_eq!(
        edge.stats().duplicates,
        0,
        "two of three were never processed"
    );
    burst(&edge, 1).await;

    let stats = edge.stats();
    assert_eq!(stats.duplicates, 1, "524 may come after the work was done");
    assert_eq!(stats.served_heads, 1);
    assert_eq!(stats.edge_errors[&524], 1);
    let json: Value = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["refused"]["capacity"], 0);
}
