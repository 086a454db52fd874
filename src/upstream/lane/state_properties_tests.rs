//! Whatever happens in whatever order: no slot is lost, nobody waits for ever, nobody goes who must not.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Policy;
use super::asker::{Asker, Patience};
use super::news::News;
use super::queue::Spot;
use super::sign::{Cause, Sign};
use super::state::{Decision, State};
use super::state_tests::{asker, policy};
use super::ticket::Ticket;
use super::view::GateView;

#[derive(Clone, Debug)]
enum Event {
    Come(Asker),
    Sign(prop::sample::Index, Sign),
    Leave(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Sent(prop::sample::Index),
    Pause(Duration),
    Time(Duration),
}

fn sign() -> impl Strategy<Value = Sign> {
    let names = vec!["__cf_bm".to_owned()];
    prop_oneof![
        6 => Just(Sign::Head),
        2 => (0..5_u64).prop_map(|seconds| Sign::Refused { pause: Duration::from_secs(seconds) }),
        1 => any::<bool>().prop_map(move |captured| {
            Sign::CookiesDemanded { names: names.clone(), captured, pause: Duration::from_secs(2) }
        }),
        1 => Just(Sign::Failed),
        1 => Just(Sign::Neutral),
    ]
}

fn somebody() -> impl Strategy<Value = Asker> {
    let flags = (
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    (0..4_u64, 0..2_u64, flags).prop_map(|(caller, session, flags)| {
        let (background, retry, lacks_cookies, hurried) = flags;
        let patience = if hurried {
            Patience::Bypass
        } else {
            Patience::Queue
        };
        Asker {
            caller,
            session,
            background,
            retry,
            lacks_cookies,
            patience,
            waited: Duration::ZERO,
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => somebody().prop_map(Event::Come),
        5 => (index(), sign()).prop_map(|(index, sign)| Event::Sign(index, sign)),
        4 => index().prop_map(Event::Leave),
        1 => index().prop_map(Event::GiveUp),
        3 => index().prop_map(Event::Sent),
        1 => prop_oneof![0..3_000_u64, 80_000..100_000_u64].prop_map(|ms| Event::Pause(Duration::from_millis(ms))),
        3 => (0..2_000_u64).prop_map(|ms| Event::Time(Duration::from_millis(ms))),
    ]
}

/// What a faithful caller of the lane would hold.
struct Held {
    lane: State<u32>,
    now: Instant,
    going: Vec<(Ticket, bool)>,
    waiting: Vec<(u32, Spot)>,
    numbers: u32,
}

impl Held {
    fn new(max_concurrency: usize) -> Self {
        let policy = Policy {
            max_concurrency,
            queue_max: 20,
            ..policy()
        };
        let now = Instant::now();
        Self {
            lane: State::new(policy, now),
            now,
            going: Vec::new(),
            waiting: Vec::new(),
            numbers: 0,
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Come(asker) => match self.lane.enter(&asker, self.now) {
                Decision::Go(ticket) => self.going.push((ticket, false)),
                Decision::Wait { .. } => {
                    // Others may have been let go on the way.
                    self.news();
                    self.numbers += 1;
                    let spot = self.lane.wait(&asker, self.numbers, self.now);
                    self.waiting.push((self.numbers, spot));
                }
                Decision::Refused(_) => {}
            },
            Event::Sign(index, sign) if !self.going.is_empty() => {
                let index = index.index(self.going.len());
                let (ticket, back) = &mut self.going[index];
                self.lane.sign(ticket, &sign, self.now);
                *back |= !ticket.holds_a_slot();
            }
            Event::Sent(index) if !self.going.is_empty() => {
                let index = index.index(self.going.len());
                let (ticket, _) = &mut self.going[index];
                self.lane.sent(ticket, self.now);
            }
            Event::Leave(index) if !self.going.is_empty() => {
                let (ticket, _) = self.going.remove(index.index(self.going.len()));
                self.lane.leave(ticket, self.now);
            }
            Event::GiveUp(index) if !self.waiting.is_empty() => {
                let (_, spot) = self.waiting.remove(index.index(self.waiting.len()));
                assert!(self.lane.give_up(spot, self.now).is_some());
            }
            Event::Pause(wait) => self.lane.pause(wait, Cause::Host, self.now),
            Event::Time(time) => {
                self.now += time;
                self.lane.tick(self.now);
            }
            Event::Sign(..) | Event::Sent(_) | Event::Leave(_) | Event::GiveUp(_) => {}
        }
        self.news();
    }

    fn news(&mut self) -> usize {
        let News {
            grants, dismissed, ..
        } = self.lane.news();
        self.waiting
            .retain(|(number, _)| !dismissed.contains(number));
        let many = grants.len();
        for (number, ticket) in grants {
            let at = self
                .waiting
                .iter()
                .position(|(waiting, _)| *waiting == number);
            self.waiting.remove(at.expect("who is let go was waiting"));
            self.going.push((ticket, false));
        }
        many
    }

    fn slots(&self) -> usize {
        self.going.iter().filter(|(_, back)| !back).count()
    }
}

proptest! {
    #[test]
    fn the_rules_hold_after_every_event(
        max in 1..30_usize,
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut held = Held::new(max);
        for event in events {
            let before = held.lane.view(held.now);
            let is_time = matches!(event, Event::Time(_) | Event::Come(_));
            held.happens(event);
            let view = held.lane.view(held.now);

            prop_assert_eq!(view.in_flight, held.slots(), "no slot is lost, none is counted twice");
            prop_assert_eq!(view.queued, held.waiting.len());
            prop_assert!(view.queued <= 20);
            prop_assert!((1..=max).contains(&view.limit));
            prop_assert!(view.in_flight <= max);
            prop_assert!(
                view.in_flight <= before.in_flight.max(view.limit + 1),
                "one at most above the limit: {view:?}"
            );
            let shut = matches!(before.gate, GateView::Paused { .. });
            prop_assert!(!shut || is_time || view.in_flight <= before.in_flight, "nobody goes in a pause");
            held.lane.tick(held.now);
            prop_assert_eq!(held.news(), 0, "nobody waits who might go");
            let alarm = held.lane.alarm(held.now);
            prop_assert!(alarm.is_none_or(|alarm| alarm > held.now));
        }
    }

    #[test]
    fn who_waits_is_let_go_when_others_leave_and_time_passes(
        max in 1..30_usize,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut held = Held::new(max);
        for event in events {
            held.happens(event);
        }
        let mut steps = 0;
        while !held.waiting.is_empty() {
            steps += 1;
            prop_assert!(steps < 200, "{} still wait: {:?}", held.waiting.len(), held.lane.view(held.now));
            if held.going.is_empty() {
                let alarm = held.lane.alarm(held.now);
                prop_assert!(alarm.is_some(), "nothing is in flight, and nobody watches the time");
                held.now = alarm.unwrap();
                held.lane.tick(held.now);
                held.news();
            }
            for (mut ticket, _) in std::mem::take(&mut held.going) {
                held.lane.sign(&mut ticket, &Sign::Head, held.now);
                held.lane.leave(ticket, held.now);
                held.news();
            }
        }
        while let Some((ticket, _)) = held.going.pop() {
            held.lane.leave(ticket, held.now);
        }
        prop_assert_eq!(held.lane.view(held.now).in_flight, 0);
        prop_assert_eq!(held.lane.view(held.now).retries.in_flight, 0);
    }
}

#[test]
fn a_lane_can_be_entered_after_any_pause_that_a_server_may_ask_for() {
    let mut lane: State<u32> = State::new(policy(), Instant::now());
    lane.pause(Duration::MAX, Cause::Host, Instant::now());
    let day = Duration::from_secs(24 * 60 * 60);

    let later = Instant::now() + day;
    assert!(
        matches!(lane.enter(&asker(1), later), Decision::Go(_)),
        "a day is the most"
    );
}
