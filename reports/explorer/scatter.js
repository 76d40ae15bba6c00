// Networks by two quantities. Marks that look alike are one path, so that thousands stay fluid; the
// drawing is SVG with every colour in an attribute, so that it is saved as it is seen.

import { find, h, s } from "./element.js";
import { bracketed, general, valueText } from "./format.js";
import { SHAPES, lookOf, methods } from "./marks.js";

const HEIGHTS = [320, 540];
const MARGIN = { left: 66, right: 18, top: 18, bottom: 48 };
const REACH = 26;
const TIMES = ["latency_ms", "p99_ms", "throughput_per_s", "speedup"];
const LABEL_PLACES = [[0, -12], [13, -9], [-13, -9], [15, 4], [-15, 4], [0, 19], [13, 15], [-13, 15], [0, -24], [24, -16], [-24, -16]];

/** Round numbers within a range: steps of 1, 2 or 5, or of decades where it is logarithmic. */
export function ticks(low, high, isLog) {
  if (isLog) {
    const steps = high < 30 * low ? [1, 1.5, 2, 3, 5, 7] : high < 1e4 * low ? [1, 2, 5] : [1];
    const found = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++)
      for (const step of steps) found.push(step * 10 ** decade);
    return found.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  }
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

function scale(values, isLog, from, to) {
  const known = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0));
  let [low, high] = [Infinity, -Infinity];
  for (const value of known) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!known.length) [low, high] = [0, 1];
  if (isLog) {
    const room = Math.max(1.03, (high / low) ** 0.06);
    [low, high] = [low / room, high * room];
  } else {
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    [low, high] = [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
  }
  const turn = isLog ? Math.log : (value) => value;
  const [first, last] = [turn(low), turn(high)];
  const place = (value) => from + ((turn(value) - first) / (last - first)) * (to - from);
  return { place, low, high, ticks: ticks(low, high, isLog) };
}

