// The page: one state, drawn as figure, budget, answer, pinned networks and table.

import { ALL, Model } from "./model.js";
import { Budgets, budgetOf } from "./budget.js";
import { copy, drawCard, exportCommand } from "./card.js";
import { find, h, say } from "./element.js";
import { NetworkTable } from "./table.js";
import { MOST_PINS, readHash, writeHash } from "./state.js";
import { Scatter } from "./scatter.js";
import { drawPins } from "./pins.js";
import { general } from "./format.js";
import { listenForSaves } from "./save.js";

const REST_MS = 250;
const ON_PUBLISHED = ["num_params", "num_flops"];
const model = new Model(JSON.parse(find("data").textContent));
let state = readHash(model, location.hash);
let seen = null;
let command = null;
let waiting = false;
let spoken = null;
let resting = null;
let controlled = null;

function change(patch) {
  state = { ...state, ...patch };
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    history.replaceState(null, "", writeHash(model, state));
    draw();
  });
}

function pin(row) {
  const isPinned = state.pins.includes(row.key);
  if (!isPinned && state.pins.length === MOST_PINS) {
    say(`${MOST_PINS} networks are pinned already: unpin one first.`);
    return;
  }
  change({ pins: isPinned ? state.pins.filter((key) => key !== row.key) : [...state.pins, row.key] });
  say(`${isPinned ? "Unpinned" : "Pinned"} ${row.number}.`);
}

const unpin = () => change({ pins: [] });

function limit(name, text) {
  const limits = { ...state.limits };
  if (text === null) delete limits[name];
  else limits[name] = text;
  change({ limits });
}

const scatter = new Scatter(model, {
  onPin: pin,
  onCopy: (row) => {
    const text = row ? exportCommand(model, state, null, row) : command;
    if (text) copy(text);
  },
  onEscape: unpin,
});
const budgets = new Budgets(model, { onLimit: limit, onBest: (best) => change({ best }) });
const table = new NetworkTable(model, {
  onSort: (sort, down) => change({ sort, down }),
  onFilter: (filter) => change({ filter }),
  onPin: pin,
});

/** Buttons of which one is pressed. */
function choices(id, entries, chosen, choose) {
  const active = document.activeElement?.closest?.(`#${id}`) && document.activeElement.dataset.value;
  find(id).replaceChildren(...entries.map(({ value, label, detail }) =>
    h("button", { type: "button", "data-value": value, "aria-pressed": String(value === chosen), click: () => choose(value) },
      h("bdi", {}, label), detail ? h("small", {}, detail) : "")));
  if (active) find(id).querySelector(`[data-value="${CSS.escape(active)}"]`)?.focus();
}

function drawControls(pool) {
  const { settings } = model.data;
  find("settings-row").hidden = settings.length < 2;
  choices("settings", settings.map(({ title }, i) => ({ value: String(i), label: title })), String(state.setting), (value) => {
    const setting = Number(value);
    const slugs = model.deployments(setting).map((sheet) => sheet.slug);
    const deployment = slugs.includes(state.deployment) || (state.deployment === ALL && slugs.length > 1) ? state.deployment : slugs[0];
    change({ setting, deployment });
  });
  const sheets = model.deployments(state.setting);
  const [first] = sheets;
  const detail = ({ full_ms: time }) => time && `full model ${general(time, 3)} ms${time === first.full_ms ? "" : `, ${general(first.full_ms / time, 3)}×`}`;
  choices("deployments", [
    ...sheets.map((sheet) => ({ value: sheet.slug, label: sheet.title, detail: detail(sheet) })),
    ...(sheets.length > 1 ? [{ value: ALL, label: "all together", detail: `${sheets.length} deployments` }] : []),
  ], state.deployment, (deployment) => change({ deployment }));
  const known = pool.known;
  for (const axis of ["x", "y"]) {
    const select = find(`${axis}-axis`);
    select.replaceChildren(...known.map(({ name, label }) => h("option", { value: name, selected: name === state[axis] }, name === "score" ? model.metric.label : label)));
    find(`log-${axis}`).checked = state[axis === "x" ? "logX" : "logY"];
  }
  const hasReport = pool.rows.some((row) => model.score(row, "report"));
  const splits = [{ value: "search", label: "search" }, ...(hasReport ? [{ value: "report", label: "report" }] : []), ...(model.halves ? [{ value: "corrected", label: "corrected" }] : [])];
  choices("splits", splits, state.split, (split) => change({ split }));
}

