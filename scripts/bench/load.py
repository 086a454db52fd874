"""What is one measurement? wrk against one proxy, and the CPU time of the proxy's process tree divided by its requests."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from rig import Process, Rig

from . import cpu
from .proxies import Proxy

SCRIPT = Path(__file__).with_name("post.lua")
CONNECTIONS = 64


@dataclass(frozen=True)
class Workload:
    name: str
    body_bytes: int
    query: str = ""
    path: str = "/v1/messages"
    model: str = "some-model"
    stream: bool = False


WORKLOADS = [
    Workload("1 KB body", 1024),
    Workload("256 KB body", 256 * 1024),
    Workload("40-event stream, at once", 1024, "?events=40"),
    Workload("40-event stream, 5 ms apart", 1024, "?events=40&every=5"),
]


@dataclass(frozen=True)
class Sample:
    cpu_per_request: float
    requests_per_second: float
    foreign: float


def body(workload: Workload) -> str:
    """Valid in either dialect."""
    stream = '"stream":true,' if workload.stream else ""
    start, end = f'{{"model":"{workload.model}","max_tokens":64,{stream}"messages":[{{"role":"user","content":"', '"}]}'
    return start + "x" * (workload.body_bytes - len(start) - len(end)) + end


def wrk(proxy: Proxy, workload: Workload, rig: Rig, seconds: int) -> tuple[int, float, float]:
    """Requests answered, the load generator's own CPU seconds, and the wall time."""
    payload = rig.write("body.json", body(workload))
    url = f"http://127.0.0.1:{proxy.port}{workload.path}{workload.query}"
    began, before = time.monotonic(), cpu.child_seconds()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", SCRIPT, url, "--", payload],
        capture_output=True, text=True, check=True,
    )
    wall, used = time.monotonic() - began, cpu.child_seconds() - before
    if fault := re.search(r"(Socket errors|Non-2xx).*", done.stdout):
        if not re.fullmatch(r"Socket errors: connect 0, read 0, write 0, timeout 0", fault[0]):
            raise RuntimeError(f"{proxy.name}, {workload.name}: {fault[0]}\n{proxy.process.output(10)}")
    return int(re.search(r"(\d+) requests in", done.stdout)[1]), used, wall


def sample(proxy: Proxy, workload: Workload, upstream: Process, rig: Rig, seconds: int) -> Sample:
    busy, proxy_before, upstream_before = cpu.busy_seconds(), cpu.seconds(proxy.process.pid), cpu.seconds(upstream.pid)
    requests, generator, wall = wrk(proxy, workload, rig, seconds)
    used = cpu.seconds(proxy.process.pid) - proxy_before
    ours = used + generator + cpu.seconds(upstream.pid) - upstream_before
    foreign = max(0.0, cpu.busy_seconds() - busy - ours) / (wall * cpu.CORES)
    return Sample(used / requests, requests / wall, foreign)
