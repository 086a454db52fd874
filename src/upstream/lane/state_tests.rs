//! Each rule of a lane, as a sentence.

use std::time::{Duration, Instant};

use super::asker::{Asker, Patience, Refusal};
use super::news::{News, Note};
use super::sign::{Cause, Sign};
use super::state::{Decision, State};
use super::ticket::Ticket;
use super::view::{GateView, LaneView};
use super::{CircuitPolicy, Policy};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

pub fn policy() -> Policy {
    Policy {
        max_concurrency: 512,
        queue_max: 2048,
        queue_timeout: Duration::from_secs(90),
        before_bypass: Duration::from_millis(500),
        retry_share: 0.2,
        retry_min: 3,
        circuit: CircuitPolicy {
            failures: 0.5,
            requests: 10,
            window: Duration::from_secs(10),
            open: Duration::from_secs(5),
        },
    }
}

pub fn asker(caller: u64) -> Asker {
    Asker {
        caller,
        session: 0,
        background: false,
        retry: false,
        lacks_cookies: false,
        patience: Patience::Queue,
        waited: Duration::ZERO,
    }
}

/// A lane whose time stands still until a test moves it; those who wait have numbers.
struct World {
    lane: State<u32>,
    now: Instant,
    going: Vec<Ticket>,
    waiting: u32,
    granted: Vec<u32>,
    dismissed: usize,
    notes: Vec<Note>,
}

impl World {
    fn with(policy: Policy) -> Self {
        let now = Instant::now();
        Self {
            lane: State::new(policy, now),
            now,
            going: Vec::new(),
            waiting: 0,
            granted: Vec::new(),
            dismissed: 0,
            notes: Vec::new(),
        }
    }

    /// A lane that has had its first answers.
    fn warm(policy: Policy) -> Self {
        let mut world = Self::with(policy);
        for _ in 0..4000 {
            world.come(1);
            world.sign(&Sign::Head);
            world.leave();
        }
        assert_eq!(world.view().gate, GateView::Open);
        world
    }

    /// With a limit of so many, which are in flight and have passed; the pause that taught it is over.
    fn limited_to(limit: u64, policy: Policy) -> Self {
        let mut world = Self::warm(policy);
        world.come(limit + 1);
        world.pass_all();
        world.leave();
        world.come(1);
        world.refuse(SECOND);
        for _ in 0..limit {
            world.leave();
        }
        world.pass_time(SECOND);
        while world.view().in_flight < usize::try_from(limit).unwrap() {
            world.come(1);
            world.sign(&Sign::Head);
        }
        assert_eq!(world.view().limit, usize::try_from(limit).unwrap());
        world
    }

    fn ask(&mut self, asker: &Asker) -> Result<bool, Refusal> {
        let decision = self.lane.enter(asker, self.now);
        let went = match decision {
            Decision::Go(ticket) => {
                self.going.push(ticket);
                Ok(true)
            }
            Decision::Wait { .. } => {
                self.waiting += 1;
                self.lane.wait(asker, self.waiting, self.now);
                Ok(false)
            }
            Decision::Refused(refusal) => Err(refusal),
        };
        self.news();
        went
    }

    /// So many ask; how many went at once?
    fn come(&mut self, many: u64) -> usize {
        (0..many).filter(|_| self.ask(&asker(1)).unwrap()).count()
    }

    /// The one that went last has an answer.
    fn sign(&mut self, sign: &Sign) -> Option<Duration> {
        let last = self.going.last_mut().unwrap();
        let paused = self.lane.sign(last, sign, self.now);
        self.news();
        paused
    }

    fn refuse(&mut self, pause: Duration) -> Option<Duration> {
        let paused = self.sign(&Sign::Refused { pause });
        self.leave();
        paused
    }

    fn pass_all(&mut self) {
        for ticket in &mut self.going {
            self.lane.sign(ticket, &Sign::Head, self.now);
        }
        self.news();
    }

    /// The one that went last has its connection.
    fn connect(&mut self) {
        let last = self.going.last_mut().unwrap();
        self.lane.sent(last, self.now);
        self.news();
    }

    /// The one that went last is over.
    fn leave(&mut self) {
        let last = self.going.pop().unwrap();
        self.lane.leave(last, self.now);
        self.news();
    }

