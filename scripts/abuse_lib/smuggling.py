"""Can one request be made two? Every framing that two servers could read differently: refused, the connection closed, nothing sent up."""

import itertools
import json

from .rows import Bout, Wrong, check, head, row
from .upstreams import values
from .wire import Silent

# A body that is held and one that streams take different ways through the gateway.
TARGETS = {"/v1/messages": "held", "/v1/audio/speech": "streamed"}
INNER = b"GET /v1/smuggled HTTP/1.1\r\nhost: gateway\r\n\r\n"
AS_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)
JSON = json.dumps({"model": "claude-litellm", "max_tokens": 8, "messages": [{"role": "user", "content": "x"}]}).encode()

# Name, header fields, body. {n} is the length of the body.
REFUSED = [
    ("Content-Length, then Transfer-Encoding", ["content-length: {n}", "transfer-encoding: chunked"], b"0\r\n\r\n" + INNER),
    ("Transfer-Encoding, then Content-Length", ["transfer-encoding: chunked", "content-length: 4"], AS_CHUNK),
    ("Content-Length: twice, the same", ["content-length: {n}", "content-length: {n}"], JSON),
    ("Content-Length: twice, differing", ["content-length: {n}", "content-length: 0"], INNER),
    ("Content-Length: a list of the same", ["content-length: {n}, {n}"], JSON),
    ("Content-Length: a list, differing", ["content-length: {n}, 0"], INNER),
    ("Content-Length: with a plus sign", ["content-length: +{n}"], JSON),
    ("Content-Length: hexadecimal", ["content-length: 0x10"], JSON),
    ("Content-Length: with a leading zero", ["content-length: 0{n}"], JSON),
    ("Content-Length: negative", ["content-length: -1"], INNER),
    ("Content-Length: beyond 64 bits", ["content-length: 18446744073709551617"], b"x"),
    ("Content-Length: empty", ["content-length:"], INNER),
    ("Content-Length: a number and a word", ["content-length: 5 x"], JSON),
    ("Content-Length with a space before the colon", ["content-length : {n}"], JSON),
    ("Transfer-Encoding with a space before the colon", ["content-length: {n}", "transfer-encoding : chunked"], b"0\r\n\r\n" + INNER),
    ("Transfer-Encoding with a tab before the colon", ["content-length: {n}", "transfer-encoding\t: chunked"], b"0\r\n\r\n" + INNER),
    ("Transfer-Encoding: gzip, chunked", ["transfer-encoding: gzip, chunked"], b"0\r\n\r\n"),
    ("Transfer-Encoding: chunked, identity", ["transfer-encoding: chunked, identity"], b"0\r\n\r\n"),
    ("Transfer-Encoding: chunked, chunked", ["transfer-encoding: chunked, chunked"], b"0\r\n\r\n"),
    ("Transfer-Encoding: twice, x and chunked", ["transfer-encoding: x", "transfer-encoding: chunked"], b"0\r\n\r\n"),
    ("Transfer-Encoding: twice, chunked and x", ["transfer-encoding: chunked", "transfer-encoding: x"], b"0\r\n\r\n"),
    ("Transfer-Encoding: xchunked", ["transfer-encoding: xchunked"], b"0\r\n\r\n"),
    ("Transfer-Encoding: identity, with a length", ["transfer-encoding: identity", "content-length: {n}"], JSON),
    ("Transfer-Encoding: chunked after a vertical tab", ["content-length: {n}", "transfer-encoding: \x0bchunked"], b"0\r\n\r\n" + INNER),
    ("Transfer-Encoding: folded onto a second line", ["content-length: {n}", "transfer-encoding:\r\n chunked"], b"0\r\n\r\n" + INNER),
    ("Transfer-Encoding: quoted", ['transfer-encoding: "chunked"'], b"0\r\n\r\n"),
    ("A header line of nothing but a name", ["content-length: {n}", "transfer-encoding"], b"0\r\n\r\n" + INNER),
]


def post(target: str, fields: list[str], body: bytes, version: str = "1.1") -> bytes:
    filled = [field.replace("{n}", str(len(body))) for field in fields]
    return head(f"POST {target} HTTP/{version}", "content-type: application/json", *filled) + body


def refused(bout: Bout, target: str, request: bytes) -> str:
    """The claim that most rows of this file make."""
    with bout.wire() as wire:
        wire.send(request)
        answer = wire.next()
        check(answer is not None, f"{target}: no answer")
        check(answer.status == 400, f"{target}: {answer.status} {answer.body[:80]!r}")
        check(wire.ended(), f"{target}: 400, and the connection stays open")
        check(b'"error"' in answer.body and answer.header("server") is None, f"{target}: not the gateway's own words: {answer.body[:80]!r}")
    return "400, closed"


def nothing_reached(bout: Bout) -> None:
    seen = bout.seen()
    check(not seen, f"the upstream saw {len(seen)}, the first: {seen[:1]}")


def register(name: str, fields: list[str], body: bytes, version: str = "1.1") -> None:
    @row("smuggling", name, "400, closed; nothing sent up")
    def deed(bout: Bout) -> str:
        got = {refused(bout, target, post(target, fields, body, version)) for target in TARGETS}
        nothing_reached(bout)
        return " or ".join(got)


