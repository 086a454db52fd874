//! A thread that serves clients and does not come back from what it does: whoever asks after the gateway's life hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use memgate::clock::{Clock, ManualClock, Sleep};
use memgate::sim::{Edge, EdgeOptions};

use crate::harness::*;

/// A time that does not tell a thread that serves clients what it is, while `caught` is set: the thread stands still.
#[derive(Clone, Default)]
struct Trap {
    time: ManualClock,
    caught: Arc<AtomicBool>,
}

impl Trap {
    fn pass(&self) {
        let serves = std::thread::current().name() == Some("data");
        while serves && self.caught.load(Ordering::Acquire) {
            std::thread::sleep(LOOK);
        }
    }
}

impl Clock for Trap {
    fn now(&self) -> Instant {
        self.pass();
        self.time.now()
    }

    fn wall(&self) -> SystemTime {
        self.time.wall()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        self.time.sleep(time)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_thread_is_no_life_until_it_moves_again() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let trap = Trap::default();
    let gateway = TestGateway::in_front_of(&edge).own("server: {threads: 1}");
    let gateway = gateway.clock(Arc::new(trap.clone())).start().await;
    let lives = async || {
        let asked = gateway.http().get(gateway.admin_url("/healthz"));
        soon(asked.send()).await.unwrap().status() == 200
    };
    assert_eq!(soon(gateway.message("x")).await.status(), 200);
    let before = lives().await;

    trap.caught.store(true, Ordering::Release);
    trap.time.advance(Duration::from_secs(31));
    let while_stuck = lives().await;
    trap.caught.store(false, Ordering::Release);

    assert!(before && !while_stuck);
    comes(async || lives().await.then_some(())).await;
    assert_eq!(soon(gateway.message("x")).await.status(), 200);
}