    /// The one that went first is over.
    fn leave_oldest(&mut self) {
        let first = self.going.remove(0);
        self.lane.leave(first, self.now);
        self.news();
    }

    fn pass_time(&mut self, time: Duration) {
        self.now += time;
        self.lane.tick(self.now);
        self.news();
    }

    fn news(&mut self) {
        let News {
            grants,
            dismissed,
            notes,
        } = self.lane.news();
        self.dismissed += dismissed.len();
        for (number, ticket) in grants {
            self.granted.push(number);
            self.going.push(ticket);
        }
        self.notes.extend(notes);
    }

    /// Who was let go since the last time.
    fn granted(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.granted)
    }

    fn view(&self) -> LaneView {
        self.lane.view(self.now)
    }
}

fn cookies(captured: bool) -> Sign {
    Sign::CookiesDemanded {
        names: vec!["__cf_bm".to_owned()],
        captured,
        pause: MINUTE,
    }
}

#[test]
fn a_lane_that_nobody_tried_sends_one_scout_and_opens_at_its_head() {
    let mut world = World::with(policy());

    assert_eq!(world.come(10), 1, "one goes");
    world.sign(&Sign::Head);

    assert_eq!(
        world.granted(),
        (1..=9).collect::<Vec<_>>(),
        "the others follow"
    );
}

#[test]
fn the_first_one_on_a_lane_that_was_reached_is_waited_for_a_quarter_of_a_second() {
    for (reached, patience) in [(false, SECOND), (true, SECOND / 4)] {
        let mut world = World::with(policy());
        if reached {
            world.lane.reached(world.now);
        }
        assert_eq!(world.come(100), 1);

        world.connect();

        assert_eq!(world.lane.alarm(world.now), Some(world.now + patience));
        world.pass_time(patience);
        assert_eq!(world.granted().len(), 32);
    }
}

#[test]
fn to_be_reached_opens_no_lane_that_was_refused() {
    let mut world = World::warm(policy());
    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.come(5);
    world.lane.reached(world.now);
    assert!(matches!(world.view().gate, GateView::Paused { .. }));
    world.pass_time(MINUTE);

    world.lane.reached(world.now);
    world.news();

    assert_eq!(world.granted().len(), 1, "the probe");
}

#[test]
fn who_waits_for_the_first_scout_waits_a_second_from_its_connection_at_most() {
    let mut world = World::with(policy());
    world.come(10);
    world.pass_time(SECOND * 9);
    assert_eq!(world.granted(), [0; 0], "nothing can be refused yet");

    world.connect();
    assert_eq!(world.lane.alarm(world.now), Some(world.now + SECOND));
    world.pass_time(SECOND);

    assert_eq!(world.granted().len(), 9, "an edge refuses at once");
}

#[test]
fn whoever_does_not_even_connect_holds_nobody_back_for_ever() {
    let mut world = World::with(policy());
    world.come(10);

    world.pass_time(SECOND * 10);

    assert_eq!(world.granted().len(), 9);
}

#[test]
fn a_thousand_at_a_cookie_gate_meet_one_refusal() {
    let mut world = World::with(policy());
    world.come(1000);

    world.sign(&cookies(true));

    assert_eq!(
        world.granted().len(),
        32,
        "with the cookies that the first one brought"
    );
    assert_eq!(world.view().pauses.all(), 0);
}

#[test]
fn a_scout_that_leaves_is_replaced() {
    let mut world = World::with(policy());
    world.come(3);

    world.leave();

    assert_eq!(world.granted(), [1]);
}

#[test]
fn an_untried_lane_opens_at_any_answer_but_not_at_a_failure() {
    let mut world = World::with(policy());
    world.come(5);

    world.sign(&Sign::Failed);
    assert_eq!(world.granted(), [1], "the next one tries");
    world.sign(&Sign::Neutral);
    assert_eq!(world.granted(), [2, 3, 4], "the edge let it through");
}

#[test]
fn a_refusal_pauses_the_lane_for_all_new_requests_at_once() {
    let mut world = World::warm(policy());
    world.come(10);

    assert_eq!(world.refuse(MINUTE), Some(MINUTE));

    assert_eq!(world.come(3), 0);
    world.pass_time(MINUTE - Duration::from_millis(1));
    assert_eq!(world.granted(), [0; 0], "to the last moment");
    assert_eq!(world.view().in_flight, 9, "those in flight go on");
}

