"""How does a client speak that says every byte itself? HTTP/1.1 on a bare socket, and answers read one after the other."""

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

PATIENCE = 8.0
ENDED = 6.0


class Silent(Exception):
    """Nothing came in time."""


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    whole: bool = True
    informational: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def connect(address: tuple[str, int], source: str | None = None, receive_buffer: int | None = None) -> socket.socket:
    """Without waiting for more than a moment: a listener whose queue is full is an answer too."""
    plain = socket.socket()
    plain.settimeout(PATIENCE)
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        plain.bind((source, 0))
    plain.connect(address)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def tls_context(protocols: list[str] | None = None) -> ssl.SSLContext:
    """Whoever abuses a server does not ask for its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols is not None:
        context.set_alpn_protocols(protocols)
    return context


def reset(connection: socket.socket) -> None:
    """Ends it with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Wire:
    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.unread = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def send(self, data: bytes) -> bool:
        """False if the other side has had enough."""
        try:
            self.connection.sendall(data)
            return True
        except OSError:
            return False

    def next(self, patience: float = PATIENCE, head_request: bool = False) -> Answer | None:
        """The next final answer; `None` if the connection ends before there is one."""
        end, informational = time.monotonic() + patience, []
        while True:
            head = self._until(b"\r\n\r\n", end)
            if head is None:
                return None
            answer = parse(head)
            if answer.status >= 200 or answer.status == 101:
                break
            informational.append(answer.status)
        answer.informational = informational
        if not head_request and answer.status not in (101, 204, 304):
            self._body(answer, end)
        return answer

    def ended(self, within: float = ENDED) -> bool:
        """Whether the connection ends without another byte."""
        return not self.unread and self._more(time.monotonic() + within, silence=None) is False

    def until_ended(self, within: float) -> bytes | None:
        """All that comes until the connection ends; `None` if it does not."""
        end = time.monotonic() + within
        while (more := self._more(end, silence=None)) is not False:
            if more is None:
                return None
        return self.unread

    def quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while, and the connection stays."""
        return not self.unread and self._more(time.monotonic() + seconds, silence=None) is None

    def _body(self, answer: Answer, end: float) -> None:
        length = answer.header("content-length")
        if "chunked" in (answer.header("transfer-encoding") or ""):
            answer.whole = self._chunks(answer, end)
        elif length is not None:
            answer.whole = self._take(int(length), answer, end)
        else:
            while self._more(end):
                pass
            answer.body, self.unread = self.unread, b""

    def _chunks(self, answer: Answer, end: float) -> bool:
        while True:
            line = self._until(b"\r\n", end)
            if line is None:
                return False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return self._until(b"\r\n", end) is not None
            if not self._take(size, answer, end) or self._until(b"\r\n", end) is None:
                return False

    def _take(self, length: int, answer: Answer, end: float) -> bool:
        while len(self.unread) < length:
            if not self._more(end):
                answer.body, self.unread = answer.body + self.unread, b""
                return False
        answer.body, self.unread = answer.body + self.unread[:length], self.unread[length:]
        return True

    def _until(self, mark: bytes, end: float) -> bytes | None:
        while mark not in self.unread:
            if not self._more(end):
                return None
        line, self.unread = self.unread.split(mark, 1)
        return line

    def _more(self, end: float, silence: type[Exception] | None = Silent) -> bool | None:
        """False at the end of the connection; at the end of patience it raises, or `None`."""
        self.connection.settimeout(max(0.01, end - time.monotonic()))
        try:
            data = self.connection.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError):
            if silence:
                raise Silent("no answer in time") from None
            return None
        except OSError:
            return False
        self.unread += data
        return bool(data)


def parse(head: bytes) -> Answer:
    first, *lines = head.split(b"\r\n")
    fields = [line.partition(b":") for line in lines]
    headers = [(name.decode("latin-1").lower(), value.strip().decode("latin-1")) for name, _, value in fields]
    return Answer(int(first.split(b" ")[1]), headers)
