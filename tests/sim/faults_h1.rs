//! Scripted faults over HTTP/1.1, seen from a bare connection.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use memgate::sim::{Alpn, At, EarlyAnswer, EdgeOptions, How, Outcome, answer, cloudflare};
use serde_json::json;

use crate::client::{PROMPTLY, SOON, Wire, ask, browser, edge, edge_with, events, post};

const BIG: usize = 300_000;

#[tokio::test]
async fn an_early_answer_that_reads_on_leaves_the_connection_usable() {
    let edge = edge().await;
    edge.script([cloudflare::queue_full().before_body(EarlyAnswer::ReadOn)]);
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, b"{").await;
    let head = wire.read_to("\r\n\r\n").await;
    let page = wire.read_to("</html>\n").await;
    wire.write(&vec![b' '; BIG - 1]).await.unwrap();
    wire.ask("again").await;
    let next = wire.read_to("\r\n\r\n").await;

    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(page.contains("1200"));
    assert!(next.starts_with("HTTP/1.1 200 "));
    let seen = edge.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].connection, seen[1].connection);
    assert!(seen[0].body.complete);
    assert_eq!(seen[0].body.length, BIG);
}

#[tokio::test]
async fn an_early_answer_that_closes_says_so_and_ends_the_connection() {
    let edge = edge().await;
    edge.script([answer::status(413)
        .body("too large")
        .before_body(EarlyAnswer::Close)]);
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, b"").await;
    let (answer, _) = wire.read_all().await;

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"));
    assert!(answer.ends_with("too large"));
    assert!(!edge.requests()[0].body.complete);
}

#[tokio::test]
async fn an_upstream_that_never_reads_still_answers() {
    let edge = edge().await;
    edge.script([answer::status(403)
        .body("no")
        .before_body(EarlyAnswer::NeverRead)]);
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, b"").await;
    let answer = wire.read_to("\r\n\r\nno").await;
    let body = vec![0; 64 << 20];
    let upload = tokio::time::timeout(Duration::from_millis(300), wire.write(&body));
    let blocked = upload.await.is_err();

    assert!(answer.starts_with("HTTP/1.1 403 "));
    assert!(blocked, "64 MiB do not fit into socket buffers");
}

#[tokio::test]
async fn an_upstream_that_never_reads_notices_the_end_all_the_same() {
    let edge = edge().await;
    edge.script([answer::status(403)
        .body("no")
        .before_body(EarlyAnswer::NeverRead)]);
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, &[b' '; 1000]).await;
    wire.read_to("\r\n\r\nno").await;
    let held = edge.stats().connections.open;
    drop(wire);

    assert_eq!(held, 1);
    assert!(
        edge.wait_until(|stats| stats.connections.open == 0, SOON)
            .await
    );
}

#[tokio::test]
async fn an_early_answer_can_be_late() {
    let edge = edge().await;
    let delay = Duration::from_millis(120);
    edge.script([answer::status(429)
        .before_body(EarlyAnswer::ReadOn)
        .delay(delay)]);
    let mut wire = Wire::to(&edge).await;

    let start = Instant::now();
    wire.post(BIG, b"").await;
    wire.read_to("\r\n\r\n").await;

    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_reset_comes_before_the_head_after_it_or_after_some_bytes() {
    let edge = edge().await;
    let text = || answer::status(200).body("0123456789");
    edge.script([
        text().cut(At::BeforeHead, How::Abort),
        text().cut(At::AfterHead, How::Abort),
        text().cut(At::AfterBytes(4), How::Reset(2)),
    ]);

    let mut ends = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::to(&edge).await;
        wire.ask("x").await;
        ends.push(wire.read_all().await);
    }

    for (_, end) in &ends {
        let kind = end.as_ref().unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
    }
    assert_eq!(ends[0].0, "");
    assert!(ends[1].0.ends_with("\r\n\r\n"));
    assert!(ends[2].0.ends_with("\r\n\r\n0123"));
    assert!(
        edge.requests()
            .iter()
            .all(|seen| seen.outcome == Outcome::CutShort)
    );
}

#[tokio::test]
async fn a_truncated_body_ends_in_good_order_but_is_not_whole() {
    let edge = edge().await;
    edge.script([
        answer::status(200)
            .body("0123456789")
            .cut(At::AfterBytes(4), How::Truncate),
        answer::stream(["data: 1\n\n", "data: 2\n\n"]).cut(At::AfterEvents(1), How::Truncate),
    ]);

    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::to(&edge).await;
        wire.ask("x").await;
        let (text, end) = wire.read_all().await;
        end.unwrap();
        answers.push(text);
    }

    assert!(answers[0].contains("content-length: 10\r\n"));
    assert!(answers[0].ends_with("\r\n\r\n0123"));
    assert!(answers[1].contains("transfer-encoding: chunked\r\n"));
    assert!(
        answers[1].ends_with("9\r\ndata: 1\n\n\r\n"),
        "no last chunk: {}",
        answers[1]
    );
}

