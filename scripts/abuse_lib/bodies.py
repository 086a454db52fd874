"""What may a body be? Sizes, codings and nesting that are bombs are refused before they cost memory; what parsers read differently is refused."""

import base64
import contextlib
import gzip
import json
import zlib

from .conf import MIB
from .rows import Bout, Bounds, check, head, row
from .smuggling import JSON, nothing_reached
from .wire import Silent

SMALL = Bounds(rss_mib=24)
MESSAGES = "POST /v1/messages HTTP/1.1"


def post(bout: Bout, body: bytes, *fields: str, target: str = "/v1/messages") -> int:
    with bout.wire() as wire:
        wire.send(head(f"POST {target} HTTP/1.1", "content-type: application/json", f"content-length: {len(body)}", *fields) + body)
        answer = wire.next(20)
        return answer.status if answer else 0


def one_of(status: int, *admissible: int) -> str:
    check(status in admissible, f"{status}, not one of {admissible}")
    return str(status)


@row("bodies", "Content-Length: 2 GB", "413 before the body", bounds=SMALL)
def declared(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head(MESSAGES, "content-length: 2000000000"))
        answer = wire.next()
        check(answer.status == 413, str(answer.status))
    nothing_reached(bout)
    return "413"


@row("bodies", "Content-Length: 2 GB with Expect: 100-continue", "413 and no 100", bounds=SMALL)
def expected(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head(MESSAGES, "content-length: 2000000000", "expect: 100-continue"))
        answer = wire.next()
        check(answer.status == 413 and not answer.informational, f"{answer.informational}, {answer.status}")
    return "413"


@row("bodies", "chunks without end, 64 KiB each", "413 at limits.body", bounds=Bounds(rss_mib=32))
def endless(bout: Bout) -> str:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with bout.wire() as wire:
        wire.send(head(MESSAGES, "transfer-encoding: chunked"))
        sent = 0
        while sent < 64 * MIB and wire.send(chunk):
            sent += 65_536
        check(sent < 32 * MIB, f"{sent // MIB} MiB were taken")
        with contextlib.suppress(Silent):
            answer = wire.next()
            check(answer is None or answer.status == 413, f"{answer and answer.status}")
    nothing_reached(bout)
    return f"cut after {sent // MIB} MiB"


