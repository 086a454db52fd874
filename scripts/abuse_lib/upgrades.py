"""Which protocols may a connection become? WebSocket where LiteLLM serves one; everything else stays HTTP."""

import time

from .rows import Bout, check, head, row
from .smuggling import INNER, JSON
from .upstreams import header

WEBSOCKET = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="]


def upgraded(bout: Bout, request: bytes) -> int:
    """The status; whatever it is, no other protocol went up and the bytes behind were no request."""
    with bout.wire() as wire:
        wire.send(request + INNER)
        answer = wire.next()
        check(answer is not None and answer.status != 101, f"{answer and answer.status}")
        check(answer.status in (200, 400, 401, 404, 405, 415), str(answer.status))
    for one in bout.seen():
        check(header(one, "upgrade") is None and header(one, "http2-settings") is None, f"sent up: {one['headers']}")
    return answer.status


def register(name: str, *fields: str) -> None:
    @row("upgrades", name, "no 101; nothing of it sent up")
    def deed(bout: Bout) -> str:
        got = [upgraded(bout, head("GET /v1/abuse HTTP/1.1", *fields))]
        got.append(upgraded(bout, head("POST /v1/messages HTTP/1.1", *fields, f"content-length: {len(JSON)}") + JSON))
        return ", ".join(map(str, got))


register("Upgrade: foo", "connection: upgrade", "upgrade: foo")
register("Upgrade: h2c with HTTP2-Settings", "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
register("Upgrade: TLS/1.0", "connection: upgrade", "upgrade: TLS/1.0")
register("Upgrade: websocket, h2c", "connection: upgrade", "upgrade: h2c, foo/2")


@row("upgrades", "Upgrade: websocket on /v1/messages and by POST", "no 101; nothing of it sent up to a direct model")
def websocket_elsewhere(bout: Bout) -> str:
    body = JSON.replace(b"claude-litellm", b"claude-h1")
    with bout.wire() as wire:
        wire.send(head("POST /v1/messages HTTP/1.1", *WEBSOCKET, f"content-length: {len(body)}") + body)
        answer = wire.next()
        check(answer.status != 101, "101")
    for one in bout.world.edge_h1.requests():
        check(header(one, "upgrade") is None, "sent up")
    return str(answer.status)


@row("upgrades", "Upgrade: websocket refused by LiteLLM, with a request behind it", "the refusal; what follows is judged as a request of its own, or not at all", gateway="odd")
def websocket_refused(bout: Bout) -> str:
    path = bout.world.bare.says("ws-refused", b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
    before = len(bout.world.bare.heads)
    with bout.wire() as wire:
        wire.send(head(f"GET {path} HTTP/1.1", *WEBSOCKET) + INNER)
        answer = wire.next()
        check(answer.status == 403, str(answer.status))
    time.sleep(0.2)
    behind = [one.lower() for one in bout.world.bare.heads[before:] if b"smuggled" in one.split(b"\r\n")[0]]
    check(all(b"x-forwarded-for:" in one for one in behind), "the bytes behind went up as they were")
    return "403"


@row("upgrades", "CONNECT to the admin port and to an edge, with a TLS ClientHello behind it", "405 or 400, closed")
def connect(bout: Bout) -> str:
    got = []
    for authority in (f"127.0.0.1:{bout.gateway.admin}", "api.supermemory.ai:443"):
        with bout.wire() as wire:
            wire.send(head(f"CONNECT {authority} HTTP/1.1", host=authority) + b"\x16\x03\x01" + b"x" * 100)
            answer = wire.next()
            check(answer.status in (400, 405), str(answer.status))
            check(wire.ended() or not wire.unread, "more came")
            got.append(str(answer.status))
    return ", ".join(got)
