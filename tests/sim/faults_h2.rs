//! Scripted faults over HTTP/2, seen from a bare connection.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use memgate::sim::{
    Alpn, At, EarlyAnswer, EdgeOptions, H2Limits, How, Outcome, Version, answer, cloudflare,
};

use crate::client::{PROMPTLY, SOON, ask, edge, edge_with, h2, h2_body, h2_post};

/// More than the window a stream opens with.
const BIG: usize = 300_000;

fn small() -> Bytes {
    Bytes::from(ask("x").to_string())
}

/// Sends until the window is shut; true when all of it went.
async fn upload(stream: &mut h2::SendStream<Bytes>, mut body: Bytes, patience: Duration) -> bool {
    let all = async {
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            let Some(Ok(granted)) = granted else {
                return false;
            };
            let part = body.split_to(granted.min(body.len()));
            if stream.send_data(part, body.is_empty()).is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(patience, all).await.unwrap_or(false)
}

#[tokio::test]
async fn an_early_answer_that_reads_on_takes_the_whole_body() {
    let edge = edge().await;
    edge.script([cloudflare::queue_full().before_body(EarlyAnswer::ReadOn)]);
    let (mut requests, _driver) = h2(&edge).await;

    let (response, mut stream) = requests.send_request(h2_post(), false).unwrap();
    let response = response.await.unwrap();
    let whole = upload(&mut stream, vec![b' '; BIG].into(), SOON).await;
    let seen = edge
        .wait_for(|seen| seen.ended.is_some(), SOON)
        .await
        .unwrap();

    assert_eq!(response.status(), 503);
    assert!(whole);
    assert!(seen.body.complete);
    assert_eq!(seen.body.length, BIG);
    assert_eq!(seen.version, Version::Http2);
}

#[tokio::test]
async fn an_early_answer_can_reset_the_stream_without_error() {
    let edge = edge().await;
    let refusal = answer::status(403)
        .body("no")
        .before_body(EarlyAnswer::ResetNoError);
    edge.script([refusal]);
    let (mut requests, _driver) = h2(&edge).await;

    let (response, mut stream) = requests.send_request(h2_post(), false).unwrap();
    let response = response.await.unwrap();
    let (body, end) = h2_body(&mut response.into_body()).await;
    let reset = std::future::poll_fn(|cx| stream.poll_reset(cx))
        .await
        .unwrap();

    assert_eq!(body, b"no");
    assert!(end.is_none_or(|error| error.reason() == Some(Reason::NO_ERROR)));
    assert_eq!(reset, Reason::NO_ERROR);
}

#[tokio::test]
async fn a_window_can_stay_shut_after_an_early_answer() {
    let edge = edge().await;
    edge.script([answer::status(429).before_body(EarlyAnswer::NeverRead)]);
    let (mut requests, _driver) = h2(&edge).await;

    let (response, mut stream) = requests.send_request(h2_post(), false).unwrap();
    let status = response.await.unwrap().status();
    let patience = Duration::from_millis(200);
    let whole = upload(&mut stream, vec![b' '; BIG].into(), patience).await;
    stream.send_reset(Reason::CANCEL);
    let (after, _) = requests.send_request(h2_post(), true).unwrap();

    assert_eq!(status, 429);
    assert!(!whole, "65,535 bytes fit, no more");
    assert_eq!(after.await.unwrap().status(), 400, "other streams go on");
}

#[tokio::test]
async fn a_reset_carries_its_code_and_what_was_said_before_it_arrives() {
    let edge = edge().await;
    let text = || answer::status(200).body("0123456789");
    let refused = Reason::REFUSED_STREAM;
    edge.script([
        text().cut(At::BeforeHead, How::Reset(refused.into())),
        text().cut(At::AfterHead, How::Reset(Reason::INTERNAL_ERROR.into())),
        text().cut(
            At::AfterBytes(4),
            How::Reset(Reason::ENHANCE_YOUR_CALM.into()),
        ),
    ]);
    let (mut requests, _driver) = h2(&edge).await;

    let (before, _) = requests.send_request(h2_post(), true).unwrap();
    let before = before.await.unwrap_err();
    let (after, _) = requests.send_request(h2_post(), true).unwrap();
    let (nothing, after) = h2_body(&mut after.await.unwrap().into_body()).await;
    let (midway, _) = requests.send_request(h2_post(), true).unwrap();
    let (some, midway) = h2_body(&mut midway.await.unwrap().into_body()).await;

    assert_eq!(before.reason(), Some(refused));
    assert_eq!(nothing, b"");
    assert_eq!(after.unwrap().reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(some, b"0123");
    assert_eq!(midway.unwrap().reason(), Some(Reason::ENHANCE_YOUR_CALM));
    assert_eq!(
        edge.stats().connections.accepted,
        1,
        "the connection lives on"
    );
}

#[tokio::test]
async fn the_connection_under_a_stream_can_be_reset_or_closed() {
    let edge = edge().await;
    edge.script([
        answer::status(200)
            .body("0123456789")
            .cut(At::AfterBytes(4), How::Abort),
        answer::status(200)
            .body("0123456789")
            .cut(At::AfterBytes(4), How::Truncate),
    ]);

    for _ in 0..2 {
        let (mut requests, driver) = h2(&edge).await;
        let (response, _) = requests.send_request(h2_post(), true).unwrap();
        let (body, end) = h2_body(&mut response.await.unwrap().into_body()).await;

        assert_eq!(body, b"0123");
        assert!(
            end.is_some_and(|error| error.is_io()),
            "no END_STREAM, no RST_STREAM"
        );
        tokio::time::timeout(SOON, driver).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_graceful_goaway_finishes_the_stream_and_takes_no_other() {
    let edge = edge_with(EdgeOptions {
        h2: H2Limits {
            goaway_after: Some(2),
            ..H2Limits::default()
        },
        ..EdgeOptions::default()
    })
    .await;
    let (mut requests, driver) = h2(&edge).await;

    for _ in 0..2 {
        let (response, mut stream) = requests.send_request(h2_post(), false).unwrap();
        stream.send_data(small(), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let (_, end) = h2_body(&mut response.into_body()).await;
        assert!(end.is_none());
    }

    let end = tokio::time::timeout(SOON, driver).await.unwrap().unwrap();
    assert!(end.is_none_or(|error| error.reason() == Some(Reason::NO_ERROR)));
    assert_eq!(edge.stats().goaways, 1);
}

#[tokio::test]
async fn an_abrupt_goaway_ends_every_stream_with_its_code() {
    let edge = edge().await;
    let code = Reason::ENHANCE_YOUR_CALM;
    edge.script([answer::usual().cut(At::BeforeHead, How::GoAway(code.into()))]);
    let (mut requests, driver) = h2(&edge).await;

    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    let answered = response.await;
    let end = tokio::time::timeout(SOON, driver).await.unwrap().unwrap();

    assert!(answered.is_err());
    assert_eq!(end.and_then(|error| error.reason()), Some(code));
    assert_eq!(edge.stats().goaways, 1);
}

#[tokio::test]
async fn a_disowned_stream_was_certainly_not_processed() {
    let edge = edge().await;
    edge.script([answer::usual().cut(At::BeforeHead, How::Disown)]);
    let (mut requests, _driver) = h2(&edge).await;

    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    let error = response.await.unwrap_err();

    assert!(error.is_go_away() && error.is_remote(), "{error}");
    assert_eq!(error.reason(), Some(Reason::NO_ERROR));
}

#[tokio::test]
async fn trailers_end_a_stream_and_informational_heads_precede_it() {
    let edge = edge().await;
    edge.script([answer::stream(["data: 1\n\n"])
        .informational(103)
        .trailer("x-checksum", "7")]);
    let (mut requests, _driver) = h2(&edge).await;

    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    let response = response.await.unwrap();
    let mut body = response.into_body();
    let (bytes, end) = h2_body(&mut body).await;
    let trailers = body.trailers().await.unwrap().unwrap();

    assert_eq!(bytes, b"data: 1\n\n");
    assert!(end.is_none());
    assert_eq!(trailers["x-checksum"], "7");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_seen_to_leave() {
    let edge = edge().await;
    edge.script([
        answer::stream(["data: 1\n\n", "data: 2\n\n"]).cut(At::AfterEvents(1), How::Stall)
    ]);
    let (mut requests, _driver) = h2(&edge).await;
    let (response, mut stream) = requests.send_request(h2_post(), false).unwrap();
    stream.send_data(small(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    body.data().await.unwrap().unwrap();

    let left = edge.clock();
    drop((body, stream));
    let seen = edge
        .wait_for(|seen| seen.ended.is_some(), SOON)
        .await
        .unwrap();

    assert_eq!(seen.outcome, Outcome::ClientLeft);
    assert!(seen.ended.unwrap() - left < PROMPTLY);
    assert_eq!(edge.stats().connections.open, 1, "the connection stays");
}

#[tokio::test]
async fn a_connection_that_breaks_takes_its_streams_with_it() {
    let edge = edge().await;
    edge.script([answer::usual().cut(At::BeforeHead, How::Stall)]);
    let (mut requests, driver) = h2(&edge).await;
    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    edge.wait_until(|stats| stats.posts == 1, SOON).await;

    driver.abort();
    drop((requests, response));

    let seen = edge
        .wait_for(|seen| seen.ended.is_some(), SOON)
        .await
        .unwrap();
    assert_eq!(seen.outcome, Outcome::ClientLeft);
    assert!(
        edge.wait_until(|stats| stats.connections.open == 0, SOON)
            .await
    );
}

#[tokio::test]
async fn only_the_offered_protocol_is_spoken() {
    let edge = edge_with(EdgeOptions {
        alpn: Alpn::H2,
        ..EdgeOptions::default()
    })
    .await;

    let (mut requests, _driver) = h2(&edge).await;
    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    response.await.unwrap();
    let h1 = crate::client::tls_config(&edge, b"http/1.1");
    let tcp = tokio::net::TcpStream::connect(edge.addr()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let refused = tokio_rustls::TlsConnector::from(h1)
        .connect(name, tcp)
        .await;

    assert!(refused.is_err());
    assert_eq!(edge.stats().connections.h2, 1);
}

#[tokio::test]
async fn stopping_the_edge_ends_the_streams_it_carries() {
    let edge = edge().await;
    edge.script([answer::usual().cut(At::BeforeHead, How::Stall)]);
    let (mut requests, driver) = h2(&edge).await;
    let (response, _) = requests.send_request(h2_post(), true).unwrap();
    edge.wait_until(|stats| stats.posts == 1, SOON).await;

    tokio::time::timeout(SOON, edge.stop()).await.unwrap();

    assert!(response.await.is_err());
    tokio::time::timeout(SOON, driver).await.unwrap().unwrap();
}
