"""What does it cost to be watched? The same request to a memgate that tells nobody anything, and to one that logs, traces, is scraped and shows its page."""

import http.client
import http.server
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress

from rig import Rig, free_port

from . import difference
from .difference import Cost, Side
from .proxies import RELEASE, Proxy, start_upstream

COST = ("everything on", 1.05)
# Seconds between two questions: the page's own, and a Prometheus' that is eager.
WATCHERS = {"/status": 2, "/metrics": 5}


def measure(contest: Callable) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped."""
    with Rig("bench-watching") as rig, collector() as (collected, spans), watched() as (admin, seen):
        secure, secure_port = start_upstream(rig, "ca.pem")
        plain, plain_port = start_upstream(rig)
        models = difference.models(secure_port)
        unseen = memgate(rig, "unseen", models, plain_port, "admin: off\nlog: {access: off}\n", "warn")
        told = f'admin: 127.0.0.1:{admin}\ntraces: {{otlp: "http://127.0.0.1:{collected}", sample: 1%}}\n'
        everything = memgate(rig, "everything", models, plain_port, told, "warn,memgate=info")
        upstreams = {"direct": secure, "LiteLLM": plain}
        cost = difference.measure(contest, rig, upstreams, COST, Side(unseen), Side(everything))
        lines = everything.process.log.stat().st_size
    if not (lines and spans and all(seen[path] for path in WATCHERS)):
        raise RuntimeError(f"nobody watched: {lines} bytes of log, {len(spans)} posts of spans, {seen}")
    return cost


def memgate(rig: Rig, name: str, models: str, litellm: int, told: str, log: str) -> Proxy:
    port = free_port()
    rig.write("litellm.yaml", f"model_list:\n{models}user_id_mappings: {{default_user_id: bench}}\n")
    config = rig.write(f"{name}.yaml", f"""\
listen: ["127.0.0.1:{port}"]
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{litellm}"]}}
direct: {{domains: [localhost], bypass: none, ca_file: ca.pem}}
auth: {{litellm: false, allow_anonymous: true}}
{told}""")
    process = rig.start(f"memgate-{name}", [RELEASE / "memgate", "run", "--config", config], {"RUST_LOG": log, "LITELLM_MASTER_KEY": ""})
    process.until_port(port)
    return Proxy(name, process, port)


@contextmanager
def collector():
    """Takes spans and forgets them; its port, and the sizes of what came."""
    sizes = []

    class Take(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            sizes.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, sizes
    finally:
        server.shutdown()


@contextmanager
def watched():
    """The port that is asked, as an open page and a Prometheus ask, and how many answers each has had."""
    port, over, seen = free_port(), threading.Event(), dict.fromkeys(WATCHERS, 0)

    def ask(path: str, pause: float) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while not over.wait(pause):
            with suppress(OSError, http.client.HTTPException):
                client.request("GET", path)
                answer = client.getresponse()
                answer.read()
                seen[path] += answer.status == 200
                continue
            client.close()

    for path, pause in WATCHERS.items():
        threading.Thread(target=ask, args=(path, pause), daemon=True).start()
    try:
        yield port, seen
    finally:
        over.set()


def markdown(cost: Cost) -> list[str]:
    return [
        "## Everything on",
        "",
        "| `POST /v1/messages` | nothing told | everything on | difference | at most |",
        "|---|---|---|---|---|",
        *cost.rows(),
        "",
        "The same requests in turns, with rounds as above; the difference is the median of the rounds' own. Nothing told: `admin: off`, `log.access: off`, no traces; what is counted is counted all the same. "
        f"Everything: an access line for each request on stderr, 1 % of the traces to a collector (`traces.otlp`), the status page open (`/status` every {WATCHERS['/status']} s) and "
        f"`/metrics` scraped every {WATCHERS['/metrics']} s.",
    ]

