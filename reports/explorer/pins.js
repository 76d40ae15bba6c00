// Up to four networks side by side: costs, scores, pairs, classes, and layer by layer what is kept.

import { find, h, s } from "./element.js";
import { bracketed, fourPlaces, general } from "./format.js";
import { differenceText, nameOf } from "./card.js";
import { COSTS } from "./model.js";
import { intervalText } from "./scatter.js";

const KINDS = ["heads", "neurons", "tokens"];
const MOST_CLASSES = 20;

function bar(share, text, kind) {
  const width = 64;
  return h("span", { class: `bar ${kind}`, title: text },
    s("svg", { width, height: 10, "aria-hidden": "true" },
      s("rect", { width, height: 10, fill: "var(--grid)" }),
      s("rect", { width: Math.max(share > 0 ? 1 : 0, width * Math.min(1, share)), height: 10, fill: "var(--bar)" })),
    h("span", {}, text));
}

/** What a network keeps of a layer: heads, neurons, and the word-vectors that leave it. */
function layer(network, index) {
  const [, numHeads, numNeurons] = network.shape;
  const place = network.layers.findIndex(([layerIndex]) => layerIndex === index);
  if (place < 0) return h("td", { class: "gone" }, "—");
  const [, heads, neurons] = network.layers[place];
  const amount = network.tokens?.amounts[place];
  const tokens = network.tokens === null ? "all" : network.tokens.unit === "percent" ? `${amount} %` : `${amount}`;
  const share = network.tokens === null ? 1 : network.tokens.unit === "percent" ? amount / 100 : Math.min(1, amount / Math.max(...network.tokens.amounts));
  return h("td", {}, bar(heads / numHeads, `${heads} heads`, KINDS[0]), bar(neurons / numNeurons, `${neurons} neurons`, KINDS[1]), bar(share, `${tokens} tokens`, KINDS[2]));
}

/** Draws what is pinned; the first one is what the others are compared with. */
export function drawPins(model, { pool, pins }, { onPin, onClear }) {
  const host = find("pins");
  if (!pins.length) {
    host.replaceChildren(h("p", { class: "note hint" }, "Click a mark or press a row's button to pin up to four networks and see them side by side."));
    return;
  }
  const [first] = pins;
  const line = (name, cells) => h("tr", {}, h("th", { scope: "row" }, name), cells);
  const cell = (text) => h("td", {}, text ?? "");
  const rows = COSTS.filter((name) => pins.some((row) => model.interval(row, name))).map((name) =>
    line(model.quantities[name].label, pins.map((row) => {
      const interval = model.interval(row, name);
      return cell(interval && intervalText(model.quantities[name], interval));
    })));
  for (const split of ["search", "report"]) {
    if (!pins.some((row) => model.score(row, split))) continue;
    rows.push(line(`${model.metric.label}, ${split}`, pins.map((row) => {
      const score = model.score(row, split);
      return cell(score && bracketed(score, fourPlaces));
    })));
    if (pins.length > 1)
      rows.push(line(`against #${first.number}, ${split}`, pins.map((row) => {
        if (row === first) return cell("");
        const difference = model.compare(row.score, first.score, split);
        return cell(difference ? differenceText(difference) : "not on this page");
      })));
    const outcomes = model.outcomes[split];
    if (pins.length > 1 && outcomes && outcomes.flips(first.score, first.score) !== null)
      rows.push(line(`answers that flip, ${split}`, pins.map((row) => cell(row === first ? "" : `${general(100 * outcomes.flips(row.score, first.score), 3)} %`))));
  }
  const split = model.outcomes.report ? "report" : "search";
  const classes = pins.map((row) => model.outcomes[split]?.classes(row.score) ?? []);
  const named = model.data.classes;
  const shown = classes[0].slice(0, MOST_CLASSES);
  if (shown.length) rows.push(h("tr", {}, h("th", { scope: "rowgroup", colspan: pins.length + 1, class: "group" }, `share right of each class, ${split} split`)));
  shown.forEach(({ label, n }, i) =>
    rows.push(line(h("bdi", {}, `${named?.[label] ?? `class ${label}`} (${n})`), classes.map((found) => h("td", {}, bar(found[i].right / found[i].n, (found[i].right / found[i].n).toFixed(3), "class"))))));
  if (classes[0].length > shown.length) rows.push(line("", [h("td", { colspan: pins.length }, `and ${classes[0].length - shown.length} classes more`)]));
  const depth = Math.max(...pins.map((row) => row.network.shape[0]));
  rows.push(h("tr", {}, h("th", { scope: "rowgroup", colspan: pins.length + 1, class: "group" }, "what each layer keeps")));
  for (let index = 0; index < depth; index++) rows.push(line(`layer ${index + 1}`, pins.map((row) => layer(row.network, index))));
  host.replaceChildren(
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "pinned networks side by side" },
      h("table", { class: "pinned" },
        h("caption", {}, `${pins.length} pinned; differences are paired, on the same examples, against the first`),
        h("thead", {}, h("tr", {}, h("td", {}), pins.map((row) =>
          h("th", { scope: "col" }, ...nameOf(row, pool), h("br"), h("button", { type: "button", class: "small", click: () => onPin(row) }, "Unpin"))))),
        h("tbody", {}, rows))),
    h("p", { class: "buttons" }, h("button", { type: "button", click: onClear }, "Unpin all")));
}
