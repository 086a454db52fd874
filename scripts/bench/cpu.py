"""How much CPU time did a process tree use, and how much did strangers use meanwhile?"""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CORES = os.cpu_count() or 1


def fields(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := fields(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def seconds(root: int) -> float:
    """User and system time of the tree, its ended and reaped children included."""
    total = 0
    for pid in tree(root):
        if stat := fields(pid):
            total += sum(int(ticks) for ticks in stat[11:15])
    return total / TICKS


def resident_bytes(root: int) -> int:
    return sum(int(stat[21]) * PAGE for pid in tree(root) if (stat := fields(pid)))


def busy_seconds() -> float:
    """What all processes of the machine used, ever."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def child_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system
