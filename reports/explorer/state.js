// What is asked of the page, as the address has it after "#", so that a link gives the same view.

import { ALL } from "./model.js";

export const MOST_PINS = 4;
const SPLITS = ["search", "report", "corrected"];

/** The view that a page opens with. */
export function initialState(model) {
  const pool = model.pool(0, model.deployments(0)[0].slug);
  const known = pool.known.map((entry) => entry.name);
  return {
    setting: 0,
    deployment: model.deployments(0)[0].slug,
    x: known.find((name) => ["latency_ms", "num_params"].includes(name)),
    y: "score",
    logX: false,
    logY: false,
    split: "search",
    best: "score",
    limits: {},
    pins: [],
    sort: "number",
    down: false,
    filter: "",
  };
}

/** The state that an address asks for; what it asks for wrongly is left as it was at first. */
export function readHash(model, hash) {
  const state = initialState(model);
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const setting = Number(asked.get("at") ?? 0);
  if (model.data.settings[setting]) state.setting = setting;
  const slugs = model.deployments(state.setting).map((sheet) => sheet.slug);
  state.deployment = slugs[0];
  const deployment = asked.get("on");
  if (slugs.includes(deployment) || (deployment === ALL && slugs.length > 1))
    state.deployment = deployment;
  for (const axis of ["x", "y"])
    if (asked.get(axis) in model.quantities) state[axis] = asked.get(axis);
  state.logX = asked.get("logx") === "1";
  state.logY = asked.get("logy") === "1";
  if (SPLITS.includes(asked.get("split"))) state.split = asked.get("split");
  if (asked.get("best") in model.quantities) state.best = asked.get("best");
  for (const name of Object.keys(model.quantities)) {
    const text = asked.get(name);
    if (text !== null && Number(text) > 0) state.limits[name] = text;
  }
  state.pins = (asked.get("pins") ?? "").split(",").filter(Boolean).slice(0, MOST_PINS);
  state.sort = asked.get("sort") ?? state.sort;
  state.down = asked.get("down") === "1";
  state.filter = asked.get("filter") ?? "";
  return state;
}

/** The address of a state: what differs from the view that a page opens with. */
export function writeHash(model, state) {
  const first = initialState(model);
  const asked = new URLSearchParams();
  const put = (name, value, usual) => value !== usual && asked.set(name, value);
  put("at", state.setting, 0);
  put("on", state.deployment, model.deployments(state.setting)[0].slug);
  put("x", state.x, first.x);
  put("y", state.y, first.y);
  put("logx", Number(state.logX), 0);
  put("logy", Number(state.logY), 0);
  put("split", state.split, first.split);
  put("best", state.best, first.best);
  for (const [name, text] of Object.entries(state.limits)) asked.set(name, text);
  put("pins", state.pins.join(","), "");
  put("sort", state.sort, first.sort);
  put("down", Number(state.down), 0);
  put("filter", state.filter, "");
  const text = asked.toString();
  return text ? `#${text}` : "#";
}
