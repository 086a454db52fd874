//! How did the last hour go? Steps of five seconds; the oldest goes when a new one comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use super::super::record::{AccessRecord, RouteLabel, Tokens};
use super::spread::Spread;

/// Seconds to a step.
const STEP: u64 = 5;
/// Steps to an hour.
const KEPT: u64 = 720;
/// Lanes that callers make up share a few, so this many have room.
const LANES: usize = 128;

/// How long a point of a timeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    FiveSeconds,
    Minute,
}

impl Step {
    pub fn seconds(self) -> u64 {
        self.steps() * STEP
    }

    fn steps(self) -> u64 {
        match self {
            Self::FiveSeconds => 1,
            Self::Minute => 12,
        }
    }
}

/// What ended within a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Answered well.
    pub answered: u64,
    /// Of these, round their lane.
    pub led_round: u64,
    /// Refused for something in the request.
    pub refused: u64,
    pub failed: u64,
    pub tokens: Tokens,
    pub first_byte: Spread,
    pub whole: Spread,
}

/// How a lane stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneSample {
    pub in_flight: usize,
    pub limit: usize,
    pub queued: usize,
    pub paused: bool,
}

/// A span in points of one length, the oldest first.
pub struct Timeline {
    pub step: Step,
    /// Where the last point ends, in seconds since 1970.
    pub until: u64,
    pub points: Vec<Point>,
    /// By lane; `None` where nobody looked.
    pub lanes: BTreeMap<String, Vec<Option<LaneSample>>>,
}

/// By number of the step since 1970.
#[derive(Default)]
pub(super) struct History {
    points: Ring<Point>,
    lanes: BTreeMap<String, Ring<LaneSample>>,
}

impl History {
    pub fn note(&mut self, record: &AccessRecord<'_>) {
        let point = self.points.at(step_of(record.time));
        let answer = &record.answer;
        match (answer.outcome, answer.status) {
            ("ok", _) => {
                point.answered += 1;
                point.led_round += u64::from(answer.route == RouteLabel::Bypass);
            }
            // A client that left had what it wanted, or no patience: nobody's fault that is known.
            ("client_left", _) => point.answered += 1,
            (_, 400..=499) if answer.status != 429 => point.refused += 1,
            _ => point.failed += 1,
        }
        point.whole.add(record.spent.total);
        if let Some(time) = record.spent.first_byte {
            point.first_byte.add(time);
        }
        if let Some(tokens) = &record.spent.tokens {
            point.tokens.add(tokens);
        }
    }

    pub fn sample(&mut self, lane: &str, sample: LaneSample, now: SystemTime) {
        if !self.lanes.contains_key(lane) {
            if self.lanes.len() >= LANES {
                return;
            }
            self.lanes.insert(lane.to_owned(), Ring::default());
        }
        if let Some(ring) = self.lanes.get_mut(lane) {
            *ring.at(step_of(now)) = sample;
        }
    }

    pub fn timeline(&self, step: Step, points: usize, now: SystemTime) -> Timeline {
        let end = step_of(now) / step.steps();
        let starts = || {
            let numbers = end.saturating_sub(points as u64)..end;
            numbers.map(|number| number * step.steps())
        };
        let merged = |lane: &Ring<LaneSample>| {
            let samples = starts().map(|start| LaneSample::over(lane.span(start, step.steps())));
            samples.collect()
        };
        Timeline {
            step,
            until: end * step.seconds(),
            points: starts()
                .map(|start| Point::over(self.points.span(start, step.steps())))
                .collect(),
            lanes: self
                .lanes
                .iter()
                .map(|(lane, ring)| (lane.clone(), merged(ring)))
                .collect(),
        }
    }

    pub fn sum(&self, steps: u64, now: SystemTime) -> Point {
        let end = step_of(now) + 1;
        Point::over(self.points.span(end.saturating_sub(steps), steps))
    }
}

impl Point {
    fn over<'p>(points: impl Iterator<Item = &'p Self>) -> Self {
        let mut sum = Self::default();
        for point in points {
            sum.answered += point.answered;
            sum.led_round += point.led_round;
            sum.refused += point.refused;
            sum.failed += point.failed;
            sum.tokens.add(&point.tokens);
            sum.first_byte.merge(&point.first_byte);
            sum.whole.merge(&point.whole);
        }
        sum
    }

    pub fn requests(&self) -> u64 {
        self.answered + self.refused + self.failed
    }
}

