"""Can a client say who it is? What goes up says only what the gateway knows: its caller's key, its own user id, its own addresses."""

from .conf import KEY
from .rows import Bout, check, head, row
from .smuggling import JSON, nothing_reached
from .upstreams import header, values

FORGED = {
    "x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.example", "x-forwarded-proto": "gopher", "x-forwarded-port": "1", "forwarded": "for=6.6.6.6",
    "via": "1.1 evil", "x-real-ip": "6.6.6.6", "true-client-ip": "6.6.6.6", "cf-connecting-ip": "6.6.6.6", "cf-ray": "evil", "cf-worker": "evil",
    "x-supermemory-api-key": "evil", "x-memgate-route": "direct", "x-litellm-tags": "evil", "cookie": "cf_clearance=evil", "proxy-authorization": "Basic evil",
    "x-goog-api-key": "evil",
}


def message(model: str) -> bytes:
    return JSON.replace(b"claude-litellm", model.encode())


def ask(bout: Bout, model: str, *fields: str) -> int:
    body = message(model)
    with bout.wire() as wire:
        wire.send(head("POST /v1/messages HTTP/1.1", f"content-length: {len(body)}", *fields) + body)
        return wire.next().status


def forged(bout: Bout) -> list[str]:
    """What of the forgeries went up to a direct model's host."""
    fields = [f"{name}: {value}" for name, value in FORGED.items()]
    check(ask(bout, "claude-h2", *fields) == 200, "not served")
    seen = bout.seen()
    check(len(seen) == 1, f"{len(seen)} sent up: {[(one['method'], one['target'], [name for name, _ in one['headers']]) for one in seen]}")
    [request] = seen
    return [f"{name}: {value}" for name, value in request["headers"] if "evil" in value or "6.6.6.6" in value or "gopher" in value]


@row("identity", "17 forged fields (X-Forwarded-*, CF-*, cookies, keys) to a direct model", "none of them sent up")
def forged_fields(bout: Bout) -> str:
    reached = forged(bout)
    check(not reached, f"sent up: {reached}")
    return "200, none sent up"


@row("identity", "the same from an address in trusted_proxies", "none of them sent up to a direct model", gateway="trusting")
def forged_by_a_proxy(bout: Bout) -> str:
    reached = forged(bout)
    check(not reached, f"sent up: {reached}")
    return "200, none sent up"


@row("identity", "X-Forwarded-For in two fields to LiteLLM, from a stranger and from a trusted proxy", "the client's own address; the trusted one's word")
def forwarded_for(bout: Bout) -> str:
    got = []
    for gateway, expected in ((bout.gateway, "127.0.0.1"), (bout.world.gateway("trusting"), "6.6.6.6")):
        bout.world.reset()
        other = Bout(bout.world, gateway)
        # The second field is what HAProxy adds behind its client's.
        check(ask(other, "claude-litellm", "x-forwarded-for: 7.7.7.7", "x-forwarded-for: 6.6.6.6", "forwarded: for=6.6.6.6", "x-real-ip: 6.6.6.6") == 200, "not served")
        [request] = other.seen()
        told = ", ".join(values(request, "x-forwarded-for"))
        check(expected != "6.6.6.6" or told.startswith("7.7.7.7, 6.6.6.6"), f"{gateway.kind}: told {told!r}")
        check(expected in told, f"{gateway.kind}: told {told!r}")
        check(expected == "6.6.6.6" or "6.6.6.6" not in str(request["headers"]), "a stranger was believed")
        got.append(told)
    return "; ".join(got)


@row("identity", "Connection names Authorization, Cookie, x-api-key and the gateway's own fields", "the gateway's own fields go up all the same")
def nominated(bout: Bout) -> str:
    status = ask(bout, "claude-h2", "connection: x-api-key, authorization, cookie, x-sm-user-id, x-supermemory-api-key, anthropic-version, content-length")
    seen = bout.seen()
    for request in seen:
        check(header(request, "x-api-key") == "sk-ant-provider", "the model's key was lost")
        check(header(request, "x-sm-user-id") == "the-team", f"another's memory: {header(request, 'x-sm-user-id')}")
    check(status in (200, 400, 401) and len(seen) == (status == 200), f"{status}, {len(seen)} sent up")
    return str(status)


@row("identity", "x-sm-user-id by another name: twice, in a query, with underscores, with spaces", "the memory is the configured user's")
def user_ids(bout: Bout) -> str:
    body = message("claude-h2")
    forgeries = [("/v1/messages", "x_sm_user_id: mallory"), ("/v1/messages?userId=mallory", "a: b"), ("/v1/messages?beta=true&user%49d=mallory", "a: b")]
    got = []
    for target, field in forgeries:
        with bout.wire() as wire:
            wire.send(head(f"POST {target} HTTP/1.1", f"content-length: {len(body)}", field) + body)
            got.append(str(wire.next().status))
    for request in bout.seen():
        check(values(request, "x-sm-user-id") == ["the-team"], f"{values(request, 'x-sm-user-id')}")
        check("mallory" not in str(request["headers"]) + request["target"], f"sent up: {request['target']}")
    return ", ".join(got)


@row("identity", "no key, a wrong one, two, a key with a newline's escape, 100 KB of key", "401, 400 or 431; nothing of it said again; nothing sent up")
def bad_keys(bout: Bout) -> str:
    got = []
    body = message("claude-h2")
    for credential in ([], ["authorization: Bearer sk-wrong-canary"], ["authorization: Basic c2stYWJ1c2U6"], ["authorization: Bearer"],
                       [f"authorization: Bearer {KEY}%0a"], [f"authorization: Bearer {KEY} "[:-2]], ["x-api-key: " + "k" * 100_000], ["x-api-key: sk-wrong-canary", "api-key: sk-wrong-canary"]):
        with bout.wire() as wire:
            wire.send(head("POST /v1/messages HTTP/1.1", f"content-length: {len(body)}", *credential, key=None) + body)
            answer = wire.next()
            check(answer.status in (400, 401, 431), f"{credential}: {answer.status}")
            check(b"canary" not in answer.body and KEY.encode() not in answer.body, "the answer says what was presented")
            got.append(str(answer.status))
    nothing_reached(bout)
    return ", ".join(got)


@row("identity", "60 wrong keys in a row from one address, then a good one", "401 or 429, and the good one is served")
def guessing(bout: Bout) -> str:
    body, got = message("claude-h2"), {}
    for number in range(60):
        with bout.wire("127.0.0.7") as wire:
            wire.send(head("POST /v1/messages HTTP/1.1", f"content-length: {len(body)}", f"authorization: Bearer sk-guess-{number}", key=None) + body)
            status = wire.next().status
            got[status] = got.get(status, 0) + 1
    check(set(got) <= {401, 429}, str(got))
    nothing_reached(bout)
    with bout.wire("127.0.0.7") as wire:
        wire.send(head("POST /v1/messages HTTP/1.1", f"content-length: {len(body)}") + body)
        check(wire.next().status == 200, "the owner of a good key was shut out by others' guesses")
    return ", ".join(f"{count} × {status}" for status, count in got.items())
