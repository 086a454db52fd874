"""How much memory does one open, silent stream hold?"""

import asyncio

from . import cpu
from .proxies import Proxy

STREAMS = 2000
REQUEST = (
    b"POST /v1/messages?hold HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-bench\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
BODY = b'{"model":"some-model","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hello"}]}'


def kib_per_stream(proxy: Proxy) -> float:
    return asyncio.run(measure(proxy))


async def measure(proxy: Proxy) -> float:
    before = cpu.resident_bytes(proxy.process.pid)
    streams = []
    for _ in range(STREAMS // 100):
        streams += await asyncio.gather(*(open_stream(proxy.port) for _ in range(100)))
    await asyncio.sleep(1)
    after = cpu.resident_bytes(proxy.process.pid)
    for writer in streams:
        writer.close()
    return (after - before) / 1024 / STREAMS


async def open_stream(port: int) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST % (len(BODY), BODY))
    async with asyncio.timeout(20):
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"a held stream was answered {status!r}")
        await reader.readuntil(b"message_start")
    return writer
