//! How much money did a key use today, and how much may be on its way? Days are UTC's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::refusal::SOON;

const DAY: Duration = Duration::from_secs(86_400);
const BILLION: f64 = 1e9;

#[derive(Default)]
pub(super) struct Spent {
    day: u64,
    usd: f64,
    /// What those under way will cost at least.
    reserved: Reserved,
}

/// A sum set aside, in billionths of a dollar: they leave no rest when all is given back.
#[derive(Clone, Copy, Default)]
pub(super) struct Reserved(u64);

impl Spent {
    pub fn reserve(&mut self, usd: f64) -> Reserved {
        // A float beyond the integers becomes the largest, one below them 0.
        let sum = Reserved((usd * BILLION) as u64);
        self.reserved.0 = self.reserved.0.saturating_add(sum.0);
        sum
    }

    pub fn give_back(&mut self, sum: Reserved) {
        self.reserved.0 = self.reserved.0.saturating_sub(sum.0);
    }

    pub fn add(&mut self, usd: f64, wall: SystemTime) {
        self.usd = self.today(wall) + usd;
        self.day = day(wall);
    }

    pub fn today(&self, wall: SystemTime) -> f64 {
        if self.day == day(wall) { self.usd } else { 0.0 }
    }

    /// Whether anything of the limit is left; else how long until the next day, or until some of those under way
    /// may have cost less than was set aside for them.
    pub fn check(&self, limit: f64, wall: SystemTime) -> Result<(), Duration> {
        let spent = self.today(wall);
        if spent + self.reserved.0 as f64 / BILLION < limit {
            return Ok(());
        }
        if spent < limit {
            return Err(SOON);
        }
        let into = since(wall).as_secs() % DAY.as_secs();
        Err(DAY - Duration::from_secs(into))
    }
}

fn day(wall: SystemTime) -> u64 {
    since(wall).as_secs() / DAY.as_secs()
}

fn since(wall: SystemTime) -> Duration {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_money_ends_with_it() {
        let noon = UNIX_EPOCH + 20_000 * DAY + DAY / 2;
        let mut spent = Spent::default();

        spent.add(3.0, noon);
        spent.add(2.0, noon);

        assert_eq!(spent.check(5.5, noon), Ok(()));
        assert_eq!(spent.check(5.0, noon), Err(DAY / 2));
        assert_eq!(spent.check(5.0, noon + DAY / 2), Ok(()));
        spent.add(1.0, noon + DAY);
        assert_eq!(spent.today(noon + DAY), 1.0);
    }

    #[test]
    fn what_is_under_way_holds_others_back_for_a_moment_and_never_itself() {
        let noon = UNIX_EPOCH + 20_000 * DAY + DAY / 2;
        let mut spent = Spent::default();
        assert_eq!(spent.check(1.0, noon), Ok(()), "however much it may take");

        let sums = [0.1, 0.2, 1e300].map(|usd| spent.reserve(usd));

        assert_eq!(spent.check(1.0, noon), Err(SOON));
        assert_eq!(spent.today(noon), 0.0);
        for sum in sums.into_iter().rev() {
            spent.give_back(sum);
        }
        assert_eq!(spent.check(f64::MIN_POSITIVE, noon), Ok(()), "all is back");
    }
}
