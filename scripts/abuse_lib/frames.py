"""How does a client speak HTTP/2 that says every frame itself? Frames are bytes; what comes back is read with hyperframe and hpack."""

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

import hpack
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PushPromiseFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from .conf import KEY

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",
         "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]

Fields = list[tuple[bytes | str, bytes | str]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by))


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def data(stream: int, payload: bytes = b"", end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def integer(value: int, prefix: int) -> bytes:
    """As HPACK writes it, without the bits before it."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([value])
    out, value = bytearray([most]), value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name: bytes | str, value: bytes | str) -> bytes:
    """Without index and without Huffman's code, so that a block depends on no other."""
    name, value = (text.encode("latin-1") if isinstance(text, str) else text for text in (name, value))
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(fields: Fields) -> bytes:
    return b"".join(literal(*one) for one in fields)


def headers(stream: int, fields: Fields, end: bool = True, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream, block(fields))


def get(path: str = "/v1/abuse", *more: tuple, method: str = "GET") -> Fields:
    return [(":method", method), (":scheme", "https"), (":authority", "gateway"), (":path", path), ("authorization", f"Bearer {KEY}"), ("anthropic-version", "2023-06-01"), *more]


def post_fields(path: str, *more: tuple) -> Fields:
    return [*get(path, method="POST"), ("content-type", "application/json"), *more]


@dataclass
class Outcome:
    """What became of a connection and a stream of it."""

    goaway: str | None = None
    rst: dict[int, str] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    pongs: list[bytes] = field(default_factory=list)
    closed: bool = False

    @property
    def over(self) -> bool:
        return self.closed or self.goaway is not None

    def of(self, stream: int) -> str:
        """In a few words."""
        words = [f"GOAWAY {self.goaway}"] if self.goaway else []
        words += [f"RST {self.rst[stream]}"] if stream in self.rst else []
        words += [str(self.statuses[stream])] if stream in self.statuses else []
        words += ["closed"] if self.closed and not words else []
        return ", ".join(words) or "nothing"


class H2Wire:
    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.inbox = b""
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.outcome = Outcome()
        self.settings: dict[int, int] = {}

    def __enter__(self) -> "H2Wire":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def send(self, *frames: bytes) -> bool:
        try:
            self.connection.sendall(b"".join(frames))
            return True
        except OSError:
            return False

    def hello(self, *pairs: tuple[int, int]) -> None:
        self.send(PREFACE, settings(*pairs))
        self.until(lambda: self.settings or self.outcome.over, 8)
        self.send(frame(SETTINGS, ACK, 0))

    def post(self, stream: int, path: str, body: bytes, *more: tuple) -> bool:
        return self.send(headers(stream, post_fields(path, *more), end=False), data(stream, body, end=True))

    def status(self, stream: int, patience: float = 8) -> int | None:
        """Waits for a stream's whole answer."""
        self.until(lambda: stream in self.outcome.ended or stream in self.outcome.rst or self.outcome.over, patience)
        return self.outcome.statuses.get(stream)

    def lives(self, mark: bytes = b"are-you?", patience: float = 8) -> bool:
        """Whether a PING is answered, which it is after all that was sent before."""
        self.send(frame(PING, 0, 0, mark))
        return self.until(lambda: mark in self.outcome.pongs or self.outcome.over, patience) and mark in self.outcome.pongs

    def until(self, done, patience: float) -> bool:
        """Reads until that is so, or the connection ends, or patience does."""
        end = time.monotonic() + patience
        while not done():
            left = end - time.monotonic()
            if left <= 0 or self.outcome.closed:
                return False
            self.read(left)
        return True

    def read(self, patience: float) -> None:
        self.connection.settimeout(patience)
        try:
            received = self.connection.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError):
            return
        except OSError:
            received = b""
        if not received:
            self.outcome.closed = True
        self.inbox += received
        while len(self.inbox) >= 9:
            length = int.from_bytes(self.inbox[:3], "big")
            if len(self.inbox) < 9 + length:
                return
            one, self.inbox = self.inbox[: 9 + length], self.inbox[9 + length :]
            self._take(one)

    def _take(self, raw: bytes) -> None:
        try:
            one, _ = Frame.parse_frame_header(memoryview(raw[:9]))
            one.parse_body(memoryview(raw[9:]))
        except HyperframeError:
            return
        outcome, stream = self.outcome, one.stream_id
        match one:
            case GoAwayFrame():
                outcome.goaway = code(one.error_code)
            case RstStreamFrame():
                outcome.rst[stream] = code(one.error_code)
            case SettingsFrame() if "ACK" not in one.flags:
                self.settings = dict(one.settings) or {0: 0}
            case PingFrame() if "ACK" in one.flags:
                outcome.pongs.append(bytes(one.opaque_data))
            case HeadersFrame():
                fields = dict(self.decoder.decode(one.data))
                if ":status" in fields and int(fields[":status"]) >= 200:
                    outcome.statuses[stream] = int(fields[":status"])
            case DataFrame():
                outcome.bodies[stream] = outcome.bodies.get(stream, b"") + bytes(one.data)
            case PushPromiseFrame() | WindowUpdateFrame():
                pass
        if isinstance(one, (HeadersFrame, DataFrame)) and "END_STREAM" in one.flags:
            outcome.ended.add(stream)


def code(number: int) -> str:
    return CODES[number] if number < len(CODES) else f"0x{number:x}"
