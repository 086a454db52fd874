"""Which request heads are none? Those are refused before any upstream hears of them, at little cost."""

from .rows import Bout, Bounds, check, head, row
from .smuggling import nothing_reached
from .wire import Silent

GET = "GET /v1/abuse HTTP/1.1"

# Name, what is sent, admissible statuses. 0: the connection ends without an answer.
REFUSED = [
    ("no Host", head(GET, host=None), (400,)),
    ("two Hosts", head(GET, "host: other"), (400,)),
    ("two Hosts, the same", head(GET, "host: gateway"), (400,)),
    ("an empty Host", head(GET, host=""), (400,)),
    ("Host: a/b", head(GET, host="a/b"), (400,)),
    ("Host: a b", head(GET, host="a b"), (400,)),
    ("Host: user@gateway", head(GET, host="user@gateway"), (400,)),
    ("Host: gateway:port", head(GET, host="gateway:port"), (400,)),
    ("Host: gateway:99999999", head(GET, host="gateway:99999999"), (400,)),
    ("Host: a, b", head(GET, host="a, b"), (400,)),
    ("a field folded onto a second line", head(GET, "x: a\r\n b"), (400,)),
    ("a bare CR in a value", head(GET, "x: a\rb: c"), (400,)),
    ("a NUL in a value", head(GET, "x: a\0b"), (400,)),
    ("a bell in a value", head(GET, "x: a\x07b"), (400,)),
    ("a DEL in a value", head(GET, "x: a\x7fb"), (400,)),
    ("a NUL in a name", head(GET, "x\0y: a"), (400,)),
    ("a space in a name", head(GET, "x y: a"), (400,)),
    ("a space before a name", head(GET, " x: a"), (400,)),
    ("a space before the colon", head(GET, "x : a"), (400,)),
    ("a name that is not ASCII", head(GET, "x\xe9: a"), (400,)),
    ("an empty name", head(GET, ": a"), (400,)),
    ("a line without a colon", head(GET, "nonsense"), (400,)),
    ("HTTP/1.2", head("GET /v1/abuse HTTP/1.2"), (400, 505)),
    ("HTTP/2.0 in a request line", head("GET /v1/abuse HTTP/2.0"), (400, 505)),
    ("HTTP/0.9", b"GET /\r\n\r\n", (400, 0)),
    ("http/1.1 in lower case", head("GET /v1/abuse http/1.1"), (400,)),
    ("a request line without a version", head("GET /v1/abuse"), (400, 0)),
    ("a tab in the request line", head("GET\t/v1/abuse HTTP/1.1"), (400,)),
    ("a path of bytes that are not UTF-8", head("GET /v1/\xff\xfe HTTP/1.1"), (400,)),
    ("a NUL in the path", head("GET /v1/a\0b HTTP/1.1"), (400,)),
    ("garbage", bytes(range(1, 256)) * 4 + b"\r\n\r\n", (400, 0)),
    ("a TLS ClientHello on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200 + b"\r\n\r\n", (400, 0)),
    ("an HTTP/2 preface on the HTTP/1.1 port", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 405, 0)),
    ("a SOCKS5 greeting and an SMTP dialogue", b"\x05\x01\x00EHLO me\r\nMAIL FROM:<a@b>\r\n\r\n", (400, 0)),
    ("a PROXY line where none is configured", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + head(GET), (400,)),
    ("TRACE", head("TRACE /v1/abuse HTTP/1.1"), (405,)),
    ("CONNECT", head("CONNECT example.com:443 HTTP/1.1", host="example.com:443"), (405, 400)),
    ("get in lower case", head("get /v1/abuse HTTP/1.1"), (405, 400)),
    ("an invented method", head("FOO-BAR /v1/abuse HTTP/1.1"), (405,)),
    ("a method of 70,000 letters", head("G" * 70_000 + " /v1/abuse HTTP/1.1"), (400, 405, 431)),
    ("Expect: y", head("POST /v1/messages HTTP/1.1", "expect: y", "content-length: 2"), (417,)),
    ("Connection names Host", head(GET, "connection: host"), (400,)),
    ("Connection names 5,000 fields", head(GET, "connection: " + ",".join(f"x{n}" for n in range(5000))), (400, 431)),
]

