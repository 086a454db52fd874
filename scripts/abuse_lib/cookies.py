"""What if the jar's file is torn, unreadable or full, and everybody comes with an expired cookie? One learns anew; the file is old or new; nobody is refused."""

import itertools
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .rows import Bout, check, head, row
from .smuggling import JSON
from .wire import Wire, connect
from .world import Gateway

BODY = JSON.replace(b"claude-litellm", b"claude-h2")
NUMBERS = itertools.count()


def start(bout: Bout, file: str) -> Gateway:
    """A gateway whose direct models stand behind the cookie gate."""
    world = bout.world
    return world.start(f"cookies-{next(NUMBERS)}", f"cookies: {{file: {file}}}", own={"edge_h2": world.ports["edge_gate"], "edge_h1": world.ports["edge_gate"]})


def ask(gateway: Gateway) -> int:
    try:
        with Wire(connect(("127.0.0.1", gateway.plain))) as wire:
            wire.send(head("POST /v1/messages HTTP/1.1", f"content-length: {len(BODY)}") + BODY)
            answer = wire.next(20)
            return answer.status if answer else 0
    except (OSError, TimeoutError):
        return 0


def ask_many(gateway: Gateway, count: int) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: ask(gateway), range(count)))


def refused_at_the_gate(bout: Bout) -> int:
    return bout.world.gate.ask("/__stats?requests=0")["stats"]["refused"]["cookies"]


@row("cookies", "64 requests at once with an expired cookie", "64 answers; at most 3 met the gate", quick=False)
def expired(bout: Bout) -> str:
    gateway = start(bout, "jar-expired.json")
    check(ask(gateway) == 200, "not served")
    bout.world.gate.ask("/__expire_cookies", {})
    before = refused_at_the_gate(bout)
    statuses = ask_many(gateway, 64)
    met = refused_at_the_gate(bout) - before
    check(set(statuses) == {200}, f"{sorted(set(statuses))}")
    check(met <= 3, f"{met} met the gate")
    bout.world.rig.stop(gateway.process)
    return f"64 × 200, {met} met the gate"


@row("cookies", "kill -9 twelve times while the jar changes", "the file is always whole; each successor serves at once", quick=False)
def killed(bout: Bout) -> str:
    for _ in range(12):
        gateway = start(bout, "jar-killed.json")
        stop = threading.Event()
        churn = threading.Thread(target=expire_and_ask, args=(bout, gateway, stop))
        churn.start()
        time.sleep(0.3)
        gateway.process.signal(signal.SIGKILL)
        stop.set()
        churn.join()
        bout.world.rig.stop(gateway.process)
    gateway = start(bout, "jar-killed.json")
    check(ask(gateway) == 200, "not served afterwards")
    said = gateway.process.log.read_text(errors="replace")
    check("jar-killed" not in said, f"the file was torn: {said[-300:]}")
    bout.world.rig.stop(gateway.process)
    return "12 killed, the file whole"


def expire_and_ask(bout: Bout, gateway: Gateway, stop: threading.Event) -> None:
    while not stop.is_set():
        bout.world.gate.ask("/__expire_cookies", {})
        ask(gateway)


@row("cookies", "a jar of garbage, an empty one, one of 50 MB, one that is a folder", "refused at the start in words, or served without it", quick=False)
def unreadable(bout: Bout) -> str:
    folder, got = bout.world.rig.folder, []
    (folder / "jar-garbage.json").write_bytes(bytes(range(256)) * 10)
    (folder / "jar-empty.json").write_bytes(b"")
    (folder / "jar-large.json").write_bytes(b"[" * 50_000_000)
    (folder / "jar-folder.json").mkdir()
    for name in ("garbage", "empty", "large", "folder"):
        got.append(f"{name}: {outcome(bout, f'jar-{name}.json')}")
    return ", ".join(got)


def outcome(bout: Bout, file: str) -> str:
    try:
        gateway = start(bout, file)
    except RuntimeError as error:
        check("cookies.file" in str(error) and "panicked" not in str(error), f"{file}: {error}")
        return "refused"
    status = ask(gateway)
    alive, panics = gateway.alive(), gateway.panics()
    bout.world.rig.stop(gateway.process)
    check(status == 200 and alive and not panics, f"{file}: {status}")
    return "served"


@row("cookies", "a disk that is full", "served all the same", quick=False)
def full_disk(bout: Bout) -> str:
    place = bout.world.rig.folder / "full"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)], capture_output=True).returncode == 0
    if not mounted:
        return "not tried: no mount is allowed here"
    try:
        gateway = start(bout, "full/jar.json")
        fill(place)
        bout.world.gate.ask("/__expire_cookies", {})
        statuses = ask_many(gateway, 8)
        check(set(statuses) == {200} and gateway.alive(), f"{statuses}")
        bout.world.rig.stop(gateway.process)
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True)
    return "8 × 200"


def fill(place: Path) -> None:
    try:
        (place / "ballast").write_bytes(os.urandom(1 << 20))
    except OSError:
        return


@row("cookies", "two gateways with one file, and an edge that forgets", "both serve; the file is whole", quick=False)
def shared(bout: Bout) -> str:
    both = [start(bout, "jar-shared.json") for _ in range(2)]
    for _ in range(5):
        bout.world.gate.ask("/__expire_cookies", {})
        statuses = [status for gateway in both for status in ask_many(gateway, 8)]
        check(set(statuses) == {200}, f"{sorted(set(statuses))}")
    for gateway in both:
        bout.world.rig.stop(gateway.process)
    check(outcome(bout, "jar-shared.json") == "served", "the file was torn")
    return "80 × 200"
