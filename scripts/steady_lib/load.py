"""What do the clients see? Orders for examples/steady_client.rs, and its lines."""

import json
import os
from dataclasses import dataclass, field

from rig import Process

from .world import MODELS, World

CLIENT = os.environ["STEADY_CLIENT"]


@dataclass
class Seen:
    requests: int = 0
    streams: int = 0
    failed: int = 0
    slowest_ms: int = 0
    longest_silence_ms: int = 0
    faults: list[dict] = field(default_factory=list)


class Load:
    """A running steady_client."""

    def __init__(self, world: World, rate: int, streams: int):
        orders = {
            "urls": world.urls, "ca": str(world.path("ca.pem")), "key": world.key, "models": MODELS,
            "rate": rate, "streams": streams, "clients": 8, "until": str(world.path("enough")),
        }
        path = world.rig.write("orders.json", json.dumps(orders))
        self.enough = world.path("enough")
        self.process: Process = world.rig.start("clients", [CLIENT, path])

    def seen(self) -> Seen:
        """So far. Only the client's last line counts, and every fault."""
        seen = Seen()
        for line in self.process.log.read_text().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                # Half written, or no line of its: it ended badly, and that shows in its exit code.
                continue
            if "why" in told:
                seen.faults.append(told)
            else:
                seen = Seen(**told, faults=seen.faults)
        return seen

    def end(self) -> Seen:
        """No new work; what is under way comes to its end."""
        self.enough.touch()
        if self.process.child.wait(90) != 0:
            raise RuntimeError(f"the clients ended with {self.process.child.returncode}:\n{self.process.output()}")
        return self.seen()
