//! Whose connections may a request use? Threads that share no tasks keep the connections that they opened to themselves:
//! one that another thread opened would wake that one first, at each read.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Server;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Counts the threads that ever asked.
    static ORDINAL: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// Into how many shares the connections to one server fall.
#[derive(Clone, Copy, Debug)]
pub struct Shares(usize);

impl Shares {
    /// All threads use the same.
    pub const ONE: Self = Self(1);

    pub fn of(server: &Server) -> Self {
        if server.work_stealing {
            return Self::ONE;
        }
        Self(server.threads.max(1))
    }

    pub fn count(self) -> usize {
        self.0
    }

    /// The share of the thread that asks, from 0.
    pub fn own(self) -> usize {
        ORDINAL.with(|ordinal| ordinal % self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shares(work_stealing: bool) -> Shares {
        Shares::of(&Server {
            threads: 2,
            work_stealing,
            pid_file: None,
            control_socket: None,
            upstream_keepalive_pool_size: 1,
        })
    }

    fn kept() -> usize {
        let own = shares(false).own();
        assert_eq!(shares(false).own(), own);
        own
    }

    #[test]
    fn threads_that_share_no_tasks_have_a_share_each_and_keep_it() {
        // More than two, for tests beside this one ask from threads of their own.
        let threads = (0..64).map(|_| std::thread::spawn(kept).join().unwrap());

        assert_eq!(threads.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));
        assert_eq!((shares(true).count(), shares(true).own()), (1, 0));
    }
}
