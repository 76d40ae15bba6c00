// The table: the accessible form of the figure, sorted, filtered and saved as it is seen.

import { find, foreign, h } from "./element.js";
import { between, fourPlaces, general, points, valueText } from "./format.js";
import { COSTS } from "./model.js";

/** How many rows are shown before all of them are asked for; on a phone each is a card. */
const PAGE = matchMedia("(max-width: 40rem)").matches ? 12 : 100;

/** How a column says its unit once: the unit of its heading, and how its numbers are shown. */
function inUnit(quantity) {
  if (["ms", "per s", "J"].includes(quantity.unit))
    return { unit: quantity.unit, shown: (value) => general(value, 4) };
  if (quantity.unit === "times") return { unit: "times", shown: (value) => general(value, 4) };
  if (quantity.name === "loss") return { unit: "points", shown: points };
  return { unit: "", shown: (value) => valueText(quantity, value) };
}

const NONE = [null, null, null];

/**
 * The columns that a pool has: what they are called, what they are sorted by, and what they show: a
 * text, or numbers, a value with its interval, as `shown`.
 */
export function columns(model, view) {
  const { pool } = view;
  const known = new Set(pool.known.map((entry) => entry.name));
  const quantity = (name) => ({
    id: name,
    label: model.quantities[name].label,
    unit: inUnit(model.quantities[name]).unit,
    numeric: true,
    key: (row) => row.values[name] ?? null,
    numbers: (row) => model.interval(row, name) ?? NONE,
    shown: inUnit(model.quantities[name]).shown,
    isOpen: (row) => name === "latency_ms" && row.latency && !row.latency.resolved,
  });
  const score = (split) => ({
    id: split === "search" ? "score" : split,
    label: `${model.metric.label}, ${split}`,
    numeric: true,
    key: (row) => model.score(row, split)?.[0] ?? null,
    numbers: (row) => model.score(row, split) ?? NONE,
    shown: fourPlaces,
  });
  const corrected = view.corrected;
  return [
    { id: "number", label: "#", numeric: true, key: (row) => row.number, text: (row) => String(row.number) },
    { id: "label", label: "network", key: (row) => row.network.label, text: (row) => row.network.label, isName: true },
    ...(pool.sheets.length > 1 ? [{ id: "deployment", label: "deployment", key: (row) => row.sheet.title, text: (row) => row.sheet.title }] : []),
    ...COSTS.filter((name) => known.has(name)).map(quantity),
    score("search"),
    ...(corrected ? [{
      id: "corrected", label: "corrected", numeric: true,
      key: (row) => corrected.get(row.key)?.value ?? null,
      text: (row) => {
        const found = corrected.get(row.key);
        return found ? fourPlaces(found.value) : "";
      },
      beside: (row) => {
        const found = corrected.get(row.key);
        return found ? `± ${fourPlaces(found.error)}` : "";
      },
    }] : []),
    ...(pool.rows.some((row) => model.score(row, "report")) ? [score("report")] : []),
    ...Object.entries(model.data.scores.further).map(([name, scores]) => ({
      id: name, label: name, numeric: true,
      key: (row) => scores[row.score]?.[0] ?? null,
      numbers: (row) => scores[row.score] ?? NONE,
      shown: fourPlaces,
    })),
    ...(known.has("loss") ? [quantity("loss")] : []),
    { id: "front", label: "front", key: (row) => (view.frontKeys.has(row.key) ? "front" : ""), text: (row) => (view.frontKeys.has(row.key) ? "front" : "") },
    ...(view.fits ? [{ id: "fits", label: "keeps the budget", key: (row) => (view.fits.has(row.key) ? "yes" : "no"), text: (row) => (view.fits.has(row.key) ? "yes" : "no") }] : []),
  ];
}

/** A cell's text, and the interval that stands below it. */
function written(column, row) {
  if (!column.numbers) return [column.text(row), column.beside?.(row)];
  const [value, low, high] = column.numbers(row);
  if (value === null) return [""];
  return [column.shown(value) + (column.isOpen?.(row) ? "~" : ""), low === high ? "" : between([low, high], column.shown)];
}

