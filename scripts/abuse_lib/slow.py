"""Who may take his time, and how long? Heads, bodies and readers that crawl are cut, and hold nothing upstream meanwhile."""

import contextlib
import csv
import json
import socket
import subprocess
import time

from .cost import open_files
from .frames import HEADERS, PREFACE, H2Wire, block, data, frame, get, headers, post_fields, settings
from .rows import Bounds, Bout, check, head, row
from .upstreams import Upstream
from .wire import Silent, Wire, connect

DEADLINE = 3
LATE = DEADLINE + 5
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60)
CROWD = 50
# 300 bodies of 100 kB, announced and made room for.
BODIES = Bounds(rss_mib=96)


def all_end(connections: list[socket.socket], within: float) -> float:
    """Seconds until the last of them ended."""
    began = time.monotonic()
    for connection in connections:
        left = began + within - time.monotonic()
        check(Wire(connection).until_ended(max(0.05, left)) is not None, f"open after {within:.0f} s")
        connection.close()
    return time.monotonic() - began


def silent(name: str, opening: bytes, port: str, expected: str = f"all end within {LATE} s") -> None:
    @row("slow", f"{CROWD} clients: {name}", expected, quick=False)
    def deed(bout: Bout) -> str:
        crowd = []
        for _ in range(CROWD):
            crowd.append(bout.tls(["h2"]) if port == "over TLS" else connect(("127.0.0.1", getattr(bout.gateway, port))))
            crowd[-1].sendall(opening)
        return f"all ended after {all_end(crowd, LATE):.1f} s"


silent("say nothing, plain port", b"", "plain")
silent("10 bytes of a head", b"GET / HTTP", "plain")
silent("a head without its end", head("GET /v1/abuse HTTP/1.1")[:-2], "plain")
silent("say nothing, TLS port", b"", "tls")
silent("half a ClientHello", CLIENT_HELLO, "tls")
silent("say nothing after the TLS handshake", b"", "over TLS")
silent("half a preface after the TLS handshake", PREFACE[:12], "over TLS")
silent("say nothing, HTTP/2 without TLS", b"", "h2c")
silent("10 bytes of the preface, without TLS", PREFACE[:10], "h2c")
silent("a header block without its end", PREFACE + settings() + frame(HEADERS, 1, 1, block(get())), "over TLS")


@row("slow", "a head of one line per second, without end", f"ends within {LATE} s", quick=False)
def slow_head(bout: Bout) -> str:
    began = time.monotonic()
    with bout.wire() as wire:
        wire.send(head("GET /v1/abuse HTTP/1.1")[:-2])
        while wire.send(b"x: y\r\n") and time.monotonic() < began + LATE and wire.quiet(1):
            pass
        said = wire.until_ended(0.5)
    check(said is not None, f"open after {LATE} s")
    return f"ended after {time.monotonic() - began:.1f} s"


@row("slow", "slowhttptest -H: 500 clients, a line every 5 s, deadlines as shipped", "all closed within 15 s of the last one's start", gateway="shipped", quick=False)
def slow_headers(bout: Bout) -> str:
    return slowhttptest(bout, ["-c", "500", "-H", "-i", "5", "-r", "100", "-l", "60", "-x", "24"], 22)


@row("slow", "slowhttptest -B: 300 clients, a few bytes every second, deadline of 3 s", "all closed within 15 s", quick=False, bounds=BODIES)
def slow_bodies(bout: Bout) -> str:
    return slowhttptest(bout, ["-c", "300", "-B", "-i", "1", "-r", "100", "-s", "100000", "-l", "40", "-x", "10"], 18)


@row("slow", "slowhttptest -B: 300 clients, a few bytes every 10 s, deadlines as shipped", "all closed within 75 s; nothing held upstream", gateway="shipped", quick=False, bounds=BODIES)
def slow_bodies_as_shipped(bout: Bout) -> str:
    return slowhttptest(bout, ["-c", "300", "-B", "-i", "10", "-r", "100", "-s", "100000", "-l", "100", "-x", "10"], 75)


