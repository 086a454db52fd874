"""What can one HTTP/2 connection cost? Floods of every kind of frame, bombs in the header table, windows that never open."""

import time

import h2.config
import h2.connection
import h2.events

from .conf import KEY
from .frames import (
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, H2Wire, block, data, frame, get, headers, literal, post_fields, rst, settings,
    window_update,
)
from .rows import Bounds, Bout, check, row
from .smuggling import JSON

MANY = 20_000
BOUNDED = Bounds(rss_mib=32, cpu_ms=20_000)


def served(bout: Bout) -> None:
    """An ordinary HTTP/2 client, by the library that others use, is served at once."""
    connection = bout.tls(["h2"])
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", "gateway"), (":path", "/v1/messages"),
                            ("authorization", f"Bearer {KEY}"), ("anthropic-version", "2023-06-01"), ("content-type", "application/json"), ("x-honest", "h2")])
    client.send_data(1, JSON, end_stream=True)
    connection.sendall(client.data_to_send())
    status = None
    while status is None:
        received = connection.recv(65_536)
        check(received, "an ordinary client's connection ended")
        for event in client.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
        connection.sendall(client.data_to_send())
    connection.close()
    check(status == "200", f"an ordinary client got {status}")


def poured(wire: H2Wire, pieces, seconds: float = 20, asks: bool = True) -> int:
    """Sends until all is sent, the other side has had enough, or time is up; reads a little meanwhile, as a client would.
    In the end it asks with a PING whether all was read, unless that would offend by itself."""
    end, sent = time.monotonic() + seconds, 0
    for piece in pieces:
        if not wire.send(piece) or wire.outcome.over or time.monotonic() > end:
            break
        sent += 1
        wire.read(0.0005)
    if asks:
        wire.lives(patience=10)
    else:
        wire.until(lambda: wire.outcome.over, 2)
    return sent


def batches(frames, size: int):
    batch = []
    for one in frames:
        batch.append(one)
        if len(batch) == size:
            yield b"".join(batch)
            batch = []
    yield b"".join(batch)


# Of their own: what the row before has set going may still arrive.
HUGE = "/v1/abuse/huge"


def attempts(bout: Bout, path: str = "") -> int:
    return sum(request["target"].startswith(path) for request in bout.seen())


