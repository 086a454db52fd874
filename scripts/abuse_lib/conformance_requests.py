"""Which requests of HTTP/2 are none, or would be another one in HTTP/1.1? RFC 9113 section 8, and what the gateway refuses of its own."""

from .case import Case, Section
from .conf import KEY
from .frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, Fields, block, data, frame, get, headers, post_fields
from .smuggling import INNER

CASES: list[Case] = []
AUTH = ("authorization", f"Bearer {KEY}")
REST = get()


def without(name: str) -> Fields:
    return [field for field in REST if field[0] != name]


def changed(name: str, value: str | bytes) -> Fields:
    return [(field[0], value if field[0] == name else field[1]) for field in REST]


def pseudo() -> None:
    section = Section("8.3, pseudo-header fields", CASES)
    for name in (":method", ":scheme", ":path"):
        section.refused(f"no {name}", headers(1, without(name)))
    for name in (":method", ":scheme", ":path", ":authority"):
        section.refused(f"{name} twice", headers(1, [dict_first(name), *REST]))
    section.refused("an unknown one", headers(1, [(":unknown", "x"), *REST]))
    section.refused(":status in a request", headers(1, [(":status", "200"), *REST]))
    section.refused("one behind a regular field", headers(1, [*without(":path"), (":path", "/v1/abuse")]))
    section.refused("one in the trailers, which go nowhere", headers(1, post_fields("/v1/abuse"), end=False), headers(1, [(":method", "GET")]), statuses=(200, 400), harmless=True)
    section.refused(":path empty", headers(1, changed(":path", "")))
    section.refused(":path without a slash", headers(1, changed(":path", "v1/abuse")))
    section.refused(":path * for GET", headers(1, changed(":path", "*")))
    section.refused(":path in absolute form", headers(1, changed(":path", "http://other.example/v1/abuse")))
    section.refused(":path with a space", headers(1, changed(":path", "/v1/abuse HTTP/1.1")))
    section.refused(":path with a line break and a request", headers(1, changed(":path", "/v1/abuse HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/smuggled")))
    section.refused(":path with a NUL", headers(1, changed(":path", "/v1/abuse\0")))
    section.refused(":path with a fragment", headers(1, changed(":path", "/v1/abuse#x")), statuses=(200, 400), harmless=True)
    section.refused(":path that is not UTF-8", headers(1, changed(":path", b"/v1/abuse\xff\xfe")))
    section.refused(":method with a space", headers(1, changed(":method", "GET /x")), statuses=(400, 405))
    section.refused(":method with a line break", headers(1, changed(":method", "GET\r\n")), statuses=(400, 405))
    section.refused(":method empty", headers(1, changed(":method", "")), statuses=(400, 405))
    section.refused(":scheme with a line break", headers(1, changed(":scheme", "http\r\nx: y")))
    section.refused(":authority with a path", headers(1, changed(":authority", "a/b")))
    section.refused(":authority with user information", headers(1, changed(":authority", "user@gateway")))
    section.refused(":authority with a space", headers(1, changed(":authority", "a b")))
    section.refused(":authority with a line break", headers(1, changed(":authority", "a\r\nx: y")))
    section.refused(":authority empty, no Host", headers(1, changed(":authority", "")))
    section.refused("neither :authority nor Host", headers(1, without(":authority")))
    section.refused(":authority and another Host", headers(1, [*REST, ("host", "other.example")]))
    section.refused("two Hosts without :authority", headers(1, [*without(":authority"), ("host", "a"), ("host", "b")]))


def dict_first(name: str) -> tuple:
    return next(field for field in REST if field[0] == name)


def fields() -> None:
    section = Section("8.2, fields", CASES)

    def bad(name: str, *more: tuple) -> None:
        section.refused(name, headers(1, [*REST, *more]))

    bad("a name in capitals", ("X-Abuse", "1"))
    bad("an empty name", ("", "x"))
    bad("a name with a space", ("x y", "1"))
    bad("a name with a colon", ("x:y", "1"))
    bad("a name with a line break", ("x: 1\r\nhost", "evil"))
    bad("a name with a NUL", ("x\0", "1"))
    bad("a name that is not ASCII", (b"x\xe9", "1"))
    bad("a value with CR LF", ("x", "1\r\nhost: evil"))
    bad("a value with CR LF and a request", ("x", "1\r\n\r\n" + INNER.decode()))
    bad("a value with LF", ("x", "1\ny: 2"))
    bad("a value with CR", ("x", "1\ry: 2"))
    bad("a value with a NUL", ("x", "1\0"))
    bad("connection", ("connection", "close"))
    bad("keep-alive", ("keep-alive", "timeout=9"))
    bad("proxy-connection", ("proxy-connection", "x"))
    bad("upgrade", ("upgrade", "h2c"))
    bad("te: gzip", ("te", "gzip"))
    section.lives("te: trailers", headers(1, [*REST, ("te", "trailers")]), status=200)
    section.lives("a cookie in three fields", headers(1, [*REST, ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]), status=200)
    section.lives("a value of bytes above 127", headers(1, [*REST, ("x-abuse", b"\xe9\xff")]), status=200)


