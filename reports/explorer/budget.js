// What is asked of a network: a limit for each cost, as a slider and a field, and an aim.

import { find, h } from "./element.js";
import { decimal, valueText } from "./format.js";

const STEPS = 200;
const ORDER = ["latency_ms", "p99_ms", "throughput_per_s", "speedup", "peak_memory_bytes", "size_bytes", "num_params", "num_flops", "energy_j", "loss", "score"];

/** The budget that a state asks for, in the units of the quantities. */
export function budgetOf(model, state, pool) {
  const known = new Set(pool.known.map((entry) => entry.name));
  const budget = { limits: [], loss: null, best: known.has(state.best) ? state.best : "score" };
  for (const name of ORDER) {
    if (!(name in state.limits) || !known.has(name)) continue;
    const limit = decimal(state.limits[name], model.quantities[name].field.exponent);
    if (!(limit > 0) || ((name === "loss" || name === "score") && limit > 1)) continue;
    if (name === "loss") budget.loss = limit;
    else budget.limits.push({ quantity: name, limit });
  }
  return budget;
}

/** A limit rounded to three digits, so that what is at the limit still keeps it. */
function outward(value, { larger, field }) {
  const scaled = value / 10 ** field.exponent;
  const step = 10 ** (Math.floor(Math.log10(scaled)) - 2);
  const steps = larger ? Math.floor(scaled / step + 1e-9) : Math.ceil(scaled / step - 1e-9);
  return String(Number((steps * step).toPrecision(3)));
}

export class Budgets {
  constructor(model, { onLimit, onBest }) {
    Object.assign(this, { model, onLimit, onBest, key: null });
    this.rows = new Map();
  }

  /** Shows the limits of a state; the sliders are made again where other networks are looked at. */
  draw(state, pool) {
    if (this.key !== pool.key) this.make(pool);
    for (const [name, row] of this.rows) {
      const text = state.limits[name];
      if (document.activeElement !== row.field) row.field.value = text ?? "";
      row.slider.value = text === undefined ? row.none : this.position(row, decimal(text, row.quantity.field.exponent));
      const shown = text === undefined ? "no limit" : `${row.quantity.larger ? "at least" : "at most"} ${text} ${row.quantity.field.unit}`;
      row.slider.setAttribute("aria-valuetext", shown);
      row.element.classList.toggle("limited", text !== undefined);
    }
    this.best.value = [...this.best.options].some((option) => option.value === state.best) ? state.best : "score";
  }

  make(pool) {
    this.key = pool.key;
    this.rows.clear();
    const known = new Map(pool.known.map((entry) => [entry.name, entry]));
    const rows = ORDER.filter((name) => known.has(name)).map((name) => this.row(known.get(name), pool)).filter(Boolean);
    this.best = h(
      "select",
      { id: "best", change: () => this.onBest(this.best.value) },
      h("option", { value: "score" }, `the best ${this.model.metric.label}`),
      ORDER.filter((name) => known.has(name) && !["score", "loss"].includes(name)).map((name) => {
        const { larger, label } = known.get(name);
        return h("option", { value: name }, `the ${larger ? "most" : "least"} ${label}`);
      }),
    );
    find("limits").replaceChildren(
      h("p", { class: "aim" }, h("label", { for: "best" }, "Find "), this.best, " among the networks with"),
      ...rows,
    );
  }

  row(quantity, pool) {
    const { name, label, larger, field } = quantity;
    const values = pool.rows.map((row) => row.judged[name]).filter((value) => value > 0);
    if (!values.length) return null;
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (name === "loss") low = Math.max(low, 0.001);
    if (!(high > low)) high = low * 1.01;
    const none = larger ? 0 : STEPS;
    const id = `limit-${name}`;
    const text = name === "score" ? this.model.metric.label : label;
    const slider = h("input", {
      type: "range", id: `${id}-slider`, min: 0, max: STEPS, step: 1, value: none, "aria-label": `${text}, limit`,
      input: () => {
        const at = Number(slider.value);
        this.onLimit(name, at === none ? null : outward(low * (high / low) ** (at / STEPS), quantity));
      },
    });
    const number = h("input", {
      type: "text", inputmode: "decimal", id, size: 7, placeholder: "any", autocomplete: "off",
      input: () => {
        const typed = number.value.trim();
        const good = typed === "" || decimal(typed, field.exponent) > 0;
        number.setAttribute("aria-invalid", String(!good));
        if (good) this.onLimit(name, typed === "" ? null : typed);
      },
    });
    const element = h(
      "div",
      { class: "limit", title: `measured: ${valueText(quantity, low)} to ${valueText(quantity, high)}` },
      h("label", { for: id }, text, h("span", { class: "sign" }, larger ? " ≥" : " ≤")),
      h("span", { class: "typed" }, number, h("span", { class: "unit" }, field.unit)),
      slider,
    );
    this.rows.set(name, { quantity, slider, field: number, element, low, high, none });
    return element;
  }

  position({ low, high, none, quantity }, limit) {
    const at = Math.round((STEPS * Math.log(limit / low)) / Math.log(high / low));
    const [first, last] = none === 0 ? [1, STEPS] : [0, STEPS - 1];
    return Number.isFinite(at) ? Math.min(last, Math.max(first, at)) : quantity.larger ? first : last;
  }
}
