"""Does the status page show, in a real browser, what /status says, and can everybody read and use it?"""

import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from rig import PATIENCE

from .cases import case, claim
from .curl import curl, message
from .edge import cloudflare
from .endpoints import fetch
from .world import World

CHROMIUM = os.environ.get("E2E_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
WIDTHS = (390, 820, 1440)
SCHEMES = ("light", "dark")
PLAYED = "req-status-page-failed"

# Each text's colour against what lies behind it; WCAG 2's formula. Large text needs less.
CONTRAST = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.textContent.trim() || node.closest("script, style, noscript, .unseen, .skip, datalist, option")) continue;
    if (!node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const color = node.closest("svg") ? style.fill : style.color;
    const [one, other] = [light(parts(color).slice(0, 3)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${JSON.stringify(text.textContent.trim().slice(0, 40))}`);
  }
  return faint;
}"""


@contextmanager
def browser():
    from playwright.sync_api import sync_playwright

    claim(CHROMIUM, "there is no Chromium: scripts/setup e2e installs it")
    with sync_playwright() as playwright:
        # Whoever is root, as in a container, has no sandbox.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class Page:
    """The page as one visitor has it, with everything that it said and asked for."""

    def __init__(self, chromium, url: str, **context):
        self.context = chromium.new_context(**context)
        self.page = self.context.new_page()
        self.complaints, self.asked, self.statuses = [], [], []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self.keep)
        self.page.goto(url)
        self.page.wait_for_selector("#now > div", timeout=PATIENCE * 1000)

    def keep(self, response) -> None:
        if response.url.endswith("/status") and response.ok:
            self.statuses.append(response)

    def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]

    def close(self) -> None:
        self.context.close()


def play(world: World) -> None:
    """Something of everything: answers in both dialects, an edge that refuses, a cookie, a failure."""
    for _ in range(5):
        curl(world, "/v1/messages", body=message("claude-sonnet-4.5"))
    curl(world, "/v1/messages", body=message("claude-gated"))
    curl(world, "/v1/messages", body=message("claude-litellm"))
    world.edge.answers(cloudflare(1020))
    curl(world, "/v1/messages", "-H", f"x-request-id: {PLAYED}", body=message("claude-sonnet-4.5"))
    world.gateway.until(lambda: PLAYED in fetch(world.admin + "/status"), PATIENCE, "failure")


@case("status page: widths, schemes", quick=True)
def everywhere(world: World) -> None:
    """at three widths, light and dark: no complaint on the console, nothing asked of anybody else, nothing cut off, all text of enough contrast (AA)"""
    play(world)
    folder = Path(os.environ.get("E2E_SCREENSHOTS") or world.rig.folder)
    with browser() as chromium:
        for width in WIDTHS:
            for scheme in SCHEMES:
                seen = Page(chromium, world.admin + "/", viewport={"width": width, "height": 900}, color_scheme=scheme)
                seen.page.screenshot(path=folder / f"status-{width}-{scheme}.png", full_page=True)
                wide = seen.page.evaluate("document.documentElement.scrollWidth")
                faint = seen.page.evaluate(CONTRAST)
                claim(not seen.complaints, f"{width} {scheme}: {seen.complaints}")
                claim(all(url.startswith((world.admin, "data:")) for url in seen.asked), f"asked {seen.asked}")
                claim(wide <= width, f"{width} {scheme}: it is {wide} wide")
                claim(not faint, f"{width} {scheme}: too faint: {faint}")
                seen.close()


@case("status page: its numbers", quick=True)
def numbers(world: World) -> None:
    """every number on the page is the one in the /status that it asked for, and no cookie's value or key is there"""
    play(world)
    with browser() as chromium:
        seen = Page(chromium, world.admin + "/", viewport={"width": 1440, "height": 900})
        seen.page.click("#live")
        seen.page.wait_for_timeout(300)
        status = seen.statuses[-1].json()
        minute = status["last_minute"]
        tiles = dict(zip(seen.page.locator("#now [data-tile]").evaluate_all("all => all.map((one) => one.dataset.tile)"), seen.texts("#now [data-tile]")))
        for tile, shown in {
            "requests": f"{minute['requests']:,} in the last minute",
            "failed": f"{minute['failed']:,} failed, {minute['refused']:,} refused",
            "in-flight": f"In flight {status['in_flight']['total']:,}",
            "led-round": f"Past the router {minute['led_round']:,}",
        }.items():
            claim(shown in tiles[tile], f"{tile}: {shown!r} in {tiles[tile]!r}")
        claim(seen.texts("#findings p") == ([one["sentence"] for one in status["why"]["findings"]] or [status["why"]["paragraph"]]), "the sentence")
        claim(seen.texts("#lanes h3") == [lane["lane"] for lane in status["lanes"]], "the lanes")
        for index, lane in enumerate(status["lanes"]):
            shown = seen.texts(f"#lane-{index} dd")
            expected = [f"{lane['in_flight']:,} of {lane['limit']:,}", f"{lane['queued']:,}", f"{lane['retries']['in_flight']:,} of {lane['retries']['allowed']:,}", f"{lane['pauses']:,}"]
            claim(shown == expected, f"{lane['lane']}: {shown} is not {expected}")
        ids = seen.texts("#failures td:last-child")
        claim(ids == [failed["request_id"] for failed in status["failures"]] and PLAYED in ids, f"failures: {ids}")
        counts = seen.texts("#edge-counts tbody tr")
        claim(counts == [f"{row['zone']} {row['code']} {row['count']:,}" for row in status["edge_error_counts"]], f"edge errors: {counts}")
        rays = [row["ray_id"] for row in status["edge_errors"]]
        claim(seen.texts("#edge-errors td:nth-child(6)") == [ray or "–" for ray in rays], "ray ids")
        jar = seen.texts("#jar tbody th")
        claim(jar == [cookie["name"] for jar in status["jars"] for cookie in jar["cookies"]] and "__cf_bm" in jar, f"the jar: {jar}")
        people = seen.texts("#tokens-users tbody th")
        claim(people == [row["name"] for row in status["tokens"]["users"]], f"people: {people}")
        metrics = fetch(world.admin + "/metrics")
        for row in status["edge_error_counts"]:
            claim(f'memgate_edge_errors_total{{code="{row["code"]}",zone="{row["zone"]}"}} {row["count"]}' in metrics, f"/metrics has another number than {row}")
        secrets = [world.key, "sk-ant-provider", "sm-key", *cookie_values(world)]
        everything = seen.page.content() + json.dumps(status)
        claim(not [secret for secret in secrets if secret in everything], "a secret is on the page")
        seen.close()


def cookie_values(world: World) -> list[str]:
    """As the gated edge got them back."""
    fields = [value for request in world.gated.requests() for name, value in request["headers"] if name.lower() == "cookie"]
    values = [pair.split("=", 1)[1] for field in fields for pair in field.split("; ")]
    claim(values, "no cookie was sent")
    return values


@case("status page: keyboard, live, explain")
def hands(world: World) -> None:
    """it is used by keyboard alone, a plot reads itself out, the sentence is announced once, motion stops where it is not wanted, and a request is explained"""
    play(world)
    with browser() as chromium:
        seen = Page(chromium, world.admin + "/", viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page = seen.page
        page.keyboard.press("Tab")
        claim(page.evaluate("document.activeElement.className") == "skip", "the first stop leads past the head")
        stops = []
        for _ in range(8):
            page.keyboard.press("Tab")
            stops.append(page.evaluate("[document.activeElement.getAttribute('role') ?? document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"))
        claim(["slider", "solid"] in stops and ["BUTTON", "solid"] in stops, f"stops: {stops}")
        plot = page.locator("[role=slider]").first
        plot.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        said = plot.get_attribute("aria-valuetext")
        claim(said and "answered" in said and plot.get_attribute("aria-valuenow") == "58", f"the plot says {said!r}")
        claim(page.locator("[role=status]").inner_text().strip(), "nothing was announced")
        claim(page.evaluate("getComputedStyle(document.querySelector('#live i')).animationName") == "none", "it moves")
        before = len(seen.statuses)
        page.click("#live")
        page.wait_for_timeout(4500)
        claim(len(seen.statuses) - before <= 1, "paused, it asks on")
        page.click("#live")
        page.wait_for_timeout(4500)
        claim(len(seen.statuses) - before >= 2, "live, it does not ask")
        page.fill("[name=model]", "claude-resolved")
        page.fill("[name=header]", "x-memory-user: ada")
        page.keyboard.press("Enter")
        page.wait_for_selector("#explained pre")
        told = page.locator("#explained").inner_text()
        claim("api.supermemory.ai" in told and "memory of ada" in told, told)
        page.check("[name=span][value=hour]", force=True)
        plot.focus()
        page.keyboard.press("Home")
        claim(plot.get_attribute("aria-valuemax") == "59", "an hour has sixty points")
        claim(not seen.complaints, f"{seen.complaints}")
        seen.close()


@case("status page: a file with a fault", quick=True)
def faulty(world: World) -> None:
    """what a reload refuses stands on top of the page and under its configuration, with its line, until a good file comes"""
    file = world.rig.folder / "memgate.yaml"
    good = file.read_text()
    fault = f"memgate.yaml:{good.count(chr(10)) + 2}:1"
    with browser() as chromium:
        try:
            file.write_text(f"{good}\nretri: {{}}\n")
            world.gateway.signal(signal.SIGHUP)
            world.gateway.until(lambda: fault in fetch(world.admin + "/status"), PATIENCE, "a refusal")
            seen = Page(chromium, world.admin + "/")
            for place in ("#findings p", "#configuration pre"):
                said = " ".join(seen.texts(place))
                claim(fault in said and "did you mean `retry`?" in said, f"{place}: {said}")
        finally:
            file.write_text(good)
            world.gateway.signal(signal.SIGHUP)
        seen.page.wait_for_selector("#configuration pre", state="detached", timeout=PATIENCE * 1000)
        claim(fault not in " ".join(seen.texts("#findings p")), "it is still told")
        claim(not seen.complaints, f"{seen.complaints}")
        seen.close()


@case("status page: who may see it")
def closed(world: World) -> None:
    """a page from elsewhere that leads a browser here by a name of its own is refused"""
    request = urllib.request.Request(world.admin + "/status", headers={"Host": "rebound.example"})
    try:
        urllib.request.urlopen(request, timeout=PATIENCE)
        claim(False, "it was answered")
    except urllib.error.HTTPError as refusal:
        claim(refusal.code in (401, 403), f"{refusal.code}")
