//! How are times spread? Counted by size, so that percentiles of any span can be told.

use std::time::Duration;

/// Four sizes to a doubling: a percentile is right to a tenth.
const PER_DOUBLING: f64 = 4.0;
/// Below a quarter of a millisecond all is one size.
const DOUBLINGS_BELOW: f64 = 2.0;
/// Up to 2²⁰ ms, 17 minutes.
const SIZES: usize = 88;

/// Times by size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    sizes: Box<[u32; SIZES]>,
    count: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            sizes: Box::new([0; SIZES]),
            count: 0,
        }
    }
}

impl Spread {
    pub(super) fn add(&mut self, time: Duration) {
        let size = (time.as_secs_f64() * 1000.0).log2() + DOUBLINGS_BELOW;
        // What is too small, or nothing at all, comes out as 0.
        let size = (size * PER_DOUBLING) as usize;
        if let Some(count) = self.sizes.get_mut(size.min(SIZES - 1)) {
            *count = count.saturating_add(1);
            self.count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.sizes.iter_mut().zip(other.sizes.iter()) {
            *count = count.saturating_add(*more);
        }
        self.count += other.count;
    }

    /// In milliseconds, `share` from 0 to 1; `None` where nothing was counted.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count as f64;
        let mut below = 0.0;
        for (size, count) in self.sizes.iter().enumerate() {
            let count = f64::from(*count);
            if count > 0.0 && below + count >= wanted {
                let within = ((wanted - below) / count).clamp(0.0, 1.0);
                let doublings = (size as f64 + within) / PER_DOUBLING - DOUBLINGS_BELOW;
                return Some(doublings.exp2());
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Spread {
        let mut spread = Spread::default();
        for micros in times {
            spread.add(Duration::from_micros(*micros));
        }
        spread
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Spread::default().percentile(0.5), None);
    }

    #[test]
    fn what_is_beyond_all_sizes_counts_as_the_last_and_the_first() {
        let spread = of(&[0, 10, 100_000_000_000]);

        assert!(spread.percentile(0.1).unwrap() < 0.5);
        assert!(spread.percentile(1.0).unwrap() > 600_000.0);
    }

    proptest! {
        #[test]
        fn a_percentile_is_near_the_time_it_stands_for(
            mut times in prop::collection::vec(1_000..500_000_000u64, 1..200),
            share in 0.01..1.0f64,
        ) {
            let told = of(&times).percentile(share).unwrap();
            times.sort_unstable();
            let rank = (share * times.len() as f64).ceil() as usize;
            let meant = times[rank.max(1) - 1] as f64 / 1000.0;
            prop_assert!((0.84..1.19).contains(&(told / meant)), "{} for {}", told, meant);
        }

        #[test]
        fn what_is_merged_is_as_if_counted_together(
            one in prop::collection::vec(0..500_000_000u64, 0..50),
            other in prop::collection::vec(0..500_000_000u64, 0..50),
        ) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(merged, of(&[one, other].concat()));
        }
    }
}