#[test]
fn a_burst_of_refusals_is_one_pause_and_leaves_the_limit_at_what_passed() {
    let mut world = World::warm(policy());
    world.come(200);
    for ticket in &mut world.going[..50] {
        world.lane.sign(ticket, &Sign::Head, world.now);
    }

    for _ in 0..150 {
        world.refuse(MINUTE);
    }

    assert_eq!(world.view().limit, 50);
    assert_eq!(world.view().pauses.all(), 1);
    assert_eq!(world.notes.len(), 1, "one line in the log");
}

#[test]
fn streams_that_end_during_a_pause_do_not_make_a_late_refusal_lower_the_limit() {
    let mut world = World::warm(policy());
    world.come(2);
    let mut late: Vec<Ticket> = world.going.drain(..).collect();
    world.come(50);
    world.pass_all();
    let pause = MINUTE;
    world
        .lane
        .sign(&mut late[0], &Sign::Refused { pause }, world.now);

    for _ in 0..40 {
        world.leave();
    }
    world
        .lane
        .sign(&mut late[1], &Sign::Refused { pause }, world.now);

    assert_eq!(world.view().limit, 50);
}

#[test]
fn a_longer_pause_extends_and_a_shorter_one_never_cuts() {
    let mut world = World::warm(policy());

    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.lane.pause(SECOND, Cause::Refused, world.now);
    assert_eq!(world.view().pause_remaining(), MINUTE);

    world.lane.pause(MINUTE * 2, Cause::Refused, world.now);
    assert_eq!(world.view().pause_remaining(), MINUTE * 2);
    assert_eq!(world.view().pauses.all(), 1);
}

#[test]
fn a_pause_that_asks_for_no_time_is_a_short_one() {
    let mut world = World::warm(policy());

    world.lane.pause(Duration::ZERO, Cause::Refused, world.now);

    assert_eq!(
        world.view().pause_remaining(),
        Duration::from_millis(50),
        "or probes would follow one another at the pace of the network"
    );
}

#[test]
fn a_pause_that_ran_out_unseen_is_shown_as_over() {
    let mut world = World::warm(policy());
    world.lane.pause(MINUTE, Cause::Host, world.now);

    world.now += MINUTE;

    assert_eq!(world.view().gate, GateView::Opening);
}

#[test]
fn after_a_pause_one_probe_goes_and_the_lane_doubles_with_the_heads() {
    let mut world = World::warm(policy());
    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.come(100);

    world.pass_time(MINUTE);
    assert_eq!(world.granted().len(), 1, "the probe");
    for expected in [2, 4, 8, 16, 32] {
        world.pass_all();
        assert_eq!(world.granted().len(), expected);
    }
    assert_eq!(world.view().gate, GateView::Opening);
    assert!(
        matches!(world.notes[..], [Note::Paused { .. }, Note::Over { .. }]),
        "one line where it begins and one where it ends: {:?}",
        world.notes
    );
}

#[test]
fn a_probe_that_ends_without_a_refusal_frees_its_place_for_the_next() {
    for sign in [None, Some(Sign::Neutral), Some(Sign::Failed)] {
        let mut world = World::warm(policy());
        world.lane.pause(MINUTE, Cause::Host, world.now);
        world.come(3);
        world.pass_time(MINUTE);

        match sign {
            None => world.leave(),
            Some(sign) => drop(world.sign(&sign)),
        }

        assert_eq!(world.granted(), [1, 2]);
    }
}

#[test]
fn a_silent_probe_holds_the_others_back_until_no_refusal_can_come() {
    let mut world = World::warm(policy());
    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.come(10);
    world.pass_time(MINUTE);
    world.granted();

    world.pass_time(SECOND * 9);
    assert_eq!(world.granted(), [0; 0], "it may still be on its way");
    assert_eq!(world.notes.len(), 1, "the pause is not over");
    world.pass_time(SECOND);

    assert_eq!(
        world.granted().len(),
        2,
        "it may be a long answer in one piece"
    );
}

