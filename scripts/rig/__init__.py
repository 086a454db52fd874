"""What do the end-to-end run, the benchmark and the balancer run share? Processes on loopback, torn down on any exit."""

from .processes import PATIENCE, Process, Rig, free_port
from .network import alone_on_loopback

__all__ = ["PATIENCE", "Process", "Rig", "alone_on_loopback", "free_port"]
