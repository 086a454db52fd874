//! Connections to an upstream are shared: a thousand clients ride on a handful.

use std::sync::Arc;

use memgate::sim::{Alpn, Edge, EdgeOptions, H2Limits, Hold, Retention, Rule, answer};
use tokio::sync::Semaphore;

use crate::harness::*;
use crate::wire::{Raw, soon};

async fn edge(goaway_after: Option<u32>) -> Edge {
    let h2 = H2Limits {
        goaway_after,
        ..H2Limits::default()
    };
    let retention = Retention {
        requests: 1,
        body: 0,
        digests: false,
        ..Retention::default()
    };
    Edge::start(EdgeOptions {
        h2,
        retention,
        ..EdgeOptions::default()
    })
    .await
    .unwrap()
}

const POST: &str = "POST /v1/messages/count_tokens HTTP/1.1\r\nhost: gateway\r\n";

/// Every client on a connection of its own sends its requests, one after the other, as many clients at a
/// time as may. The number of answers that were not 200.
async fn crowd(gateway: &TestGateway, clients: usize, requests: usize, at_a_time: usize) -> usize {
    let body = turn("hello").to_string();
    let length = body.len();
    let head = format!("{POST}authorization: Bearer {MASTER}\r\ncontent-length: {length}\r\n\r\n");
    let request: Arc<[u8]> = (head + &body).into_bytes().into();
    let (address, places) = (gateway.address(), Arc::new(Semaphore::new(at_a_time)));
    let crowd: Vec<_> = (0..clients)
        .map(|_| {
            let (request, places) = (Arc::clone(&request), Arc::clone(&places));
            tokio::spawn(async move {
                // Kept to the end: a connection that waits for its turn may be idle for too long.
                let _place = places.acquire().await;
                let mut client = Raw::connect(address).await;
                let mut failed = 0;
                for _ in 0..requests {
                    client.send(&request).await;
                    failed += usize::from(client.reply().await.status != 200);
                }
                failed
            })
        })
        .collect();
    let mut failed = 0;
    for client in crowd {
        failed += client.await.unwrap();
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_requests_of_a_thousand_clients_ten_open_a_connection_at_most() {
    // Connections say goodbye on the way.
    let edge = edge(Some(2_500)).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let failed = crowd(&gateway, 1_000, 10, 200).await;

    let stats = edge.stats();
    assert_eq!((failed, stats.posts), (0, 10_000));
    assert!(stats.goaways >= 1, "{stats:?}");
    assert!(stats.connections.accepted <= 10, "99.9 % reused: {stats:?}");
    gateway.settled().await;
    let metrics = gateway.metrics().await;
    let fresh = format!(
        "reused=\"false\",upstream=\"api.supermemory.ai\"}} {}\n",
        stats.connections.accepted
    );
    assert!(
        metrics.contains(&fresh),
        "operators see the same\n{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_come_at_once_wait_for_a_connection_instead_of_opening_their_own() {
    let edge = edge(None).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    // So many answers that the lane lets everybody go at once.
    assert_eq!(crowd(&gateway, 20, 50, 20).await, 0);
    let hold = Hold::default();
    edge.rule(Rule::new(answer::usual().held(&hold)));

    let all_there = async {
        let there = edge.wait_until(|stats| stats.in_flight == 250, PATIENCE);
        assert!(there.await, "{:?}", edge.stats());
        hold.release();
    };
    let (failed, ()) = tokio::join!(crowd(&gateway, 250, 1, 250), all_there);

    let stats = edge.stats();
    assert_eq!(failed, 0);
    assert!(
        (3..=5).contains(&stats.connections.accepted),
        "250 at 100 a connection: {stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_costs_no_request_and_the_next_connection_resumes_the_session() {
    let edge = edge(Some(2)).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let failed = crowd(&gateway, 1, 12, 1).await;

    let connections = edge.stats().connections;
    assert_eq!((failed, connections.accepted), (0, 6));
    assert_eq!((connections.tls_full, connections.tls_resumed), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_upstream_speaks_only_http_1_nobody_waits_for_another() {
    let options = EdgeOptions {
        alpn: Alpn::H1,
        ..EdgeOptions::default()
    };
    let edge = Edge::start(options).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    gateway.message("the lane is open").await;
    let hold = Hold::default();
    edge.rule(Rule::new(answer::usual().held(&hold)));

    let side_by_side = async {
        let all = edge.wait_until(|stats| stats.in_flight == 30, PATIENCE);
        assert!(all.await, "side by side: {:?}", edge.stats());
        hold.release();
    };
    let (failed, ()) = tokio::join!(crowd(&gateway, 30, 3, 30), side_by_side);

    let stats = edge.stats();
    assert_eq!((failed, stats.posts), (0, 91));
    assert!(stats.connections.accepted <= 31, "kept alive: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_fails_those_who_wait_together() {
    let edge = edge(None).await;
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;
    edge.stop().await;

    let failed = soon("the answers", crowd(&gateway, 200, 1, 200)).await;

    assert_eq!(failed, 200);
}
