"""How do others stand before the same edge? HAProxy that is told the limit, nginx, and Envoy that adapts by latency."""

import socket
import sys
from pathlib import Path

from rig import Process, Rig, free_port
from rig.processes import REPO

from .edge import PROVIDER, ROUTER, Edge

CONF = REPO / "scripts/storm_lib/conf"


class Peer:
    """A proxy that only passes requests on: it adds what the router wants, and verifies nothing."""

    program = ""

    def __init__(self, rig: Rig, name: str, edge: Edge):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1/messages"
        self.process: Process = self.start(rig, name, edge)
        self.process.until_port(self.port)

    def start(self, rig: Rig, name: str, edge: Edge) -> Process:
        raise NotImplementedError

    def values(self, rig: Rig, edge: Edge) -> dict:
        return {"PORT": self.port, "EDGE": edge.port, "ROUTER": ROUTER, "PROVIDER": PROVIDER, "FOLDER": rig.folder}

    def look(self) -> dict[str, float]:
        return {}


class HAProxy(Peer):
    """The oracle: it is told the edge's capacity, also when it changes."""

    name = "HAProxy, told C"

    def __init__(self, rig: Rig, name: str, edge: Edge, capacity: int):
        self.capacity = capacity
        self.socket = rig.folder / f"{name}.sock"
        super().__init__(rig, name, edge)

    def start(self, rig: Rig, name: str, edge: Edge) -> Process:
        values = self.values(rig, edge) | {"CAPACITY": self.capacity, "SOCKET": self.socket}
        config = rig.write(f"{name}.cfg", filled("haproxy.cfg", values))
        return rig.start(name, ["haproxy", "-db", "-f", config])

    def told(self, capacity: int) -> None:
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.settimeout(5)
            runtime.connect(str(self.socket))
            runtime.sendall(f"set maxconn server edge/edge {capacity}\n".encode())
            said = runtime.recv(1000).decode().strip()
        if said:
            raise RuntimeError(f"HAProxy: {said}")
        self.capacity = capacity


class Nginx(Peer):
    name = "nginx"

    def start(self, rig: Rig, name: str, edge: Edge) -> Process:
        config = rig.write(f"{name}.conf", filled("nginx.conf", self.values(rig, edge) | {"PID": f"{name}.pid"}))
        return rig.start(name, ["nginx", "-p", rig.folder, "-c", config])


class Envoy(Peer):
    name = "Envoy, adaptive concurrency"

    def start(self, rig: Rig, name: str, edge: Edge) -> Process:
        config = rig.write(f"{name}.yaml", filled("envoy.yaml", self.values(rig, edge)))
        program = Path(sys.executable).with_name("envoy")
        return rig.start(name, [program, "-c", config, "--concurrency", 2, "--log-level", "warn", "--use-dynamic-base-id"])


def filled(name: str, values: dict) -> str:
    """A file of conf/ with its @NAMES@ replaced."""
    text = (CONF / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text
