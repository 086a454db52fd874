"""What if there are no more open files? The gateway says that it is not ready, does not spin, and comes back."""

import time
import urllib.error
import urllib.request

from .cost import cpu_ns, open_files
from .floods import crowd_of, leave
from .rows import Bounds, Bout, check, head, row

HOLD = 3.0


def readiness(bout: Bout) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{bout.gateway.admin}/readyz", timeout=3) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@row("descriptors", "256 open files, 400 clients amid their heads", "no spinning; /readyz says 503 or new clients are served; all well afterwards", gateway="cramped", quick=False,
     undisturbed=False, bounds=Bounds(cpu_ms=20_000))
def exhausted(bout: Bout) -> str:
    usual = open_files(bout.gateway.pid)
    crowd = crowd_of(bout, 400, opening=head("GET /v1/abuse HTTP/1.1")[:-4])
    time.sleep(0.5)
    cpu, began = cpu_ns(bout.gateway.pid), time.monotonic()
    ready = readiness(bout)
    new = new_client(bout)
    time.sleep(max(0, HOLD - (time.monotonic() - began)))
    share = (cpu_ns(bout.gateway.pid) - cpu) / 1e9 / (time.monotonic() - began)
    leave(crowd)
    check(share < 0.6, f"{share:.0%} of a CPU while there is nothing to do")
    check(ready == 503 or ready == 200 and new == 200, f"/readyz says {ready}, a new client got {new}")
    end = time.monotonic() + 15
    while (readiness(bout) != 200 or open_files(bout.gateway.pid) > usual + 20) and time.monotonic() < end:
        time.sleep(0.5)
    check(readiness(bout) == 200, f"/readyz says {readiness(bout)} after the crowd has left")
    check(open_files(bout.gateway.pid) <= usual + 20, f"{open_files(bout.gateway.pid)} files open, {usual} before")
    return f"{share:.0%} CPU, /readyz {ready}, a new client {new}"


def new_client(bout: Bout) -> int:
    with bout.wire() as wire:
        wire.send(head("GET /health HTTP/1.1"))
        try:
            answer = wire.next(2)
        except Exception:
            return 0
        return answer.status if answer else 0
