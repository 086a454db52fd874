"""Which frames may a client not send, and which must be put up with? RFC 9113 sections 3 to 6, and RFC 7541."""

import struct

from .case import Case, Section
from .frames import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, WITH_PRIORITY, block, data, frame, get, headers, integer, literal, post_fields, rst, settings, window_update,
)

CASES: list[Case] = []
BODY = b'{"x":1}'
OPEN = headers(1, get())
POST = headers(1, post_fields("/v1/abuse"), end=False)
# A stream whose request is not whole yet stays open.
WAITING = POST


def starting() -> None:
    section = Section("3.4 and 6.5, preface and SETTINGS", CASES)
    section.fails("a preface that is none", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + bytes(24), codes="PROTOCOL", bare=True)
    section.fails("a preface with one wrong byte", PREFACE[:-1] + b"x" + settings(), codes="PROTOCOL", bare=True)
    section.lives("a preface, then HEADERS without SETTINGS, which the RFC forbids and nobody needs", PREFACE, OPEN, status=200, bare=True)
    section.fails("SETTINGS: an ACK with a payload", frame(SETTINGS, ACK, 0, bytes(6)), codes="FRAME_SIZE")
    section.fails("SETTINGS on a stream", frame(SETTINGS, 0, 1), codes="PROTOCOL")
    section.fails("SETTINGS of five bytes", frame(SETTINGS, 0, 0, bytes(5)), codes="FRAME_SIZE")
    section.fails("SETTINGS: ENABLE_PUSH of 2", settings((2, 2)), codes="PROTOCOL")
    section.fails("SETTINGS: INITIAL_WINDOW_SIZE above 2^31-1", settings((4, 1 << 31)), codes="FLOW_CONTROL")
    section.fails("SETTINGS: MAX_FRAME_SIZE below 16,384", settings((5, 16_383)), codes="PROTOCOL")
    section.fails("SETTINGS: MAX_FRAME_SIZE above 2^24-1", settings((5, 1 << 24)), codes="PROTOCOL")
    section.lives("SETTINGS: an unknown one", settings((0xF0F0, 7)), OPEN, status=200)
    section.lives("SETTINGS: the same one twice", settings((4, 1), (4, 65_535)), OPEN, status=200)
    section.lives("SETTINGS: empty", settings(), OPEN, status=200)
    section.lives("SETTINGS: no header table", settings((1, 0)), OPEN, status=200)


def frames() -> None:
    section = Section("4, frames", CASES)
    section.lives("a frame of an unknown kind", frame(0xEE, 0xFF, 0, b"x" * 8), frame(0xEE, 0xFF, 1, b"x"), OPEN, status=200)
    section.lives("flags that mean nothing", frame(PING, 0xFE, 0, bytes(8)), OPEN, status=200)
    section.lives("the reserved bit of a stream's number", frame(PING, 0, 1 << 31, bytes(8)), OPEN, status=200)
    section.lives("DATA of exactly 16,384 bytes", POST, data(1, b" " * 16_384, end=True), status=200)
    section.fails("DATA of 16,385 bytes", POST, data(1, b" " * 16_385, end=True), codes="FRAME_SIZE")
    section.fails("HEADERS of 16,385 bytes", frame(HEADERS, END_HEADERS | END_STREAM, 1, block(get()) + literal("x", "y" * 16_385)), codes="FRAME_SIZE")
    section.fails("a frame that says it has 16 MB", frame(DATA, 0, 1, b"", (1 << 24) - 1), codes="FRAME_SIZE")
    section.fails("an unknown frame amid a header block", frame(HEADERS, END_STREAM, 1, block(get())), frame(0xEE, 0, 0, b"x"), codes="PROTOCOL")
    section.fails("PRIORITY amid a header block", frame(HEADERS, END_STREAM, 1, block(get())), frame(PRIORITY, 0, 1, bytes(5)), codes="PROTOCOL")
    section.fails("DATA amid a header block", frame(HEADERS, 0, 1, block(get())), data(1, b"x"), codes="PROTOCOL")
    section.fails("another stream's HEADERS amid a header block", frame(HEADERS, END_STREAM, 1, block(get())), headers(3, get()), codes="PROTOCOL")
    section.fails("SETTINGS amid a header block", frame(HEADERS, END_STREAM, 1, block(get())), settings(), codes="PROTOCOL")


