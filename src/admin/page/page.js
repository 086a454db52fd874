// The page: asks /status every two seconds and shows it. Everything it shows is in there.
const PAUSE = 2000;
const PATIENCE = 8000;
const byId = (id) => document.getElementById(id);
const state = { status: null, live: true, span: "five_minutes", plots: new Map(), shown: new Map(), lost: null, told: "" };

// Numbers as people read them.
const grouped = (value) => Math.round(value).toLocaleString("en-US");
const short = (value) => value < 1000 ? String(Math.round(value * 10) / 10) : value < 1e6 ? `${+(value / 1e3).toPrecision(3)}k` : `${+(value / 1e6).toPrecision(3)}M`;
const rate = (value) => value >= 100 ? grouped(value) : String(+value.toFixed(value < 10 ? 2 : 1));
const millis = (value) => value === null ? "–" : value < 1000 ? `${+value.toPrecision(3)} ms` : value < 120000 ? `${+(value / 1000).toPrecision(3)} s` : `${+(value / 60000).toPrecision(3)} min`;
const share = (part, whole) => whole ? `${+((100 * part) / whole).toPrecision(2)} %` : "–";
const clockOf = (stamp) => stamp.slice(11, 19);
const momentOf = (stamp) => `${stamp.slice(0, 10)} ${clockOf(stamp)}`;
function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, name] = units[at];
  const rest = units[at + 1] && Math.floor((seconds % size) / units[at + 1][0]);
  return `${Math.floor(seconds / size)} ${name}${rest && at < 2 ? ` ${rest} ${units[at + 1][1]}` : ""}`;
}

// Puts something in place only where it changed, so that nothing flickers and no focus is lost.
function put(id, data, build) {
  const text = JSON.stringify(data);
  if (state.shown.get(id) === text) return;
  state.shown.set(id, text);
  byId(id).replaceChildren(...[build(data)].flat());
}
const nothing = (text) => make("p", { class: "nothing" }, text);

// columns: [[heading, class, row → content]]; the first is the row's own heading.
function table(caption, columns, rows, empty) {
  if (!rows.length) return nothing(empty);
  const head = make("tr", {}, ...columns.map(([heading, kind]) => make("th", { scope: "col", class: kind }, heading)));
  const body = rows.map((row) => make("tr", {}, ...columns.map(([, kind, of], index) =>
    make(index ? "td" : "th", index ? { class: kind } : { class: kind, scope: "row" }, of(row) ?? "–"))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {}, make("caption", { class: "unseen" }, caption), make("thead", {}, head), make("tbody", {}, ...body)));
}

function showWhy(why) {
  byId("why").dataset.level = why.level;
  const sentences = why.findings.length ? why.findings.map((finding) => finding.sentence) : [why.paragraph];
  put("findings", sentences, (texts) => texts.map((text) => make("p", {}, text)));
  // Said once, not at every tick of its countdown.
  const causes = JSON.stringify([why.level, why.findings.map((finding) => [finding.cause, finding.at])]);
  if (causes !== state.told) byId("announced").textContent = why.paragraph;
  state.told = causes;
  document.title = { well: "memgate", strained: "▲ memgate", failing: "✕ memgate" }[why.level] ?? "memgate";
}

function showFacts(status) {
  byId("version").textContent = `version ${status.version}`;
  byId("uptime").textContent = `up ${span(status.uptime_seconds)}`;
  byId("ready").textContent = status.ready ? "ready" : `not ready: ${status.reasons.join(", ")}`;
}

function showNow(status) {
  const minute = status.last_minute;
  const waiting = status.lanes.reduce((sum, lane) => sum + lane.queued, 0);
  const { input, cache_read: read, cache_write: written, output } = minute.tokens;
  const tiles = [
    ["requests", "Requests", rate(minute.requests / 60), "a second", `${grouped(minute.requests)} in the last minute`],
    ["failed", "Failed", share(minute.failed, minute.requests), "", `${grouped(minute.failed)} failed, ${grouped(minute.refused)} refused`],
    ["first-byte", "First byte", millis(minute.first_byte_ms.p50), "", `p90 ${millis(minute.first_byte_ms.p90)}, p99 ${millis(minute.first_byte_ms.p99)}`],
    ["in-flight", "In flight", grouped(status.in_flight.total), "", `${grouped(waiting)} waiting in line`],
    ["led-round", "Past the router", grouped(minute.led_round), "", "without memory, last minute"],
    ["tokens", "Tokens", short(input + read + written + output), "a minute", `${short(input + read + written)} in, ${short(output)} out`],
  ];
  put("now", tiles, (tiles) => tiles.map(([id, name, value, unit, more]) => make("div", { "data-tile": id },
    make("dt", {}, name), make("dd", { class: "big" }, value, unit && make("small", {}, ` ${unit}`)), make("dd", { class: "more" }, more))));
}

