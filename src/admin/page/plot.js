// Time series as SVG: stacked bars or lines, on a straight or a logarithmic scale. The arrow keys read them out.
"use strict";

const MARGIN = { left: 44, right: 6, top: 8, bottom: 20 };

function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A round number at or above `value`, and the distance of the lines below it.
function ceiling(value) {
  if (!(value > 0)) return { top: 1, step: 1 };
  const unit = 10 ** Math.floor(Math.log10(value / 3));
  const step = [1, 2, 5, 10].map((times) => times * unit).find((step) => step * 4 >= value) ?? 10 * unit;
  return { top: step * Math.ceil(value / step), step };
}

class Plot {
  // series: [{key, label, color, dashed, area}]; format: number → text.
  constructor({ title, series, bars = false, logarithmic = false, format, heading = true }) {
    Object.assign(this, { title, series, bars, logarithmic, format });
    this.values = series.map((one) => make("b", {}, "–"));
    this.at = make("span", { class: "at" });
    this.stage = make("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": title });
    const legend = series.map((one, index) =>
      make("li", {}, make("i", { class: `c-${one.color}`, "aria-hidden": "true" }), one.label, " ", this.values[index]));
    this.figure = make("figure", {},
      make("figcaption", {}, heading ? make("h3", {}, title) : null, this.at),
      this.stage, make("ul", { class: "legend" }, ...legend));
    this.cursor = null;
    this.listen();
  }

  // columns: by key; bands: where it was closed.
  show({ times, columns, bands }) {
    Object.assign(this, { times, columns, bands });
    this.draw();
  }

  listen() {
    const { stage } = this;
    stage.addEventListener("pointermove", (event) => {
      const box = stage.getBoundingClientRect();
      const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
      this.point(Math.floor(share * this.times?.length));
    });
    stage.addEventListener("pointerleave", () => this.point(null));
    stage.addEventListener("blur", () => this.point(null));
    stage.addEventListener("keydown", (event) => {
      const last = (this.times?.length ?? 0) - 1;
      const from = this.cursor ?? last + 1;
      const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.point(to);
    });
    new ResizeObserver(() => this.times && this.draw()).observe(stage);
  }

  point(index) {
    if (!this.times?.length) return;
    this.cursor = index === null ? null : Math.max(0, Math.min(this.times.length - 1, index));
    this.draw();
  }

  draw() {
    const { width, height } = this.stage.getBoundingClientRect();
    if (!width || !this.times.length) return;
    this.inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    this.scale();
    const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    drawing.append(...this.closed(), ...this.rules(), ...(this.bars ? this.stacks() : this.lines()), ...this.clock());
    if (this.cursor !== null) {
      const x = this.x(this.cursor);
      drawing.append(shape("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: MARGIN.top + this.inner.height }));
    }
    this.stage.replaceChildren(drawing);
    this.read();
  }

  // The middle of a point's place.
  x(index) {
    return MARGIN.left + ((index + 0.5) / this.times.length) * this.inner.width;
  }

  scale() {
    const all = this.series.flatMap((one) => this.columns[one.key]).filter((value) => value !== null);
    const { height } = this.inner;
    if (this.logarithmic) {
      const low = Math.floor(Math.log10(Math.max(0.1, Math.min(...all, 100))));
      const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all, 1))));
      this.ticks = Array.from({ length: high - low + 1 }, (_, n) => 10 ** (low + n));
      this.y = (value) => MARGIN.top + height * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low));
      return;
    }
    const sums = this.times.map((_, index) => this.series.reduce((sum, one) => sum + (this.columns[one.key][index] ?? 0), 0));
    const { top, step } = ceiling(Math.max(0, ...(this.bars ? sums : all)));
    this.ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, n) => n * step);
    this.y = (value) => MARGIN.top + height * (1 - value / top);
  }

  rules() {
    const right = MARGIN.left + this.inner.width;
    return this.ticks.flatMap((tick, index) => [
      shape("line", { class: index ? "rule" : "base", x1: MARGIN.left, x2: right, y1: this.y(tick), y2: this.y(tick) }),
      shape("text", { x: MARGIN.left - 8, y: this.y(tick) + 4, "text-anchor": "end" }, this.format(tick)),
    ]);
  }

  clock() {
    const count = this.inner.width < 360 ? 2 : 4;
    const places = Array.from({ length: count + 1 }, (_, n) => Math.round((n * (this.times.length - 1)) / count));
    return places.map((index, n) => shape("text", {
      x: n === 0 ? MARGIN.left : n === count ? MARGIN.left + this.inner.width : this.x(index),
      y: MARGIN.top + this.inner.height + 15,
      "text-anchor": n === 0 ? "start" : n === count ? "end" : "middle",
    }, hour(this.times[index], false)));
  }

  closed() {
    const wide = this.inner.width / this.times.length;
    return (this.bands ?? []).flatMap((closed, index) => closed
      ? [shape("rect", { class: "band", x: this.x(index) - wide / 2, width: wide + 0.5, y: MARGIN.top, height: this.inner.height })] : []);
  }

  stacks() {
    const wide = this.inner.width / this.times.length;
    const gap = Math.min(2, wide * 0.25);
    return this.times.flatMap((_, index) => {
      let below = 0;
      return this.series.flatMap((one) => {
        const value = this.columns[one.key][index] ?? 0;
        if (!value) return [];
        const [bottom, top] = [this.y(below), this.y(below + value)];
        below += value;
        return [shape("rect", { class: `bar c-${one.color}`, x: this.x(index) - wide / 2 + gap / 2, width: wide - gap, y: top, height: Math.max(0.75, bottom - top), rx: 1 })];
      });
    });
  }

  lines() {
    return this.series.flatMap((one) => runs(this.columns[one.key]).flatMap((run) => {
      const place = ([index, value]) => `${this.x(index).toFixed(1)},${this.y(value).toFixed(1)}`;
      const [first, last] = [run[0][0], run[run.length - 1][0]];
      if (first === last) return [shape("circle", { class: `dot c-${one.color}`, cx: this.x(first), cy: this.y(run[0][1]), r: 2 })];
      const path = run.map(place).join("L");
      const floor = MARGIN.top + this.inner.height;
      const under = shape("path", { class: `area c-${one.color}`, d: `M${path}L${this.x(last)},${floor}L${this.x(first)},${floor}Z` });
      const line = shape("path", { class: `line c-${one.color}${one.dashed ? " dashed" : ""}`, d: `M${path}` });
      return one.area ? [under, line] : [line];
    }));
  }

  // What stands at the cursor, or at the end, as text.
  read() {
    const index = this.cursor ?? this.times.length - 1;
    const told = this.series.map((one, n) => {
      const value = this.columns[one.key][index];
      const text = value === null || value === undefined ? "–" : this.format(value);
      this.values[n].textContent = text;
      return `${one.label} ${text}`;
    });
    const time = hour(this.times[index], true);
    this.at.textContent = this.cursor === null ? "" : time;
    const said = { "aria-valuemin": 0, "aria-valuemax": this.times.length - 1, "aria-valuenow": index, "aria-valuetext": `${time}: ${told.join(", ")}` };
    for (const [key, value] of Object.entries(said)) this.stage.setAttribute(key, value);
  }
}

// Stretches without holes: [[index, value], …].
function runs(column) {
  const found = [[]];
  column.forEach((value, index) => {
    if (value === null || value === undefined) found.push([]);
    else found[found.length - 1].push([index, value]);
  });
  return found.filter((run) => run.length);
}

function hour(seconds, exact) {
  return new Date(seconds * 1000).toISOString().slice(11, exact ? 19 : 16);
}
