"""How is it made sure that nothing under test reaches beyond this machine? A network of its own that has only loopback."""

import fcntl
import os
import shutil
import socket
import struct
import subprocess

MARK = "MEMGATE_ALONE_ON_LOOPBACK"
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def alone_on_loopback(argv: list[str]) -> bool:
    """Starts this program again inside new namespaces where that is allowed; true if we are there now."""
    if os.environ.get(MARK):
        loopback_up()
        return True
    for privilege in ([], ["--map-root-user"]):
        namespaces = ["unshare", *privilege, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if shutil.which("unshare") and subprocess.run([*namespaces, "true"], capture_output=True).returncode == 0:
            os.environ[MARK] = "1"
            os.execvp("unshare", [*namespaces, *argv])
    return False


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
