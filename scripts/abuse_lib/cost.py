"""What does abuse cost the gateway? Its memory at the peak, its processor time and its open files, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    rss_mib: float
    cpu_ms: float
    seconds: float


@dataclass(frozen=True)
class Meter:
    """Counts from the moment it was made."""

    pid: int
    rss: int
    cpu: int
    began: float

    @staticmethod
    def start(pid: int, now: float) -> "Meter":
        # From here on the kernel's peak is this row's.
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        return Meter(pid, memory(pid, "VmRSS"), cpu_ns(pid), now)

    def read(self, now: float) -> Cost:
        peak = memory(self.pid, "VmHWM") - self.rss
        return Cost(max(0, peak) / 1024, max(0, cpu_ns(self.pid) - self.cpu) / 1e6, now - self.began)


def memory(pid: int, name: str) -> int:
    """In KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def cpu_ns(pid: int) -> int:
    """Of all threads; schedstat is finer than a clock tick."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((thread / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