function draw() {
  const pool = model.pool(state.setting, state.deployment);
  const known = new Set(pool.known.map((entry) => entry.name));
  for (const axis of ["x", "y"]) if (!known.has(state[axis])) state[axis] = axis === "x" ? "num_params" : "score";
  const budget = budgetOf(model, state, pool);
  const result = model.rule.deliver(pool.rows, budget, pool.again);
  const isLimited = budget.limits.length > 0 || budget.loss !== null;
  const gone = new Set(result.passed.map((row) => row.key));
  const front = model.front(pool, state.x, state.y);
  const cost = state.y === "score" ? state.x : state.x === "score" ? state.y : null;
  const isCost = cost !== null && cost !== "score" && cost !== "loss";
  seen = {
    state, pool, budget, result, front,
    answer: isLimited || budget.best !== "score" ? result.answer : null,
    fits: isLimited ? new Set(result.fitting.filter((row) => !gone.has(row.key)).map((row) => row.key)) : null,
    frontKeys: new Set(front.map((row) => row.key)),
    corrected: isCost && model.halves ? model.correctedFront(pool, cost) : null,
    pins: state.pins.map((key) => pool.byKey.get(key)).filter(Boolean),
    drawn: model.rivals(pool, state.x, state.y),
    published: state.split === "report" && state.y === "score" && ON_PUBLISHED.includes(state.x) ? model.data.published.filter((entry) => entry[state.x] !== null) : [],
  };
  // A slider changes none of the controls, and a layout for them costs as much as the figure's.
  const { setting, deployment, x, y, logX, logY, split } = state;
  const controls = JSON.stringify([setting, deployment, x, y, logX, logY, split]);
  if (controls !== controlled) {
    drawControls(pool);
    drawNotes();
    controlled = controls;
  }
  scatter.draw(seen);
  budgets.draw(state, pool);
  command = drawCard(model, seen, { onPin: pin });
  const named = result.answer ? `Answer: ${result.answer.number}, ${result.answer.network.label}.` : "Nothing keeps this budget.";
  if (isLimited && spoken !== null && named !== spoken) say(named);
  spoken = named;
  drawPins(model, seen, { onPin: pin, onClear: unpin });
  // The table follows when a slider rests: thousands of rows are sorted for it.
  clearTimeout(resting);
  if (table.view) resting = setTimeout(() => table.draw(seen), REST_MS);
  else table.draw(seen);
}

/** What forbids to take these numbers at their word, and what the figure leaves out. */
function drawNotes() {
  const { pool } = seen;
  const warnings = pool.sheets.flatMap((sheet) => sheet.warnings.map((text) => (pool.sheets.length > 1 ? `${sheet.title}: ${text}` : text)));
  // Those of the first view, and of all that is on it, are said before the heading.
  const isSaid = state.setting === 0 && [ALL, model.deployments(0)[0].slug].includes(state.deployment);
  find("doubts").hidden = isSaid || !warnings.length;
  find("doubts").replaceChildren(...warnings.flatMap((text) => [h("span", {}, text), h("br")]));
  const texts = [
    state.split === "search" ? "The staircase joins the networks that no other one beats on both axes on the search split, which judged them; their numbers are those of the table." : state.split === "report" ? "Shown at report scores, which judged nothing: no staircase is drawn, dotted lines come from the search score." : "The front at search scores with the luck of having been chosen taken off, each member among what costs no more; the others, pale, at their search scores.",
    `Bars of the front and of pinned networks are 95 % intervals; of times: ${model.meaningOfTimes(pool)}.`,
  ];
  if (seen.drawn.length < pool.rows.length && pool.sheets.length > 1) texts.push(" What no deployment changes is drawn for the first deployment alone.");
  if (pool.sheets.length > 1) texts.push(" Deployments were timed in sessions of their own: small differences between them decide nothing.");
  find("caption").textContent = texts.join(" ");
  find("facts").replaceChildren(...pool.sheets.flatMap((sheet) => Object.entries(sheet.facts).flatMap(([name, text]) => [h("dt", {}, pool.sheets.length > 1 ? `${sheet.title}, ${name}` : name), h("dd", {}, h("bdi", {}, text))])));
}

for (const axis of ["x", "y"]) {
  find(`${axis}-axis`).addEventListener("change", (event) => change({ [axis]: event.target.value }));
  find(`log-${axis}`).addEventListener("change", (event) => change({ [axis === "x" ? "logX" : "logY"]: event.target.checked }));
}
find("clear").addEventListener("click", () => change({ limits: {}, best: "score" }));
listenForSaves(model, () => seen);
window.addEventListener("hashchange", () => {
  state = readHash(model, location.hash);
  draw();
});
draw();
document.documentElement.dataset.ready = "true";