const times = (line) => line.answered.map((_, index) => line.until - (line.answered.length - index) * line.step_seconds);

// A plot that stays the same element as long as the page lives.
function plotIn(host, name, made, data) {
  let plot = state.plots.get(name);
  if (!plot) {
    plot = new Plot(made());
    state.plots.set(name, plot);
    host(plot.figure);
  }
  plot.show(data);
}

const PERCENTILES = [{ key: "p50", label: "p50", color: "blue", area: true }, { key: "p90", label: "p90", color: "violet" }, { key: "p99", label: "p99", color: "amber" }];
function showPlots(line) {
  const at = times(line);
  const perSecond = (column) => column.map((count) => count / line.step_seconds);
  const perMinute = (column) => column.map((count) => (count * 60) / line.step_seconds);
  const card = (figure) => byId("plots").append(make("div", { class: "card" }, figure));
  plotIn(card, "requests", () => ({
    title: "Requests per second", bars: true, format: rate, series: [
      { key: "answered", label: "answered", color: "blue" }, { key: "led_round", label: "past the router", color: "amber" },
      { key: "refused", label: "refused", color: "grey" }, { key: "failed", label: "failed", color: "red" }],
  }), { times: at, columns: Object.fromEntries(["answered", "led_round", "refused", "failed"].map((key) => [key, perSecond(line[key])])) });
  plotIn(card, "first_byte", () => ({ title: "Time to the first byte", logarithmic: true, format: millis, series: PERCENTILES }), { times: at, columns: line.first_byte_ms });
  plotIn(card, "whole", () => ({ title: "Time to the end of the answer", logarithmic: true, format: millis, series: PERCENTILES }), { times: at, columns: line.whole_ms });
  plotIn(card, "tokens", () => ({
    title: "Tokens per minute", bars: true, format: short, series: [{ key: "in", label: "in", color: "sky" }, { key: "out", label: "out", color: "violet" }],
  }), { times: at, columns: { in: perMinute(line.tokens_in), out: perMinute(line.tokens_out) } });
}

const STATES = { open: "open", opening: "opening", paused: "paused", down: "down" };
function showLanes(status) {
  const line = status.history[state.span];
  const at = times(line);
  const names = status.lanes.map((lane) => lane.lane);
  if (state.shown.get("lanes") !== JSON.stringify(names)) {
    state.shown.set("lanes", JSON.stringify(names));
    for (const name of state.plots.keys()) if (name.startsWith("lane ")) state.plots.delete(name);
    byId("lanes").replaceChildren(...names.map((name, index) => make("article", { class: "card lane" },
      make("header", {}, make("h3", {}, name), make("span", { class: "state", id: `lane-${index}-state` })),
      make("dl", { id: `lane-${index}` }), make("div", { id: `lane-${index}-plot` }))));
    if (!names.length) byId("lanes").replaceChildren(nothing("No model is called directly; LiteLLM serves all of them."));
  }
  status.lanes.forEach((lane, index) => {
    const badge = byId(`lane-${index}-state`);
    badge.dataset.state = lane.state;
    badge.textContent = lane.pause ? `${STATES[lane.state]}, ${span(Math.ceil(lane.pause.remaining_seconds))} left` : lane.reachable === false ? "out of reach" : STATES[lane.state];
    const numbers = [["In flight", grouped(lane.in_flight), `of ${grouped(lane.limit)}`], ["Waiting", grouped(lane.queued), ""],
      ["Retries", grouped(lane.retries.in_flight), `of ${grouped(lane.retries.allowed)}`], ["Pauses", grouped(lane.pauses), ""]];
    put(`lane-${index}`, numbers, (rows) => rows.map(([name, value, more]) => make("div", {}, make("dt", {}, name), make("dd", {}, value, more && make("small", {}, ` ${more}`)))));
    const empty = at.map(() => null);
    const samples = line.lanes[lane.lane] ?? { in_flight: empty, limit: empty, queued: empty, paused: empty };
    plotIn((figure) => byId(`lane-${index}-plot`).append(figure), `lane ${lane.lane}`, () => ({
      title: `In flight on ${lane.lane}`, heading: false, format: short, series: [
        { key: "in_flight", label: "in flight", color: "blue", area: true }, { key: "queued", label: "waiting", color: "red" }, { key: "limit", label: "limit", color: "grey", dashed: true }],
    }), { times: at, columns: near(samples), bands: samples.paused });
  });
}

