//! What goes wrong, at which place, since when, and whom does it touch?

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

/// What is not heard of for so long, while other requests went well there, is another one the next time.
const APART: Duration = Duration::from_secs(60);
/// And so long it is kept, for its lane may still be closed for it.
const GAP: Duration = Duration::from_secs(180);
/// People of one place who are told apart.
const PEOPLE: usize = 2048;
/// Places that are told apart: lanes, of which there are few, and LiteLLM.
const PLACES: usize = 128;

/// A place, and what goes wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A lane's name, or `litellm`.
    pub at: String,
    pub ills: Vec<Ill>,
    /// People served another way since the first of these ills.
    pub led_round: usize,
    /// People not served since then.
    pub failed: usize,
}

/// One thing that goes wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ill {
    /// In the words of `upstream_attempts_total{outcome}`.
    pub what: &'static str,
    pub since: SystemTime,
    pub last: SystemTime,
    /// Attempts that met it.
    pub times: u64,
    /// Attempts there that went well since it began.
    pub good: u64,
    /// The last request that met it.
    pub request: String,
}

#[derive(Default)]
pub(super) struct Troubles(BTreeMap<String, Noted>);

#[derive(Default)]
struct Noted {
    /// Attempts that went well, ever.
    good: u64,
    /// `Ill::good` is what `good` was when it began.
    ills: BTreeMap<&'static str, Ill>,
    /// When `good` was last seen by an ill.
    good_at_last: BTreeMap<&'static str, u64>,
    people: HashMap<Box<str>, Touched>,
}

struct Touched {
    last: SystemTime,
    led_round: bool,
}

impl Troubles {
    pub fn went_well(&mut self, at: &str) {
        if let Some(noted) = self.0.get_mut(at) {
            noted.good += 1;
        } else if let Some(noted) = self.place(at) {
            noted.good = 1;
        }
    }

    pub fn went_wrong(&mut self, at: &str, what: &'static str, request: &str, now: SystemTime) {
        let Some(noted) = self.place(at) else { return };
        let ill = noted.ill(what, now);
        ill.times += 1;
        request.clone_into(&mut ill.request);
    }

    pub fn stands(&mut self, at: &str, what: &'static str, now: SystemTime) {
        if let Some(noted) = self.place(at) {
            noted.ill(what, now);
        }
    }

    pub fn touched(&mut self, at: &str, person: &str, led_round: bool, now: SystemTime) {
        let Some(noted) = self.place(at) else { return };
        if noted.people.len() >= PEOPLE && !noted.people.contains_key(person) {
            noted
                .people
                .retain(|_, touched| since(touched.last, now) < GAP);
            if noted.people.len() >= PEOPLE {
                return;
            }
        }
        let touched = Touched {
            last: now,
            led_round,
        };
        noted.people.insert(person.into(), touched);
    }

    /// Also what ended lately: who asks knows whether the lane has opened since.
    pub fn places(&mut self, now: SystemTime) -> Vec<Place> {
        let ill = self.0.iter_mut().filter_map(|(at, noted)| {
            noted.forget(now);
            let began = noted.ills.values().map(|ill| ill.since).min()?;
            let people = |led_round| {
                let touched = noted.people.values();
                let meant = |one: &&Touched| one.led_round == led_round && one.last >= began;
                touched.filter(meant).count()
            };
            let ills = noted.ills.values().map(|ill| Ill {
                good: noted.good - ill.good,
                ..ill.clone()
            });
            Some(Place {
                at: at.clone(),
                ills: ills.collect(),
                led_round: people(true),
                failed: people(false),
            })
        });
        ill.collect()
    }

    fn place(&mut self, at: &str) -> Option<&mut Noted> {
        if !self.0.contains_key(at) {
            if self.0.len() >= PLACES {
                return None;
            }
            self.0.insert(at.to_owned(), Noted::default());
        }
        self.0.get_mut(at)
    }
}

impl Noted {
    fn ill(&mut self, what: &'static str, now: SystemTime) -> &mut Ill {
        let good = self.good;
        let good_at_last = self.good_at_last.insert(what, good).unwrap_or(good);
        let ill = self
            .ills
            .entry(what)
            .or_insert_with(|| Ill::new(what, good, now));
        if good > good_at_last && since(ill.last, now) >= APART {
            *ill = Ill::new(what, good, now);
        }
        ill.last = now;
        ill
    }

    /// What has ended, however long nobody asked.
    fn forget(&mut self, now: SystemTime) {
        let (good, good_at_last) = (self.good, &self.good_at_last);
        self.ills.retain(|what, ill| {
            let better = good_at_last.get(what).is_some_and(|last| good > *last);
            since(ill.last, now) < GAP || !better && since(ill.last, now) < 20 * GAP
        });
        if self.ills.is_empty() {
            self.people.clear();
        }
    }
}

impl Ill {
    fn new(what: &'static str, good: u64, now: SystemTime) -> Self {
        Self {
            what,
            since: now,
            last: now,
            times: 0,
            good,
            request: String::new(),
        }
    }
}

fn since(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: &str = "host → provider";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn only(troubles: &mut Troubles, now: u64) -> Ill {
        let mut places = troubles.places(at(now));
        places.remove(0).ills.remove(0)
    }

    #[test]
    fn an_ill_is_one_from_its_first_request_to_its_last() {
        let mut troubles = Troubles::default();
        for second in [100, 130, 400] {
            troubles.went_wrong(LANE, "edge_queue_full", &second.to_string(), at(second));
        }

        let ill = only(&mut troubles, 401);

        assert_eq!((ill.since, ill.last, ill.times), (at(100), at(400), 3));
        assert_eq!(ill.request, "400");
    }

    #[test]
    fn after_good_answers_and_a_while_it_is_another_one() {
        let mut troubles = Troubles::default();
        troubles.went_wrong(LANE, "provider_api", "a", at(100));
        troubles.went_well(LANE);
        troubles.went_wrong(LANE, "provider_api", "b", at(100 + APART.as_secs()));
        troubles.went_well(LANE);

        let ill = only(&mut troubles, 170);

        assert_eq!((ill.since, ill.times, ill.good), (at(160), 1, 1));
    }

    #[test]
    fn it_is_forgotten_when_all_goes_well_again() {
        let mut troubles = Troubles::default();
        troubles.went_wrong(LANE, "tls", "a", at(100));
        let silent = troubles.places(at(700)).len();
        troubles.went_well(LANE);

        assert_eq!(silent, 1, "nobody has seen it better");
        assert!(troubles.places(at(701)).is_empty());
    }

    #[test]
    fn people_are_counted_once_and_by_what_became_of_their_last_request() {
        let mut troubles = Troubles::default();
        troubles.went_wrong(LANE, "edge_queue_full", "a", at(10));
        for person in ["anna", "ben", "anna"] {
            troubles.touched(LANE, person, true, at(11));
        }
        troubles.touched(LANE, "ben", false, at(12));

        let place = troubles.places(at(13)).remove(0);

        assert_eq!((place.led_round, place.failed), (1, 1));
    }

    #[test]
    fn names_that_clients_make_up_fill_no_memory() {
        let mut troubles = Troubles::default();
        troubles.went_wrong(LANE, "tls", "a", at(10));
        for number in 0..10_000 {
            troubles.touched(LANE, &number.to_string(), true, at(10));
            troubles.went_wrong(&number.to_string(), "tls", "a", at(10));
        }

        assert_eq!(troubles.places(at(11)).len(), PLACES);
        assert_eq!(troubles.0[LANE].people.len(), PEOPLE);
    }
}