#[test]
fn without_heads_a_lane_doubles_once_a_second_however_quickly_its_edge_refuses() {
    let mut world = World::warm(policy());
    world.come(41);
    world.pass_all();
    world.come(1);
    world.refuse(SECOND);
    world
        .going
        .drain(..)
        .for_each(|ticket| world.lane.leave(ticket, world.now));
    world.come(40);
    world.pass_time(SECOND);
    world.sign(&Sign::Head);

    let mut in_flight = vec![world.view().in_flight];
    for _ in 0..3 {
        for _ in 0..10 {
            world.pass_time(SECOND / 10);
        }
        in_flight.push(world.view().in_flight);
    }

    assert_eq!(in_flight, [3, 7, 15, 31]);
}

#[test]
fn a_refused_probe_pauses_again_and_leaves_the_limit() {
    let mut world = World::limited_to(20, policy());
    let pauses = world.view().pauses.all();
    for _ in 0..20 {
        world.leave();
    }
    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.come(5);
    world.pass_time(MINUTE);

    assert_eq!(world.refuse(MINUTE), Some(MINUTE));

    assert_eq!(
        world.view().limit,
        20,
        "it went alone: that says nothing of how many may"
    );
    assert_eq!(world.view().pauses.all(), pauses + 2);
}

#[test]
fn a_refusal_from_before_the_pause_is_no_new_one() {
    let mut world = World::warm(policy());
    world.come(1);
    let mut early = world.going.pop().unwrap();
    world.lane.pause(SECOND, Cause::Host, world.now);
    world.pass_time(SECOND);

    let pause = MINUTE;
    world
        .lane
        .sign(&mut early, &Sign::Refused { pause }, world.now);

    assert_eq!(world.view().pauses.all(), 1);
    assert_eq!(world.view().gate, GateView::Opening);
}

#[test]
fn one_request_at_a_time_goes_above_the_limit_and_raises_it_by_one() {
    let mut world = World::limited_to(10, policy());

    world.come(5);
    assert_eq!(world.view().in_flight, 11, "one goes above");
    world.sign(&Sign::Head);

    assert_eq!(world.view().limit, 11);
    assert_eq!(world.view().in_flight, 12, "and the next one");
}

#[test]
fn a_probe_that_passes_as_a_slot_comes_free_proves_nothing() {
    let mut world = World::limited_to(10, policy());
    world.come(5);

    world.leave_oldest();
    world.sign(&Sign::Head);

    assert_eq!(world.view().limit, 10, "the slot may have lent itself");
    assert_eq!(world.view().in_flight, 11, "the next probe goes at once");
    world.sign(&Sign::Head);
    assert_eq!(world.view().limit, 11);
}

#[test]
fn once_a_probe_has_passed_by_itself_those_behind_it_are_believed() {
    let mut world = World::limited_to(10, policy());
    world.come(5);
    world.sign(&Sign::Head);

    world.leave_oldest();
    world.sign(&Sign::Head);

    assert_eq!(world.view().limit, 12);
}

#[test]
fn a_probe_above_the_limit_that_is_refused_pauses_nobody_and_delays_the_next() {
    let mut world = World::limited_to(10, policy());
    let pauses = world.view().pauses.all();
    world.come(5);

    assert_eq!(world.refuse(MINUTE), None);

    assert_eq!(
        (world.view().limit, world.view().pauses.all()),
        (10, pauses)
    );
    assert_eq!(world.view().gate, GateView::Open);
    assert_eq!(
        world.view().in_flight,
        10,
        "the next probe waits for a minute"
    );
    for _ in 0..30 {
        world.come(1);
        world.leave();
        world.sign(&Sign::Head);
    }
    assert_eq!(world.view().in_flight, 10);
    world.pass_time(MINUTE);
    assert_eq!(world.view().in_flight, 11);
}

#[test]
fn a_slot_that_was_only_lent_costs_no_pause() {
    let mut world = World::limited_to(10, policy());
    let pauses = world.view().pauses.all();
    world.come(5);
    world.sign(&Sign::Head);
    assert_eq!(world.view().in_flight, 12, "11 passed, and one probes");

    assert_eq!(world.refuse(MINUTE), None, "the probe");
    world.leave_oldest();
    assert_eq!(world.refuse(MINUTE), None, "who took the eleventh place");

    assert_eq!(
        (world.view().limit, world.view().pauses.all()),
        (10, pauses)
    );
}

