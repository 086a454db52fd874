//! Closed loops of clients against an edge with a capacity, in pure time: does the lane find the capacity and use it?

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use super::Policy;
use super::asker::{Asker, Patience};
use super::news::{News, Note};
use super::sign::Sign;
use super::state::{Decision, State};
use super::state_tests::policy;
use super::ticket::Ticket;

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// What the clients meet.
#[derive(Clone, Copy, Debug)]
struct World {
    capacity: fn(u64) -> usize,
    /// The way to the edge, at least, and back.
    trip: u64,
    head: u64,
    stream: u64,
    retry_after: u64,
}

impl World {
    /// From an answer's end at the edge to the next one's, on the same slot.
    fn turn(&self) -> u64 {
        self.stream + self.trip * 5 / 2
    }
}

const WORLD: World = World {
    capacity: |_| 50,
    trip: 2 * MS,
    head: 30 * MS,
    stream: SECOND,
    retry_after: SECOND,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes {
        client: u64,
        retry: bool,
    },
    ReachesEdge(usize),
    Refused(usize),
    Head(usize),
    /// The edge has its slot back before the gateway sees the end.
    LeavesEdge(usize),
    Ends(usize),
    Tick,
}

struct Model {
    start: Instant,
    now: u64,
    random: fastrand::Rng,
    lane: State<(u64, u64)>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    requests: Vec<(u64, u64, Ticket)>,
    at_edge: usize,
    world: World,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    events: u64,
    posts: usize,
    refused: usize,
    served_at: Vec<u64>,
    waits: BTreeMap<u64, Vec<u64>>,
    pauses: Vec<u64>,
}

/// Nobody is turned away, whatever it takes.
fn patient() -> Policy {
    Policy {
        queue_timeout: Duration::from_secs(9000),
        ..policy()
    }
}

