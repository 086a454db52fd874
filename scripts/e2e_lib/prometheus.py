"""Does a real Prometheus take what memgate tells it, and do its alerts ring when they should?"""

import json
import re
import subprocess
import urllib.parse

import yaml
from rig import PATIENCE, free_port
from rig.processes import REPO

from .cases import case, claim
from .curl import curl, message
from .endpoints import fetch
from .world import World

ALERTS = REPO / "conf/prometheus-alerts.yaml"
DASHBOARD = REPO / "conf/grafana-dashboard.json"
HANDBOOK = REPO / "docs/operations.md"

# Series that begin with an event that does not happen here.
RARE = {
    "memgate_bypassed_total", "memgate_certificate_not_after_seconds", "memgate_connections_closed_total", "memgate_limited_total",
    "memgate_stream_errors_total",
}

CONFIGURATION = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{alerts}"]
scrape_configs:
  - job_name: memgate
    static_configs: [{{targets: ["{target}"]}}]
"""


@case("prometheus: promtool", quick=True)
def promtool(world: World) -> None:
    """promtool finds no fault in the metrics and the alert rules; each alert rings in its scripted world, and none does in a good one"""
    curl(world, "/v1/messages", body=message("claude-resolved"))
    check("check", "rules", str(ALERTS))
    check("test", "rules", str(REPO / "scripts/e2e_lib/alerts_test.yaml"))
    check("check", "metrics", read=fetch(world.admin + "/metrics"))
    done = subprocess.run([str(REPO / "scripts/dashboard"), "--check"], capture_output=True, text=True)
    claim(done.returncode == 0, done.stdout + done.stderr)


def check(*arguments: str, read: str | None = None) -> None:
    done = subprocess.run(["promtool", *arguments], input=read, capture_output=True, text=True)
    claim(done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@case("prometheus: scrape", quick=True)
def scrape(world: World) -> None:
    """Prometheus scrapes the gateway; whatever dashboard and alerts ask for is there, the handbook has all of it, and no alert rings"""
    for body in (message("claude-resolved"), message("claude-gated"), message("claude-resolved", stream=True)):
        status, _, text = curl(world, "/v1/messages", body=body)
        claim(status == 200, f"{status}: {text}")
    curl(world, "/v1/messages", body=message("claude-resolved"), key="sk-wrong")
    port = free_port()
    configuration = CONFIGURATION.format(alerts=ALERTS, target=world.admin.removeprefix("http://"))
    file = world.rig.write("prometheus.yaml", configuration)
    listen = f"127.0.0.1:{port}"
    command = ["prometheus", f"--config.file={file}", f"--web.listen-address={listen}", f"--storage.tsdb.path={world.rig.folder / 'prometheus'}"]
    prometheus = world.rig.start("prometheus", command)
    ask = Questions(f"http://{listen}")
    prometheus.until_http(f"http://{listen}/-/ready")
    prometheus.until(lambda: ask.value('up{job="memgate"}') == "1", PATIENCE, "scrape")
    present = set(ask("label/__name__/values"))
    names = {name for name in present if name.startswith("memgate_")}
    asked = expressions()
    wanted = set().union(*(metrics(expression) for expression in asked))
    missing = {name for name in wanted - RARE if name not in names and f"{name}_count" not in names}
    claim(not missing, f"asked for, and not there: {sorted(missing)}")
    told = metrics(HANDBOOK.read_text())
    unknown = {whole(name) for name in names} - told
    claim(not unknown, f"not in the handbook: {sorted(unknown)}")
    for expression in asked:
        ask("query", query=concrete(expression))
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    claim(len(rules) > 10 and all(rule["health"] in ("ok", "unknown") for rule in rules), str(rules))
    claim(not ask("alerts")["alerts"], str(ask("alerts")))
    world.rig.stop(prometheus)


class Questions:
    """Prometheus' own API."""

    def __init__(self, url: str):
        self.url = url

    def __call__(self, path: str, **words: str):
        query = urllib.parse.urlencode(words)
        said = json.loads(fetch(f"{self.url}/api/v1/{path}?{query}"))
        claim(said["status"] == "success", f"{path} {words}: {said}")
        return said["data"]

    def value(self, query: str) -> str | None:
        found = self("query", query=query)["result"]
        return found[0]["value"][1] if found else None


def expressions() -> list[str]:
    """All that the dashboard and the alerts ask."""
    dashboard = json.loads(DASHBOARD.read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    alerts = [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    return shown + alerts


def concrete(expression: str) -> str:
    """With what Grafana would put in."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def metrics(text: str) -> set[str]:
    return {whole(name) for name in re.findall(r"memgate_[a-z][a-z_]*[a-z]", text)}


def whole(name: str) -> str:
    """The parts of a histogram are the histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name)
