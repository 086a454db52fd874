"""What if an upstream is bad? Its answer becomes one sound answer or an error, and what it sends besides reaches nobody else."""

from .rows import Bout, Bounds, check, head, row
from .wire import Answer, Silent

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def asked(bout: Bout, name: str, *pieces: bytes, close: bool = False) -> Answer | None:
    path = bout.world.bare.says(name, *pieces, close=close)
    with bout.wire() as wire:
        wire.send(head(f"GET {path} HTTP/1.1"))
        answer = wire.next()
        check(wire.quiet(0.15) or wire.ended(), f"a second answer: {wire.unread[:80]!r}")
        return answer


BAD = [
    ("an unsolicited 101", b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\nraw", (502,)),
    ("an unsolicited 101 to websocket", b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw", (502,)),
    ("two differing Content-Lengths", OK + b"content-length: 2\r\ncontent-length: 9\r\n\r\n{}", (502,)),
    ("Content-Length: -1", OK + b"content-length: -1\r\n\r\n{}", (502,)),
    ("Content-Length and Transfer-Encoding", OK + b"content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", (200, 502)),
    ("Transfer-Encoding: gzip, chunked", OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", (200, 502)),
    ("no HTTP at all", b"\x00\x01garbage\r\n\r\n", (502,)),
    ("HTTP/2.0 in a status line", b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", (200, 502)),
    ("status 999", b"HTTP/1.1 999 x\r\ncontent-length: 2\r\n\r\n{}", (502, 999)),
    ("status 20", b"HTTP/1.1 20 x\r\ncontent-length: 2\r\n\r\n{}", (502,)),
    ("300 fields", OK + b"".join(b"x-%d: 1\r\n" % n for n in range(300)) + b"content-length: 2\r\n\r\n{}", (502,)),
    ("a head of 2 MB", OK + b"x: " + b"y" * 2_000_000 + b"\r\ncontent-length: 2\r\n\r\n{}", (502,)),
    ("a NUL in a field", OK + b"x: a\0b\r\ncontent-length: 2\r\n\r\n{}", (502,)),
    ("a connection closed before a word", b"", (502,)),
]


def register(name: str, said: bytes, statuses: tuple[int, ...]) -> None:
    @row("upstream answers", name, f"{' or '.join(map(str, statuses))}", gateway="odd", bounds=Bounds(rss_mib=16))
    def deed(bout: Bout) -> str:
        try:
            answer = asked(bout, f"bad-{abs(hash(name))}", said, close=True)
        except Silent:
            check(False, "no answer")
        check(answer is not None and answer.status in statuses, f"{answer and answer.status}")
        check("foo" not in (answer.header("upgrade") or ""), "the upgrade was passed on")
        return str(answer.status)


for case in BAD:
    register(*case)


@row("upstream answers", "500 informational answers, then 200", "at most 8 of them, or 502", gateway="odd")
def informational(bout: Bout) -> str:
    answer = asked(bout, "flood", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 500, OK + b"content-length: 2\r\n\r\n{}")
    check(answer is not None and answer.status in (200, 502), f"{answer and answer.status}")
    check(len(answer.informational) <= 8, f"{len(answer.informational)} informational answers")
    return f"{len(answer.informational)} × 1xx, {answer.status}"


@row("upstream answers", "informational answers without end", "502 or 504 in bounded time", gateway="odd", quick=False)
def endless_informational(bout: Bout) -> str:
    answer = asked(bout, "endless-1xx", *[b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000] * 200, close=True)
    check(answer is None or answer.status in (502, 504), f"{answer and answer.status}")
    return str(answer.status) if answer else "closed"


@row("upstream answers", "204 and 304 with a Content-Length and a body", "no length, no body, the pool stays sound", gateway="odd")
def bodiless(bout: Bout) -> str:
    got = []
    for status in (204, 304):
        answer = asked(bout, f"bodiless-{status}", b"HTTP/1.1 %d x\r\ncontent-length: 5\r\n\r\nhello" % status)
        check(answer.status == status or answer.status == 502, str(answer.status))
        check(status != 204 or answer.header("content-length") in (None, "0") or answer.status == 502, "204 with a length")
        got.append(str(answer.status))
    return ", ".join(got)


@row("upstream answers", "hop-by-hop fields, and those that Connection names", "none reaches the client", gateway="odd")
def hop_by_hop(bout: Bout) -> str:
    fields = b"connection: keep-alive, x-named\r\nkeep-alive: timeout=99999\r\nproxy-authenticate: Basic\r\nproxy-connection: x\r\nx-named: 1\r\nupgrade: foo\r\nalt-svc: h3=\":1\"\r\ntrailer: x\r\n"
    answer = asked(bout, "hop", OK + fields + b"content-length: 2\r\n\r\n{}")
    names = {name for name, _ in answer.headers}
    passed = names & {"keep-alive", "proxy-authenticate", "proxy-connection", "x-named", "upgrade", "alt-svc"}
    check(not passed, f"passed on: {sorted(passed)}")
    return str(answer.status)


@row("upstream answers", "a second answer behind the first, 10 times", "nobody gets it", gateway="odd")
def split(bout: Bout) -> str:
    poison = OK + b"content-length: 6\r\n\r\npoison"
    for number in range(10):
        answer = asked(bout, f"split-{number}", OK + b"content-length: 2\r\n\r\n{}" + poison)
        check(answer.status == 200 and answer.body == b"{}", f"{answer.status} {answer.body!r}")
    return "10 × 200"


@row("upstream answers", "a body behind the answer to HEAD, 10 times", "nobody gets it", gateway="odd")
def head_with_a_body(bout: Bout) -> str:
    path = bout.world.bare.says("head", OK + b"content-length: 6\r\n\r\npoison")
    for _ in range(10):
        with bout.wire() as wire:
            wire.send(head(f"HEAD {path} HTTP/1.1"))
            answer = wire.next(head_request=True)
            check(answer.status == 200 and (wire.quiet(0.1) or wire.ended()), "a body came")
    return "10 × 200"


CUT = [
    ("a body cut short of its length", OK + b"content-length: 99\r\n\r\n{}"),
    ("chunks cut in the middle", OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhel"),
    ("chunks without the last one", OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    ("a chunk size that is none", OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n0\r\n\r\n"),
]


def register_cut(name: str, said: bytes) -> None:
    @row("upstream answers", name, "502, or an end that shows that it is not whole", gateway="odd")
    def deed(bout: Bout) -> str:
        answer = asked(bout, f"cut-{abs(hash(name))}", said, close=True)
        check(answer is None or answer.status == 502 or not answer.whole, f"{answer and answer.status}, whole")
        return "closed" if answer is None else f"{answer.status}, {'whole' if answer.whole else 'cut'}"


for case in CUT:
    register_cut(*case)
