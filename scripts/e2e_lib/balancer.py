"""Is the balancer's configuration one that HAProxy takes?"""

import subprocess

from rig.processes import REPO

from .cases import case, claim
from .world import World


@case("balancer: haproxy -c", quick=True)
def configuration(world: World) -> None:
    """conf/haproxy.cfg is valid"""
    done = subprocess.run(["haproxy", "-c", "-f", str(REPO / "conf/haproxy.cfg")], capture_output=True, text=True)
    claim(done.returncode == 0, done.stdout + done.stderr)