impl Model {
    fn new(world: World, policy: Policy, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            lane: State::new(policy, start),
            events: BinaryHeap::new(),
            requests: Vec::new(),
            at_edge: 0,
            world,
            tally: Tally::default(),
        }
    }

    fn at(&mut self, wait: u64, event: Event) {
        self.tally.events += 1;
        let key = (self.now + wait, self.tally.events, event);
        self.events.push(Reverse(key));
    }

    fn time(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    /// `clients[i]` is the caller of a client that always has one request under way.
    fn run(&mut self, clients: impl IntoIterator<Item = u64>, until: u64) {
        for client in clients {
            let retry = false;
            self.at(0, Event::Comes { client, retry });
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > until {
                break;
            }
            self.now = at;
            self.happens(event);
            self.told();
        }
    }

    fn happens(&mut self, event: Event) {
        let now = self.time();
        match event {
            Event::Comes { client, retry } => self.comes(client, retry),
            Event::ReachesEdge(request) => {
                self.tally.posts += 1;
                if self.at_edge >= (self.world.capacity)(self.now) {
                    self.tally.refused += 1;
                    return self.at(self.world.trip, Event::Refused(request));
                }
                self.at_edge += 1;
                let stream = self
                    .random
                    .u64(self.world.stream * 9 / 10..=self.world.stream * 11 / 10);
                self.at(self.world.head + self.world.trip, Event::Head(request));
                self.at(stream, Event::LeavesEdge(request));
                self.at(stream + self.world.trip, Event::Ends(request));
            }
            Event::Head(request) => self.sign(request, &Sign::Head),
            Event::LeavesEdge(_) => self.at_edge -= 1,
            Event::Ends(request) => {
                let (client, _, ticket) = self.requests[request];
                self.lane.leave(ticket, now);
                self.tally.served_at.push(self.now);
                let retry = false;
                self.at(MS, Event::Comes { client, retry });
            }
            Event::Refused(request) => {
                let pause = Duration::from_micros(self.world.retry_after);
                self.sign(request, &Sign::Refused { pause });
                let (client, _, ticket) = self.requests[request];
                self.lane.leave(ticket, now);
                let jitter = self.random.u64(0..100 * MS);
                let retry = true;
                self.at(jitter, Event::Comes { client, retry });
            }
            Event::Tick => self.lane.tick(now),
        }
    }

    fn comes(&mut self, client: u64, retry: bool) {
        let now = self.time();
        let asker = Asker {
            caller: client % 1000,
            session: client,
            background: false,
            retry,
            lacks_cookies: false,
            patience: Patience::Queue,
            waited: Duration::ZERO,
        };
        match self.lane.enter(&asker, now) {
            Decision::Go(ticket) => self.goes(client, self.now, ticket),
            Decision::Wait { .. } => {
                self.lane.wait(&asker, (client, self.now), now);
            }
            Decision::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    fn goes(&mut self, client: u64, since: u64, mut ticket: Ticket) {
        // Connections are there already.
        self.lane.sent(&mut ticket, self.time());
        let waited = self.now - since;
        self.tally.waits.entry(client).or_default().push(waited);
        self.requests.push((client, since, ticket));
        let trip = self.random.u64(self.world.trip..self.world.trip * 2);
        self.at(trip, Event::ReachesEdge(self.requests.len() - 1));
    }

    fn sign(&mut self, request: usize, sign: &Sign) {
        let now = self.time();
        self.lane.sign(&mut self.requests[request].2, sign, now);
    }

    fn told(&mut self) {
        let News {
            grants,
            dismissed,
            notes,
        } = self.lane.news();
        assert!(dismissed.is_empty(), "no circuit opens here");
        for ((client, since), ticket) in grants {
            self.goes(client, since, ticket);
        }
        for note in notes {
            if std::env::var_os("LANE_MODEL").is_some() {
                println!("{:>9.3} {note:?}", self.now as f64 / 1e6);
            }
            if let Note::Paused { .. } = note {
                self.tally.pauses.push(self.now);
            }
        }
        if let Some(alarm) = self.lane.alarm(self.time()) {
            let wait = alarm.duration_since(self.time());
            let wait = u64::try_from(wait.as_micros()).unwrap() + 1;
            if !self.events.iter().any(|Reverse((at, _, event))| {
                *event == Event::Tick && *at <= self.now + wait && *at > self.now
            }) {
                self.at(wait, Event::Tick);
            }
        }
    }

    /// Served in this time, as a share of what the edge could.
    fn goodput(&self, from: u64, to: u64) -> f64 {
        let served = self.tally.served_at.iter();
        let served = served.filter(|at| (from..to).contains(at)).count();
        let capacity: usize = (from / MS..to / MS)
            .map(|ms| (self.world.capacity)(ms * MS))
            .sum();
        served as f64 * self.world.turn() as f64 / (capacity as u64 * MS) as f64
    }

    fn posts_per_answer(&self) -> f64 {
        self.tally.posts as f64 / (self.tally.served_at.len() + self.at_edge) as f64
    }

    /// All but one in a hundred waited no longer.
    fn wait_of(&self, clients: std::ops::Range<u64>) -> u64 {
        let waits = self.tally.waits.range(clients);
        let mut waits: Vec<u64> = waits.flat_map(|(_, waits)| waits.iter().copied()).collect();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }
}

fn moving(now: u64) -> usize {
    match now / (20 * SECOND) {
        0 | 2 => 50,
        1 => 12,
        _ => 100,
    }
}

#[test]
fn a_capacity_that_nobody_knows_is_found_and_used() {
    for seed in 0..5 {
        let mut model = Model::new(WORLD, patient(), seed);
        model.run(0..200, 60 * SECOND);

        let goodput = model.goodput(0, 60 * SECOND);
        assert!(goodput >= 0.95, "{goodput}");
        let posts = model.posts_per_answer();
        assert!(posts <= 1.03, "{posts}");
        assert!(model.tally.pauses.len() <= 3, "{:?}", model.tally.pauses);
    }
}

#[test]
fn a_capacity_that_moves_is_followed() {
    for seed in 0..5 {
        let capacity = moving;
        let mut model = Model::new(World { capacity, ..WORLD }, patient(), seed);
        model.run(0..200, 80 * SECOND);

        let goodput = model.goodput(0, 80 * SECOND);
        assert!(goodput >= 0.90, "{goodput}");
    }
}

#[test]
fn a_minute_of_retry_after_is_paid_once() {
    let world = World {
        stream: 10 * SECOND,
        retry_after: 60 * SECOND,
        ..WORLD
    };
    for seed in 0..5 {
        let mut model = Model::new(world, patient(), seed);
        model.run(0..200, 600 * SECOND);

        let goodput = model.goodput(75 * SECOND, 600 * SECOND);
        assert!(goodput >= 0.95, "{goodput}");
        assert!(model.tally.pauses.len() <= 2, "{:?}", model.tally.pauses);
    }
}

#[test]
fn a_caller_with_a_hundred_requests_at_most_doubles_the_time_of_those_with_one() {
    let world = World {
        capacity: |_| usize::MAX,
        ..WORLD
    };
    let policy = Policy {
        max_concurrency: 12,
        ..patient()
    };
    let mut model = Model::new(world, policy, 1);
    let hog = (0..100).map(|request| 10_000 + 1000 * request);
    model.run((1..10).chain(hog), 60 * SECOND);

    let wait = model.wait_of(1..10);
    assert!(
        wait <= world.stream,
        "alone they would wait for nothing, and an answer takes a second: {wait}"
    );
}

#[test]
fn an_edge_whose_heads_take_seconds_is_found_out_too() {
    let world = World {
        head: 4 * SECOND,
        stream: 10 * SECOND,
        ..WORLD
    };
    for seed in 0..5 {
        let mut model = Model::new(world, patient(), seed);
        model.run(0..200, 300 * SECOND);

        let goodput = model.goodput(0, 300 * SECOND);
        assert!(goodput >= 0.93, "{goodput}");
        assert!(model.tally.pauses.len() <= 2, "{:?}", model.tally.pauses);
    }
}