#[tokio::test]
async fn a_stall_ends_when_the_client_leaves_and_its_time_is_noted() {
    let edge = edge().await;
    edge.script([
        answer::usual().cut(At::BeforeHead, How::Stall),
        answer::stream(["data: 1\n\n", "data: 2\n\n"]).cut(At::AfterEvents(1), How::Stall),
    ]);

    for number in 0..2 {
        let mut wire = Wire::to(&edge).await;
        wire.ask("x").await;
        if number == 1 {
            wire.read_to("data: 1\n\n").await;
        }
        edge.wait_until(|stats| stats.posts == number + 1, SOON)
            .await;
        let left = edge.clock();
        drop(wire);

        let seen = edge
            .wait_for(|seen| seen.id == number && seen.ended.is_some(), SOON)
            .await
            .unwrap();
        assert_eq!(seen.outcome, Outcome::ClientLeft);
        assert!(seen.ended.unwrap() - left < PROMPTLY);
    }
    assert_eq!(edge.stats().cancelled, 2);
    assert_eq!(edge.stats().in_flight, 0);
}

#[tokio::test]
async fn events_come_one_by_one_at_the_scripted_pace() {
    let edge = edge().await;
    let pause = Duration::from_millis(60);
    edge.script([answer::stream(["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]).between(pause)]);
    let mut wire = Wire::to(&edge).await;

    wire.ask("x").await;
    wire.read_to("data: 1\n\n").await;
    let first = Instant::now();
    wire.read_to("data: 3\n\n").await;

    assert!(first.elapsed() >= 2 * pause - Duration::from_millis(10));
}

#[tokio::test]
async fn a_pause_in_the_middle_of_a_body_is_only_a_pause() {
    let edge = edge().await;
    edge.script([answer::message("hello").cut(At::AfterBytes(20), How::Pause(50))]);

    let start = Instant::now();
    let response = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    assert!(response.text().await.unwrap().contains("hello"));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn informational_heads_and_trailers_are_sent_around_the_answer() {
    let edge = edge().await;
    edge.script([answer::stream(["data: 1\n\n"])
        .informational(103)
        .trailer("x-checksum", "7")]);
    let mut wire = Wire::to(&edge).await;

    wire.ask("x").await;
    let text = wire.read_to("x-checksum: 7\r\n\r\n").await;

    assert!(
        text.starts_with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\n0\r\nx-checksum: 7\r\n\r\n"));
}

#[tokio::test]
async fn bytes_that_are_no_http_can_be_answered() {
    let edge = edge().await;
    edge.script([answer::raw("SSH-2.0-none\r\n")]);
    let mut wire = Wire::to(&edge).await;

    wire.ask("x").await;
    let (text, _) = wire.read_all().await;

    assert_eq!(text, "SSH-2.0-none\r\n");
}

#[tokio::test]
async fn goaway_over_http_1_is_connection_close() {
    let edge = edge().await;
    edge.script([answer::message("last").goaway()]);
    let mut wire = Wire::to(&edge).await;

    wire.ask("x").await;
    let (text, end) = wire.read_all().await;

    end.unwrap();
    assert!(text.contains("connection: close\r\n") && text.contains("last"));
}

#[tokio::test]
async fn chunked_bodies_and_expectations_are_understood() {
    let edge = edge_with(EdgeOptions {
        alpn: Alpn::H1,
        ..EdgeOptions::default()
    })
    .await;
    let mut wire = Wire::to(&edge).await;
    let body = ask("in chunks").to_string();
    let (first, second) = body.split_at(40);

    wire.write(
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nanthropic-version: 1\r\n\
          expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .await
    .unwrap();
    let go_ahead = wire.read_to("\r\n\r\n").await;
    for part in [first, second] {
        let chunk = format!("{:x};note=1\r\n{part}\r\n", part.len());
        wire.write(chunk.as_bytes()).await.unwrap();
    }
    wire.write(b"0\r\nx-trailer: 1\r\n\r\n").await.unwrap();
    let answer = wire.read_to("}}").await;

    assert_eq!(go_ahead, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(answer.contains("echo: in chunks"));
    assert_eq!(edge.requests()[0].body.length, body.len());
}

#[tokio::test]
async fn a_client_that_leaves_in_its_upload_is_seen_to_leave() {
    let edge = edge().await;
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, &[b' '; 1000]).await;
    edge.wait_until(|stats| stats.posts == 1, SOON).await;
    drop(wire);
    let seen = edge
        .wait_for(|seen| seen.ended.is_some(), SOON)
        .await
        .unwrap();

    assert_eq!(seen.outcome, Outcome::ClientLeft);
    assert!(!seen.body.complete);
    assert_eq!(seen.body.length, 1000);
}

#[tokio::test]
async fn what_would_have_been_said_can_be_cut_too() {
    let edge = edge().await;
    edge.script([answer::usual().cut(At::AfterEvents(3), How::Truncate)]);
    let mut body = ask("x");
    body["stream"] = json!(true);

    let mut response = post(&browser(&edge), &edge, &body).send().await.unwrap();
    let mut text = String::new();
    let broken = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };

    assert!(broken);
    assert_eq!(events(&text).len(), 3);
}

#[tokio::test]
async fn even_a_models_turn_can_come_before_the_body() {
    let edge = edge().await;
    edge.script([answer::message("eager").before_body(EarlyAnswer::ReadOn)]);
    let mut wire = Wire::to(&edge).await;

    wire.post(BIG, b"").await;
    let text = wire.read_to("}}").await;

    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.contains("eager"),
        "{text}"
    );
}