#[test]
fn a_capacity_that_falls_pauses_the_lane_even_while_it_grows() {
    let mut world = World::limited_to(10, policy());
    let pauses = world.view().pauses.all();
    world.come(40);
    for _ in 0..10 {
        world.sign(&Sign::Head);
    }

    let paused = (0..10).filter_map(|_| {
        world.come(1);
        let last = world.going.remove(0);
        world.lane.leave(last, world.now);
        world.news();
        world.refuse(MINUTE)
    });

    assert!(paused.count() > 0);
    assert_eq!(world.view().pauses.all(), pauses + 1);
}

#[test]
fn the_slot_of_a_refused_request_is_free_at_once_and_only_once() {
    let mut world = World::warm(policy());
    world.come(2);

    world.sign(&Sign::Refused { pause: SECOND });
    assert_eq!(world.view().in_flight, 1);
    world.sign(&Sign::Refused { pause: MINUTE });
    assert_eq!(
        world.view().pause_remaining(),
        SECOND,
        "the first sign counts"
    );
    world.leave();

    assert_eq!(world.view().in_flight, 1);
}

#[test]
fn a_retry_without_budget_waits_while_fresh_requests_overtake_it() {
    let mut world = World::warm(policy());
    let retry = Asker {
        retry: true,
        ..asker(1)
    };

    let went = (0..5).filter(|_| world.ask(&retry).unwrap()).count();
    assert_eq!(went, 3);
    assert_eq!(world.view().retries.exhausted, 2, "counted once each");
    world.come(1);
    assert_eq!(world.granted(), [3]);

    world.going.truncate(3);
    world.leave();
    assert_eq!(world.granted(), [1], "a retry is back, the next one goes");
}

#[test]
fn a_hundred_and_fifty_who_were_refused_are_all_served() {
    let mut world = World::warm(policy());
    world.come(200);
    for ticket in &mut world.going[..50] {
        world.lane.sign(ticket, &Sign::Head, world.now);
    }
    for _ in 0..150 {
        world.refuse(SECOND);
    }
    let retry = Asker {
        retry: true,
        ..asker(1)
    };
    for _ in 0..150 {
        world.ask(&retry).unwrap();
    }

    let mut served = 0;
    world.pass_time(SECOND);
    while served < 150 && !world.going.is_empty() {
        assert!(world.view().retries.in_flight <= world.view().retries.allowed + 1);
        world.pass_all();
        served += world.granted().len();
        world.leave();
    }

    assert_eq!(served, 150);
}

#[test]
fn who_has_another_way_does_not_wait_out_a_pause_but_may_be_its_probe() {
    let mut world = World::warm(policy());
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(1)
    };
    world.lane.pause(MINUTE, Cause::Host, world.now);

    let remaining = MINUTE;
    assert_eq!(world.ask(&hurried), Err(Refusal::Paused { remaining }));
    world.now += MINUTE;
    assert_eq!(world.ask(&hurried), Ok(true), "the probe");
    let second = world.ask(&hurried);
    assert!(second.is_err(), "the others do not wait for it: {second:?}");
    world.sign(&Sign::Head);
    assert_eq!(world.ask(&hurried), Ok(true));
}

#[test]
fn who_would_wait_too_long_is_told_at_once() {
    let mut world = World::warm(Policy {
        max_concurrency: 2,
        ..policy()
    });
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(9)
    };
    world.come(30);
    world.pass_all();
    for _ in 0..20 {
        world.now += SECOND;
        world.leave();
        world.sign(&Sign::Head);
    }

    let Err(Refusal::Full { expected }) = world.ask(&hurried) else {
        panic!("a slot a second, and half a second of patience");
    };
    assert!(
        expected > Duration::from_millis(700) && expected < SECOND * 3,
        "{expected:?}"
    );
    assert_eq!(world.ask(&asker(9)), Ok(false), "patience is enough");
}

