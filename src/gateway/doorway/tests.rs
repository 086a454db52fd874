//! Who is let in, and who goes for it?

use std::time::Duration;

use super::*;
use crate::telemetry::Metrics;

fn doorway() -> Arc<Doorway> {
    let metrics = Metrics::new(std::time::SystemTime::UNIX_EPOCH).unwrap();
    Arc::new(Doorway::new(metrics.connections(), Instant::now()))
}

fn limits(connections: usize, per_address: usize) -> Limits {
    Limits {
        connections,
        connections_per_address: per_address,
        ..Limits::default()
    }
}

/// The `n`-th newcomer from an address, each a second after the last.
fn guest(doorway: &Arc<Doorway>, from: &str, limits: &Limits, n: u64) -> Option<Arc<Guest>> {
    let now = doorway.opened + Duration::from_secs(n);
    let from = from.parse().ok();
    doorway.enter(from, limits, &[], now).map(Arc::new)
}

fn was_sent_away(guest: &Arc<Guest>) -> bool {
    use futures::FutureExt;
    guest.told_to_leave().now_or_never().is_some()
}

#[test]
fn whoever_waits_longest_makes_room_and_whoever_is_served_does_not() {
    let (doorway, limits) = (doorway(), limits(3, 10));
    let served = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let _visit = served.begin(&limits, Instant::now()).unwrap();
    let second = guest(&doorway, "10.0.0.2", &limits, 1).unwrap();
    let third = guest(&doorway, "10.0.0.3", &limits, 2).unwrap();

    let fourth = guest(&doorway, "10.0.0.4", &limits, 3);

    assert!(fourth.is_some());
    assert!(was_sent_away(&second) && !was_sent_away(&third) && !was_sent_away(&served));
    assert!(second.begin(&limits, Instant::now()).is_none(), "it goes");
}

#[test]
fn strangers_go_before_those_who_showed_a_key() {
    let (doorway, limits) = (doorway(), limits(2, 10));
    let known = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    known.vouch();
    let stranger = guest(&doorway, "10.0.0.2", &limits, 1).unwrap();

    let _newcomer = guest(&doorway, "10.0.0.3", &limits, 2).unwrap();

    assert!(was_sent_away(&stranger) && !was_sent_away(&known));
}

#[test]
fn when_all_are_served_nobody_gets_in_until_somebody_has_left() {
    let (doorway, limits) = (doorway(), limits(1, 10));
    let served = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let visit = served.begin(&limits, Instant::now());

    assert!(guest(&doorway, "10.0.0.2", &limits, 1).is_none());
    assert!(doorway.is_full());
    drop((visit, served));

    assert!(!doorway.is_full());
    assert!(guest(&doorway, "10.0.0.2", &limits, 2).is_some());
}

#[test]
fn it_is_full_no_longer_when_a_newcomer_found_room() {
    let (doorway, limits) = (doorway(), limits(1, 10));
    let first = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let visit = first.begin(&limits, Instant::now());
    assert!(guest(&doorway, "10.0.0.2", &limits, 1).is_none());
    drop(visit);

    let displacing = guest(&doorway, "10.0.0.3", &limits, 2);

    assert!(displacing.is_some() && was_sent_away(&first));
    assert!(!doorway.is_full());
}

#[test]
fn in_a_flood_nobody_is_looked_for_again_at_once() {
    for (limits, other) in [(limits(1, 10), "10.0.0.2"), (limits(100, 1), "10.0.0.1")] {
        let doorway = doorway();
        let served = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
        let visit = served.begin(&limits, Instant::now());
        let enter = |millis| {
            let now = doorway.opened + Duration::from_millis(millis);
            doorway.enter(other.parse().ok(), &limits, &[], now)
        };
        assert!(enter(1000).is_none());

        drop(visit);

        assert!(enter(1001).is_none(), "somebody could go, but who looks");
        assert!(enter(1000 + 50).is_some());
    }
}

#[test]
fn an_address_has_so_many_strangers_and_the_others_their_own() {
    let (doorway, limits) = (doorway(), limits(100, 2));
    let first = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let second = guest(&doorway, "10.0.0.1", &limits, 1).unwrap();
    let other = guest(&doorway, "10.0.0.2", &limits, 2).unwrap();
    let visits = [&first, &second].map(|one| one.begin(&limits, Instant::now()));

    let while_served = guest(&doorway, "10.0.0.1", &limits, 3);
    drop(visits);
    let while_waiting = guest(&doorway, "10.0.0.1", &limits, 4);

    assert!(while_served.is_none() && while_waiting.is_some());
    let sent_away = [&first, &second].map(was_sent_away);
    assert_eq!(sent_away.iter().filter(|gone| **gone).count(), 1);
    assert!(!was_sent_away(&other));
}

#[test]
fn one_valid_key_frees_its_address_as_long_as_it_is_connected() {
    let (doorway, limits) = (doorway(), limits(100, 1));
    let known = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    known.vouch();
    known.vouch();

    let others: Vec<_> = (1..9)
        .filter_map(|n| guest(&doorway, "10.0.0.1", &limits, n))
        .collect();

    assert_eq!(others.len(), 8);
    assert!(!others.iter().any(was_sent_away));
    drop(known);
    let _last = guest(&doorway, "10.0.0.1", &limits, 9);
    assert!(others.iter().any(was_sent_away), "they are strangers again");
}

#[test]
fn a_trusted_proxy_is_not_counted_and_an_ipv6_network_is_one_address() {
    let (doorway, limits) = (doorway(), limits(100, 1));
    let trusted = ["192.0.2.0/24".parse().unwrap()];
    let enter = |from: &str| {
        let from = from.parse().ok();
        doorway.enter(from, &limits, &trusted, Instant::now())
    };

    let proxied = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
    let line = enter("2001:db8::1").map(Arc::new).unwrap();
    let _same_line = enter("2001:db8::2");
    let next_line = enter("2001:db8:0:1::1");

    assert!(proxied.iter().all(Option::is_some) && next_line.is_some());
    assert!(was_sent_away(&line));
}

#[test]
fn a_connection_ends_with_its_last_request_or_with_its_age() {
    let doorway = doorway();
    let limits = Limits {
        connection_requests: 2,
        connection_age: Duration::from_secs(10),
        ..Limits::default()
    };
    let often = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let long = guest(&doorway, "10.0.0.1", &limits, 0).unwrap();
    let begin = |guest: &Arc<Guest>, at| guest.begin(&limits, doorway.opened + at).unwrap().last;

    let by_count = [1, 1].map(|second| begin(&often, Duration::from_secs(second)));
    let by_age = begin(&long, Duration::from_secs(10));

    assert_eq!((by_count, by_age), ([false, true], true));
}

#[test]
fn whoever_gives_up_on_nearly_all_requests_is_sent_away() {
    let (doorway, limits) = (doorway(), Limits::default());
    let [hasty, patient] =
        ["10.0.0.1", "10.0.0.2"].map(|from| guest(&doorway, from, &limits, 0).unwrap());

    for n in 0..GIVEN_UP_MAX * 3 {
        for guest in [&hasty, &patient] {
            drop(guest.begin(&limits, Instant::now()));
        }
        // What is answered on the spot is no good deed.
        drop(hasty.begin(&limits, Instant::now()));
        hasty.admitted();
        hasty.gave_up();
        patient.admitted();
        if n % 3 == 0 {
            patient.gave_up();
        }
    }

    assert!(was_sent_away(&hasty) && !was_sent_away(&patient));
}