def framing() -> None:
    section = Section("8.1, framing a request", CASES)

    def post(*more: tuple, end: bool = False) -> bytes:
        return headers(1, post_fields("/v1/abuse", *more), end=end)

    section.refused("transfer-encoding: chunked", post(("transfer-encoding", "chunked")), data(1, b"0\r\n\r\n" + INNER, end=True))
    section.refused("Content-Length above the body", post(("content-length", "99")), data(1, b"x", end=True))
    section.refused("Content-Length below the body", post(("content-length", "1")), data(1, b"x" + INNER, end=True))
    section.refused("Content-Length: 0 and a body", post(("content-length", "0")), data(1, INNER, end=True), harmless=True)
    section.refused("Content-Length without a body", post(("content-length", "9"), end=True))
    section.refused("Content-Length twice, differing", post(("content-length", "1"), ("content-length", "2")), data(1, b"x", end=True))
    section.refused("Content-Length twice, the same", post(("content-length", "1"), ("content-length", "1")), data(1, b"x", end=True))
    section.refused("Content-Length that is a list", post(("content-length", "1, 1")), data(1, b"x", end=True))
    section.refused("Content-Length negative", post(("content-length", "-1")), data(1, b"x", end=True))
    section.refused("Content-Length with a plus sign", post(("content-length", "+1")), data(1, b"x", end=True))
    section.refused("a second HEADERS that does not end the stream", post(), headers(1, [("x", "y")], end=False), data(1, b"x", end=True))
    section.lives("trailers", post(), data(1, b"x"), headers(1, [("x-trailer", "y")]), status=200)
    section.lives("a body of one byte per frame", post(("content-length", "60")), *[data(1, b" ")] * 59, data(1, b" ", end=True), status=200)
    section.refused("a path with dot segments", headers(1, changed(":path", "/v1/../abuse")))
    section.refused("a path with a backslash", headers(1, changed(":path", "/v1\\abuse")))
    section.refused("a path with %00", headers(1, changed(":path", "/v1/abuse%00")))
    section.refused("a path that is closed", headers(1, changed(":path", "/key/generate")), statuses=(404,))


def methods() -> None:
    section = Section("8.5 and 8.7, methods and sizes", CASES)
    section.refused("TRACE", headers(1, changed(":method", "TRACE")), statuses=(405,))
    section.refused("get in lower case", headers(1, changed(":method", "get")), statuses=(405, 400))
    section.refused("CONNECT", headers(1, [(":method", "CONNECT"), (":authority", "other.example:443"), AUTH]), statuses=(400, 405))
    section.refused("CONNECT with a path and a protocol", headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *REST[1:]]), statuses=(400, 405))
    section.refused("PRI", headers(1, changed(":method", "PRI")), statuses=(400, 405))
    section.refused("101 fields", headers(1, [*REST, *[(f"x-{number}", "1") for number in range(100)]]), statuses=(431,))
    section.refused("a URI of 9 KiB", headers(1, changed(":path", "/v1/abuse?" + "q" * 9 * 1024)), statuses=(414, 431))
    large = [frame(HEADERS, END_STREAM, 1, block(REST)), *[frame(CONTINUATION, 0, 1, block([(f"x{number}", "y" * 8000)])) for number in range(5)], frame(CONTINUATION, END_HEADERS, 1, block([("z", "1")]))]
    section.refused("fields of 40 KB", *large, statuses=(431, 400))
    section.refused("Expect: y", headers(1, [*post_fields("/v1/messages"), ("expect", "y")], end=False), data(1, b"{}", end=True), statuses=(417,))


for part in (pseudo, fields, framing, methods):
    part()
