"""How are the samples told? As ratios to the bare Pingora proxy, with the medians and the spread that they come from."""

import os
import statistics
import subprocess

from . import idle
from .load import CONNECTIONS, WORKLOADS, Sample, ratio

PEER = "bare Pingora"


def markdown(samples: dict, memory: dict[str, float], rounds: int, seconds: int, dropped: int) -> str:
    proxies = list(memory)
    lines = [
        "# What memgate costs",
        "",
        "Written by `scripts/bench/run`. CPU time per request: user and system time of the proxy's whole process tree, divided by the requests answered.",
        "",
        f"| CPU µs per request, median (min–max) and ÷ {PEER} | " + " | ".join(proxies) + " |",
        "|---|" + "---|" * len(proxies),
    ]
    for workload in WORKLOADS:
        cells = [cell(samples, workload.name, name) for name in proxies]
        lines.append(f"| {workload.name} | " + " | ".join(cells) + " |")
    cells = [f"{value:.1f} ({value - memory[PEER]:+.1f})" for value in memory.values()]
    lines.append(f"| KiB resident per open stream, {idle.STREAMS:,} of them (− {PEER}) | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *method(rounds, seconds, dropped), ""])


def cell(samples: dict, workload: str, name: str) -> str:
    micros = [one.cpu_per_request * 1e6 for one in samples[workload, name]]
    times = ratio(samples[workload, name], samples[workload, PEER])
    return f"{statistics.median(micros):.1f} ({min(micros):.1f}–{max(micros):.1f}), **{times:.2f}×**"


def method(rounds: int, seconds: int, dropped: int) -> list[str]:
    return [
        f"How: {os.cpu_count()} cores shared by the load generator (wrk, {CONNECTIONS} keep-alive connections, at saturation), one mock upstream "
        f"(`examples/mock_upstream.rs`) and the proxy; loopback, HTTP/1.1. {rounds} rounds of {seconds} s for each proxy, in turns of 1 s after a warm-up; "
        f"a ratio is the median of the rounds' own ratios, for the two change together with what else the machine does. A round in which other processes used more than 20 % of the machine is dropped and repeated ({dropped} were).",
        "",
        "What the proxies do: all use every core, keep their upstream connections and write no access log (memgate: `RUST_LOG=warn`). nginx and memgate hold the request body "
        "before they send it on, HAProxy and the bare proxy pass it through. memgate also reads the model's name in the body, routes by it, and counts. Measured is its plain HTTP "
        "route to LiteLLM, `POST /v1/messages`; the direct route adds TLS to the upstream, which none of the peers has here.",
        "The bare proxy is `examples/bare_proxy.rs`: same Pingora, same release profile, same allocator, everything else as Pingora ships it. memgate's threads steal no tasks from "
        "each other (`server.work_stealing: false`, its default), which Pingora's do; the second bare proxy runs that way too. Ratios travel between machines, absolute numbers do not.",
        "Memory per open stream: Pingora reserves two buffers of 64 KiB for each, one to read the client's connection and one for the answer's body, and uses little of them. With "
        "mimalloc on transparent huge pages they are resident all the same: with `MIMALLOC_ALLOW_THP=0`, or glibc's allocator, the bare proxy was seen to hold about 65 KiB, "
        "and memgate, with that variable set, about as much.",
        "",
        f"Versions: {version('nginx', '-v')}, {version('haproxy', '-v')}, {version('wrk', '-v')}.",
    ]


def version(program: str, flag: str) -> str:
    done = subprocess.run([program, flag], capture_output=True, text=True)
    return " ".join((done.stdout + done.stderr).splitlines()[0].split("-")[0].split()[:3]).removeprefix("nginx version: ")
