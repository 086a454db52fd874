//! Closed loops of clients against an edge with a capacity, in pure time: does the lane find the capacity and use it?

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use super::asker::{Asker, Patience};
use super::sign::Sign;
use super::state::{Decision, News, Note, State, Ticket};
use super::{CircuitPolicy, Policy};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// The way there, and back.
const TRIP: u64 = 2 * MS;
const HEAD: u64 = 30 * MS;

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
    schedule: fn(u64) -> usize,
    stream: u64,
    retry_after: u64,
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

fn policy() -> Policy {
    Policy {
        max_concurrency: 512,
        queue_max: 2048,
        queue_timeout: Duration::from_secs(9000),
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

impl Model {
    fn new(schedule: fn(u64) -> usize, stream: u64, retry_after: u64, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            lane: State::new(policy(), start),
            events: BinaryHeap::new(),
            requests: Vec::new(),
            at_edge: 0,
            schedule,
            stream,
            retry_after,
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
                if self.at_edge >= (self.schedule)(self.now) {
                    self.tally.refused += 1;
                    return self.at(TRIP, Event::Refused(request));
                }
                self.at_edge += 1;
                let stream = self
                    .random
                    .u64(self.stream * 9 / 10..=self.stream * 11 / 10);
                self.at(HEAD + TRIP, Event::Head(request));
                self.at(stream, Event::LeavesEdge(request));
                self.at(stream + TRIP, Event::Ends(request));
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
                let pause = Duration::from_micros(self.retry_after);
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
        };
        match self.lane.enter(&asker, now) {
            Decision::Go(ticket) => self.goes(client, self.now, ticket),
            Decision::Wait { .. } => {
                self.lane.wait(&asker, (client, self.now), now);
            }
            Decision::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    fn goes(&mut self, client: u64, since: u64, ticket: Ticket) {
        let waited = self.now - since;
        self.tally.waits.entry(client).or_default().push(waited);
        self.requests.push((client, since, ticket));
        let trip = self.random.u64(TRIP..TRIP * 2);
        self.at(trip, Event::ReachesEdge(self.requests.len() - 1));
    }

    fn sign(&mut self, request: usize, sign: &Sign) {
        let now = self.time();
        self.lane.sign(&mut self.requests[request].2, sign, now);
    }

    fn told(&mut self) {
        let News { grants, notes } = self.lane.news();
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
            .map(|ms| (self.schedule)(ms * MS))
            .sum();
        served as f64 * self.stream as f64 / (capacity as u64 * MS) as f64
    }

    fn report(&self, name: &str, until: u64) {
        println!(
            "{name}: goodput {:.3}, posts/served {:.3}, refused {}, pauses {:?}",
            self.goodput(0, until),
            self.tally.posts as f64 / self.tally.served_at.len() as f64,
            self.tally.refused,
            self.tally
                .pauses
                .iter()
                .map(|at| at / MS)
                .collect::<Vec<_>>(),
        );
    }
}

fn fifty(_: u64) -> usize {
    50
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
    for seed in 0..10 {
        let mut model = Model::new(fifty, SECOND, SECOND, seed);
        model.run(0..200, 60 * SECOND);
        model.report("fifty", 60 * SECOND);
    }
}

#[test]
fn a_capacity_that_moves_is_followed() {
    for seed in 0..10 {
        let mut model = Model::new(moving, SECOND, SECOND, seed);
        model.run(0..200, 80 * SECOND);
        model.report("moving", 80 * SECOND);
    }
}

#[test]
fn a_minute_of_retry_after_costs_one_pause() {
    for seed in 0..10 {
        let mut model = Model::new(fifty, 10 * SECOND, 60 * SECOND, seed);
        model.run(0..200, 600 * SECOND);
        model.report("minute", 600 * SECOND);
        println!(
            "after first: {:.3}",
            model.goodput(70 * SECOND, 600 * SECOND)
        );
    }
}