#[test]
fn who_waited_in_vain_is_told_no_less_than_it_waited() {
    let patience = policy().queue_timeout;
    for retry in [false, true] {
        let mut world = World::warm(Policy {
            max_concurrency: 4,
            ..policy()
        });
        world.come(5);
        world.pass_all();
        let asker = Asker { retry, ..asker(2) };
        let spot = world.lane.wait(&asker, 99, world.now);
        world.pass_time(patience);

        let told = world.lane.time_is_up(spot, world.now);

        let expected = patience;
        assert_eq!(told, Some((99, Refusal::Full { expected })));
    }
}

#[test]
fn who_finds_the_queue_full_and_its_pace_unknown_is_told_what_waiting_would_have_cost() {
    let mut world = World::with(Policy {
        queue_max: 3,
        ..policy()
    });
    world.come(4);

    let expected = policy().queue_timeout;
    assert_eq!(world.ask(&asker(1)), Err(Refusal::QueueFull { expected }));
}

#[test]
fn a_retry_without_budget_has_an_expected_wait_of_its_own() {
    let mut world = World::warm(policy());
    let retry = Asker {
        retry: true,
        ..asker(1)
    };
    // Three at a time, one each ten seconds, and eight who wait for their share of a lane that has room.
    for _ in 0..11 {
        world.ask(&retry).unwrap();
    }
    for _ in 0..6 {
        world.pass_all();
        world.now += SECOND * 10;
        world.leave_oldest();
    }
    assert_eq!(world.view().queued, 2);

    let waits: Vec<_> = (0..8).map(|_| world.ask(&retry)).collect();
    world.granted();
    world.come(1);

    assert!(waits.contains(&Ok(false)), "patience is enough: {waits:?}");
    let Some(Err(Refusal::Full { expected })) = waits.last() else {
        panic!("ten before it, and ten seconds for each: {waits:?}");
    };
    let range = SECOND * 90..SECOND * 110;
    assert!(range.contains(expected), "{expected:?}");
    assert_eq!(world.granted().len(), 1, "who is fresh does not wait");
}

#[test]
fn who_stood_in_line_before_has_only_the_rest_of_the_time() {
    let mut world = World::limited_to(1, policy());
    world.come(1);
    let waited = policy().queue_timeout - SECOND;

    let decision = world.lane.enter(&Asker { waited, ..asker(1) }, world.now);

    let Decision::Wait { until } = decision else {
        panic!("a second is left: {decision:?}");
    };
    assert_eq!(until, world.now + SECOND);
}

#[test]
fn a_pause_beyond_all_patience_is_told_at_once() {
    let mut world = World::warm(policy());
    let remaining = MINUTE * 2;
    world.lane.pause(remaining, Cause::Host, world.now);

    assert_eq!(world.ask(&asker(1)), Err(Refusal::Paused { remaining }));
}

#[test]
fn a_pause_beyond_their_patience_is_told_at_once_to_those_who_wait() {
    let mut world = World::warm(Policy {
        max_concurrency: 1,
        ..policy()
    });
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(1)
    };
    world.come(4);
    world.ask(&hurried).unwrap();
    world.ask(&hurried).unwrap();

    world.lane.pause(SECOND / 2, Cause::Host, world.now);
    world.news();
    assert_eq!(world.dismissed, 0, "everybody can wait so long");
    world.refuse(MINUTE);
    assert_eq!(
        (world.dismissed, world.view().queued),
        (2, 3),
        "those who have another way take it"
    );
    world.lane.pause(MINUTE * 2, Cause::Host, world.now);
    world.news();
    assert_eq!((world.dismissed, world.view().queued), (5, 0));
    assert!(matches!(
        world.lane.refusal(world.now),
        Refusal::Paused { remaining } if remaining == MINUTE * 2
    ));
}

#[test]
fn the_queue_is_bounded() {
    let mut world = World::with(Policy {
        queue_max: 3,
        ..policy()
    });
    world.come(4);

    let refused = world.ask(&asker(1));

    assert!(
        matches!(refused, Err(Refusal::QueueFull { .. })),
        "{refused:?}"
    );
}

#[test]
fn those_who_wait_for_a_lane_that_goes_down_are_told_at_once_and_newcomers_too() {
    let mut world = World::warm(Policy {
        max_concurrency: 1,
        ..policy()
    });
    world.now += MINUTE;
    for _ in 0..2 {
        world.come(1);
        world.sign(&Sign::Failed);
        world.leave();
    }
    world.come(1);
    world.come(3);

    world.sign(&Sign::Failed);

    assert_eq!((world.dismissed, world.view().queued), (3, 0));
    let newcomer = world.ask(&asker(1));
    assert!(
        matches!(newcomer, Err(Refusal::Down { .. })),
        "{newcomer:?}"
    );
}

