//! What does the process take of the machine: processor, memory, open files?

use std::fs;

use prometheus::{Counter, IntGauge, Registry, Result};
use rustix::process::{Resource, getrlimit};

use super::metrics::gauge;

/// The kernel's own measure of time in `/proc`, on every platform that we build for.
const TICKS_A_SECOND: f64 = 100.0;

/// Read when somebody asks.
pub(super) struct Process {
    cpu: Counter,
    resident: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
}

impl Process {
    pub fn new(registry: &Registry) -> Result<Self> {
        let cpu = Counter::new("process_cpu_seconds_total", "Processor time taken.")?;
        registry.register(Box::new(cpu.clone()))?;
        Ok(Self {
            cpu,
            resident: gauge(
                registry,
                "process_resident_memory_bytes",
                "Memory that is in use and not swapped out.",
            )?,
            open_fds: gauge(registry, "process_open_fds", "Open files and sockets.")?,
            max_fds: gauge(
                registry,
                "process_max_fds",
                "How many files and sockets may be open.",
            )?,
        })
    }

    /// What cannot be read keeps its last value.
    pub fn look(&self) {
        if let Some(seconds) = cpu_seconds(&read("/proc/self/stat")) {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        if let Some(bytes) = resident_bytes(&read("/proc/self/status")) {
            self.resident.set(bytes);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // One of them is the look itself.
            self.open_fds.set(files.count().saturating_sub(1) as i64);
        }
        let most = getrlimit(Resource::Nofile).current;
        self.max_fds
            .set(most.map_or(i64::MAX, |most| i64::try_from(most).unwrap_or(i64::MAX)));
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// In user and in kernel mode. The program's name comes first, and may hold anything but its own last bracket.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest
        .split_ascii_whitespace()
        .skip(11)
        .map(str::parse::<f64>);
    let (user, kernel) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + kernel) / TICKS_A_SECOND)
}

fn resident_bytes(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read_whatever_the_program_is_called() {
        let stat = "12 (mem) gate) S 1 2 3 0 -1 4194304 100 0 0 0 250 50 0 0 20 0";

        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("12 (memgate) S 1"), None);
        assert_eq!(
            resident_bytes("VmPeak:\t9 kB\nVmRSS:\t  2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(resident_bytes(""), None);
    }

    #[test]
    fn this_process_takes_something() {
        let registry = Registry::new();
        let process = Process::new(&registry).unwrap();

        process.look();

        assert!(process.resident.get() > 1 << 20);
        assert!(process.open_fds.get() > 2);
        assert!(process.max_fds.get() >= process.open_fds.get());
        assert!(process.cpu.get() >= 0.0);
    }
}
