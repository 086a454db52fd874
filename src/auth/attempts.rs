//! How often may an address present what is no key?

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Addresses beyond these share one count.
const MOST: usize = 10_000;
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const MINUTE: Duration = Duration::from_secs(60);

/// However many addresses fail, those whose time is over are looked for no more often.
const SWEEP: Duration = Duration::from_secs(1);

/// A minute's failures for each address, given back evenly. Who presents a good key is never counted.
pub(super) struct Attempts {
    /// Of how much time one failure takes up.
    each: Duration,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// Until when an address has used up time, if that lies ahead.
    until: HashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Attempts {
    pub fn new(per_minute: NonZeroU32) -> Self {
        Self {
            each: MINUTE / per_minute.get(),
            used: Mutex::default(),
        }
    }

    pub fn is_like(&self, other: &Self) -> bool {
        self.each == other.each
    }

    /// Counts a failure; the wait if it was one too many.
    pub fn fail(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut used = self.used.lock();
        let address = used.place(address, now);
        let until = used.until.entry(address).or_insert(now);
        let after = (*until).max(now) + self.each;
        let excess = excess(after, now);
        if excess.is_zero() {
            *until = after;
            return Ok(());
        }
        Err(excess)
    }

    /// Takes back a failure that turned out to be none.
    pub fn forgive(&self, address: IpAddr) {
        let mut used = self.used.lock();
        let address = used.counted(address);
        if let Some(until) = used.until.get_mut(&address) {
            *until = until.checked_sub(self.each).unwrap_or(*until);
        }
    }

    /// The wait until the next failure would be allowed; zero: it is now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Duration {
        let used = self.used.lock();
        let until = used.until.get(&used.counted(address)).copied();
        excess(until.unwrap_or(now).max(now) + self.each, now)
    }
}

impl Used {
    /// Under which address it is counted.
    fn counted(&self, address: IpAddr) -> IpAddr {
        let address = network(address);
        let has_place = self.until.contains_key(&address) || self.until.len() < MOST;
        if has_place { address } else { OTHERS }
    }

    /// The same, for which room is made if need be.
    fn place(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP;
        if self.counted(address) == OTHERS && self.swept.is_none_or(due) {
            self.swept = Some(now);
            self.until.retain(|_, until| *until > now);
        }
        self.counted(address)
    }
}

fn excess(until: Instant, now: Instant) -> Duration {
    until.saturating_duration_since(now).saturating_sub(MINUTE)
}

/// Whoever has one address of IPv6 has all that begin like it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_few() -> Attempts {
        Attempts::new(NonZeroU32::new(3).unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_a_minutes_failures_an_address_waits_for_the_next() {
        let (attempts, now) = (a_few(), Instant::now());
        let home = address("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(attempts.wait(home, now), Duration::ZERO);
            assert_eq!(attempts.fail(home, now), Ok(()));
        }

        let refused = attempts.fail(home, now);
        let elsewhere = attempts.fail(address("192.0.2.2"), now);
        let later = now + Duration::from_secs(20);

        assert_eq!(refused, Err(Duration::from_secs(20)));
        assert_eq!(attempts.wait(home, now), Duration::from_secs(20));
        assert_eq!(elsewhere, Ok(()));
        assert_eq!(attempts.fail(home, later), Ok(()));
        assert!(
            attempts.fail(home, later).is_err(),
            "they come back one at a time"
        );
    }

    #[test]
    fn what_was_refused_does_not_lengthen_the_wait() {
        let (attempts, now) = (a_few(), Instant::now());
        let home = address("192.0.2.1");
        for _ in 0..1000 {
            let _ = attempts.fail(home, now);
        }

        assert_eq!(attempts.wait(home, now), Duration::from_secs(20));
    }

    #[test]
    fn what_turns_out_to_be_no_failure_is_taken_back() {
        let (attempts, now) = (a_few(), Instant::now());
        let home = address("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(attempts.fail(home, now), Ok(()));
        }

        attempts.forgive(home);
        attempts.forgive(address("192.0.2.2"));

        assert_eq!(attempts.fail(home, now), Ok(()));
        assert!(attempts.fail(home, now).is_err(), "one and no more");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_ipv4_in_its_clothes_is_ipv4() {
        let (attempts, now) = (a_few(), Instant::now());
        for n in 0..3 {
            let address = address(&format!("2001:db8::{n}:1"));
            assert_eq!(attempts.fail(address, now), Ok(()));
        }

        assert!(attempts.fail(address("2001:db8::ffff:1"), now).is_err());
        assert!(attempts.fail(address("2001:db8:0:1::1"), now).is_ok());
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn however_many_addresses_there_are_room_is_bounded_and_comes_back() {
        let (attempts, now) = (a_few(), Instant::now());
        let nth = |n: u32| IpAddr::from(n.to_be_bytes());
        let strangers = u32::try_from(MOST).unwrap() + 100;
        for n in 0..strangers {
            let _ = attempts.fail(nth(n), now);
        }

        let full = attempts.used.lock().until.len();
        let shared = attempts.fail(nth(strangers), now);
        let later = now + MINUTE;
        let again = attempts.fail(nth(strangers), later);

        assert!(full <= MOST + 1);
        assert!(shared.is_err(), "those without room share one count");
        assert_eq!(again, Ok(()));
        assert_eq!(attempts.used.lock().until.len(), 1);
    }

    #[test]
    fn where_there_is_no_room_it_is_looked_for_once_a_second() {
        let (attempts, now) = (a_few(), Instant::now());
        let nth = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..u32::try_from(MOST).unwrap() {
            assert_eq!(attempts.fail(nth(n), now), Ok(()));
        }
        let over = now + MINUTE / 3;
        let before = over - SWEEP / 2;

        let _ = attempts.fail(nth(u32::MAX), before);
        let _ = attempts.fail(nth(u32::MAX - 1), over);
        let unswept = attempts.used.lock().until.len();
        let _ = attempts.fail(nth(u32::MAX - 1), before + SWEEP);

        assert_eq!(unswept, MOST + 1, "those without room share one place");
        assert_eq!(attempts.used.lock().until.len(), 2, "that one and the last");
    }
}