#[test]
fn a_lane_that_fails_is_left_alone_and_longer_when_its_probe_fails() {
    let mut world = World::warm(policy());
    for _ in 0..3 {
        world.now += MINUTE;
        assert_eq!(world.come(1), 1);
        world.sign(&Sign::Failed);
        world.leave();
    }
    let hurried = Asker {
        patience: Patience::Bypass,
        ..asker(1)
    };

    for seconds in [5, 10, 20, 40, 60, 60] {
        let remaining = Duration::from_secs(seconds);
        assert_eq!(world.ask(&hurried), Err(Refusal::Down { remaining }));
        world.now += remaining;
        assert_eq!(world.ask(&hurried), Ok(true), "one probe");
        assert!(world.ask(&hurried).is_err());
        world.sign(&Sign::Failed);
        world.leave();
    }
    world.now += MINUTE;
    world.come(1);
    world.sign(&Sign::Head);
    assert_eq!(world.come(2), 2, "it works again");
    assert_eq!(world.view().limit, 512, "failures say nothing of the limit");
}

#[test]
fn a_share_of_failures_opens_it_where_enough_go_to_tell() {
    let mut world = World::warm(policy());
    world.now += MINUTE;
    for number in 0..10 {
        assert_eq!(world.view().gate, GateView::Open, "{number}");
        world.come(1);
        world.sign([&Sign::Head, &Sign::Failed][number % 2]);
        world.leave();
    }

    assert!(matches!(world.view().gate, GateView::Paused { .. }));
}

#[test]
fn three_failures_in_a_row_say_nothing_where_many_go() {
    let mut world = World::warm(policy());
    for _ in 0..6 {
        world.come(3);
        world.pass_all();
        world.going.clear();
        for _ in 0..3 {
            world.come(1);
            world.sign(&Sign::Failed);
            world.leave();
        }
    }

    assert_eq!(world.view().gate, GateView::Open, "not yet half of all");
}

#[test]
fn few_failures_among_many_answers_change_nothing() {
    let mut world = World::warm(policy());
    for number in 0..100 {
        world.come(1);
        world.sign(if number % 3 == 0 {
            &Sign::Failed
        } else {
            &Sign::Head
        });
        world.leave();
    }

    assert_eq!(world.view().gate, GateView::Open);
}

#[test]
fn one_goes_for_the_cookies_that_expired_and_the_others_wait_for_them() {
    let mut world = World::warm(policy());
    let without = Asker {
        lacks_cookies: true,
        ..asker(1)
    };
    let went = (0..10).filter(|_| world.ask(&without).unwrap()).count();
    assert_eq!(went, 1);

    world.sign(&cookies(true));

    assert_eq!(world.granted().len(), 9);
    assert!(world.lane.demands(|_| false), "the names are known now");
    assert!(!world.lane.demands(|name| name == "__cf_bm"));
}

#[test]
fn who_waits_for_cookies_waits_a_second_from_the_scouts_connection_at_most() {
    let mut world = World::warm(policy());
    let without = Asker {
        lacks_cookies: true,
        ..asker(1)
    };
    for _ in 0..10 {
        world.ask(&without).unwrap();
    }
    world.pass_time(SECOND * 9);
    assert_eq!(world.granted(), [0; 0], "nothing can be refused yet");

    world.connect();
    assert_eq!(world.lane.alarm(world.now), Some(world.now + SECOND));
    world.pass_time(SECOND);

    // And what the lane takes to fill, after a quiet second.
    world.pass_time(SECOND / 20);
    world.pass_time(SECOND / 20);

    assert_eq!(world.granted().len(), 9);
}

#[test]
fn a_scout_for_cookies_that_leaves_is_replaced_by_one() {
    let mut world = World::warm(policy());
    let without = Asker {
        lacks_cookies: true,
        ..asker(1)
    };
    for _ in 0..10 {
        world.ask(&without).unwrap();
    }

    world.leave();

    assert_eq!(world.granted().len(), 1);
}