impl LaneSample {
    /// The most of each, and the limit as it was at last.
    fn over<'s>(samples: impl Iterator<Item = &'s Self>) -> Option<Self> {
        samples.copied().reduce(|sum, next| Self {
            in_flight: sum.in_flight.max(next.in_flight),
            limit: next.limit,
            queued: sum.queued.max(next.queued),
            paused: sum.paused || next.paused,
        })
    }
}

impl Tokens {
    pub(super) fn add(&mut self, more: &Self) {
        self.input += more.input;
        self.cache_read += more.cache_read;
        self.cache_write += more.cache_write;
        self.output += more.output;
    }
}

/// The steps in which something was, in order.
struct Ring<T>(VecDeque<(u64, T)>);

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Default> Ring<T> {
    /// This step, or the last one where the clock was set back.
    fn at(&mut self, step: u64) -> &mut T {
        let newest = self.0.back().map(|(number, _)| *number);
        if newest.is_none_or(|newest| newest < step) {
            self.0.push_back((step, T::default()));
            while self.0.front().is_some_and(|(old, _)| old + KEPT < step) {
                self.0.pop_front();
            }
        }
        let last = self.0.len() - 1;
        &mut self.0[last].1
    }

    fn span(&self, start: u64, steps: u64) -> impl Iterator<Item = &T> {
        let first = self.0.partition_point(|(number, _)| *number < start);
        let within = self.0.iter().skip(first);
        within
            .take_while(move |(number, _)| *number < start + steps)
            .map(|(_, value)| value)
    }
}

fn step_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / STEP
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::record::tests::record;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn ended(history: &mut History, seconds: u64, status: u16, outcome: &'static str) {
        let mut record = record();
        record.time = at(seconds);
        record.answer.status = status;
        record.answer.outcome = outcome;
        history.note(&record);
    }

    #[test]
    fn each_end_counts_once_in_the_step_in_which_it_was() {
        let mut history = History::default();
        ended(&mut history, 1_000, 200, "ok");
        ended(&mut history, 1_004, 404, "failed");
        ended(&mut history, 1_005, 429, "refused");
        ended(&mut history, 1_005, 529, "failed");

        let told = history.timeline(Step::FiveSeconds, 3, at(1_012));

        let counts = told
            .points
            .iter()
            .map(|p| (p.answered, p.refused, p.failed));
        let counts: Vec<_> = counts.collect();
        assert_eq!(counts, [(0, 0, 0), (1, 1, 0), (0, 0, 2)]);
        assert_eq!(told.until, 1_010, "the step under way is left out");
        assert_eq!(told.points[1].tokens.cache_read, 40);
    }

    #[test]
    fn a_minute_is_the_sum_of_its_steps() {
        let mut history = History::default();
        for second in 0..120 {
            ended(&mut history, 60_000 + second, 200, "ok");
        }

        let told = history.timeline(Step::Minute, 3, at(60_121));
        let requests: Vec<u64> = told.points.iter().map(Point::requests).collect();

        assert_eq!(requests, [0, 60, 60]);
        assert_eq!(history.sum(12, at(60_119)).requests(), 60);
        assert!(told.points[2].first_byte.percentile(0.5).is_some());
    }

    #[test]
    fn it_never_holds_more_than_an_hour_and_an_idle_one_holds_nothing() {
        let mut history = History::default();
        for second in 0..10_000 {
            ended(&mut history, second, 200, "ok");
        }
        assert!(history.points.0.len() as u64 <= KEPT + 1);

        ended(&mut history, 90_000, 200, "ok");

        assert_eq!(history.points.0.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing_and_breaks_nothing() {
        let mut history = History::default();
        ended(&mut history, 5_000, 200, "ok");
        ended(&mut history, 1_000, 200, "ok");

        assert_eq!(history.sum(1, at(5_000)).requests(), 2);
    }

    #[test]
    fn a_lane_shows_its_most_in_flight_and_that_it_paused() {
        let mut history = History::default();
        let sample = |in_flight, paused| LaneSample {
            in_flight,
            limit: 10,
            queued: 0,
            paused,
        };
        history.sample("lane", sample(7, false), at(60_000));
        history.sample("lane", sample(2, true), at(60_005));

        let told = history.timeline(Step::Minute, 2, at(60_060));

        assert_eq!(told.lanes["lane"], [None, Some(sample(7, true))]);
    }

    #[test]
    fn lanes_without_number_are_not_kept() {
        let mut history = History::default();
        for number in 0..1_000 {
            history.sample(&number.to_string(), LaneSample::default(), at(0));
        }

        assert_eq!(history.lanes.len(), LANES);
    }
}