// A limit far above everything would flatten the rest: it is left out until it matters.
function near(samples) {
  const most = Math.max(1, ...samples.in_flight, ...samples.queued);
  return { ...samples, limit: samples.limit.map((limit) => limit !== null && limit <= 4 * most ? limit : null) };
}

function showFailures(failures) {
  put("failures", failures, (rows) => table("Requests that were not answered well, the latest first", [
    ["Time", "nowrap", (row) => clockOf(row.time)], ["Status", "", (row) => make("span", { class: row.status >= 500 || row.status === 0 ? "bad" : "" }, String(row.status || "none"))],
    ["Why", "breaks", (row) => row.reason ?? row.outcome], ["Model", "breaks", (row) => row.model], ["Who", "breaks", (row) => row.who], ["Lane", "breaks", (row) => row.lane],
    ["Attempts", "number", (row) => grouped(row.attempts)], ["Took", "number", (row) => millis(row.total_ms)], ["Request id", "", (row) => make("code", {}, row.request_id)],
  ], rows, "None since the start."));
}

function showEdges(status) {
  put("edge-counts", status.edge_error_counts, (rows) => table("Errors of edges by zone and code",
    [["Zone", "breaks", (row) => row.zone], ["Code", "", (row) => row.code], ["Count", "number", (row) => grouped(row.count)]], rows, "None."));
  put("edge-errors", status.edge_errors, (rows) => table("The last errors of edges, the latest first", [
    ["Time", "nowrap", (row) => clockOf(row.time)], ["Lane", "breaks", (row) => row.lane], ["Status", "", (row) => String(row.status)], ["Code", "", (row) => row.code === null ? null : String(row.code)],
    ["Zone", "breaks", (row) => row.zone], ["Ray", "nowrap", (row) => row.ray_id && make("code", {}, row.ray_id)], ["Request id", "", (row) => make("code", {}, row.request_id)],
  ], rows, "None."));
  const budget = status.lanes.reduce((sum, lane) => [sum[0] + lane.retries.in_flight, sum[1] + lane.retries.allowed], [0, 0]);
  put("retries", [status.retries, budget], ([retries, [under, allowed]]) => table("Retries by reason and budget", [["Reason", "", (row) => row[0]], ["Count", "number", (row) => row[1]]], [
    ...Object.entries(retries.by_reason).map(([reason, count]) => [reason.replaceAll("_", " "), grouped(count)]),
    ["under way, of the budget", `${grouped(under)} of ${grouped(allowed)}`], ["held back by the budget", grouped(retries.budget_exhausted)], ["possible duplicates", grouped(retries.possible_duplicates)]], ""));
  put("connections", status.upstreams, (rows) => table("Connections by upstream", [
    ["Upstream", "breaks", (row) => row.upstream], ["Opened", "number", (row) => grouped(row.connections.opened)],
    ["Reused", "number", (row) => share(row.connections.reused, row.connections.opened + row.connections.reused)]], rows, "None yet."));
}

function showJar(jars) {
  const rows = jars.flatMap((jar) => jar.cookies.map((cookie) => ({ ...cookie, upstream: jar.upstream, left: cookie.expires_in_seconds })));
  put("jar", rows, (rows) => table("Cookies by upstream; their values are never shown", [
    ["Name", "", (row) => make("code", {}, row.name)], ["Upstream", "breaks", (row) => row.upstream], ["Domain", "breaks", (row) => row.domain], ["Path", "", (row) => row.path],
    ["Expires in", "number", (row) => row.left === null ? "with the process" : span(row.left)]], rows, "Empty: no edge has set a cookie that is shared."));
}