/** The rows that a state shows, in its order. */
export function shownRows(model, view) {
  const { state, pool } = view;
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = columns(model, view);
  const text = (row) => `#${row.number} ${row.network.label} ${row.network.name} ${row.network.id} ${row.sheet.title} ${view.frontKeys.has(row.key) ? "front" : ""} ${view.fits?.has(row.key) ? "fits" : ""}`.toLowerCase();
  const kept = words.length ? pool.rows.filter((row) => words.every((word) => text(row).includes(word))) : [...pool.rows];
  const column = all.find((entry) => entry.id === state.sort) ?? all[0];
  const sign = state.down ? -1 : 1;
  return kept.sort((a, b) => {
    const [ours, theirs] = [column.key(a), column.key(b)];
    const [noOurs, noTheirs] = [ours, theirs].map((key) => key === null || key === "");
    if (noOurs || noTheirs) return noOurs - noTheirs || a.number - b.number;
    const order = column.numeric ? ours - theirs : ours < theirs ? -1 : ours > theirs ? 1 : 0;
    return sign * order || a.number - b.number || a.place - b.place;
  });
}

export class NetworkTable {
  constructor(model, { onSort, onFilter, onPin }) {
    Object.assign(this, { model, onSort, onPin, limit: PAGE });
    this.filter = find("filter");
    this.filter.addEventListener("input", () => onFilter(this.filter.value));
    find("more").addEventListener("click", () => {
      this.limit = Infinity;
      this.draw(this.view);
    });
  }

  draw(view) {
    const { state } = (this.view = view);
    if (document.activeElement !== this.filter) this.filter.value = state.filter;
    const all = columns(this.model, view);
    const rows = shownRows(this.model, view);
    const shown = rows.slice(0, this.limit);
    const active = document.activeElement?.dataset?.focus;
    const header = all.map(({ id, label, unit, numeric }) =>
      h("th", { scope: "col", class: numeric ? "number" : "text", "aria-sort": state.sort === id ? (state.down ? "descending" : "ascending") : null },
        h("button", { type: "button", "data-focus": `sort-${id}`, click: () => this.onSort(id, state.sort === id && !state.down) }, label), unit ? h("small", {}, unit) : ""));
    const body = shown.map((row) => {
      const isPinned = state.pins.includes(row.key);
      const name = ["", view.frontKeys.has(row.key) && "front", row.key === view.answer?.key && "answer", view.fits && !view.fits.has(row.key) && "missed"].filter(Boolean).join(" ");
      return h("tr", { class: name, "data-key": row.key },
        h("td", { class: "pin" }, h("button", { type: "button", class: "small", "data-focus": `pin-${row.key}`, "aria-pressed": String(isPinned), "aria-label": `pin ${row.number} ${row.network.label.slice(0, 80)}`, click: () => this.onPin(row) }, isPinned ? "Unpin" : "Pin")),
        all.map((column) => {
          const { label, unit, numeric, isName } = column;
          const [text, interval] = written(column, row);
          return h("td", { class: numeric ? "number" : "text", "data-label": unit ? `${label}, ${unit}` : label }, isName ? foreign(text) : text, interval ? h("small", {}, interval) : "");
        }));
    });
    const isOpen = shown.some((row) => row.latency && !row.latency.resolved);
    find("table").replaceChildren(
      h("caption", {}, `${rows.length} of ${view.pool.rows.length} networks; brackets are 95 % intervals, of times: ${this.model.meaningOfTimes(view.pool)}${isOpen ? "; ~ interval not narrow yet" : ""}`),
      h("thead", {}, h("tr", {}, h("td", {}), header)),
      h("tbody", {}, body));
    find("more").hidden = rows.length <= shown.length;
    find("more").textContent = `Show all ${rows.length}`;
    if (active) document.querySelector(`[data-focus="${CSS.escape(active)}"]`)?.focus();
  }
}