#[test]
fn who_passes_without_cookies_shows_that_they_are_demanded_no_more() {
    let mut world = World::warm(policy());
    world.come(1);
    world.sign(&cookies(true));
    let without = Asker {
        lacks_cookies: world.lane.demands(|_| false),
        ..asker(1)
    };
    assert!(without.lacks_cookies);

    world.ask(&without).unwrap();
    world.sign(&Sign::Head);

    assert!(!world.lane.demands(|_| false));
}

#[test]
fn cookies_that_come_with_each_refusal_and_do_not_help_keep_no_pause_away() {
    let mut world = World::warm(policy());
    world.come(2);
    assert_eq!(
        world.sign(&cookies(true)),
        None,
        "they may be what it wants"
    );
    world.leave();
    let mut early = world.going.pop().unwrap();

    world.come(1);
    assert_eq!(world.refuse(MINUTE), Some(MINUTE), "sent again with them");

    world.lane.sign(&mut early, &cookies(true), world.now);
    assert_eq!(world.view().in_flight, 0);
    world.pass_time(MINUTE);
    world.come(3);
    assert_eq!(world.sign(&cookies(true)), Some(MINUTE), "and the probe");
    assert_eq!(
        world.granted(),
        [0; 0],
        "nobody runs into it after the probe"
    );
    assert_eq!(world.view().pauses.all(), 2);
}

#[test]
fn who_carries_new_cookies_and_is_offered_newer_ones_was_refused_for_another_reason() {
    let mut world = World::warm(policy());
    world.come(1);
    world.sign(&cookies(true));

    world.come(1);

    assert_eq!(world.sign(&cookies(true)), Some(MINUTE));
}

#[test]
fn cookies_are_fetched_again_once_they_have_helped() {
    let mut world = World::warm(policy());
    for _ in 0..3 {
        world.come(1);
        assert_eq!(world.sign(&cookies(true)), None);
        world.leave();
        world.come(1);
        world.sign(&Sign::Head);
        world.leave();
    }

    assert_eq!(world.view().gate, GateView::Open);
}

#[test]
fn a_probe_that_is_offered_cookies_ends_no_pause() {
    let mut world = World::warm(policy());
    world.lane.pause(MINUTE, Cause::Host, world.now);
    world.come(3);
    world.pass_time(MINUTE);

    assert_eq!(world.sign(&cookies(true)), Some(MINUTE));
    assert_eq!(world.granted().len(), 1, "nobody but the probe went");
    assert!(world.lane.demands(|_| false), "though they are known now");
}

#[test]
fn another_policy_is_felt_at_once_by_those_who_wait() {
    let small = |max_concurrency| Policy {
        max_concurrency,
        ..policy()
    };
    let mut world = World::warm(small(2));
    assert_eq!(world.come(4), 2);

    world.lane.follow(small(3), world.now);
    world.news();
    let more = world.granted();
    world.lane.follow(small(1), world.now);
    world.leave();
    world.leave();
    let fewer = world.granted();
    world.leave();

    assert_eq!(more, [1]);
    assert!(fewer.is_empty(), "one is still in flight");
    assert_eq!(world.granted(), [2]);
}

#[test]
fn another_safety_stop_leaves_alone_what_the_edge_has_taught() {
    let mut world = World::limited_to(8, policy());

    for max_concurrency in [400, 600] {
        let other = Policy {
            max_concurrency,
            ..policy()
        };
        world.lane.follow(other, world.now);
        assert_eq!(world.view().limit, 8);
    }
    let tight = Policy {
        max_concurrency: 5,
        ..policy()
    };
    world.lane.follow(tight, world.now);

    assert_eq!(world.view().limit, 5);
}

#[test]
fn who_resumes_a_lane_ends_every_pause_with_one_probe() {
    for cause in Cause::ALL {
        let mut world = World::warm(policy());
        world.lane.pause(MINUTE, cause, world.now);
        if cause != Cause::Circuit {
            assert_eq!(world.come(3), 0);
        }

        world.lane.resume(world.now);
        world.news();

        assert_eq!(world.view().gate, GateView::Opening, "{cause:?}");
        let went = world.granted().len() + world.come(3);
        assert_eq!(went, 1, "{cause:?}");
    }
}
