// Downloads: the table as CSV and JSON, the figure as SVG and PNG.

import { find, h } from "./element.js";
import { columns, shownRows } from "./table.js";

const PIXELS = 2;
const SVG_TYPE = "image/svg+xml;charset=utf-8";

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  // A spreadsheet would compute what begins so.
  const plain = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** The shown rows as records of numbers and words. */
function records(model, view) {
  const all = columns(model, view);
  return shownRows(model, view).map((row) => {
    const record = { key: row.key, network: row.network.name };
    for (const { id, key, numbers } of all) {
      record[id] = key(row);
      if (!numbers) continue;
      const [, low, high] = numbers(row);
      if (low !== high) Object.assign(record, { [`${id}_low`]: low, [`${id}_high`]: high });
    }
    return record;
  });
}

function csv(model, view) {
  const rows = records(model, view);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(csvCell).join(",")).join("\n") + "\n";
}

/** The figure as it is seen, in the colours of paper. */
export function svgText() {
  const copy = find("plot").cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("font-family", "system-ui, 'DejaVu Sans', sans-serif");
  for (const name of ["tabindex", "id", "class", "style", "role", "aria-describedby"]) copy.removeAttribute(name);
  const paper = { "--ink": "#222222", "--paper": "#ffffff", "--grid": "#e4e4e4" };
  return new XMLSerializer().serializeToString(copy).replace(/var\((--\w+)\)/g, (_, name) => paper[name]);
}

async function png() {
  const text = svgText();
  const image = new Image();
  const address = URL.createObjectURL(new Blob([text], { type: SVG_TYPE }));
  image.src = address;
  await image.decode();
  const canvas = h("canvas", { width: PIXELS * image.width, height: PIXELS * image.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(address);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Makes the buttons save what is seen when they are pressed. */
export function listenForSaves(model, seen) {
  const on = (id, action) => find(id).addEventListener("click", action);
  on("save-csv", () => save(new Blob([csv(model, seen())], { type: "text/csv;charset=utf-8" }), "networks.csv"));
  on("save-json", () => {
    const { data } = model;
    const found = { schema: data.schema, title: data.title, task: data.task, metric: data.metric.name, address: location.hash, networks: records(model, seen()) };
    save(new Blob([JSON.stringify(found, null, 1)], { type: "application/json" }), "networks.json");
  });
  on("save-svg", () => save(new Blob([svgText()], { type: SVG_TYPE }), "front.svg"));
  on("save-png", async () => save(await png(), "front.png"));
}