for case in REFUSED:
    register(*case)
register("Transfer-Encoding in HTTP/1.0", ["transfer-encoding: chunked"], b"0\r\n\r\n" + INNER, "1.0")


@row("smuggling", "Content_Length and Transfer_Encoding, with underscores", "refused, or not sent up")
def underscores(bout: Bout) -> str:
    got = set()
    for field in ("content_length: 4", "transfer_encoding: chunked"):
        for target in TARGETS:
            with bout.wire() as wire:
                wire.send(post(target, ["content-length: {n}", field], JSON))
                got.add(str(wire.next().status))
    for request in bout.seen():
        names = [name for name, _ in request["headers"]]
        check(not any("_" in name for name in names), f"sent up: {names}")
        check(request["body"]["length"] == len(JSON), "the upstream read another body")
    return " or ".join(sorted(got))


def mutations() -> list[str]:
    """Spellings of Transfer-Encoding that some server somewhere takes for it, or for nothing."""
    bytes_around = [chr(code) for code in (0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0x80, 0xA0, 0xFF)]
    places = ["transfer-encoding{x}: chunked", "transfer-encoding:{x}chunked", "transfer-encoding: chunked{x}", "{x}transfer-encoding: chunked",
              "transfer-{x}encoding: chunked", "transfer-encoding: chun{x}ked", "x: y{x}transfer-encoding: chunked"]
    spelt = [place.replace("{x}", x) for place, x in itertools.product(places, bytes_around)]
    return spelt + [
        "TRANSFER-ENCODING: CHUNKED", "transfer-encoding: cow", "transfer-encoding: chunked;q=1", "transfer-encoding: ,chunked", "transfer-encoding: chunked,",
        "transfer-encoding: \\chunked", "transfer-encoding: 'chunked'", "transfer-encoding: chunk", "transfer-encoding: chunkedchunked", "transfer-encoding::chunked",
        "transfer-encoding:", "transfer encoding: chunked", "transfer_encoding: chunked", "x-transfer-encoding: chunked", "te: chunked",
        "content-encoding: chunked", "connection: transfer-encoding\r\ntransfer-encoding: chunked", "foo: bar\n transfer-encoding: chunked",
        "transfer-encoding: chunked\r\nx-a: b\r\n\tc", "transfer-encoding\r\n: chunked", "transfer-encoding: %63hunked", "transfer-encoding: chunked\x00",
    ]


@row("smuggling", "120 spellings of Transfer-Encoding, each as CL.TE and as TE.CL", "each is refused, or one request is one request; no stall")
def spellings(bout: Bout) -> str:
    refusals, whole = 0, 0
    for spelling in mutations():
        for body, length in ((b"0\r\n\r\n" + INNER, None), (AS_CHUNK, 4)):
            length = len(body) if length is None else length
            outcome = one_spelling(bout, spelling, body, length)
            refusals, whole = refusals + (outcome == "refused"), whole + (outcome == "whole")
    smuggled = [one["target"] for one in bout.seen() if "smuggled" in one["target"]]
    check(not smuggled, f"{len(smuggled)} smuggled requests reached an upstream")
    return f"{refusals} refused, {whole} passed as one request"


def one_spelling(bout: Bout, spelling: str, body: bytes, length: int) -> str:
    with bout.wire() as wire:
        wire.send(head("POST /v1/audio/speech HTTP/1.1", f"content-length: {length}", "connection: close", spelling) + body)
        try:
            answer = wire.next(5)
        except Silent:
            raise Wrong(f"no answer to {spelling!r}, length {length}") from None
        check(answer is not None, f"no answer to {spelling!r}, length {length}")
        check(wire.ended(), f"two answers to {spelling!r}, or no end")
    return "whole" if answer.status < 400 else "refused"


@row("smuggling", "a request in the body of a refused one, and of one for a path that is closed", "one answer; the body is no request")
def body_of_a_refusal(bout: Bout) -> str:
    got = []
    for target, fields in (("/v1/messages", ["expect: y"]), ("/key/generate", []), ("/v1/../x", []), ("/v1/models", [])):
        with bout.wire() as wire:
            wire.send(post(target, [*fields, "content-length: {n}"], INNER * 3))
            answer = wire.next()
            check(answer is not None and answer.status >= 400, f"{target}: {answer}")
            check(wire.ended() or not wire.unread, f"{target}: the body was answered: {wire.unread[:60]!r}")
            got.append(str(answer.status))
    nothing_reached(bout)
    return ", ".join(got)


@row("smuggling", "a GET with a body that is a request", "one request with a body, canonically framed")
def get_with_a_body(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head("GET /v1/abuse HTTP/1.1", f"content-length: {len(INNER)}") + INNER)
        answer = wire.next()
        check(answer.status in (200, 400), f"{answer.status}")
        check(wire.quiet() or wire.ended(), "a second answer came")
    seen = bout.seen()
    check(len(seen) <= 1 and all(one["body"]["length"] == len(INNER) for one in seen), f"the upstream saw {len(seen)} requests")
    for one in seen:
        check(len(values(one, "content-length")) + len(values(one, "transfer-encoding")) == 1, "not one framing")
    return str(answer.status)