const KINDS = [["input", "sky"], ["cache_read", "green"], ["cache_write", "amber"], ["output", "violet"]];
function showTokens(status) {
  for (const [id, rows, what] of [["tokens-users", status.tokens.users, "Person"], ["tokens-models", status.tokens.models, "Model"]]) {
    put(id, rows.slice(0, 12), (rows) => {
      const total = (row) => KINDS.reduce((sum, [kind]) => sum + row[kind], 0);
      const most = Math.max(1, ...rows.map(total));
      const bar = (row) => {
        const made = make("div", { class: "share", "aria-hidden": "true" }, ...KINDS.map(([kind, color]) => make("i", { class: `c-${color}`, title: kind })));
        KINDS.forEach(([kind], index) => { made.children[index].style.width = `${(100 * row[kind]) / most}%`; });
        return made;
      };
      return table(`Tokens by ${what.toLowerCase()}`, [[what, "breaks", (row) => row.name], ["", "", bar], ["Input", "number", (row) => short(row.input)], ["Cache read", "number", (row) => short(row.cache_read)],
        ["Cache write", "number", (row) => short(row.cache_write)], ["Output", "number", (row) => short(row.output)]], rows, "None yet.");
    });
  }
  put("keys", status.keys.used, (rows) => table("Keys by what they cost today", [
    ["Key", "breaks", (row) => row.name], ["Under way", "number", (row) => grouped(row.under_way)], ["Today", "number", (row) => `$${row.usd_today.toFixed(2)}`],
    ["Requests left this minute", "number", (row) => row.requests_remaining === null ? "no limit" : grouped(row.requests_remaining)],
    ["Tokens left this minute", "number", (row) => row.tokens_remaining === null ? "no limit" : short(row.tokens_remaining)]], rows, "No key was used yet."));
}

function showConfiguration({ configuration, set_by_hand: byHand }) {
  put("configuration", [configuration, byHand], ([told, held]) => table("The configuration at work", [["What", "", (row) => row[0]], ["Now", "breaks", (row) => row[1]]], [
    ["At work since", momentOf(told.since)], ["Reloads", `${grouped(told.reloads)} taken over, ${grouped(told.failed)} refused`],
    ...(told.failure ? [["Refused", make("div", {}, momentOf(told.failure.at), make("pre", { class: "bad" }, told.failure.why))]] : []),
    ...(told.needs_restart.length ? [["Waits for a restart", told.needs_restart.join(", ")]] : []),
    ...held.map((one) => ["Set by hand", `${one.what}${one.remaining_seconds === null ? "" : `, for ${span(one.remaining_seconds)} more`}`]),
  ], ""));
}

function show() {
  const { status } = state;
  if (!status) return;
  showWhy(status.why);
  showFacts(status);
  showNow(status);
  showPlots(status.history[state.span]);
  showLanes(status);
  showFailures(status.failures);
  showEdges(status);
  showJar(status.jars);
  showTokens(status);
  showConfiguration(status);
  put("models", status.routes.map((route) => route.requested), (names) => names.map((name) => make("option", { value: name })));
}

function showLost(error) {
  state.lost ??= new Date();
  const text = `The gateway's admin port does not answer since ${state.lost.toISOString().slice(11, 16)} UTC (${error.message}). What is shown below is older.`;
  byId("why").dataset.level = "lost";
  put("findings", [text], (texts) => texts.map((text) => make("p", {}, text)));
  if (state.told !== "lost") byId("announced").textContent = text;
  state.told = "lost";
  document.title = "? memgate";
}

async function ask() {
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    state.status = await answer.json();
    state.lost = null;
  } catch (error) {
    showLost(error);
    return;
  }
  show();
}

async function run() {
  if (state.live && !document.hidden) await ask();
  setTimeout(run, PAUSE);
}

byId("live").addEventListener("click", (event) => {
  state.live = !state.live;
  event.currentTarget.setAttribute("aria-pressed", String(state.live));
  event.currentTarget.querySelector("span").textContent = state.live ? "Live" : "Paused";
});
document.addEventListener("visibilitychange", () => { if (state.live && !document.hidden) ask(); });
for (const choice of document.getElementsByName("span")) {
  choice.addEventListener("change", () => { state.span = choice.value; show(); });
}
byId("explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = [...new FormData(event.currentTarget)].filter(([, value]) => value !== "");
  let text;
  try {
    const answer = await fetch(`explain?${new URLSearchParams(given)}`, { cache: "no-store" });
    const told = await answer.json();
    text = told.text ?? told.error?.message ?? "";
  } catch (error) {
    text = `The gateway does not answer: ${error.message}`;
  }
  byId("explained").replaceChildren(make("pre", {}, text));
});
run();