TOO_LARGE = [
    ("101 fields", head(GET, *[f"x-{n}: 1" for n in range(98)]), (431,)),
    ("300 fields", head(GET, *[f"x-{n}: 1" for n in range(298)]), (431,)),
    ("one field of 33 KiB", head(GET, "x: " + "y" * 33 * 1024), (431,)),
    ("a URI of 9 KiB", head(f"GET /v1/abuse?{'q' * 9 * 1024} HTTP/1.1"), (414,)),
    ("a name of 33 KiB", head(GET, "x" * 33 * 1024 + ": 1"), (400, 431)),
    ("1.1 MiB in one write", head(GET, "x: " + "y" * 1_150_000), (431,)),
    ("5 MiB of header lines", head(GET, *[f"x-{n}: {'y' * 1000}" for n in range(5000)]), (431,)),
]


def refused(bout: Bout, request: bytes, statuses: tuple[int, ...]) -> str:
    with bout.wire() as wire:
        wire.send(request)
        try:
            answer = wire.next()
        except Silent:
            check(False, "no answer")
        status = answer.status if answer else 0
        check(status in statuses, f"{status}: {answer.body[:80] if answer else b''!r}")
        if status:
            check(answer.header("server") is None and b"ingora" not in answer.body, "names the machinery")
        # Where only a method or an expectation was refused, the connection is the next request's.
        check(status == 0 or status in (405, 417) and wire.quiet() or wire.ended(), f"{status}, and the connection stays open")
    nothing_reached(bout)
    return str(status) if status else "closed"


def register(name: str, request: bytes, statuses: tuple[int, ...], bounds: Bounds = Bounds(), known: str | None = None) -> None:
    said = " or ".join(str(status) if status else "the end" for status in statuses)

    @row("heads", name, f"{said}, closed; nothing sent up", bounds=bounds, known=known)
    def deed(bout: Bout) -> str:
        return refused(bout, request, statuses)


for name, request, statuses in REFUSED:
    register(name, request, statuses)
register("a space in the path", head("GET /v1/abuse x HTTP/1.1"), (400,), known="Pingora writes %20 before anybody sees it; the gateway routes by that path and the upstream gets it")
for name, request, statuses in TOO_LARGE:
    register(name, request, statuses, Bounds(rss_mib=16))


@row("heads", "bare LF line ends", "one request with the same meaning, or 400")
def bare_line_feeds(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head(GET, "x-abuse: 1").replace(b"\r\n", b"\n"))
        answer = wire.next()
    seen = bout.seen()
    check(answer.status in (200, 400) and len(seen) == (answer.status == 200), f"{answer.status}, {len(seen)} sent up")
    return str(answer.status)


@row("heads", "a head of one byte per packet", "served")
def byte_by_byte(bout: Bout) -> str:
    with bout.wire() as wire:
        for byte in head(GET):
            wire.send(bytes([byte]))
        answer = wire.next()
    check(answer.status == 200, str(answer.status))
    return str(answer.status)


@row("heads", "empty lines before the request line, 3 and 100,000", "served, or refused, within 2 s")
def empty_lines(bout: Bout) -> str:
    got = []
    for count, statuses in ((3, (200, 400)), (100_000, (200, 400, 431, 0))):
        with bout.wire() as wire:
            wire.send(b"\r\n" * count + head(GET))
            answer = wire.next(2)
            status = answer.status if answer else 0
            check(status in statuses, f"{count}: {status}")
            got.append(str(status) if status else "closed")
    return ", ".join(got)
