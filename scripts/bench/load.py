"""What is one measurement? wrk against one proxy, and the CPU time of the proxy's process tree divided by its requests."""

import re
import statistics
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
    # The client brings one.
    key: bool = True


WORKLOADS = [
    Workload("1 KB body", 1024),
    Workload("256 KB body", 256 * 1024),
    Workload("40-event stream, at once", 1024, "?events=40"),
    Workload("40-event stream, 5 ms apart", 1024, "?events=40&every=5"),
]


@dataclass(frozen=True)
class Sample:
    """CPU time in seconds: of the proxy, and of everybody else on the machine meanwhile."""

    requests: int = 0
    cpu: float = 0.0
    strangers: float = 0.0
    wall: float = 0.0

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(self.requests + other.requests, self.cpu + other.cpu, self.strangers + other.strangers, self.wall + other.wall)

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / self.requests

    @property
    def foreign(self) -> float:
        """The share of the machine that was others'."""
        return self.strangers / (self.wall * cpu.CORES)


def ratio(samples: list[Sample], peer: list[Sample]) -> float:
    """The median of the rounds' own: what disturbs a round longer than a slice disturbs both alike."""
    return statistics.median(one.cpu_per_request / other.cpu_per_request for one, other in zip(samples, peer, strict=True))


def body(workload: Workload) -> str:
    """Valid in either dialect."""
    stream = '"stream":true,' if workload.stream else ""
    start, end = f'{{"model":"{workload.model}","max_tokens":64,{stream}"messages":[{{"role":"user","content":"', '"}]}'
    return start + "x" * (workload.body_bytes - len(start) - len(end)) + end


def wrk(proxy: Proxy, workload: Workload, rig: Rig, seconds: int) -> tuple[int, float, float]:
    """Requests answered, the load generator's own CPU seconds, and the wall time."""
    arguments = [rig.write("body.json", body(workload)), *([] if workload.key else ["keyless"])]
    url = f"http://127.0.0.1:{proxy.port}{workload.path}{workload.query}"
    began, before = time.monotonic(), cpu.child_seconds()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", SCRIPT, url, "--", *arguments],
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
    return Sample(requests, used, max(0.0, cpu.busy_seconds() - busy - ours), wall)
