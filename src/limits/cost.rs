//! What does an answer cost?

use crate::config::Price;
use crate::wire::usage::Usage;

const MILLION: f64 = 1_000_000.0;

/// Dollars, by the prices of a million tokens of each kind.
pub fn usd(price: &Price, usage: &Usage) -> f64 {
    let priced = [
        (usage.input, price.input),
        (usage.cache_read, price.cache_read),
        (usage.cache_write, price.cache_write),
        (usage.cache_write_1h, price.cache_write_1h),
        (usage.output, price.output),
    ];
    let sum: f64 = priced
        .iter()
        .map(|(tokens, price)| *tokens as f64 * price)
        .sum();
    sum / MILLION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_price() {
        let price = Price {
            input: 15.0,
            output: 75.0,
            cache_read: 1.5,
            cache_write: 18.75,
            cache_write_1h: 30.0,
        };
        let usage = Usage {
            input: 1_000_000,
            cache_read: 2_000_000,
            cache_write: 400_000,
            cache_write_1h: 100_000,
            output: 200_000,
        };

        assert_eq!(usd(&price, &usage), 15.0 + 3.0 + 7.5 + 3.0 + 15.0);
    }
}
