"""How are servers started for a run, and how is it made sure that none of them outlives it?"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


PATIENCE = 60
given: set[int] = set()


def free_port() -> int:
    """Below the range from which the kernel serves itself, so that nobody else has it when its server starts."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if port in given or probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        given.add(port)
        return port


class Process:
    """A server in a process group of its own, with its output in a file."""

    def __init__(self, name: str, argv: list, log: Path, env: dict | None = None, cwd: Path | None = None):
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def signal(self, number: int) -> None:
        if self.child.poll() is None:
            os.killpg(self.pid, number)

    def stop(self, patience: float = 5.0) -> None:
        self.signal(signal.SIGTERM)
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.child.wait()

    def output(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def until(self, ready, seconds: float, what: str) -> None:
        """Waits until `ready()` is true; says what the process printed if it never is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.child.returncode} before {what}:\n{self.output()}")
            if ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: no {what} within {seconds:.0f} s:\n{self.output()}")

    def until_port(self, port: int, seconds: float = PATIENCE) -> None:
        self.until(lambda: accepts(port), seconds, f"listener on port {port}")

    def until_http(self, url: str, seconds: float = PATIENCE) -> None:
        self.until(lambda: answers(url), seconds, f"200 from {url}")


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


class Rig:
    """A throw-away folder and the processes started in it; leaving the `with` block ends them and removes it."""

    def __init__(self, name: str):
        self.name = name
        self.processes: list[Process] = []

    def __enter__(self) -> "Rig":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.folder = Path(tempfile.mkdtemp(prefix=f"memgate-{self.name}-"))
        return self

    def __exit__(self, *_) -> None:
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, argv: list, env: dict | None = None) -> Process:
        process = Process(name, argv, self.folder / f"{name}.log", env, cwd=self.folder)
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        process.stop()
        self.processes.remove(process)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
