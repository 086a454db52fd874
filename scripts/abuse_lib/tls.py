"""What of TLS? Versions and protocols that are too old are refused, and what is no handshake costs little."""

import socket
import ssl
import warnings

from .rows import Bout, check, head, row
from .smuggling import JSON
from .wire import Wire, connect, reset, tls_context


def handshake(bout: Bout, context: ssl.SSLContext) -> ssl.SSLSocket | None:
    plain = connect(("127.0.0.1", bout.gateway.tls))
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except (ssl.SSLError, ConnectionError, TimeoutError):
        plain.close()
        return None


@row("tls", "TLS 1.0 and TLS 1.1", "no handshake")
def old_versions(bout: Bout) -> str:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = tls_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        check(handshake(bout, context) is None, f"{version.name} was taken")
    return "refused"


@row("tls", "TLS 1.2 and TLS 1.3, ALPN h2, http/1.1, both, none", "served; h2 where it is offered")
def versions(bout: Bout) -> str:
    got = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for offered, agreed in ((["h2"], "h2"), (["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), (None, None)):
            context = tls_context(offered)
            context.minimum_version = context.maximum_version = version
            secured = handshake(bout, context)
            check(secured is not None and secured.selected_alpn_protocol() == agreed, f"{version.name}, {offered}: {secured and secured.selected_alpn_protocol()}")
            if agreed != "h2":
                with Wire(secured) as wire:
                    wire.send(head("GET /health HTTP/1.1"))
                    check(wire.next().status == 200, "not served")
            secured.close()
        got.append(version.name)
    return ", ".join(got)


@row("tls", "ciphers without authentication, without encryption, RC4, 3DES", "no handshake")
def weak_ciphers(bout: Bout) -> str:
    context = tls_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:eNULL:PSK:SRP:AES128-SHA:@SECLEVEL=0")
    check(handshake(bout, context) is None, "taken")
    return "refused"


@row("tls", "HTTP on the TLS port, garbage, an SSLv2 hello, a record of 64 KiB, an alert", "closed, nothing sent up")
def no_handshake(bout: Bout) -> str:
    openings = [head("GET /v1/abuse HTTP/1.1"), bytes(range(256)) * 64, b"\x80\x2e\x01\x00\x02" + bytes(40), b"\x16\x03\x01\xff\xff" + b"\x01" * 65_535, b"\x15\x03\x01\x00\x02\x02\x28"]
    for opening in openings:
        with Wire(connect(("127.0.0.1", bout.gateway.tls))) as wire:
            wire.send(opening)
            said = wire.until_ended(8)
            check(said is not None, f"stays open after {opening[:8]!r}")
            check(b"HTTP/" not in said, f"spoke HTTP in the clear: {said[:60]!r}")
    check(not bout.seen(), "sent up")
    return "closed"


@row("tls", "300 handshakes begun and ended with RST", "nobody else waits")
def aborted_handshakes(bout: Bout) -> str:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    for _ in range(300):
        plain = connect(("127.0.0.1", bout.gateway.tls))
        plain.sendall(hello)
        reset(plain)
    return "300 ended"


@row("tls", "a body cut by FIN without close_notify, 10 times", "not taken for whole")
def truncated(bout: Bout) -> str:
    for _ in range(10):
        secured = bout.tls(["http/1.1"])
        secured.sendall(head("POST /v1/audio/speech HTTP/1.1", "content-length: 5000") + JSON)
        plain = socket.socket(fileno=secured.detach())
        plain.shutdown(socket.SHUT_WR)
        plain.close()
    whole = [one for one in bout.seen() if one["body"]["complete"]]
    check(not whole, f"{len(whole)} taken for whole")
    return "none taken for whole"


@row("tls", "a request in records of one byte", "served")
def tiny_records(bout: Bout) -> str:
    with Wire(bout.tls(["http/1.1"])) as wire:
        for byte in head("GET /v1/abuse HTTP/1.1"):
            wire.send(bytes([byte]))
        answer = wire.next()
    check(answer.status == 200, str(answer.status))
    return "200"