@row("bodies", "a chunk of one byte 40,000 times", "served or refused, at a bounded cost", bounds=SMALL)
def tiny_chunks(bout: Bout) -> str:
    body = JSON[:-1] + b" " * 40_000 + b"}"
    with bout.wire() as wire:
        wire.send(head(MESSAGES, "transfer-encoding: chunked") + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        return one_of(wire.next(30).status, 200, 400, 413)


def bomb(coding: str, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    packed = packer.compress(JSON[:-2])
    for _ in range(size // MIB):
        packed += packer.compress(b" " * MIB)
    return packed + packer.compress(JSON[-2:]) + packer.flush()


@row("bodies", "gzip: 100 KB that are 100 MB", "413", bounds=Bounds(rss_mib=40))
def gzip_bomb(bout: Bout) -> str:
    got = one_of(post(bout, bomb("gzip", 100 * MIB), "content-encoding: gzip"), 413)
    nothing_reached(bout)
    return got


# 100 MiB of blanks, as `brotli` packs them.
BROTLI = base64.b64decode("z///fwAkQOKxQHLv//n//w+ABEAcFoDu/T////8BkACIwwLQvf/n//8/ABIAcVgAuvf//P//B0ACIA4LQPf+n////wBIAMRhAeje/+f//w8ACYA4LADd+x8=")


def zstd(blocks: int) -> bytes:
    """RFC 8878: a frame of blocks that are one byte 128 KiB long."""
    block = (128 << 10) << 3 | 1 << 1
    last = (block | 1).to_bytes(3, "little") + b" "
    return b"\x28\xb5\x2f\xfd\x00\x58" + (block.to_bytes(3, "little") + b" ") * (blocks - 1) + last


@row("bodies", "brotli and zstd: 89 bytes that are 100 MiB, 4 KB that are 128 MiB, 320 KB that are 10 GiB", "413 each", bounds=Bounds(rss_mib=72))
def other_bombs(bout: Bout) -> str:
    got = [one_of(post(bout, body, f"content-encoding: {coding}"), 413) for coding, body in (("br", BROTLI), ("zstd", zstd(1024)), ("zstd", zstd(80_000)))]
    nothing_reached(bout)
    return ", ".join(got)


@row("bodies", "gzip in gzip in gzip", "415, 413 or 400", bounds=SMALL)
def nested_gzip(bout: Bout) -> str:
    body = gzip.compress(gzip.compress(gzip.compress(b" " * 50 * MIB)))
    got = one_of(post(bout, body, "content-encoding: gzip, gzip, gzip"), 400, 413, 415)
    nothing_reached(bout)
    return got


@row("bodies", "60 gzip members in a row of 1 MiB each", "413", bounds=Bounds(rss_mib=40))
def gzip_members(bout: Bout) -> str:
    got = one_of(post(bout, gzip.compress(b" " * MIB) * 60, "content-encoding: gzip"), 413, 400)
    nothing_reached(bout)
    return got


@row("bodies", "Content-Encoding: invented, gzip of garbage, gzip cut short", "415, 400, 400", bounds=SMALL)
def bad_codings(bout: Bout) -> str:
    got = [
        one_of(post(bout, JSON, "content-encoding: invented"), 415),
        one_of(post(bout, b"\x1f\x8b" + JSON, "content-encoding: gzip"), 400),
        one_of(post(bout, gzip.compress(JSON)[:-12], "content-encoding: gzip"), 400),
    ]
    nothing_reached(bout)
    return ", ".join(got)


@row("bodies", "JSON nested 100,000 deep: arrays, objects, before and after the model", "400, or passed unread at a bounded cost", bounds=SMALL)
def deep(bout: Bout) -> str:
    arrays, objects = b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    bodies = [arrays, b'{"x":' + arrays + b"," + JSON[1:], JSON[:-1] + b',"x":' + objects + b"}", b"[" * 1_000_000]
    return ", ".join(one_of(post(bout, body), 200, 400) for body in bodies)


@row("bodies", "the same for /v1/chat/completions, which is translated", "400 or 200 at a bounded cost", bounds=Bounds(rss_mib=40))
def deep_chat(bout: Bout) -> str:
    chat = b'{"model":"claude-h2","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":%b}}]}'
    deep_schema = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    return ", ".join(one_of(post(bout, chat % schema, target="/v1/chat/completions"), 200, 400) for schema in (deep_schema, b"[" * 50_000))


DUPLICATES = [
    b'{"model":"claude-litellm","model":"claude-h2","messages":[]}',
    b'{"model":"claude-h2","mod\\u0065l":"claude-litellm","messages":[]}',
    b'{"\\u006dodel":"claude-h2","model":"claude-litellm","messages":[]}',
    b'{"model":"claude-h2","messages":[],"model":null}',
]


@row("bodies", "`model` twice, also spelt with escapes", "400, nothing sent up")
def duplicate_models(bout: Bout) -> str:
    got = ", ".join(one_of(post(bout, body), 400) for body in DUPLICATES)
    nothing_reached(bout)
    return got


@row("bodies", "`model`: missing, null, a number, a list, empty, 1 MB, a control character, a lone surrogate", "400 each, or LiteLLM's to judge")
def bad_models(bout: Bout) -> str:
    models = [b'"x":1', b'"model":null', b'"model":7', b'"model":["claude-h2"]', b'"model":""', b'"model":"%b"' % (b"m" * MIB), b'"model":"a\\u0000b"', b'"model":"\\ud800"']
    got = [one_of(post(bout, b'{%b,"messages":[]}' % model), 200, 400, 404, 413) for model in models]
    check(not bout.world.edge_h2.requests() + bout.world.edge_h1.requests(), "a direct model was called")
    return ", ".join(got)


@row("bodies", "not JSON: nothing, text, a number, UTF-16, a BOM, a cut object, two objects, a raw NUL", "400 each")
def not_json(bout: Bout) -> str:
    bodies = [b"", b"hello", b"1", JSON.decode().encode("utf-16"), JSON[:-3], JSON + JSON, JSON.replace(b"x", b"\0", 1), b'{"model":"claude-h2"} trailing']
    got = ", ".join(one_of(post(bout, body), 400) for body in bodies)
    nothing_reached(bout)
    return got


@row("bodies", "a number of a million digits, a string of a million escapes", "served or 400, at a bounded cost", bounds=SMALL)
def long_tokens(bout: Bout) -> str:
    bodies = [JSON[:-1] + b',"x":%b}' % (b"9" * 1_000_000), JSON[:-1] + b',"x":"%b"}' % (b"\\u0041" * 1_000_000)]
    return ", ".join(one_of(post(bout, body), 200, 400) for body in bodies)


@row("bodies", "100,000 keys in one object", "served or 400, at a bounded cost", bounds=SMALL)
def many_keys(bout: Bout) -> str:
    keys = json.dumps({f"k{number}": number for number in range(100_000)}).encode()
    return one_of(post(bout, JSON[:-1] + b"," + keys[1:]), 200, 400)


@row("bodies", "24 bodies of 7 MiB announced and left standing after 6 MiB, without a key", "refused in time; others' bodies still find room", bounds=Bounds(rss_mib=160))
def hoarded(bout: Bout) -> str:
    wires = [bout.wire() for _ in range(24)]
    for wire in wires:
        wire.connection.settimeout(1)
        wire.send(head(MESSAGES, f"content-length: {7 * MIB}", key=None) + b" " * 6 * MIB)
    # What a turn of Claude Code's is.
    status = post(bout, JSON[:-1].replace(b"claude-litellm", b"claude-h2") + b" " * MIB + b"}")
    statuses: dict[int, int] = {}
    for wire in wires:
        with contextlib.suppress(Silent):
            answer = wire.next(10)
            statuses[answer.status if answer else 0] = statuses.get(answer.status if answer else 0, 0) + 1
        wire.close()
    check(status == 200, f"an honest body got {status} meanwhile")
    check(sum(statuses.values()) == 24 and 200 not in statuses, f"{statuses}")
    return ", ".join(f"{count} × {status or 'closed'}" for status, count in sorted(statuses.items()))
