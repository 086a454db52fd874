"""How many may come at once? Crowds of connections are counted, and those who are let in are served."""

import contextlib
import socket
import time

from .rows import Bounds, Bout, check, head, row
from .smuggling import JSON
from .tls import handshake
from .wire import ENDED, connect, reset, tls_context

DIRECT = JSON.replace(b"claude-litellm", b"claude-h2")
WIDE = Bounds(rss_mib=200, cpu_ms=30_000)


def crowd_of(bout: Bout, count: int, source: str | None = None, opening: bytes = b"") -> list[socket.socket]:
    """As many as are let in."""
    crowd = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            crowd.append(bout.connect(source))
            if opening:
                crowd[-1].sendall(opening)
    return crowd


def still_open(crowd: list[socket.socket]) -> int:
    """Those that the gateway has neither closed nor answered."""
    count = 0
    for connection in crowd:
        connection.setblocking(False)
        try:
            connection.recv(1)
        except BlockingIOError:
            count += 1
        except OSError:
            continue
    return count


def leave(crowd: list[socket.socket]) -> None:
    for connection in crowd:
        connection.close()


@row("floods", "3,000 connections opened and reset at once", "the honest client is served")
def opened_and_reset(bout: Bout) -> str:
    for _ in range(3000):
        reset(bout.connect())
    return "3,000 ended"


@row("floods", "500 silent connections from one address", "the honest client is served", bounds=WIDE)
def silent_crowd(bout: Bout) -> str:
    crowd = crowd_of(bout, 500)
    time.sleep(0.5)
    leave(crowd)
    return f"{len(crowd)} connected"


@row("floods", "100 silent TLS connections, handshake done", "the honest client is served", bounds=WIDE)
def silent_tls(bout: Bout) -> str:
    context = tls_context()
    crowd = [one for one in (handshake(bout, context) for _ in range(100)) if one]
    leave(crowd)
    check(crowd, "no handshake")
    return f"{len(crowd)} connected"


@row("floods", "2,000 × GET /health on one connection, 200 in each write", "answers in order, or an end", bounds=WIDE)
def pipelined(bout: Bout) -> str:
    answered = 0
    with bout.wire() as wire:
        for _ in range(10):
            if not wire.send(head("GET /health HTTP/1.1") * 200):
                break
            for _ in range(200):
                answer = wire.next()
                if answer is None:
                    return f"{answered} answers, then the end"
                check(answer.status == 200, str(answer.status))
                answered += 1
    return f"{answered} answers"


@row("floods", "connections_per_address 100: 250 silent connections from 127.0.0.2", "at most 100 of them stay; other addresses are served", gateway="guarded")
def per_address(bout: Bout) -> str:
    crowd = crowd_of(bout, 250, "127.0.0.2")
    time.sleep(0.5)
    staying = still_open(crowd)
    leave(crowd)
    check(0 < staying <= 100, f"{staying} of {len(crowd)} stay")
    return f"{staying} of 250 stay"


@row("floods", "connections_per_address 100: 160 connections from one address, each with a valid key", "all are served: a balancer has one address too", gateway="guarded")
def behind_a_balancer(bout: Bout) -> str:
    crowd, got = [], {}
    request = head("POST /v1/messages HTTP/1.1", f"content-length: {len(DIRECT)}") + DIRECT
    for _ in range(160):
        wire = bout.wire("127.0.0.3")
        wire.send(request)
        answer = wire.next()
        status = answer.status if answer else 0
        got[status] = got.get(status, 0) + 1
        crowd.append(wire.connection)
    leave(crowd)
    check(got == {200: 160}, f"{got}")
    return "160 × 200"


@row("floods", "connections 400: 95 idle connections from each of 6 addresses", "never more than 400; new ones are let in, the oldest idle ones go", gateway="guarded", bounds=WIDE)
def global_limit(bout: Bout) -> str:
    crowd = []
    for number in range(11, 17):
        crowd += crowd_of(bout, 95, f"127.0.0.{number}")
    time.sleep(0.5)
    staying = still_open(crowd)
    with bout.wire("127.0.0.99") as wire:
        wire.send(head("GET /health HTTP/1.1"))
        answer = wire.next()
        check(answer is not None and answer.status == 200, f"a new client got {answer and answer.status}")
    leave(crowd)
    check(staying <= 400, f"{staying} stay")
    return f"{staying} of {len(crowd)} stay"


@row("floods", "5,000 silent connections from 9 addresses, limits as shipped", "the honest client is served; all end within 15 s", gateway="shipped", quick=False, bounds=Bounds(rss_mib=400, cpu_ms=60_000))
def five_thousand(bout: Bout) -> str:
    crowd = []
    for number in range(2, 11):
        crowd += crowd_of(bout, 555, f"127.0.0.{number}")
    end = time.monotonic() + 20
    while (staying := still_open(crowd)) and time.monotonic() < end:
        time.sleep(0.5)
    leave(crowd)
    check(not staying, f"{staying} of {len(crowd)} open after 20 s")
    return f"{len(crowd)} connected, none stays"


@row("floods", "2,000 idle connections after a 200, limits as shipped, then a new client", "the new client is served", gateway="shipped", quick=False, bounds=Bounds(rss_mib=300, cpu_ms=60_000))
def hoarders(bout: Bout) -> str:
    crowd, served = [], 0
    for number in range(2000):
        with contextlib.suppress(OSError):
            wire = bout.wire(f"127.0.0.{2 + number % 20}")
            crowd.append(wire.connection)
            wire.send(head("GET /health HTTP/1.1"))
            answer = wire.next()
            served += answer is not None and answer.status == 200
    with bout.wire("127.0.0.200") as wire:
        wire.send(head("GET /health HTTP/1.1"))
        answer = wire.next(ENDED)
        check(answer is not None and answer.status == 200, f"the new client got {answer and answer.status}")
    leave(crowd)
    return f"{served} served, and the new one"


@row("floods", "clients that leave: 400 requests, each ended by RST before its answer", "the upstream is let go; the pools stay sound")
def leavers(bout: Bout) -> str:
    bout.world.edge_h2.rule({"pace": {"delay_ms": 1000}}, body="that-leaves")
    request = DIRECT.replace(b'"x"', b'"that-leaves"')
    for number in range(400):
        connection = connect(("127.0.0.1", bout.gateway.plain))
        connection.sendall(head("POST /v1/messages HTTP/1.1", f"content-length: {len(request)}") + request)
        # At any step of its way: some are gone before they were read, some have come as far as the edge.
        time.sleep(number % 8 / 2000)
        reset(connection)
    end = time.monotonic() + 10
    while (held := bout.world.edge_h2.in_flight()) > 3 and time.monotonic() < end:
        time.sleep(0.2)
    check(held <= 3, f"{held} in flight upstream")
    return f"{len(bout.seen())} came up, all let go"