def compression() -> None:
    section = Section("RFC 7541, header compression", CASES)
    whole = block(get())

    def broken(name: str, bad: bytes) -> None:
        section.fails(name, frame(HEADERS, END_HEADERS | END_STREAM, 1, whole + bad), codes="COMPRESSION", malformed=True)

    broken("index 0", b"\x80")
    broken("an index beyond both tables", b"\xff" + integer(5000, 7)[1:])
    broken("a literal whose name has an index beyond both tables", b"\x0f" + integer(5000, 4)[1:] + b"\x01x")
    broken("an integer that never ends", b"\xff" + b"\xff" * 40)
    broken("an integer cut short", b"\xff\x80")
    broken("a string longer than the block", b"\x00\x7f" + integer(1000, 7)[1:] + b"x")
    broken("a string of 2^60 bytes", b"\x00" + b"\x7f" + b"\xff" * 8 + b"\x0f")
    broken("Huffman: padding of more than 7 bits", b"\x00\x01x\x82\xff\xff")
    broken("Huffman: padding of zeros", b"\x00\x01x\x81\x00")
    broken("Huffman: the end of string within", b"\x00\x01x\x84\xff\xff\xff\xff")
    broken("a table size behind a field", b"\x3f\x01" + b"\x20")
    section.fails("a table larger than SETTINGS allow", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f" + integer(1_000_000, 5)[1:] + whole), codes="COMPRESSION", malformed=True)
    section.lives("a table of size 0, then 4,096", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20\x3f" + integer(4096, 5)[1:] + whole), status=200)


def states() -> None:
    section = Section("5, streams", CASES)
    section.fails("idle: DATA", data(1, b"x"), codes="PROTOCOL STREAM_CLOSED")
    section.fails("idle: RST_STREAM", rst(1), codes="PROTOCOL STREAM_CLOSED")
    section.fails("idle: WINDOW_UPDATE", window_update(1, 10), codes="PROTOCOL STREAM_CLOSED")
    section.fails("idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, block(get())), codes="PROTOCOL")
    section.lives("idle: PRIORITY", frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1)), OPEN, status=200)
    section.fails("half-closed: DATA", OPEN, data(1, b"x", end=True), codes="STREAM_CLOSED PROTOCOL")
    section.fails("half-closed: HEADERS", OPEN, headers(1, get()), codes="STREAM_CLOSED PROTOCOL")
    section.fails("half-closed: CONTINUATION", OPEN, frame(CONTINUATION, END_HEADERS, 1, block(get())), codes="STREAM_CLOSED PROTOCOL")
    section.lives("half-closed: WINDOW_UPDATE and PRIORITY", OPEN, window_update(1, 10), frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1)), status=200)
    section.fails("reset: DATA without end", WAITING, rst(1), *[data(1, b"x" * 16_384)] * 8, codes="STREAM_CLOSED PROTOCOL FLOW_CONTROL ENHANCE_YOUR_CALM NO_ERROR")
    section.fails("reset: HEADERS", WAITING, rst(1), headers(1, get()), codes="STREAM_CLOSED PROTOCOL")
    section.fails("reset: CONTINUATION", WAITING, rst(1), frame(CONTINUATION, END_HEADERS, 1, block(get())), codes="STREAM_CLOSED PROTOCOL")
    section.fails("an even stream number", headers(2, get()), codes="PROTOCOL", stream=2)
    section.fails("a stream number that goes down", headers(5, get()), headers(3, get()), codes="PROTOCOL STREAM_CLOSED", stream=3)
    section.fails("stream 0: HEADERS", headers(0, get()), codes="PROTOCOL")
    many = [headers(number, post_fields("/v1/abuse"), end=False) for number in range(1, 2 * 140, 2)]
    section.fails("140 streams at once", *many, codes="REFUSED_STREAM PROTOCOL ENHANCE_YOUR_CALM", stream=279)
    section.lives("the highest stream number there is", headers((1 << 31) - 1, get()), status=200, stream=(1 << 31) - 1)


