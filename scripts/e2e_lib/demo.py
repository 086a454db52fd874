"""Does the demo keep its word?"""

import os
import subprocess

from rig import PATIENCE, free_port

from .cases import case, claim
from .world import BINARY, World


@case("demo: the lines it prints", quick=True)
def printed_lines(world: World) -> None:
    """every line that `memgate demo` prints to be tried works when it is pasted"""
    gateway, admin = free_port(), free_port()
    demo = world.rig.start("demo", [BINARY, "demo", "--listen", f"127.0.0.1:{gateway}", "--admin", f"127.0.0.1:{admin}"])
    demo.until_http(f"http://127.0.0.1:{admin}/readyz")
    demo.until(lambda: "claude -p" in demo.output(200), PATIENCE, "text")
    lines = [line for line in demo.output(200).splitlines() if line.startswith(("curl ", "ANTHROPIC_BASE_URL="))]
    claim(len(lines) >= 8, f"{len(lines)} lines to try")
    environment = {**os.environ, "HOME": str(world.rig.folder), "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    for line in lines:
        pasted = line.replace("curl ", "curl --fail --max-time 60 ", 1) if line.startswith("curl ") else line
        done = subprocess.run(["bash", "-c", pasted], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=5 * PATIENCE)
        claim(done.returncode == 0 and done.stdout.strip(), f"{line}\n{done.stdout[-300:]}{done.stderr[-300:]}")
    world.rig.stop(demo)
