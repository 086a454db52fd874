"""What is left when it is over? The gateway that bore all of it has its files and its memory back."""

import time

from .cost import memory, open_files
from .rows import Bout, check, row

# Of a gateway that has served a few requests on each pool.
FILES = 80
RSS_MIB = 250


@row("afterwards", "nothing, for up to 30 s, to the gateway that bore the rows above", f"at most {FILES} open files and {RSS_MIB} MiB", quick=True)
def recovered(bout: Bout) -> str:
    end = time.monotonic() + 30
    while open_files(bout.gateway.pid) > FILES and time.monotonic() < end:
        time.sleep(0.5)
    files, rss = open_files(bout.gateway.pid), memory(bout.gateway.pid, "VmRSS") / 1024
    check(files <= FILES, f"{files} open files")
    check(rss <= RSS_MIB, f"{rss:.0f} MiB resident")
    return f"{files} open files, {rss:.0f} MiB"
