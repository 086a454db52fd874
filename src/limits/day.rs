//! How much money did a key use today? Days are UTC's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Default)]
pub(super) struct Spent {
    day: u64,
    usd: f64,
}

impl Spent {
    pub fn add(&mut self, usd: f64, wall: SystemTime) {
        self.usd = self.today(wall) + usd;
        self.day = day(wall);
    }

    pub fn today(&self, wall: SystemTime) -> f64 {
        if self.day == day(wall) { self.usd } else { 0.0 }
    }

    /// Whether anything of the limit is left; else how long until the next day.
    pub fn check(&self, limit: f64, wall: SystemTime) -> Result<(), Duration> {
        if self.today(wall) < limit {
            return Ok(());
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
}
