//! Is each limit felt when it is reached, and by its own key alone?

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::limits::Limit;
use crate::wire::usage::Usage;

const FREE: KeyLimits = KeyLimits {
    requests_per_minute: None,
    tokens_per_minute: None,
    concurrent_requests: None,
    usd_per_day: None,
};
const PRICE: Price = Price {
    input: 1.0,
    output: 10.0,
    cache_read: 0.1,
    cache_write: 1.25,
    cache_write_1h: 2.0,
};

struct World {
    clock: ManualClock,
    accounts: Accounts<u32>,
}

fn world() -> World {
    let clock = ManualClock::default();
    let accounts = Accounts::new(Arc::new(clock.clone()));
    World { clock, accounts }
}

impl World {
    fn admit(&self, key: u32, limits: KeyLimits) -> Result<Admission, Refusal> {
        self.expect(key, limits, 0)
    }

    /// Lets one in that is expected to take so many tokens of input.
    fn expect(&self, key: u32, limits: KeyLimits, input: u64) -> Result<Admission, Refusal> {
        let name = format!("key-{key}");
        let holder = Holder {
            name: &name,
            limits,
        };
        self.accounts.admit(key, &holder, PRICE, &of_input(input))
    }

    /// Lets one in that takes so many tokens of input, and ends.
    fn spend(&self, key: u32, limits: KeyLimits, input: u64) {
        let admission = self.admit(key, limits).unwrap();
        admission.charge(&of_input(input));
    }

    fn refusal(&self, key: u32, limits: KeyLimits) -> Option<(Limit, Duration)> {
        let refusal = self.admit(key, limits).err()?;
        Some((refusal.limit, refusal.retry_after))
    }
}

fn of_input(input: u64) -> Usage {
    Usage {
        input,
        ..Usage::default()
    }
}

fn requests(limit: u32) -> KeyLimits {
    KeyLimits {
        requests_per_minute: NonZeroU32::new(limit),
        ..FREE
    }
}

fn tokens(limit: u64) -> KeyLimits {
    KeyLimits {
        tokens_per_minute: NonZeroU64::new(limit),
        ..FREE
    }
}

fn concurrent(limit: u32) -> KeyLimits {
    KeyLimits {
        concurrent_requests: NonZeroU32::new(limit),
        ..FREE
    }
}

fn usd(limit: f64) -> KeyLimits {
    KeyLimits {
        usd_per_day: Some(limit),
        ..FREE
    }
}

#[test]
fn each_key_has_requests_of_its_own() {
    let world = world();
    for _ in 0..3 {
        drop(world.admit(1, requests(3)).unwrap());
    }

    let refused = world.refusal(1, requests(3));

    let limit = Limit::Requests(NonZeroU32::new(3).unwrap());
    assert_eq!(refused, Some((limit, Duration::from_secs(20))));
    assert_eq!(world.refusal(2, requests(3)), None);
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(world.refusal(1, requests(3)), None);
}

#[test]
fn tokens_are_charged_when_they_are_known_and_the_next_one_waits() {
    let world = world();
    let under_way = world.admit(1, tokens(60)).unwrap();
    let beside = world.admit(1, tokens(60)).unwrap();

    under_way.charge(&Usage {
        input: 50,
        cache_read: 1000,
        cache_write: 20,
        cache_write_1h: 10,
        output: 40,
    });
    beside.charge(&Usage::default());

    let limit = Limit::Tokens(NonZeroU64::new(60).unwrap());
    let expected = (limit, Duration::from_secs(61));
    assert_eq!(world.refusal(1, tokens(60)), Some(expected));
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.refusal(1, tokens(60)), None);
}

#[test]
fn a_place_is_given_back_however_the_request_ends() {
    let world = world();
    let first = world.admit(1, concurrent(2)).unwrap();
    let _second = world.admit(1, concurrent(2)).unwrap();

    let limit = Limit::Concurrent(NonZeroU32::new(2).unwrap());
    let refused = world.refusal(1, concurrent(2)).unwrap();
    assert_eq!(refused.0, limit);
    drop(first);
    assert_eq!(world.refusal(1, concurrent(2)), None);
}

#[test]
fn money_is_counted_by_the_day_of_utc() {
    let world = world();
    // The clock begins at 2025-06-15 15:06:40.
    let until_midnight = Duration::from_secs(8 * 3600 + 53 * 60 + 20);

    world.spend(1, usd(2.0), 1_500_000);
    assert_eq!(world.refusal(1, usd(2.0)), None);
    world.spend(1, usd(2.0), 500_000);

    let refused = world.refusal(1, usd(2.0));
    assert_eq!(refused, Some((Limit::Usd(2.0), until_midnight)));
    world.clock.advance(until_midnight);
    assert_eq!(world.refusal(1, usd(2.0)), None);
}

#[test]
fn requests_under_way_do_not_spend_a_days_money_together() {
    let world = world();
    let under_way: Vec<_> = (0..1000)
        .filter_map(|_| world.expect(1, usd(1.0), 250_000).ok())
        .collect();

    assert_eq!(under_way.len(), 4, "a quarter of a dollar for each");
    let refused = world.refusal(1, usd(1.0));
    assert_eq!(refused, Some((Limit::Usd(1.0), Duration::from_secs(1))));
    under_way[0].charge(&of_input(100_000));
    drop(under_way);

    assert_eq!(world.accounts.views()[0].usd_today, 0.1);
    assert!(
        world.expect(1, usd(1.0), 5_000_000).is_ok(),
        "what is expected of a request does not turn itself away"
    );
}

