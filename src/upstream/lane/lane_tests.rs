//! The lane among tasks and threads: nobody is forgotten, whoever leaves and whenever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;

use super::state_tests::{asker, policy};
use super::{Asker, Cause, Entry, GateView, Lane, Patience, Permit, Place, Policy, Refusal, Sign};
use crate::clock::{Clock, ManualClock, SystemClock};

const SECOND: Duration = Duration::from_secs(1);

fn lane(max_concurrency: usize) -> (Arc<Lane>, ManualClock) {
    let clock = ManualClock::default();
    let policy = Policy {
        max_concurrency,
        ..policy()
    };
    let lane = Lane::new("router".to_owned(), policy, Arc::new(clock.clone()));
    let scout = go(&lane);
    scout.sign(&Sign::Head);
    (lane, clock)
}

fn go(lane: &Arc<Lane>) -> Permit {
    match lane.enter(asker(1)) {
        Entry::Go(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn wait(lane: &Arc<Lane>) -> Place {
    match lane.enter(asker(1)) {
        Entry::Wait(place) => place,
        other => panic!("{other:?}"),
    }
}

/// Lets all tasks do what they can.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn permits_and_places_may_be_sent_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<Permit>();
    anywhere::<Place>();
    anywhere::<Arc<Lane>>();
}

#[tokio::test]
async fn a_permit_that_is_dropped_lets_the_next_one_go() {
    let (lane, _clock) = lane(1);
    let first = go(&lane);
    let mut second = Box::pin(wait(&lane).granted());
    assert!((&mut second).now_or_never().is_none());

    drop(first);

    assert!(second.now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_place_that_is_dropped_is_given_up_whether_it_was_awaited_or_not() {
    let (lane, _clock) = lane(1);
    let first = go(&lane);
    drop(wait(&lane));
    let mut awaited = Box::pin(wait(&lane).granted());
    assert!((&mut awaited).now_or_never().is_none());
    drop(awaited);
    assert_eq!(lane.view().queued, 0);

    drop(first);

    assert_eq!(lane.view().in_flight, 0);
}

#[tokio::test]
async fn a_permit_on_its_way_to_somebody_who_left_goes_to_the_next() {
    let (lane, _clock) = lane(1);
    let first = go(&lane);
    let left = wait(&lane);
    let stays = wait(&lane);

    drop(first);
    drop(left);

    assert!(stays.granted().now_or_never().unwrap().is_ok());
    assert_eq!(lane.view().in_flight, 0);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_queue_allows() {
    let (lane, clock) = lane(1);
    let _first = go(&lane);
    let mut second = Box::pin(wait(&lane).granted());
    assert!((&mut second).now_or_never().is_none());

    clock.advance(Duration::from_secs(90));

    let refusal = second.await.unwrap_err();
    assert!(matches!(refusal, Refusal::Full { .. }));
    assert!(refusal.retry_after() >= SECOND);
    assert_eq!(lane.view().queued, 0);
}

#[tokio::test]
async fn who_has_another_way_waits_half_a_second() {
    let (lane, clock) = lane(1);
    let _first = go(&lane);
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(1)
    };
    let Entry::Wait(place) = lane.enter(hurried) else {
        panic!("nothing is known of how long it takes");
    };
    let mut granted = Box::pin(place.granted());
    assert!((&mut granted).now_or_never().is_none());

    clock.advance(Duration::from_millis(500));

    assert!(granted.await.is_err());
}

#[tokio::test]
async fn the_end_of_a_pause_wakes_those_who_wait() {
    let (lane, clock) = lane(10);
    lane.pause(SECOND * 10, Cause::Host);
    let waiting = tokio::spawn(wait(&lane).granted());
    settle().await;

    clock.advance(SECOND * 10);

    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_watch_is_handed_on_when_the_one_who_keeps_it_leaves() {
    let (lane, clock) = lane(10);
    lane.pause(SECOND * 10, Cause::Host);
    let keeper = tokio::spawn(wait(&lane).granted());
    settle().await;
    let other = tokio::spawn(wait(&lane).granted());
    settle().await;

    keeper.abort();
    settle().await;
    clock.advance(SECOND * 10);

    assert!(other.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_pause_that_is_extended_while_somebody_waits_is_kept_to_its_new_end() {
    let (lane, clock) = lane(10);
    lane.pause(SECOND * 10, Cause::Host);
    let waiting = tokio::spawn(wait(&lane).granted());
    settle().await;
    lane.pause(SECOND * 20, Cause::Refused);

    clock.advance(SECOND * 19);
    settle().await;
    assert!(!waiting.is_finished());

    clock.advance(SECOND);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refusal_says_how_long_the_lanes_beside_it_shall_be_quiet() {
    let (lane, _clock) = lane(10);
    let permit = go(&lane);

    let pause = permit.sign(&Sign::Refused { pause: SECOND * 30 });

    assert_eq!(pause, Some(SECOND * 30));
    assert!(matches!(lane.view().gate, GateView::Paused { .. }));
}

#[test]
fn cookies_are_demanded_once_a_refusal_named_them_and_until_somebody_passes_without() {
    let (lane, _clock) = lane(10);
    let nobody_asks = || -> fn(&str) -> bool { panic!("nothing is demanded") };
    assert!(!lane.demands(nobody_asks));

    go(&lane).sign(&Sign::CookiesDemanded {
        names: vec!["__cf_bm".to_owned(), "_cfuvid".to_owned()],
        captured: true,
        pause: SECOND,
    });

    assert!(lane.demands(|| |name: &str| name == "__cf_bm"));
    assert!(!lane.demands(|| |name: &str| ["_cfuvid", "__cf_bm"].contains(&name)));

    let without = Asker {
        lacks_cookies: true,
        ..asker(1)
    };
    let Entry::Go(permit) = lane.enter(without) else {
        panic!("one goes to fetch them");
    };
    permit.sign(&Sign::Head);
    assert!(!lane.demands(nobody_asks));
}

#[tokio::test]
async fn nobody_goes_another_way_because_a_lane_is_cold() {
    let clock = ManualClock::default();
    let lane = Lane::new("router".to_owned(), policy(), Arc::new(clock.clone()));
    let (let_go, sent_away) = (Arc::default(), Arc::default());
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(1)
    };
    for _ in 0..200 {
        let (lane, clock) = (Arc::clone(&lane), clock.clone());
        let (let_go, sent_away): (Arc<AtomicUsize>, Arc<AtomicUsize>) =
            (Arc::clone(&let_go), Arc::clone(&sent_away));
        tokio::spawn(async move {
            let permit = match lane.enter(hurried) {
                Entry::Go(permit) => Ok(permit),
                Entry::Wait(place) => place.granted().await,
                Entry::Refused(refusal) => Err(refusal),
            };
            let Ok(permit) = permit else {
                return sent_away.fetch_add(1, Ordering::Relaxed);
            };
            let_go.fetch_add(1, Ordering::Relaxed);
            permit.sent();
            clock.sleep(SECOND * 2).await;
            permit.sign(&Sign::Head);
            std::future::pending().await
        });
    }

    let step = Duration::from_millis(50);
    for _ in 0..50 {
        settle().await;
        clock.advance(step);
    }
    settle().await;

    assert_eq!(sent_away.load(Ordering::Relaxed), 0);
    assert_eq!(
        let_go.load(Ordering::Relaxed),
        200,
        "within two and a half seconds"
    );
}

/// An edge that takes fifty, and refuses the others for a minute.
#[derive(Default)]
struct Edge {
    in_flight: AtomicUsize,
    refused: AtomicUsize,
    served: AtomicUsize,
}

impl Edge {
    async fn answer(&self, permit: &Permit, clock: &ManualClock) -> bool {
        clock.sleep(Duration::from_millis(20)).await;
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= 50 {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            let pause = Duration::from_secs(60);
            permit.sign(&Sign::Refused { pause });
            return false;
        }
        clock.sleep(Duration::from_millis(100)).await;
        permit.sign(&Sign::Head);
        clock.sleep(Duration::from_secs(5)).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        true
    }
}

async fn ask_for_ever(lane: Arc<Lane>, caller: u64, edge: Arc<Edge>, clock: ManualClock) {
    let mut retry = false;
    loop {
        let entry = lane.enter(Asker {
            retry,
            ..asker(caller)
        });
        let permit = match entry {
            Entry::Go(permit) => Ok(permit),
            Entry::Wait(place) => place.granted().await,
            Entry::Refused(refusal) => Err(refusal),
        };
        retry = match permit {
            Ok(permit) => !edge.answer(&permit, &clock).await,
            Err(refusal) => {
                clock.sleep(refusal.retry_after()).await;
                false
            }
        };
    }
}

#[tokio::test]
async fn a_minute_of_retry_after_is_paid_once_by_two_hundred_clients() {
    let clock = ManualClock::default();
    let lane = Lane::new("router".to_owned(), policy(), Arc::new(clock.clone()));
    let edge = Arc::new(Edge::default());
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..200 {
        let (lane, edge) = (Arc::clone(&lane), Arc::clone(&edge));
        tasks.spawn(ask_for_ever(lane, caller, edge, clock.clone()));
    }

    let step = Duration::from_millis(20);
    let pass = async |time: Duration| {
        for _ in 0..time.as_millis() / step.as_millis() {
            settle().await;
            clock.advance(step);
        }
    };
    pass(SECOND * 65).await;
    let (served, refused) = (
        edge.served.load(Ordering::Relaxed),
        edge.refused.load(Ordering::Relaxed),
    );
    pass(SECOND * 180).await;
    let served = edge.served.load(Ordering::Relaxed) - served;
    let refused_later = edge.refused.load(Ordering::Relaxed) - refused;

    let pauses = lane.view().pauses.all();
    assert!(pauses <= 3, "{pauses} pauses");
    // 50 at a time, 5.12 seconds each, and the clock's step.
    let possible = 50.0 * 180.0 / 5.12;
    assert!(served as f64 >= 0.95 * possible, "{served} of {possible}");
    assert!(
        refused <= 50 && refused_later <= 12,
        "{refused} at first, {refused_later} later"
    );
}

#[test]
fn threads_that_come_and_go_at_random_lose_no_slot() {
    let policy = Policy {
        max_concurrency: 4,
        queue_max: 16,
        queue_timeout: Duration::from_millis(20),
        ..policy()
    };
    let lane = Lane::new("router".to_owned(), policy, Arc::new(SystemClock));
    let most = AtomicUsize::new(0);
    let inside = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (lane, most, inside) = (&lane, &most, &inside);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                runtime
                    .unwrap()
                    .block_on(come_and_go(lane, seed, most, inside));
            });
        }
    });

    let view = lane.view();
    assert_eq!(
        (view.in_flight, view.queued, view.retries.in_flight),
        (0, 0, 0)
    );
    assert!(most.load(Ordering::Relaxed) <= 4);
}

async fn come_and_go(lane: &Arc<Lane>, seed: u64, most: &AtomicUsize, inside: &AtomicUsize) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2000 {
        let entry = lane.enter(Asker {
            retry: random.u8(..) < 40,
            session: random.u64(0..3),
            ..asker(seed)
        });
        let permit = match entry {
            Entry::Go(permit) => permit,
            Entry::Wait(place) if random.bool() => {
                let mut granted = Box::pin(place.granted());
                drop((&mut granted).now_or_never());
                tokio::task::yield_now().await;
                continue;
            }
            Entry::Wait(place) => match place.granted().await {
                Ok(permit) => permit,
                Err(_) => continue,
            },
            Entry::Refused(_) => continue,
        };
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if random.bool() {
            tokio::task::yield_now().await;
        }
        inside.fetch_sub(1, Ordering::SeqCst);
        if random.bool() {
            permit.sign(&Sign::Head);
        }
    }
}
