"""What of the other two ports? The egress port leads to the same pools and is as strict; the admin port shuts nobody out."""

import time
from dataclasses import replace

from . import heads, smuggling
from .bodies import one_of
from .conf import MIB
from .floods import crowd_of, leave, still_open
from .rows import Bounds, Bout, check, head, row
from .wire import Wire, connect

TARGET = "/v3/api.anthropic.com/v1/messages"
CLOSED = ["/evil.example/v3/api.anthropic.com/v1/messages", "/v3/../v1/messages", "//evil.example/v3/x", "http://evil.example/v3/x", "/v3/%2e%2e/x"]
PLACES = 128


def at_egress(bout: Bout) -> Bout:
    """As if the egress port were the only one."""
    return Bout(bout.world, replace(bout.gateway, plain=bout.gateway.egress))


@row("ports", f"egress: the {len(heads.REFUSED)} heads that are none, and the {len(heads.TOO_LARGE)} that are too large", "refused as on the data port; nothing sent up")
def egress_heads(bout: Bout) -> str:
    port, got = at_egress(bout), {}
    for _, request, statuses in heads.REFUSED + heads.TOO_LARGE:
        status = heads.refused(port, request.replace(b"/v1/abuse", TARGET.encode()), statuses)
        got[status] = got.get(status, 0) + 1
    return ", ".join(f"{count} × {status}" for status, count in sorted(got.items()))


@row("ports", f"egress: {len(smuggling.REFUSED)} framings that two servers could read differently", "400, closed; nothing sent up")
def egress_framings(bout: Bout) -> str:
    port = at_egress(bout)
    for _, fields, body in smuggling.REFUSED:
        smuggling.refused(port, TARGET, smuggling.post(TARGET, fields, body))
    smuggling.nothing_reached(bout)
    return f"{len(smuggling.REFUSED)} × 400, closed"


@row("ports", "egress: hosts that are not allowed, and paths that are none", "400, 403 or 404; nothing sent up")
def egress_hosts(bout: Bout) -> str:
    got = []
    for target in CLOSED:
        with at_egress(bout).wire() as wire:
            wire.send(smuggling.post(target, ["content-length: {n}"], smuggling.JSON))
            status = wire.next().status
            check(status in (400, 403, 404), f"{target}: {status}")
            got.append(str(status))
    smuggling.nothing_reached(bout)
    return ", ".join(got)


@row("ports", "egress: Content-Length: 2 GB, chunks without end", "413", bounds=Bounds(rss_mib=32))
def egress_bodies(bout: Bout) -> str:
    with at_egress(bout).wire() as wire:
        wire.send(head(f"POST {TARGET} HTTP/1.1", "content-length: 2000000000"))
        got = [one_of(wire.next().status, 413)]
    with at_egress(bout).wire() as wire:
        wire.send(head(f"POST {TARGET} HTTP/1.1", "transfer-encoding: chunked"))
        sent = 0
        while sent < 64 * MIB and wire.send(b"10000\r\n" + b" " * 65_536 + b"\r\n"):
            sent += 65_536
    check(sent < 32 * MIB, f"{sent // MIB} MiB were taken")
    smuggling.nothing_reached(bout)
    return f"{got[0]}; cut after {sent // MIB} MiB"


@row("ports", "admin: 300 connections with a head that never ends", f"at most {PLACES} of them stay; a probe is answered at once")
def slow_heads_at_admin(bout: Bout) -> str:
    port = Bout(bout.world, replace(bout.gateway, plain=bout.gateway.admin))
    crowd = crowd_of(port, 300, opening=b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: ")
    time.sleep(0.5)
    began = time.monotonic()
    with Wire(connect(("127.0.0.1", bout.gateway.admin))) as wire:
        wire.send(head("GET /readyz HTTP/1.1"))
        answer = wire.next()
    took, staying = time.monotonic() - began, still_open(crowd)
    leave(crowd)
    check(answer is not None and answer.status == 200, f"the probe got {answer and answer.status}")
    check(staying <= PLACES and took < 2, f"{staying} stay, the probe took {took:.1f} s")
    return f"{staying} of {len(crowd)} stay, the probe took {took * 1000:.0f} ms"