@row("slow", "slowhttptest -X: 200 clients read 24 MB at 5 bytes a second", "let go within 55 s", gateway="odd", quick=False, bounds=Bounds(rss_mib=240))
def slow_readers_by_tool(bout: Bout) -> str:
    """What it prints does not count: it reads so slowly that it never learns of the end."""
    url = f"http://127.0.0.1:{bout.gateway.plain}{large(bout)}"
    usual = open_files(bout.gateway.pid)
    options = ["-c", "200", "-X", "-r", "100", "-w", "512", "-y", "1024", "-n", "1", "-z", "5", "-l", "70", "-u", url, "-p", "5"]
    tool = subprocess.Popen(["slowhttptest", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return closed_here(bout, usual, 55)
    finally:
        tool.kill()
        tool.wait()


def closed_here(bout: Bout, usual: int, within: float) -> str:
    """Until the gateway has closed what it had of them, to both sides."""
    began, most = time.monotonic(), 0
    while time.monotonic() < began + within:
        time.sleep(1)
        held = open_files(bout.gateway.pid) - usual
        most = max(most, held)
        if most > 100 and held <= 20:
            break
    check(most > 100, f"only {most} connections were ever open")
    check(held <= 20, f"{held} of {most} connections still open after {within:.0f} s")
    return f"{most} connections closed after {time.monotonic() - began:.0f} s"


def slowhttptest(bout: Bout, options: list[str], within: int) -> str:
    """Its own table says how many connections were open in which second."""
    url = f"http://127.0.0.1:{bout.gateway.plain}/v1/messages"
    table = bout.world.rig.folder / "slow.csv"
    subprocess.run(["slowhttptest", *options, "-u", url, "-p", "5", "-g", "-o", str(table.with_suffix(""))], capture_output=True, timeout=180, check=False)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    check(rows, "slowhttptest said nothing")
    open_in = {int(line["Seconds"]): int(line["Connected"]) + int(line["Pending"]) for line in rows}
    most, last = max(open_in.values()), max([second for second, count in open_in.items() if count], default=0)
    check(most > 0, "it never had a connection")
    check(last <= within, f"{open_in[last]} open after {last} s")
    check(bout.world.litellm.in_flight() <= 3, f"{bout.world.litellm.in_flight()} held upstream")
    return f"{most} at once, none after {last + 1} s"


@row("slow", "bodies of a byte every half second, held and streamed, from the start and after 70 KB", f"408 or the end within {LATE} s; none stays upstream", quick=False)
def slow_body(bout: Bout) -> str:
    got = []
    for path, beginning in (("/v1/messages", 0), ("/v1/audio/speech", 0), ("/v1/messages", 70_000), ("/v1/audio/speech", 70_000)):
        began = time.monotonic()
        with bout.wire() as wire:
            wire.send(head(f"POST {path} HTTP/1.1", "content-length: 100000") + b" " * beginning)
            while wire.send(b" ") and time.monotonic() < began + LATE and wire.quiet(0.5):
                pass
            with contextlib.suppress(Silent):
                answer = wire.next(0.5)
                check(answer is None or answer.status == 408, f"{path}: {answer and answer.status}")
                got.append(f"{answer.status if answer else 'closed'} after {time.monotonic() - began:.1f} s")
                continue
        check(False, f"{path}: open after {LATE} s")
    time.sleep(1)
    check(all(one["outcome"] != "open" for one in bout.seen()), "held upstream")
    return ", ".join(got)


@row("slow", "a streamed upload without an end, 64 KiB every 5 ms", "bounded memory; the upstream is let go", quick=False, bounds=Bounds(rss_mib=24))
def endless_upload(bout: Bout) -> str:
    began, sent = time.monotonic(), 0
    with bout.wire() as wire:
        wire.send(head("POST /v1/audio/speech HTTP/1.1", "transfer-encoding: chunked"))
        while time.monotonic() < began + 5 and wire.send(b"10000\r\n" + b" " * 65_536 + b"\r\n"):
            sent += 65_536
            # The simulated LiteLLM keeps what it is sent.
            time.sleep(0.005)
    end = time.monotonic() + 10
    while (held := bout.world.litellm.in_flight()) > 3 and time.monotonic() < end:
        time.sleep(0.2)
    check(held <= 3, f"{held} in flight upstream")
    return f"{sent >> 20} MiB taken"


@row("slow", "a body of a byte now and then over HTTP/2", f"408 or RST_STREAM within {LATE} s", quick=False)
def slow_body_h2(bout: Bout) -> str:
    began = time.monotonic()
    with bout.h2() as wire:
        wire.hello()
        wire.send(headers(1, post_fields("/v1/messages"), end=False))
        while time.monotonic() < began + LATE and wire.send(data(1, b" ")):
            wire.until(lambda: wire.outcome.over or 1 in wire.outcome.rst or 1 in wire.outcome.statuses, 0.5)
            if wire.outcome.of(1) != "nothing":
                break
        said = wire.outcome.of(1)
    check(said != "nothing" and wire.outcome.statuses.get(1, 408) == 408, f"{said} after {LATE} s")
    return f"{said} after {time.monotonic() - began:.1f} s"


def endless(bout: Bout) -> None:
    """Whoever asks a direct model for `slow-reader` is told 8 MB in events."""
    event = "event: ping\ndata: " + "x" * 32_000 + "\n\n"
    bout.world.edge_h2.rule({"say": {"reply": {"status": 200, "headers": [["content-type", "text/event-stream"]], "body": [event] * 256}}}, body="slow-reader")


def large(bout: Bout) -> str:
    """The path of an answer of 24 MB, more than any socket holds."""
    body = b"x" * (24 << 20)
    return bout.world.bare.says("large", b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)


def streaming() -> bytes:
    return json.dumps({"model": "claude-h2", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "slow-reader"}]}).encode()