#[test]
fn another_rate_does_not_give_a_minute_back() {
    let world = world();
    for _ in 0..3 {
        drop(world.admit(1, requests(3)).unwrap());
    }

    let limit = Limit::Requests(NonZeroU32::new(4).unwrap());
    drop(world.admit(1, requests(4)).unwrap());
    let refused = world.refusal(1, requests(4));

    assert_eq!(refused, Some((limit, Duration::from_secs(15))));
}

#[test]
fn who_is_refused_uses_nothing_up() {
    let world = world();
    let both = KeyLimits {
        concurrent_requests: NonZeroU32::new(1),
        ..requests(2)
    };
    let first = world.admit(1, both).unwrap();

    for _ in 0..5 {
        assert!(world.admit(1, both).is_err());
    }

    drop(first);
    assert_eq!(world.refusal(1, both), None, "the second of two requests");
}

#[test]
fn what_is_left_is_told_to_those_let_in_and_to_those_refused() {
    let world = world();
    let both = KeyLimits {
        tokens_per_minute: NonZeroU64::new(600),
        ..requests(2)
    };
    world.spend(1, both, 450);

    let admitted = *world.admit(1, both).unwrap().standing();
    let refused = world.admit(1, both).err().unwrap().standing;

    for standing in [admitted, refused] {
        let (requests, tokens) = (standing.requests.unwrap(), standing.tokens.unwrap());
        assert_eq!((requests.limit, requests.remaining), (2, 0));
        assert_eq!(requests.reset, Duration::from_secs(60));
        assert_eq!((tokens.limit, tokens.remaining), (600, 150));
        assert_eq!(tokens.reset, Duration::from_secs(45));
    }
}

#[test]
fn other_limits_for_a_key_keep_what_it_has_used() {
    let world = world();
    let _under_way = world.admit(1, FREE).unwrap();
    world.spend(1, FREE, 3_000_000);

    let refused = [concurrent(1), usd(3.0)].map(|limits| world.refusal(1, limits));

    assert!(refused.iter().all(Option::is_some), "{refused:?}");
    assert_eq!(world.refusal(1, requests(1)), None, "a new limit is whole");
    assert!(world.refusal(1, requests(1)).is_some());
    assert_eq!(world.refusal(1, requests(2)), None);
}

#[test]
fn operators_see_who_spent_how_much() {
    let world = world();
    world.spend(1, usd(5.0), 1_000_000);
    world.spend(2, usd(5.0), 2_000_000);
    let _under_way = world.admit(1, usd(5.0)).unwrap();

    let views = world.accounts.views();

    let seen: Vec<_> = views
        .iter()
        .map(|view| (&*view.name, view.usd_today, view.under_way))
        .collect();
    assert_eq!(seen, [("key-2", 2.0, 0), ("key-1", 1.0, 1)]);
}

#[test]
fn accounts_are_bounded_and_those_that_owe_stay_the_longest() {
    let world = world();
    let busy = world.admit(0, concurrent(1)).unwrap();
    world.spend(1, usd(1.0), 2_000_000);
    for key in 2..MOST as u32 {
        drop(world.admit(key, requests(5)).unwrap());
    }
    world.clock.advance(Duration::from_secs(120));

    drop(world.admit(u32::MAX, FREE).unwrap());

    assert_eq!(world.accounts.views().len(), 3);
    assert!(world.refusal(0, concurrent(1)).is_some());
    assert!(world.refusal(1, usd(1.0)).is_some());
    drop(busy);
}

#[test]
fn where_all_accounts_owe_the_ones_used_longest_ago_go() {
    let world = world();
    let busy = world.admit(0, concurrent(1)).unwrap();
    for key in 1..MOST as u32 {
        world.spend(key, usd(1.0), 2_000_000);
        world.clock.advance(Duration::from_millis(1));
    }

    drop(world.admit(u32::MAX, FREE).unwrap());

    assert_eq!(world.accounts.views().len(), MOST - MOST / 10 + 1);
    assert!(
        world.refusal(0, concurrent(1)).is_some(),
        "it has one under way"
    );
    assert!(world.refusal(MOST as u32 - 1, usd(1.0)).is_some());
    assert!(world.refusal(1, usd(1.0)).is_none(), "it was the oldest");
    drop(busy);
}

proptest! {
    #[test]
    fn whoever_comes_back_as_told_is_let_in(
        limits in (1..50u32, 1..5000u64, 1..4u32),
        steps in prop::collection::vec((0..9000u64, 0..30_000u64, any::<bool>()), 1..40),
    ) {
        let world = world();
        let limits = KeyLimits {
            requests_per_minute: NonZeroU32::new(limits.0),
            tokens_per_minute: NonZeroU64::new(limits.1),
            concurrent_requests: NonZeroU32::new(limits.2),
            usd_per_day: Some(0.05),
        };
        let mut under_way = Vec::new();
        for (tokens, pause, ends) in steps {
            match world.expect(1, limits, tokens) {
                Ok(admission) => under_way.push((admission, tokens)),
                Err(refusal) => {
                    under_way.clear();
                    world.clock.advance(refusal.retry_after);
                    let again = world.admit(1, limits).err().map(|again| again.limit);
                    prop_assert_ne!(again, Some(refusal.limit));
                }
            }
            if ends && let Some((admission, tokens)) = under_way.pop() {
                admission.charge(&of_input(tokens));
            }
            world.clock.advance(Duration::from_millis(pause));
            let view = world.accounts.views();
            prop_assert!(view[0].under_way as usize <= limits.concurrent_requests.unwrap().get() as usize);
        }
    }
}
