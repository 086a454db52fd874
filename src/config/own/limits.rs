//! How much may a client send, how slowly, and over how many connections?

use std::fs;
use std::time::Duration;

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::Limits;
use super::super::yaml::Node;

const KEYS: &[Key] = &[
    ("body", "One body that is held; a larger one is a 413."),
    (
        "bodies_in_flight",
        "All bodies that are held, together. Half of it is for strangers, who have shown no good key yet.",
    ),
    ("headers", "Fields of a request's head; more are a 431."),
    ("head", "Bytes of a request's head; more are a 431."),
    ("uri", "Bytes of a request's target; a longer one is a 414."),
    (
        "header_timeout",
        "From the connection, its TLS included, to the end of the first request's head.",
    ),
    (
        "body_timeout",
        "Without 64 KiB of progress; ten minutes in all, for uploads that stream too. Then it is a 408.",
    ),
    (
        "write_timeout",
        "For one piece of an answer to a client that reads slowly.",
    ),
    (
        "keepalive_timeout",
        "A client's silence between two requests.",
    ),
    (
        "connect_timeout",
        "To an open connection upstream, TLS included.",
    ),
    (
        "first_byte_timeout",
        "To the upstream's final response head.",
    ),
    (
        "idle_timeout",
        "Silence of an upstream in the middle of a body.",
    ),
    (
        "connections",
        "Clients' connections at one time. When there is no room, whoever waits longest goes.",
    ),
    (
        "connections_per_address",
        "Those of one address (IPv6: /64) on which no valid key was shown. An address with a valid key, or of `trusted_proxies`, is not limited.",
    ),
    (
        "connection_requests",
        "A connection ends after so many requests.",
    ),
    (
        "connection_age",
        "A connection ends with the first request after this time.",
    ),
];
const DAY: Duration = Duration::from_secs(24 * 3600);
const INSTANT: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// File descriptors that are not for clients: listeners, files, name look-ups, scrapes.
const RESERVED: usize = 128;
const FEWEST: usize = 64;
const MOST: usize = 32_768;
const MOST_OF_ONE: usize = 1024;

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let connections = connections(open_files().unwrap_or(1024));
        Self {
            body: 32 << 20,
            bodies_in_flight: 1 << 30,
            headers: 100,
            head: 32 << 10,
            uri: 8 << 10,
            header_timeout: seconds(10),
            body_timeout: seconds(60),
            write_timeout: seconds(30),
            keepalive_timeout: seconds(60),
            connect_timeout: seconds(5),
            first_byte_timeout: seconds(600),
            idle_timeout: seconds(300),
            connections,
            connections_per_address: per_address(connections),
            connection_requests: 10_000,
            connection_age: seconds(3600),
        }
    }
}

/// A client may need a connection upstream as well.
fn connections(open_files: usize) -> usize {
    (open_files.saturating_sub(RESERVED) / 2).clamp(FEWEST, MOST)
}

/// So many that no stranger alone shuts everybody else out.
fn per_address(connections: usize) -> usize {
    (connections / 4).clamp(1, MOST_OF_ONE)
}

/// How many files this process may hold open, where the system tells.
fn open_files() -> Option<usize> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Limits {
    let mut section = Section::open("limits", node, KEYS, &[], notes);
    let mut limits = Limits::default();
    section.unset_is(
        "connections",
        &format!(
            "half of the files that the process may open, less {RESERVED}, from {FEWEST} to {MOST}"
        ),
    );
    section.unset_is(
        "connections_per_address",
        &format!("a quarter of `connections`, at most {MOST_OF_ONE}"),
    );
    sizes(&mut section, &mut limits);
    times(&mut section, &mut limits);
    for (key, count, most) in [
        // What is larger never comes as far as this.
        ("headers", &mut limits.headers, 256),
        ("connections", &mut limits.connections, 1_000_000),
        (
            "connections_per_address",
            &mut limits.connections_per_address,
            1_000_000,
        ),
        (
            "connection_requests",
            &mut limits.connection_requests,
            1_000_000_000,
        ),
    ] {
        *count = section.count(key, *count, 1..=most);
    }
    if section.get("connections_per_address").is_none() {
        limits.connections_per_address = per_address(limits.connections);
    }
    limits
}

fn sizes(section: &mut Section, limits: &mut Limits) {
    for (key, size, range) in [
        ("body", &mut limits.body, 1 << 10..=1 << 30),
        (
            "bodies_in_flight",
            &mut limits.bodies_in_flight,
            1 << 10..=1 << 40,
        ),
        ("head", &mut limits.head, 1 << 10..=1 << 20),
        ("uri", &mut limits.uri, 1 << 10..=64 << 10),
    ] {
        *size = section.size(key, *size as u64, range);
    }
    if limits.bodies_in_flight < limits.body {
        let is_set = section.get("bodies_in_flight").is_some();
        let key = if is_set { "bodies_in_flight" } else { "body" };
        section.fault(
            key,
            "leaves no room for one whole body, `bodies_in_flight` is at least `body`",
        );
    }
}

fn times(section: &mut Section, limits: &mut Limits) {
    for (key, time, least) in [
        ("header_timeout", &mut limits.header_timeout, INSTANT),
        ("body_timeout", &mut limits.body_timeout, INSTANT),
        ("write_timeout", &mut limits.write_timeout, INSTANT),
        // Pingora counts it in whole seconds.
        ("keepalive_timeout", &mut limits.keepalive_timeout, SECOND),
        ("connect_timeout", &mut limits.connect_timeout, INSTANT),
        (
            "first_byte_timeout",
            &mut limits.first_byte_timeout,
            INSTANT,
        ),
        ("idle_timeout", &mut limits.idle_timeout, INSTANT),
        ("connection_age", &mut limits.connection_age, INSTANT),
    ] {
        *time = section.duration(key, *time, least..=DAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_that_may_be_open_are_for_clients() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max open files            1024                 524288               files\n";

        assert_eq!(soft_limit(table).map(connections), Some(448));
        assert_eq!(connections(100), FEWEST);
        assert_eq!(connections(usize::MAX), MOST);
        assert_eq!(soft_limit("Max processes 1 2 processes\n"), None);
    }

    #[test]
    fn no_address_alone_may_have_all_connections_unless_the_file_says_so() {
        for connections in [2, 448, 4096, MOST] {
            assert!(per_address(connections) < connections, "{connections}");
        }
        assert_eq!((per_address(448), per_address(MOST)), (112, 1024));
        assert_eq!(per_address(1), 1);
    }
}
