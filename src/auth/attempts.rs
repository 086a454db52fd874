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

/// A minute's failures for each address, given back evenly. Who presents a good key is never counted.
pub(super) struct Attempts {
    /// Of how much time one failure takes up.
    each: Duration,
    /// Until when an address has used up time, if that lies ahead.
    used: Mutex<HashMap<IpAddr, Instant>>,
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
        let address = place(&mut used, address, now);
        let until = used.entry(address).or_insert(now);
        let after = (*until).max(now) + self.each;
        let excess = excess(after, now);
        if excess.is_zero() {
            *until = after;
            return Ok(());
        }
        Err(excess)
    }

    /// The wait until the next failure would be allowed; zero: it is now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Duration {
        let used = self.used.lock();
        let others = || used.get(&OTHERS).filter(|_| used.len() >= MOST);
        let until = used.get(&counted(address)).or_else(others);
        let until = until.copied().unwrap_or(now);
        excess(until.max(now) + self.each, now)
    }
}

fn excess(until: Instant, now: Instant) -> Duration {
    until.saturating_duration_since(now).saturating_sub(MINUTE)
}

/// Under which address it is counted, for which there is room then.
fn place(used: &mut HashMap<IpAddr, Instant>, address: IpAddr, now: Instant) -> IpAddr {
    let address = counted(address);
    if used.contains_key(&address) || used.len() < MOST {
        return address;
    }
    used.retain(|_, until| *until > now);
    if used.len() < MOST { address } else { OTHERS }
}

/// Whoever has one address of IPv6 has all that begin like it.
fn counted(address: IpAddr) -> IpAddr {
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
    fn a_network_of_ipv6_is_one_address_and_ipv4_in_its_clothes_is_ipv4() {
        let (attempts, now) = (a_few(), Instant::now());
        for n in 0..3 {
            let address = address(&format!("2001:db8::{n}:1"));
            assert_eq!(attempts.fail(address, now), Ok(()));
        }

        assert!(attempts.fail(address("2001:db8::ffff:1"), now).is_err());
        assert!(attempts.fail(address("2001:db8:0:1::1"), now).is_ok());
        assert_eq!(counted(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn however_many_addresses_there_are_room_is_bounded_and_comes_back() {
        let (attempts, now) = (a_few(), Instant::now());
        let nth = |n: u32| IpAddr::from(n.to_be_bytes());
        let strangers = u32::try_from(MOST).unwrap() + 100;
        for n in 0..strangers {
            let _ = attempts.fail(nth(n), now);
        }

        let full = attempts.used.lock().len();
        let shared = attempts.fail(nth(strangers), now);
        let later = now + MINUTE;
        let again = attempts.fail(nth(strangers), later);

        assert!(full <= MOST + 1);
        assert!(shared.is_err(), "those without room share one count");
        assert_eq!(again, Ok(()));
        assert_eq!(attempts.used.lock().len(), 1);
    }
}
