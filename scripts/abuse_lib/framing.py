"""What of chunks, pipelines and bodies that break off? The framing that goes up is the gateway's own, or nothing goes up."""

from .rows import Bout, check, head, row
from .smuggling import INNER, JSON, TARGETS
from .upstreams import header, values
from .wire import Silent

CHUNKED = "transfer-encoding: chunked"
BAD_CHUNKS = [
    ("a chunk size of 17 hexadecimal digits", b"10000000000000000\r\nx\r\n0\r\n\r\n"),
    ("a chunk size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a negative chunk size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a plus sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with an underscore", b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
    ("a chunk longer than its size", b"3\r\nhello\r\n0\r\n\r\n" + INNER),
    ("a chunk size that ends with a bare LF", b"5\nhello\r\n0\r\n\r\n"),
    ("a chunk whose data ends with a bare LF", b"5\r\nhello\n0\r\n\r\n" + INNER),
]


def register(name: str, body: bytes, known: str | None = None) -> None:
    @row("framing", name, "400 or the end; no whole request sent up", known=known)
    def deed(bout: Bout) -> str:
        got = []
        for target in TARGETS:
            with bout.wire() as wire:
                wire.send(head(f"POST {target} HTTP/1.1", "content-type: application/json", CHUNKED) + body)
                answer = wire.next()
                check(answer is None or answer.status == 400, f"{target}: {answer and answer.status}")
                check(wire.ended(), f"{target}: the connection stays open")
                got.append(str(answer.status) if answer else "closed")
        whole = [one["target"] for one in bout.seen() if one["body"]["complete"] or "smuggled" in one["target"]]
        check(not whole, f"sent up as if it were whole: {whole}")
        return ", ".join(got)


for case in BAD_CHUNKS:
    register(*case)
register("an empty chunk size", b"\r\nhello\r\n0\r\n\r\n", known="Pingora reads it as the last chunk; what goes up is framed anew, and the rest is the client's own connection")


@row("framing", "a chunk extension of 64 KiB, one with an LF in it", "refused, or passed without it")
def chunk_extension(bout: Bout) -> str:
    got = []
    for extension in (b";x=" + b"y" * 65_536, b";x\n=y"):
        with bout.wire() as wire:
            size = f"{len(JSON):x}".encode()
            wire.send(head("POST /v1/audio/speech HTTP/1.1", CHUNKED) + size + extension + b"\r\n" + JSON + b"\r\n0\r\n\r\n")
            answer = wire.next()
            check(answer is None or answer.status in (200, 400), f"{answer and answer.status}")
            got.append(str(answer.status) if answer else "closed")
    complete = [one for one in bout.seen() if one["body"]["complete"]]
    check(all(one["body"]["length"] == len(JSON) for one in complete), "another body reached the upstream")
    return ", ".join(got)


@row("framing", "chunks in pieces of one byte, with trailers that are header fields", "one request, canonically framed, no trailer sent up")
def trailers(bout: Bout) -> str:
    for target in TARGETS:
        with bout.wire() as wire:
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in JSON)
            wire.send(head(f"POST {target} HTTP/1.1", CHUNKED, "trailer: x-sm-user-id") + chunks)
            wire.send(b"0\r\nx-sm-user-id: mallory\r\ncontent-length: 99\r\nauthorization: Bearer x\r\n\r\n")
            answer = wire.next()
            check(answer.status == 200, f"{target}: {answer.status}")
    seen = bout.seen()
    check(len(seen) == 2, f"the upstream saw {len(seen)} requests")
    for one in seen:
        check(one["body"]["length"] == len(JSON) and one["body"]["complete"], "another body")
        check(len(values(one, "content-length")) + len(values(one, "transfer-encoding")) == 1, "not one framing")
        check(header(one, "x-sm-user-id") is None, "a trailer became a header")
    return "200, 200"


@row("framing", "20 requests in one write", "20 answers in order, or fewer and the end")
def pipelined(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(b"".join(head(f"GET /v1/abuse/{number} HTTP/1.1") for number in range(20)))
        answered = 0
        while answered < 20 and (answer := wire.next()) is not None:
            check(f"/v1/abuse/{answered}".encode() + b'"' in answer.body, f"answer {answered} is another's: {answer.body[:80]!r}")
            answered += 1
    check(answered > 0, "no answer")
    return f"{answered} answers in order"


@row("framing", "a body that breaks off, 20 times, by FIN and by RST", "no whole request sent up; the pools stay sound")
def broken_off(bout: Bout) -> str:
    for number in range(20):
        wire = bout.wire()
        wire.send(head(f"POST {list(TARGETS)[number % 2]} HTTP/1.1", "content-length: 5000") + JSON)
        if number % 4 < 2:
            wire.connection.shutdown(1)
            wire.until_ended(3)
        wire.close()
    whole = [one for one in bout.seen() if one["body"]["complete"]]
    check(not whole, f"{len(whole)} were taken for whole")
    return "none taken for whole"


@row("framing", "more bytes than Content-Length says, a request among them", "the bytes are a request of their own or nothing; each is answered once")
def surplus(bout: Bout) -> str:
    got = []
    for target in TARGETS:
        with bout.wire() as wire:
            wire.send(head(f"POST {target} HTTP/1.1", f"content-length: {len(JSON)}") + JSON + b"surplus\r\n\r\n" + head("GET /v1/abuse HTTP/1.1"))
            statuses = []
            try:
                while len(statuses) < 4 and (answer := wire.next(4)) is not None:
                    statuses.append(answer.status)
            except Silent:
                pass
            check(statuses[:1] == [200] and statuses[1:] in ([], [400]), f"{target}: {statuses}")
            got.append("+".join(map(str, statuses)))
    check(not any(one["target"] == "/v1/abuse" for one in bout.seen()), "what follows garbage was taken for a request")
    return ", ".join(got)


@row("framing", "an HTTP/2 POST without Content-Length, to an HTTP/1.1 upstream, 20 times", "one request each, ended once; the pool stays sound")
def double_end(bout: Bout) -> str:
    h2 = bout.h2()
    h2.hello()
    for number in range(20):
        stream = 1 + 2 * number
        h2.post(stream, "/v1/audio/speech", JSON)
        status = h2.status(stream)
        check(status == 200, f"stream {stream}: {status}")
    h2.close()
    seen = bout.seen()
    check(len(seen) == 20 and all(one["body"]["length"] == len(JSON) for one in seen), f"the upstream saw {len(seen)} requests")
    return "20 × 200"
