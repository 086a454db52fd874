//! Whether a body was processed before: digests of the last so many, in two generations.

use std::collections::HashSet;

/// Digests of one generation.
const MOST: usize = 1 << 17;

#[derive(Default)]
pub(super) struct Processed {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Processed {
    /// True where this digest was here before.
    pub(super) fn again(&mut self, digest: u64) -> bool {
        let again = self.old.contains(&digest) || !self.young.insert(digest);
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_rest_are_known() {
        let mut processed = Processed::default();
        let many = MOST as u64 * 3;

        let again = (0..many).filter(|digest| processed.again(*digest)).count();

        assert_eq!(again, 0);
        assert!(processed.again(many - 1));
        assert!(!processed.again(0), "long forgotten");
        assert!(processed.young.len() + processed.old.len() <= 2 * MOST);
    }
}
