//! May this request go now, by this way? One lane is a host that is called plus the provider behind it.
//!
//! The rules are pure and live in `state`: events in, grants out, time as a parameter. Here they meet threads, clocks and
//! those who wait. Nothing is awaited under the lock, and nobody is told anything under it.

mod asker;
mod budget;
mod burst;
mod circuit;
mod cookie_gate;
mod edge;
mod limit;
mod news;
mod pace;
mod pause;
mod permit;
mod place;
mod queue;
mod sign;
mod state;
mod ticket;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore, oneshot};

pub use asker::{Asker, Entry, Patience, Refusal};
pub use permit::Permit;
pub use place::Place;
pub use sign::{Cause, Sign};
pub use view::{CircuitView, GateView, LaneView, Pauses, RetriesView};

use self::news::{News, Note};
use self::queue::Spot;
use self::state::{Decision, State};
use self::ticket::Ticket;
use crate::clock::{Clock, Sleep};

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The safety stop: no limit is felt below it until the edge refuses.
    pub max_concurrency: usize,
    pub queue_max: usize,
    pub queue_timeout: Duration,
    /// How long a request waits that has another way.
    pub before_bypass: Duration,
    /// Retries in flight, as a share of what is in flight and queued.
    pub retry_share: f64,
    /// So many retries may be in flight whatever their share.
    pub retry_min: usize,
    pub circuit: CircuitPolicy,
}

/// When a lane that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitPolicy {
    /// The share of failures, 0 to 1, that opens it.
    pub failures: f64,
    /// Fewer requests than this in the window prove nothing.
    pub requests: usize,
    pub window: Duration,
    /// How long at first; doubles with each probe that fails.
    pub open: Duration,
}

/// Protects one way to a provider, and the edge on it from us.
pub struct Lane {
    name: String,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// So that lanes which demand no cookie are not locked to ask.
    demanding: AtomicBool,
    /// One of those who wait keeps the watch over what comes by time alone. It is bound to no task and no runtime: who
    /// leaves hands it on.
    watch: Semaphore,
    sooner: Notify,
}

struct Inner {
    state: State<oneshot::Sender<Permit>>,
    /// What the watch sleeps for.
    alarm: Option<Instant>,
}

impl Lane {
    pub fn new(name: String, policy: Policy, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State::new(policy, clock.now());
        Arc::new(Self {
            name,
            clock,
            inner: Mutex::new(Inner { state, alarm: None }),
            demanding: AtomicBool::new(false),
            watch: Semaphore::new(1),
            sooner: Notify::new(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Never blocks.
    pub fn enter(self: &Arc<Self>, asker: Asker) -> Entry {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let entry = match inner.state.enter(&asker, now) {
            Decision::Go(ticket) => Entry::Go(Permit::new(Arc::clone(self), ticket)),
            Decision::Refused(refusal) => Entry::Refused(refusal),
            Decision::Wait { until } => {
                let (tell, told) = oneshot::channel();
                let spot = inner.state.wait(&asker, tell, now);
                Entry::Wait(Place::new(Arc::clone(self), spot, until, told))
            }
        };
        self.publish(inner, now);
        entry
    }

    /// Its server can be reached, as somebody found out beside it: whoever comes waits less for the first who tries.
    pub fn reached(self: &Arc<Self>) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.reached(now);
        self.publish(inner, now);
    }

    /// Keeps everybody back for so long: the edge said so to another lane through the same host.
    pub fn pause(self: &Arc<Self>, wait: Duration, cause: Cause) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.pause(wait, cause, now);
        self.publish(inner, now);
    }

    /// Ends a pause before its time.
    pub fn resume(self: &Arc<Self>) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.resume(now);
        self.publish(inner, now);
    }

    /// Goes by another policy from now on; whoever waits keeps the patience that he came with.
    pub fn follow(self: &Arc<Self>, policy: Policy) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.follow(policy, now);
        self.publish(inner, now);
    }