@row("http/2 floods", "rapid reset: 20,000 × HEADERS and RST_STREAM", "the connection ends; upstream attempts bounded", bounds=BOUNDED)
def rapid_reset(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        frames = (headers(stream, get()) + rst(stream) for stream in range(1, 2 * MANY, 2))
        poured(wire, batches(frames, 50))
        check(wire.outcome.over, "20,000 resets were taken")
        said = wire.outcome.of(0)
    served(bout)
    reached = attempts(bout)
    check(reached <= 1000, f"{reached} attempts upstream")
    return f"{said}; {reached} attempts upstream"


@row("http/2 floods", "the same with a body each, to a direct model", "the connection ends; upstream attempts bounded", bounds=BOUNDED)
def rapid_reset_of_messages(bout: Bout) -> str:
    body = JSON.replace(b"claude-litellm", b"claude-h2")
    with bout.h2() as wire:
        wire.hello()
        frames = (headers(stream, post_fields("/v1/messages"), end=False) + data(stream, body, end=True) + rst(stream) for stream in range(1, 2 * MANY, 2))
        poured(wire, batches(frames, 50))
        check(wire.outcome.over, "20,000 resets were taken")
        said = wire.outcome.of(0)
    served(bout)
    reached = attempts(bout)
    check(reached <= 1000, f"{reached} attempts upstream")
    return f"{said}; {reached} attempts upstream"


def made_to_reset(name: str, offence) -> None:
    @row("http/2 floods", f"made to reset: 20,000 streams whose client then offends by {name}", "the connection ends; upstream attempts bounded", bounds=BOUNDED)
    def deed(bout: Bout) -> str:
        with bout.h2() as wire:
            wire.hello()
            frames = (headers(stream, get()) + offence(stream) for stream in range(1, 2 * MANY, 2))
            sent = poured(wire, batches(frames, 50))
            check(wire.outcome.over, f"{sent * 50} offences were taken")
            said = wire.outcome.of(0)
        served(bout)
        reached = attempts(bout)
        check(reached <= 1500, f"{reached} attempts upstream")
        return f"{said}; {reached} attempts upstream"


made_to_reset("a window update of 0", lambda stream: window_update(stream, 0))
made_to_reset("a window above 2^31-1", lambda stream: window_update(stream, (1 << 31) - 1))
made_to_reset("DATA behind the end", lambda stream: data(stream, b"x", end=True))
made_to_reset("PRIORITY on itself", lambda stream: frame(PRIORITY, 0, stream, stream.to_bytes(4, "big") + b"\x01"))


@row("http/2 floods", "HPACK bomb: one field of 4 KB named 16,000 times by one byte each, 100 streams, window 0", "refused; memory bounded", bounds=BOUNDED)
def hpack_bomb(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello((4, 0))
        check(wire.settings.get(3, 1 << 32) <= 128, f"MAX_CONCURRENT_STREAMS is {wire.settings.get(3)}")
        check(wire.settings.get(6, 1 << 32) <= 65_536, f"MAX_HEADER_LIST_SIZE is {wire.settings.get(6)}")
        planted = b"\x40" + literal("x", "y" * 3900)[1:]
        bombs = (frame(HEADERS, END_HEADERS | END_STREAM, stream, block(get(HUGE)) + (planted if stream == 1 else b"") + b"\xbe" * 12_000) for stream in range(1, 201, 2))
        poured(wire, bombs)
        statuses = set(wire.outcome.statuses.values())
        check(wire.outcome.over or wire.outcome.rst or statuses <= {431}, f"taken: {wire.outcome.of(1)}")
        said = wire.outcome.of(1)
    served(bout)
    check(attempts(bout, HUGE) == 0, f"{attempts(bout, HUGE)} sent up")
    return said


@row("http/2 floods", "CONTINUATION without end: 2,000 × 16 KiB", "the connection ends early; memory bounded", bounds=BOUNDED)
def continuations(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        first = frame(HEADERS, END_STREAM, 1, block(get()))
        more = frame(CONTINUATION, 0, 1, literal("x", "y" * 16_000))
        sent = poured(wire, [first, *[more] * 2000], asks=False)
        check(sent < 500, f"{sent} were taken")
        said = wire.outcome.of(1)
    served(bout)
    return f"{said} after {sent}"


@row("http/2 floods", "empty CONTINUATION frames, 100,000", "the connection ends early", bounds=BOUNDED)
def empty_continuations(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        wire.send(frame(HEADERS, END_STREAM, 1, block(get())))
        sent = poured(wire, batches([frame(CONTINUATION, 0, 1)] * 100_000, 500), asks=False)
        check(wire.outcome.over, f"{sent * 500} were taken")
        said = wire.outcome.of(1)
    served(bout)
    return said


@row("http/2 floods", "a header block of 1 MiB", "refused; memory bounded", bounds=BOUNDED)
def large_block(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        fields = block([*get(HUGE), *[(f"x-{number}", "y" * 1000) for number in range(1000)]])
        pieces = [fields[at : at + 16_384] for at in range(0, len(fields), 16_384)]
        wire.send(frame(HEADERS, END_STREAM, 1, pieces[0]))
        poured(wire, [*[frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:-1]], frame(CONTINUATION, END_HEADERS, 1, pieces[-1])])
        check(wire.outcome.over or 1 in wire.outcome.rst or wire.outcome.statuses.get(1) == 431, wire.outcome.of(1))
        said = wire.outcome.of(1)
    served(bout)
    check(attempts(bout, HUGE) == 0, "sent up")
    return said


def unread(name: str, one: bytes) -> None:
    """Frames that ask for an answer, more than any buffer holds, from a client that reads none."""
    @row("http/2 floods", f"{name} without end, no answer read", "the connection stalls or ends; memory bounded", bounds=BOUNDED)
    def deed(bout: Bout) -> str:
        with bout.h2c() as wire:
            wire.hello()
            wire.connection.settimeout(0.5)
            batch, sent = one * 500, 0
            while sent < 5_000_000 and wire.send(batch):
                sent += 500
            check(sent < 5_000_000, "5,000,000 were read")
        served(bout)
        return f"{sent} taken"


unread("PING", frame(PING, 0, 0, b"12345678"))
unread("SETTINGS", settings((4, 65_535)))


def idle(name: str, one: bytes) -> None:
    """Frames that ask for nothing."""
    @row("http/2 floods", f"200,000 {name}", "put up with, or the end; CPU bounded", bounds=BOUNDED)
    def deed(bout: Bout) -> str:
        with bout.h2c() as wire:
            wire.hello()
            poured(wire, [one * 500] * 400)
            lives = not wire.outcome.over and wire.lives(patience=20)
            check(lives or wire.outcome.over, "neither alive nor ended")
        served(bout)
        return "lives" if lives else wire.outcome.of(0)


idle("PRIORITY frames", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"))
idle("frames of an unknown kind", frame(0xEE, 0, 0, b"x" * 16))
idle("RST_STREAM frames of one stream", rst(1))


@row("http/2 floods", "empty DATA frames, 100,000 on one stream", "the stream or the connection ends", bounds=BOUNDED)
def empty_data(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        wire.send(headers(1, post_fields("/v1/messages"), end=False))
        sent = poured(wire, batches([data(1)] * 100_000, 500))
        check(wire.outcome.over or wire.outcome.rst, f"{sent * 500} were taken")
        said = wire.outcome.of(1)
    served(bout)
    return said


@row("http/2 floods", "SETTINGS that change every stream's window, 5,000 times over 100 streams", "served on, or ended; CPU bounded", bounds=BOUNDED)
def settings_flips(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        for stream in range(1, 181, 2):
            wire.send(headers(stream, post_fields("/v1/messages"), end=False))
        poured(wire, batches((settings((4, 65_535 - number % 2)) for number in range(5000)), 50))
        said = wire.outcome.of(0)
    served(bout)
    return said


@row("http/2 floods", "WINDOW_UPDATE of 1, 50,000 times", "served on, or ended; CPU bounded", bounds=BOUNDED)
def window_updates(bout: Bout) -> str:
    with bout.h2() as wire:
        wire.hello()
        wire.send(headers(1, post_fields("/v1/messages"), end=False))
        poured(wire, batches((window_update(number % 2, 1) for number in range(50_000)), 500))
        said = wire.outcome.of(1)
    served(bout)
    return said


@row("http/2 floods", "100 streams whose bodies never come, on each of 4 connections", "others are served; no whole request sent up", bounds=BOUNDED)
def unfinished(bout: Bout) -> str:
    wires = [bout.h2() for _ in range(4)]
    for wire in wires:
        wire.hello()
        for stream in range(1, 200, 2):
            wire.send(headers(stream, post_fields("/v1/messages"), end=False))
        wire.lives()
    served(bout)
    opened = sum(len(wire.outcome.rst) for wire in wires)
    for wire in wires:
        wire.close()
    whole = [one for one in bout.seen() if one["body"]["complete"]]
    check(not whole, f"{len(whole)} sent up")
    return f"{opened} streams refused"

