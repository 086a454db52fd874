//! How full an edge was over time, in so few points that a plot can hold them.

use std::time::{Duration, Instant};

use serde::Serialize;

/// One interval in which something happened; capacity and load hold until the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Point {
    pub at_ms: u64,
    pub capacity: Option<usize>,
    /// At the interval's end.
    pub in_flight: usize,
    /// The most of the interval.
    pub peak: usize,
    pub entered: u64,
    pub refused: u64,
    pub left: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct TimelineView {
    pub interval_ms: u64,
    pub now_ms: u64,
    pub points: Vec<Point>,
}

pub(in crate::sim) struct Timeline {
    started: Instant,
    interval: u64,
    points: Vec<Point>,
}

/// More than a plot can show.
const MOST: usize = 2048;

impl Default for Timeline {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            interval: 100,
            points: Vec::new(),
        }
    }
}

impl Timeline {
    pub(in crate::sim) fn note(
        &mut self,
        capacity: Option<usize>,
        in_flight: usize,
        change: impl FnOnce(&mut Point),
    ) {
        let now = self.now();
        self.note_at(now, capacity, in_flight, change);
    }

    fn now(&self) -> u64 {
        milliseconds(self.started.elapsed())
    }

    fn note_at(
        &mut self,
        now: u64,
        capacity: Option<usize>,
        in_flight: usize,
        change: impl FnOnce(&mut Point),
    ) {
        let at_ms = now - now % self.interval;
        let current = self.points.last().is_some_and(|last| last.at_ms >= at_ms);
        if !current {
            if self.points.len() >= MOST {
                self.thin();
                return self.note_at(now, capacity, in_flight, change);
            }
            self.points.push(Point {
                at_ms,
                ..Point::default()
            });
        }
        if let Some(point) = self.points.last_mut() {
            point.capacity = capacity;
            point.in_flight = in_flight;
            point.peak = point.peak.max(in_flight);
            change(point);
        }
    }

    /// Doubles the interval until the points are half as many.
    fn thin(&mut self) {
        while self.points.len() > MOST / 2 {
            self.interval *= 2;
            let mut merged: Vec<Point> = Vec::with_capacity(self.points.len());
            for point in &self.points {
                let at_ms = point.at_ms - point.at_ms % self.interval;
                match merged.last_mut().filter(|last| last.at_ms == at_ms) {
                    Some(last) => last.absorb(point),
                    None => merged.push(Point { at_ms, ..*point }),
                }
            }
            self.points = merged;
        }
    }

    pub(in crate::sim) fn view(&self) -> TimelineView {
        TimelineView {
            interval_ms: self.interval,
            now_ms: self.now(),
            points: self.points.clone(),
        }
    }
}

impl Point {
    fn absorb(&mut self, later: &Self) {
        self.capacity = later.capacity;
        self.in_flight = later.in_flight;
        self.peak = self.peak.max(later.peak);
        self.entered += later.entered;
        self.refused += later.refused;
        self.left += later.left;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_keeps_its_peak_and_its_end() {
        let mut timeline = Timeline::default();

        for (now, in_flight) in [(110, 3), (150, 9), (199, 2), (500, 1)] {
            timeline.note_at(now, Some(9), in_flight, |point| point.entered += 1);
        }

        let points = timeline.view().points;
        assert_eq!(points.len(), 2, "nothing happened in between");
        assert_eq!((points[0].at_ms, points[1].at_ms), (100, 500));
        assert_eq!((points[0].peak, points[0].in_flight), (9, 2));
        assert_eq!(points[0].entered, 3);
    }

    #[test]
    fn a_long_run_fits_and_loses_no_count() {
        let mut timeline = Timeline::default();
        let events = 100_000;

        for number in 0..events {
            timeline.note_at(number * 70, Some(1), 1, |point| point.refused += 1);
        }

        let view = timeline.view();
        assert!(view.points.len() <= MOST);
        let refused: u64 = view.points.iter().map(|point| point.refused).sum();
        assert_eq!(refused, events);
        assert!(view.points.is_sorted_by_key(|point| point.at_ms));
    }
}