export class Scatter {
  constructor(model, { onPin, onCopy, onEscape }) {
    Object.assign(this, { model, onPin, onCopy, onEscape });
    this.svg = find("plot");
    this.tip = find("tip");
    this.focused = null;
    this.places = [];
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.focus(null));
    this.svg.addEventListener("click", (event) => {
      const row = this.nearest(event);
      if (row) this.onPin(row);
    });
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("focus", () => this.focus(this.focused ?? this.path()[0] ?? null));
    this.svg.addEventListener("blur", () => this.focus(null));
    new ResizeObserver(() => this.view && this.draw(this.view)).observe(this.svg.parentElement);
  }

  /** The rows of the front in the order of x, which the keyboard walks along. */
  path() {
    return this.places.filter((entry) => entry.onFront).sort((a, b) => a.px - b.px).map((entry) => entry.row);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const path = this.path();
    const at = path.indexOf(this.focused);
    const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: path.length - 1 };
    if (event.key in steps && path.length)
      this.focus(path[Math.max(0, Math.min(path.length - 1, at < 0 ? 0 : steps[event.key]))], { spoken: true });
    else if (event.key.toLowerCase() === "p" && this.focused) this.onPin(this.focused);
    else if (event.key.toLowerCase() === "c") this.onCopy(this.focused);
    else if (event.key === "Escape") {
      this.focus(null);
      this.onEscape();
    } else return;
    event.preventDefault();
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [found, least] = [null, REACH ** 2];
    for (const { row, px, py } of this.places) {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [found, least] = [row, distance];
    }
    return found;
  }

  point(event) {
    const row = this.nearest(event);
    this.svg.style.cursor = row ? "pointer" : "default";
    if (row !== this.focused) this.focus(row);
  }

  /** Shows what a row is, beside its mark. */
  focus(row, { spoken = false } = {}) {
    this.focused = row;
    const entry = this.places.find((place) => place.row === row);
    this.ring?.remove();
    this.tip.hidden = !entry;
    if (!entry) return;
    this.ring = s("circle", { cx: entry.px, cy: entry.py, r: 12, fill: "none", stroke: "var(--ink)", "stroke-width": 2 });
    this.svg.append(this.ring);
    const lines = this.lines(entry);
    this.tip.replaceChildren(...lines.map((line, i) => h(i ? "span" : "b", {}, h("bdi", {}, line))));
    const width = this.svg.clientWidth;
    const left = entry.px > width / 2 ? Math.max(4, entry.px - this.tip.offsetWidth - 16) : Math.min(entry.px + 16, width - this.tip.offsetWidth - 4);
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${Math.max(4, entry.py - this.tip.offsetHeight / 2)}px`;
    if (spoken) find("said").textContent = lines.join(", ");
  }

  lines({ row, published, onFront }) {
    const { x, y } = this.view.state;
    if (published) return [published.label, published.source];
    const { model } = this;
    const text = (name) => {
      const interval = model.interval(row, name);
      return interval && `${model.quantities[name].label} ${intervalText(model.quantities[name], interval)}`;
    };
    const report = model.score(row, "report");
    return [
      `${row.number}: ${row.network.label}`,
      row.sheet.title,
      text(x),
      text(y),
      [x, y].includes("score") && report ? `report ${bracketed(report, (value) => value.toFixed(4))}` : null,
      onFront ? "on the front, judged on search" : null,
      row.latency && !row.latency.resolved ? "latency not resolved in the time given" : null,
    ].filter(Boolean);
  }

  /** Where a row is drawn: x and y with their ends; null where the split has no such score. */
  at(row, axis, split) {
    const name = this.view.state[axis];
    if (name !== "score" || split === "search") return this.model.interval(row, name);
    if (split === "report") return this.model.score(row, "report");
    const found = this.view.corrected?.get(row.key);
    return found ? [found.value, found.value - 1.96 * found.error, found.value + 1.96 * found.error] : null;
  }

  /** Draws a view: the state, the pool, its front, what fits a budget, the answer, the pins. */
  draw(view) {
    this.view = view;
    const { model } = this;
    const { state, pool } = view;
    const width = Math.max(280, this.svg.parentElement.clientWidth);
    const height = Math.min(HEIGHTS[1], Math.max(HEIGHTS[0], Math.round(0.62 * width)));
    const front = new Set(view.front.map((row) => row.key));
    const pinned = new Set(view.pins.map((row) => row.key));
    const byTime = TIMES.includes(state.x) || TIMES.includes(state.y);
    const looks = { model, pool, front, fits: view.fits, byTime, methodNames: methods(pool) };
    const isShifted = state.split !== "search" && (state.x === "score" || state.y === "score");

    const entries = [];
    for (const row of view.drawn) {
      const before = { x: this.at(row, "x", "search"), y: this.at(row, "y", "search") };
      let now = isShifted ? { x: this.at(row, "x", state.split), y: this.at(row, "y", state.split) } : before;
      const look = lookOf(row, looks);
      const stays = state.split === "corrected" && !(now.x && now.y);
      if (stays) now = before;
      if (!now.x || !now.y) continue;
      entries.push({ row, before, now, onFront: front.has(row.key), look: { ...look, pale: look.pale || (isShifted && stays) } });
    }
    for (const published of view.published) {
      const x = published[state.x];
      entries.push({
        row: published, published, onFront: false, before: null,
        now: { x: [x, x, x], y: [published.score, published.score, published.score] },
        look: { colour: model.data.palette.marks[1].colour, shape: "square", size: 5, hollow: true, name: "published" },
      });
    }
    const whiskers = (entry) => entry.onFront || pinned.has(entry.row.key);
    const extent = (axis) => entries.flatMap((entry) => [
      ...(whiskers(entry) ? entry.now[axis] : [entry.now[axis][0]]),
      ...(isShifted && entry.before && whiskers(entry) ? [entry.before[axis]?.[0]] : []),
    ]).filter((value) => value !== null && value !== undefined);
    const logX = state.logX && entries.every((entry) => entry.now.x[0] > 0);
    const logY = state.logY && entries.every((entry) => entry.now.y[0] > 0);
    const sx = scale(extent("x"), logX, MARGIN.left, width - MARGIN.right);
    const sy = scale(extent("y"), logY, height - MARGIN.bottom, MARGIN.top);
    for (const entry of entries) [entry.px, entry.py] = [sx.place(entry.now.x[0]), sy.place(entry.now.y[0])];
    this.places = entries;

    const size = { width, height };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("aria-label", this.description(entries));
    this.svg.replaceChildren(
      s("rect", { x: 0, y: 0, width, height, fill: "var(--paper)" }),
      ...this.axes(sx, sy, size, { logX, logY }),
      ...this.limits(sx, sy, size),
      ...this.staircase(view.front, sx, sy, size),
      ...(isShifted ? shifts(entries, pinned, sx, sy) : []),
      ...bars(entries.filter(whiskers), sx, sy),
      ...paths(entries),
      ...this.rings(entries, pinned),
      ...labels(this.labelled(entries, pinned), entries, size),
      ...better(state, model, size),
    );
    this.legend(entries, isShifted);
    if (this.focused) this.focus(this.focused);
  }

  description(entries) {
    const { state, pool } = this.view;
    const [x, y] = [state.x, state.y].map((name) => this.label(name));
    const fronts = this.path().map((row) => `${row.number} ${row.network.label}`).slice(0, 30).join("; ");
    return `${y} against ${x} of ${entries.length} of ${pool.rows.length} networks. On the front, by ${x}: ${fronts || "none"}. Arrow keys walk along the front, P pins, C copies the export command, Escape leaves.`;
  }

  label(name) {
    const { data, quantities } = this.model;
    if (name === "score") {
      const { split } = this.view.state;
      const number = split === "report" ? data.examples.report : data.examples.search;
      return `${data.metric.label}, ${split === "report" ? "report" : split === "corrected" ? "search, corrected" : "search"} split (n = ${number})`;
    }
    const { label, unit } = quantities[name];
    return unit && unit !== "points" ? `${label}, ${unit === "times" ? "times the full model's speed" : unit}` : label;
  }

  axes(sx, sy, { width, height }, { logX, logY }) {
    const { state } = this.view;
    const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
    const text = (name, value) => {
      const quantity = this.model.quantities[name];
      if (name === "score") return general(value, 3);
      if (name === "loss") return general(100 * value, 3);
      return ["ms", "per s", "J"].includes(quantity.unit) ? general(value, 3) : valueText(quantity, Number(value.toPrecision(6))).replace("×", "");
    };
    const wide = right - left < 420 ? 2 : 1;
    const shownX = sx.ticks.filter((_, i) => i % (sx.ticks.length > 6 ? wide : 1) === 0);
    return [
      ...shownX.map((tick) => s("g", {},
        s("line", { x1: sx.place(tick), x2: sx.place(tick), y1: top, y2: bottom, stroke: "var(--grid)" }),
        s("text", { x: sx.place(tick), y: bottom + 17, "text-anchor": "middle", "font-size": 12, fill: "var(--ink)" }, text(state.x, tick)))),
      ...sy.ticks.map((tick) => s("g", {},
        s("line", { x1: left, x2: right, y1: sy.place(tick), y2: sy.place(tick), stroke: "var(--grid)" }),
        s("text", { x: left - 8, y: sy.place(tick) + 4, "text-anchor": "end", "font-size": 12, fill: "var(--ink)" }, text(state.y, tick)))),
      s("path", { d: `M${left} ${top}V${bottom}H${right}`, fill: "none", stroke: "var(--ink)" }),
      s("text", { x: (left + right) / 2, y: height - 10, "text-anchor": "middle", "font-size": 13, fill: "var(--ink)" }, this.label(state.x) + (logX ? " (logarithmic)" : "")),
      s("text", { x: -(top + bottom) / 2, y: 15, transform: "rotate(-90)", "text-anchor": "middle", "font-size": 13, fill: "var(--ink)" }, this.label(state.y) + (logY ? " (logarithmic)" : "")),
    ];
  }

  /** Lines at the limits of what the axes show, shaded where they are missed. */
  limits(sx, sy, { width, height }) {
    const { state, budget } = this.view;
    const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
    const all = [...budget.limits, ...(budget.loss === null ? [] : [{ quantity: "loss", limit: budget.loss }])];
    return all.flatMap(({ quantity, limit }) => ["x", "y"].filter((axis) => state[axis] === quantity).flatMap((axis) => {
      const [place, low, high] = axis === "x" ? [sx.place(limit), left, right] : [sy.place(limit), top, bottom];
      if (!(place > low && place < high)) return [];
      const isBeyond = this.model.quantities[quantity].larger === (axis === "x");
      const [from, to] = isBeyond ? [low, place] : [place, high];
      const area = axis === "x" ? { x: from, width: to - from, y: top, height: bottom - top } : { x: left, width: right - left, y: from, height: to - from };
      const line = axis === "x" ? `M${place} ${top}V${bottom}` : `M${left} ${place}H${right}`;
      return [
        s("rect", { ...area, fill: "var(--ink)", opacity: 0.05 }),
        s("path", { d: line, stroke: "var(--ink)", "stroke-dasharray": "5 4", fill: "none" }),
      ];
    }));
  }

  /** The front on the split that judged it; nothing is promised between its networks. */
  staircase(front, sx, sy, { width }) {
    const { state } = this.view;
    if (!front.length || state.split !== "search") return [];
    const corners = front.map((row) => [sx.place(row.values[state.x]), sy.place(row.values[state.y])]).sort((a, b) => a[0] - b[0]);
    const isXLarger = this.model.quantities[state.x].larger;
    let path = `M${corners[0].map((value) => value.toFixed(1)).join(" ")}`;
    for (const [x, y] of corners.slice(1)) path += isXLarger ? `V${y.toFixed(1)}H${x.toFixed(1)}` : `H${x.toFixed(1)}V${y.toFixed(1)}`;
    if (!isXLarger) path += `H${width - MARGIN.right}`;
    const colour = this.view.pool.sheets.length > 1 ? "var(--ink)" : this.model.data.palette.front;
    return [s("path", { d: path, fill: "none", stroke: colour, "stroke-width": 2, class: "staircase" })];
  }

  rings(entries, pinned) {
    const { answer } = this.view;
    return entries.flatMap(({ row, px, py }) => [
      ...(pinned.has(row.key) ? [s("circle", { cx: px, cy: py, r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, "stroke-dasharray": "3 2" })] : []),
      ...(answer && row.key === answer.key ? [s("circle", { cx: px, cy: py, r: 13, fill: "none", stroke: "var(--ink)", "stroke-width": 2.5, class: "answer" })] : []),
    ]);
  }

  labelled(entries, pinned) {
    const answer = this.view.answer?.key;
    const weight = ({ row, onFront }) => (row.key === answer ? 0 : pinned.has(row.key) ? 1 : onFront ? 2 : 3);
    return entries.filter((entry) => !entry.published && weight(entry) < 3).sort((a, b) => weight(a) - weight(b));
  }

  legend(entries, isShifted) {
    const { state } = this.view;
    const names = new Map();
    const plainFirst = [...entries].sort((a, b) => Number(isStar(a)) - Number(isStar(b)));
    for (const { look, published } of plainFirst)
      if (!names.has(look.name))
        names.set(look.name, { ...look, shape: look.kept ?? look.shape, hollow: Boolean(published), pale: false });
    const unlike = { colour: "var(--ink)", size: 5, hollow: true };
    if (entries.some(({ look, published }) => look.hollow && !look.kept && !published))
      names.set("latency not resolved", { ...unlike, shape: "circle" });
    if (entries.some(({ look }) => look.kept)) names.set("does not keep the budget", { ...unlike, shape: "cross" });
    const items = [...names].map(([name, look]) => h("li", {}, s("svg", { width: 22, height: 18, "aria-hidden": "true" }, markPath({ ...look, size: Math.min(look.size, 7) }, SHAPES[look.shape](11, 9, Math.min(look.size, 7)))), h("bdi", {}, name)));
    if (this.view.pool.sheets.length > 1 && entries.some(({ row }) => row.network?.is_full)) items.push(h("li", {}, "stars: the full model"));
    if (isShifted) items.push(h("li", {}, `lines: from the search score to the ${state.split === "report" ? "report" : "corrected"} one`));
    if (this.view.answer) items.push(h("li", {}, "circled: the answer"));
    find("legend").replaceChildren(...items);
  }
}

/** A value of a quantity with its ends, where it has some. */
export function intervalText(quantity, interval) {
  if (quantity.name === "score") return bracketed(interval, (value) => value.toFixed(4));
  const [value, low, high] = interval;
  return low === high ? valueText(quantity, value) : bracketed(interval, (number) => valueText(quantity, number));
}

function isStar({ look }) {
  return (look.kept ?? look.shape) === "star";
}

function markPath(look, d, extra = {}) {
  const stroke = look.hollow ? look.colour : look.ring ? "var(--ink)" : "var(--paper)";
  return s("path", {
    d,
    fill: look.hollow ? "none" : look.colour,
    stroke,
    "stroke-width": look.hollow ? 1.7 : look.ring ? 1.3 : 0.6,
    opacity: look.pale ? 0.4 : 1,
    ...extra,
  });
}

/** One path for all marks that look alike, those that stand back first. */
function paths(entries) {
  const alike = new Map();
  for (const { look, px, py, onFront } of entries) {
    const key = `${look.name} ${look.colour} ${look.shape} ${look.size} ${look.hollow} ${look.pale} ${look.ring}`;
    if (!alike.has(key)) alike.set(key, { look, onFront, parts: [] });
    alike.get(key).parts.push(SHAPES[look.shape](px, py, look.size));
  }
  return [...alike.values()]
    .sort((a, b) => Number(b.look.pale) - Number(a.look.pale) || a.look.size - b.look.size)
    .map(({ look, parts }) => markPath(look, parts.join(""), { class: "marks", "data-number": parts.length }));
}

function bars(entries, sx, sy) {
  const parts = entries.map(({ now, px, py }) => {
    const across = now.x[1] !== now.x[2] ? `M${sx.place(now.x[1]).toFixed(1)} ${py.toFixed(1)}H${sx.place(now.x[2]).toFixed(1)}` : "";
    const up = now.y[1] !== now.y[2] ? `M${px.toFixed(1)} ${sy.place(now.y[1]).toFixed(1)}V${sy.place(now.y[2]).toFixed(1)}` : "";
    return across + up;
  });
  return [s("path", { d: parts.join("") || "M0 0", stroke: "var(--ink)", "stroke-width": 1, fill: "none", opacity: 0.55, class: "whiskers" })];
}

function shifts(entries, pinned, sx, sy) {
  const parts = entries
    .filter((entry) => entry.before?.x && entry.before?.y && (entry.onFront || pinned.has(entry.row.key)))
    .map(({ before, px, py }) => `M${sx.place(before.x[0]).toFixed(1)} ${sy.place(before.y[0]).toFixed(1)}L${px.toFixed(1)} ${py.toFixed(1)}`);
  return [s("path", { d: parts.join("") || "M0 0", stroke: "var(--ink)", "stroke-width": 1.2, "stroke-dasharray": "2 2", fill: "none", class: "shifts" })];
}

/** Numbers beside marks, each where nothing is in its way, or nowhere. */
function labels(labelled, entries, { width, height }) {
  const taken = [];
  const free = (box) =>
    box.left > MARGIN.left && box.right < width - 4 && box.top > 2 && box.bottom < height - MARGIN.bottom &&
    taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
  const found = [];
  for (const { px, py } of entries.filter((entry) => entry.onFront)) taken.push({ left: px - 5, right: px + 5, top: py - 5, bottom: py + 5 });
  for (const { row, px, py } of labelled) {
    const text = String(row.number);
    const half = 3.9 * text.length + 1;
    for (const [dx, dy] of LABEL_PLACES) {
      const x = px + dx + Math.sign(dx) * (half - 5);
      const box = { left: x - half, right: x + half, top: py + dy - 10, bottom: py + dy + 2 };
      if (!free(box)) continue;
      taken.push(box);
      found.push(s("text", { x, y: py + dy, "text-anchor": "middle", "font-size": 12, "font-weight": "bold", fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 3, "paint-order": "stroke", class: "label" }, text));
      break;
    }
  }
  return found;
}

/** An arrow to where both quantities are better. */
function better(state, model, { width, height }) {
  const dx = model.quantities[state.x].larger ? 1 : -1;
  const dy = model.quantities[state.y].larger ? -1 : 1;
  const x = dx < 0 ? MARGIN.left + 14 : width - MARGIN.right - 14;
  const y = dy < 0 ? MARGIN.top + 12 : height - MARGIN.bottom - 12;
  const [fx, fy] = [x - 22 * dx, y - 22 * dy];
  return [s("g", { class: "better", opacity: 0.75 },
    s("path", { d: `M${fx} ${fy}L${x} ${y}M${x} ${y}L${x - 9 * dx} ${y}M${x} ${y}L${x} ${y - 9 * dy}`, stroke: "var(--ink)", "stroke-width": 1.8, fill: "none" }),
    s("text", { x: fx - 4 * dx, y: fy + (dy < 0 ? 10 : -2), "text-anchor": dx < 0 ? "start" : "end", "font-size": 12, fill: "var(--ink)" }, "better"))];
}