    /// Would a request lack a cookie that the edge demanded? `sent` looks up what it carries, and is asked only where any is
    /// demanded.
    pub fn demands<C: Fn(&str) -> bool>(&self, sent: impl FnOnce() -> C) -> bool {
        self.demanding.load(Ordering::Relaxed) && {
            let carries = sent();
            self.inner.lock().state.demands(carries)
        }
    }

    pub fn view(&self) -> LaneView {
        let now = self.clock.now();
        self.inner.lock().state.view(now)
    }

    fn sign(self: &Arc<Self>, ticket: &mut Ticket, sign: &Sign) -> Option<Duration> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let paused = inner.state.sign(ticket, sign, now);
        self.publish(inner, now);
        paused
    }

    fn sent(self: &Arc<Self>, ticket: &mut Ticket) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.sent(ticket, now);
        self.publish(inner, now);
    }

    fn leave(self: &Arc<Self>, ticket: Ticket) {
        let mut inner = self.inner.lock();
        if !inner.state.anybody_waits() {
            return inner.state.leave_unwatched(ticket);
        }
        let now = self.clock.now();
        inner.state.leave(ticket, now);
        self.publish(inner, now);
    }

    fn give_up(self: &Arc<Self>, spot: Spot) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let place = inner.state.give_up(spot, now);
        self.publish(inner, now);
        drop(place);
    }

    /// Nothing, if the permit is on its way.
    fn time_is_up(self: &Arc<Self>, spot: Spot) -> Option<Refusal> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let (place, refusal) = inner.state.time_is_up(spot, now).unzip();
        self.publish(inner, now);
        drop(place);
        refusal
    }

    fn refusal(&self) -> Refusal {
        let now = self.clock.now();
        self.inner.lock().state.refusal(now)
    }

    fn until(&self, time: Instant) -> Sleep {
        let wait = time.saturating_duration_since(self.clock.now());
        self.clock.sleep(wait)
    }

    /// Lets time do its part for all who wait. Never ends: whoever calls it leaves when its own turn has come.
    async fn keep_watch(self: &Arc<Self>) -> Infallible {
        let Ok(_watch) = self.watch.acquire().await else {
            return std::future::pending().await;
        };
        loop {
            match self.tick() {
                Some(alarm) => tokio::select! {
                    () = self.until(alarm) => {}
                    () = self.sooner.notified() => {}
                },
                None => self.sooner.notified().await,
            }
        }
    }

    fn tick(self: &Arc<Self>) -> Option<Instant> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.state.tick(now);
        let alarm = inner.state.alarm(now);
        inner.alarm = alarm;
        self.publish(inner, now);
        alarm
    }

    /// Tells those whom the last event concerns, after the lock is gone.
    fn publish(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, now: Instant) {
        let News {
            grants,
            dismissed,
            notes,
        } = inner.state.news();
        let demanding = inner.state.demands(|_| false);
        self.demanding.store(demanding, Ordering::Relaxed);
        let sooner = inner.state.anybody_waits() && {
            let alarm = inner.state.alarm(now);
            alarm.is_some_and(|alarm| inner.alarm.is_none_or(|set| alarm < set))
        };
        drop(inner);
        if sooner {
            self.sooner.notify_one();
        }
        drop(dismissed);
        for note in notes {
            self.log(note);
        }
        for (tell, ticket) in grants {
            // Whoever left in this moment drops the permit, and the next one has it.
            drop(tell.send(Permit::new(Arc::clone(self), ticket)));
        }
    }

    fn log(&self, note: Note) {
        let lane = self.name.as_str();
        match note {
            Note::Paused { wait, cause, limit } => log::warn!(
                target: "memgate::lane",
                "{lane}: paused for {wait:.1?} ({}), limit {limit}", cause.as_str()
            ),
            Note::Over { limit } => {
                log::warn!(target: "memgate::lane", "{lane}: open again, limit {limit}");
            }
        }
    }
}

#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod state_properties_tests;
#[cfg(test)]
mod state_tests;
