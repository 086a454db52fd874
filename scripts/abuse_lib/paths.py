"""Can a path reach what it does not name? Only exact paths are routes; what servers read differently goes nowhere."""

from .rows import Bout, check, head, row
from .smuggling import JSON, nothing_reached

REFUSED = [
    ("/v1/../admin", (400,)),
    ("/v1/./messages", (400,)),
    ("/v1/%2e%2e/admin", (400,)),
    ("/v1/.%2E/key/generate", (400,)),
    ("/v1/x%2f..%2f..%2fkey/generate", (400,)),
    ("/v1/..%2fkey/generate", (400,)),
    ("/v1\\..\\key\\generate", (400,)),
    ("/v1/%5c..%5ckey", (400,)),
    ("/v1/messages%00", (400,)),
    ("/v1/%2500/../../key/generate", (400,)),
    ("//v1/messages", (400, 404)),
    ("//other.example/v1/messages", (400, 404)),
    ("/V1/MESSAGES", (404,)),
    ("/v1%2fmessages", (404,)),
    ("/%76%31/key/generate", (404,)),
    ("/key/generate", (404,)),
    ("/key/generate?/v1/messages", (404,)),
    ("/user/new", (404,)),
    ("/ui/", (404,)),
    ("/__stats", (404,)),
    ("admin", (400,)),
    ("*", (400,)),
    ("?x=/v1/messages", (400,)),
    ("http://", (400,)),
    ("http://other.example/v1/messages", (400,)),
    ("http://gateway@other.example/v1/messages", (400,)),
    ("http://user:pass@gateway/v1/messages", (400,)),
    ("ftp://gateway/v1/messages", (400,)),
    ("file:///etc/passwd", (400,)),
    ("javascript:alert(1)", (400,)),
]


def register(path: str, statuses: tuple[int, ...]) -> None:
    @row("paths", path, f"{' or '.join(map(str, statuses))}; nothing sent up")
    def deed(bout: Bout) -> str:
        got = []
        for request in (head(f"GET {path} HTTP/1.1"), head(f"POST {path} HTTP/1.1", f"content-length: {len(JSON)}") + JSON):
            with bout.wire() as wire:
                wire.send(request)
                answer = wire.next()
                check(answer is not None and answer.status in statuses, f"{answer and answer.status}")
                got.append(str(answer.status))
        nothing_reached(bout)
        return ", ".join(got)


for case in REFUSED:
    register(*case)


# Not the gateway's own paths, and below one that LiteLLM's inference has: LiteLLM judges them, as they were written.
BELONG_TO_LITELLM = ["/v1/messages/", "/v1/messages;x=1", "/v1/messages%2f", "/v1/messages%20", "/v1//messages", "/v1/Messages", "/v1/chat%2fcompletions", "/v1/..;/key/generate"]


@row("paths", "close to /v1/messages: a slash, a semicolon, %2f, %20, //, ..;, another case", "refused, or LiteLLM's to judge, byte for byte; never a direct model")
def close_to_a_route(bout: Bout) -> str:
    body = JSON.replace(b"claude-litellm", b"claude-h2")
    got = []
    for path in BELONG_TO_LITELLM:
        with bout.wire() as wire:
            wire.send(head(f"POST {path} HTTP/1.1", f"content-length: {len(body)}") + body)
            answer = wire.next()
            check(answer.status < 500 and answer.header("x-memgate-route") != "direct", f"{path}: {answer.status}, {answer.header('x-memgate-route')}")
            got.append(str(answer.status))
    check(not bout.world.edge_h2.requests(), "a direct model was called")
    targets = {one["target"] for one in bout.world.litellm.requests()}
    check(targets <= set(BELONG_TO_LITELLM), f"rewritten: {targets}")
    return ", ".join(got)


@row("paths", "the absolute form of the gateway's own Host", "served, sent up in origin form")
def absolute_form(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head("GET http://gateway/v1/abuse HTTP/1.1"))
        answer = wire.next()
    targets = [one["target"] for one in bout.seen()]
    check(answer.status == 200 and targets == ["/v1/abuse"] or answer.status == 400 and not targets, f"{answer.status}, {targets}")
    return str(answer.status)


@row("paths", "OPTIONS *", "answered here")
def asterisk(bout: Bout) -> str:
    with bout.wire() as wire:
        wire.send(head("OPTIONS * HTTP/1.1"))
        answer = wire.next()
    check(answer.status in (200, 204), str(answer.status))
    nothing_reached(bout)
    return str(answer.status)
