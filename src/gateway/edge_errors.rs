//! Which errors did edges make lately? The last few, for the status page.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;

/// So many are kept.
const KEPT: usize = 32;

/// The last edge errors, oldest first.
#[derive(Default)]
pub struct EdgeErrors(Mutex<VecDeque<EdgeErrorNote>>);

/// One error of an edge. Its texts are those of [`crate::upstream::EdgeError`], which are short and harmless.
#[derive(Clone, Debug)]
pub struct EdgeErrorNote {
    pub time: SystemTime,
    pub lane: String,
    pub status: u16,
    pub code: Option<u16>,
    pub zone: Option<String>,
    pub ray_id: Option<String>,
    pub request_id: String,
}

impl EdgeErrors {
    pub fn note(&self, error: EdgeErrorNote) {
        let mut kept = self.0.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(error);
    }

    pub fn last(&self) -> Vec<EdgeErrorNote> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_errors_are_kept() {
        let errors = EdgeErrors::default();

        for number in 0..100 {
            errors.note(EdgeErrorNote {
                time: SystemTime::UNIX_EPOCH,
                lane: "lane".to_owned(),
                status: 503,
                code: Some(1200),
                zone: None,
                ray_id: None,
                request_id: number.to_string(),
            });
        }

        let last = errors.last();
        assert_eq!(last.len(), KEPT);
        assert_eq!(last.first().unwrap().request_id, "68");
        assert_eq!(last.last().unwrap().request_id, "99");
    }
}
