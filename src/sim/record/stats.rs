//! What the simulator counts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sim::head::Head;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    pub requests: u64,
    pub posts: u64,
    pub by_path: BTreeMap<String, u64>,
    pub by_status: BTreeMap<u16, u64>,
    pub in_flight: u64,
    pub in_flight_max: u64,
    /// Requests whose client left before the answer was whole.
    pub cancelled: u64,
    pub goaways: u64,
    pub connections: Connections,
    /// By the gates.
    pub refused: Refused,
    /// Cloudflare's own errors by number, of gates and scripts.
    pub edge_errors: BTreeMap<u16, u64>,
    /// 2xx heads written to POSTs.
    pub served_heads: u64,
    /// Of these, answers that were written to their end.
    pub served_whole: u64,
    /// Of these, event streams.
    pub streams_whole: u64,
    /// POSTs that were processed though their very body had been before.
    pub duplicates: u64,
    /// Requests to the provider's own host that brought fields meant for Supermemory.
    pub leaks: u64,
}

/// Requests that a gate refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub cookies: u64,
    pub rate: u64,
    pub capacity: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Connections {
    pub accepted: u64,
    pub open: u64,
    pub h1: u64,
    pub h2: u64,
    pub tls_full: u64,
    pub tls_resumed: u64,
}

impl Stats {
    pub(super) fn arrive(&mut self, head: &Head) {
        /// Distinct paths that are counted by name; a fuzzer must not fill the memory.
        const PATHS: usize = 512;
        self.requests += 1;
        self.posts += u64::from(head.method == "POST");
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        if let Some(count) = self.by_path.get_mut(head.path()) {
            *count += 1;
        } else if self.by_path.len() < PATHS {
            self.by_path.insert(head.path().to_owned(), 1);
        }
    }
}