@row("slow", "100 readers of an endless stream who read nothing, receive buffer 4 KB", "cut after 30 s; the upstream is let go; at most 300 kB each", quick=False, bounds=Bounds(rss_mib=64))
def stalled_readers(bout: Bout) -> str:
    endless(bout)
    body, crowd = streaming(), []
    for _ in range(100):
        crowd.append(bout.connect(receive_buffer=4096))
        crowd[-1].sendall(head("POST /v1/messages HTTP/1.1", f"content-length: {len(body)}") + body)
    return let_go(bout.world.edge_h2, crowd)


@row("slow", "100 readers of LiteLLM's 24 MB who read nothing, receive buffer 4 KB", "cut after 30 s", gateway="odd", quick=False, bounds=Bounds(rss_mib=96))
def stalled_downloads(bout: Bout) -> str:
    path, usual, crowd = large(bout), open_files(bout.gateway.pid), []
    for _ in range(100):
        crowd.append(bout.connect(receive_buffer=4096))
        crowd[-1].sendall(head(f"GET {path} HTTP/1.1"))
    said = closed_here(bout, usual, 55)
    for connection in crowd:
        connection.close()
    return said


@row("slow", "90 HTTP/2 streams of the endless one whose window is 0", "cut after 30 s; the upstream is let go", quick=False, bounds=Bounds(rss_mib=64))
def closed_windows(bout: Bout) -> str:
    endless(bout)
    wire = bout.h2()
    wire.hello((4, 0))
    for stream in range(1, 180, 2):
        wire.post(stream, "/v1/messages", streaming())
    return let_go(bout.world.edge_h2, [wire.connection])


def let_go(upstream: Upstream, crowd: list[socket.socket]) -> str:
    """Until nothing of it is in flight upstream; nobody reads meanwhile."""
    began, most = time.monotonic(), 0
    while time.monotonic() < began + 50:
        time.sleep(1)
        held = upstream.in_flight()
        most = max(most, held)
        if most > 20 and held <= 3:
            break
    for connection in crowd:
        connection.close()
    check(most > 20, f"only {most} streams were ever open")
    check(held <= 3, f"{held} of {most} still in flight upstream after 50 s")
    return f"{most} streams let go after {time.monotonic() - began:.0f} s"


@row("slow", "requests one behind the other, no answer read", "stalls or ends; memory bounded", quick=False, bounds=Bounds(rss_mib=24))
def unread_answers(bout: Bout) -> str:
    connection = bout.connect(receive_buffer=4096)
    connection.settimeout(1)
    one, sent = head("GET /v1/abuse HTTP/1.1") * 100, 0
    with contextlib.suppress(OSError):
        while sent < 100_000:
            connection.sendall(one)
            sent += 100
    time.sleep(1)
    connection.close()
    check(sent < 100_000, "100,000 requests were read")
    return f"{sent} requests taken"


@row("slow", "300 connections kept alive after a 200, with Keep-Alive: timeout=99999", "all end within 80 s: 60 s of silence, 10 s for a head", gateway="shipped", quick=False)
def hoarding(bout: Bout) -> str:
    crowd = []
    for _ in range(300):
        wire = bout.wire()
        wire.send(head("GET /health HTTP/1.1", "connection: keep-alive", "keep-alive: timeout=99999"))
        check(wire.next().status == 200, "not served")
        crowd.append(wire.connection)
    return f"all ended after {all_end(crowd, 80):.0f} s"


@row("slow", "50 HTTP/2 connections that open no stream", "all end within 80 s: 60 s of silence, 10 s for a head", gateway="shipped", quick=False)
def idle_h2(bout: Bout) -> str:
    wires: list[H2Wire] = []
    for _ in range(50):
        wire = bout.h2()
        wire.hello()
        wires.append(wire)
    return f"all ended after {all_end([wire.connection for wire in wires], 80):.0f} s"