def kinds() -> None:
    section = Section("6, kinds of frames", CASES)
    section.fails("DATA on stream 0", data(0, b"x"), codes="PROTOCOL")
    section.fails("DATA with more padding than room", WAITING, frame(DATA, PADDED | END_STREAM, 1, b"\x09xxxx"), codes="PROTOCOL")
    section.fails("DATA that is padded and empty", WAITING, frame(DATA, PADDED | END_STREAM, 1, b""), codes="PROTOCOL FRAME_SIZE")
    section.lives("DATA of padding alone", WAITING, frame(DATA, PADDED, 1, b"\x04" + bytes(4)), data(1, BODY, end=True), status=200)
    section.lives("DATA without a byte, four times", WAITING, *[data(1)] * 4, data(1, BODY, end=True), status=200)
    section.fails("HEADERS with more padding than room", frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + block(get())[:40]), codes="PROTOCOL")
    section.lives("HEADERS with padding and priority", frame(HEADERS, END_HEADERS | END_STREAM | PADDED | WITH_PRIORITY, 1, b"\x03" + bytes(4) + b"\x10" + block(get()) + bytes(3)), status=200)
    section.fails("PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), codes="PROTOCOL")
    section.fails("PRIORITY of four bytes", WAITING, frame(PRIORITY, 0, 1, bytes(4)), codes="FRAME_SIZE")
    section.fails("RST_STREAM on stream 0", rst(0), codes="PROTOCOL")
    section.fails("RST_STREAM of three bytes", WAITING, frame(RST_STREAM, 0, 1, bytes(3)), codes="FRAME_SIZE")
    section.lives("RST_STREAM with an unknown code", WAITING, rst(1, 0xABCDEF))
    section.fails("PUSH_PROMISE from a client", WAITING, frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + block(get())), codes="PROTOCOL")
    section.lives("PING that nobody asked for", frame(PING, ACK, 0, bytes(8)), OPEN, status=200)
    section.fails("PING on a stream", frame(PING, 0, 1, bytes(8)), codes="PROTOCOL")
    section.fails("PING of seven bytes", frame(PING, 0, 0, bytes(7)), codes="FRAME_SIZE")
    section.fails("GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), codes="PROTOCOL")
    section.fails("CONTINUATION on stream 0", frame(CONTINUATION, END_HEADERS, 0, block(get())), codes="PROTOCOL")
    section.fails("CONTINUATION behind a whole header block", WAITING, frame(CONTINUATION, END_HEADERS, 1, block([("x", "y")])), codes="PROTOCOL STREAM_CLOSED")
    pieces = [block(get())[at : at + 60] for at in range(0, len(block(get())), 60)]
    section.lives("a header block in pieces of sixty bytes", frame(HEADERS, END_STREAM, 1, pieces[0]), *[frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:-1]],
                  frame(CONTINUATION, END_HEADERS, 1, pieces[-1]), status=200)


def windows() -> None:
    section = Section("6.9, flow control", CASES)
    section.fails("WINDOW_UPDATE of 0 for the connection", window_update(0, 0), codes="PROTOCOL")
    section.fails("WINDOW_UPDATE of 0 for a stream", WAITING, window_update(1, 0), codes="PROTOCOL")
    section.fails("WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), codes="FRAME_SIZE")
    section.fails("the connection's window above 2^31-1", window_update(0, (1 << 31) - 1), codes="FLOW_CONTROL")
    section.fails("a stream's window above 2^31-1", WAITING, window_update(1, (1 << 31) - 1), codes="FLOW_CONTROL")
    section.fails("a stream's window above 2^31-1 by SETTINGS", WAITING, window_update(1, (1 << 31) - 1 - 65_535), settings((4, 65_536)), codes="FLOW_CONTROL")
    section.lives("a window of 0 from the start, opened later", settings((4, 0)), OPEN, window_update(1, 1000), window_update(1, 10_000), status=200)
    section.lives("a window that SETTINGS make negative", OPEN, settings((4, 1)), settings((4, 0)), settings((4, 65_535)), status=200)
    section.fails("DATA beyond the stream's window", WAITING, *[data(1, b" " * 16_384)] * 1000, codes="FLOW_CONTROL STREAM_CLOSED CANCEL NO_ERROR", statuses=(400, 413))


for part in (starting, frames, compression, states, kinds, windows):
    part()
