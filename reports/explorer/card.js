// The live answer: what, how fast, how good, what ties with it, what more budget buys, the command.

import { find, foreign, h, say } from "./element.js";
import { bracketed, fourPlaces, general, points, valueText } from "./format.js";
import { ALL, COSTS } from "./model.js";
import { intervalText } from "./scatter.js";

const OPTIONS = { loss: "max-loss" };

/** A row's number, its label and, where there are several, its deployment. */
export function nameOf(row, pool) {
  return [`#${row.number} `, foreign(row.network.label), pool.sheets.length > 1 ? `, ${row.sheet.title}` : ""];
}

/** A paired difference for a reader: points with the interval and the verdict. */
export function differenceText(difference) {
  const { interval, tie } = difference;
  const text = `${points(interval[0])} points [${points(interval[1])}, ${points(interval[2])}]`;
  if (!tie) return `${text}, distinguishable`;
  const shown = difference.shows();
  return shown === null
    ? `${text}, not distinguishable`
    : `${text}, not distinguishable (a loss of ${general(100 * shown, 2)} points would have shown)`;
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command that exports what a budget finds, or one network. */
export function exportCommand(model, state, budget, row) {
  const setting = model.data.settings[state.setting];
  const own = model.deployments(0)[0];
  const asked = ["paretobert", "export", model.data.run];
  const isAsked = budget && (budget.limits.length || budget.loss !== null || budget.best !== "score");
  if (isAsked) {
    if (budget.best !== "score") asked.push("--cheapest", model.quantities[budget.best].word);
    const limits = [...budget.limits.map(({ quantity }) => quantity), ...(budget.loss === null ? [] : ["loss"])];
    for (const name of limits) {
      const { field, word } = model.quantities[name];
      asked.push(`--${OPTIONS[name] ?? word}`, `${state.limits[name].trim()}${field.suffix}`);
    }
  } else asked.push("--network", row.network.id);
  asked.push(...setting.options);
  if (isAsked && state.deployment === ALL) asked.push("--runtime", "any", "--precision", "any");
  else if (row.sheet.slug !== own.slug || state.setting > 0)
    asked.push("--runtime", row.sheet.runtime, "--precision", row.sheet.precision);
  asked.push("--to", "network");
  return asked.map(quoted).join(" ");
}

/** A text whose lines break between words alone, not at the hyphens of an option. */
function unbroken(text) {
  return text.split(" ").flatMap((word, i) => [i ? " " : "", h("span", {}, word)]);
}

/** Copies a text, also where the page has no clipboard of its own. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { readonly: true, class: "copied" }, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied: ${text}`);
}

function limitText(model, quantity, limit) {
  const { label, larger } = model.quantities[quantity];
  const name = quantity === "score" ? model.metric.label : label;
  return quantity === "loss"
    ? `a loss of at most ${general(100 * limit, 4)} points, surely`
    : `${name} ${larger ? "≥" : "≤"} ${valueText(model.quantities[quantity], limit)}`;
}

function facts(model, row, result, corrected) {
  const { data } = model;
  const found = [];
  for (const name of COSTS) {
    const interval = model.interval(row, name);
    if (!interval) continue;
    const resolved = name === "latency_ms" && !row.latency.resolved ? " (not resolved)" : "";
    found.push([model.quantities[name].label, intervalText(model.quantities[name], interval) + resolved]);
  }
  const search = model.score(row, "search");
  found.push([`${data.metric.label}, search`, `${bracketed(search, fourPlaces)} on ${data.examples.search} examples`]);
  if (corrected && corrected.tried > 1)
    found.push([`${data.metric.label}, corrected`, `${fourPlaces(corrected.value)} ± ${fourPlaces(corrected.error)}, for having been chosen from ${corrected.tried}`]);
  const report = model.score(row, "report");
  if (report) found.push([`${data.metric.label}, report`, `${bracketed(report, fourPlaces)} on ${data.examples.report} examples, which took no part in the choice`]);
  const loss = data.scores.loss[row.score];
  const difference = loss && model.compare(data.scores.full, row.score, "search");
  if (loss) found.push(["loss, in pairs", difference ? differenceText(difference) : bracketed(loss, (value) => points(value))]);
  return found;
}

function definitions(entries) {
  return h("dl", {}, entries.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}

/** What is missed of each limit, with its share. */
function missed(model, row, budget) {
  const found = budget.limits
    .filter((limit) => model.rule.excess(row, limit) > 0)
    .map((limit) => {
      const quantity = model.quantities[limit.quantity];
      const judged = row.judged[limit.quantity];
      const end = quantity.timed ? ` by the ${quantity.larger ? "lower" : "upper"} end of its interval, ${valueText(quantity, judged)}` : `: ${valueText(quantity, judged)}`;
      return `${limitText(model, limit.quantity, limit.limit)} (${general(100 * model.rule.excess(row, limit), 3)} % beyond${end})`;
    });
  if (budget.loss !== null && model.rule.mostLost(row) > budget.loss)
    found.push(`${limitText(model, "loss", budget.loss)} (the upper end of its loss is ${points(model.rule.mostLost(row))} points)`);
  return found;
}

/** What ten percent more of each limit buys, one limit at a time. */
function more(model, pool, budget, result) {
  return model.rule.relaxed(budget).map(([quantity, limit, asked]) => {
    const found = model.rule.deliver(pool.rows, asked, pool.again).answer;
    const text = `With ${limitText(model, quantity, limit)}: `;
    if (!found) return h("li", {}, text, "still none.");
    if (found.key === result.answer?.key) return h("li", {}, text, "the same network.");
    const difference = result.answer && model.compare(found.score, result.answer.score, "search");
    const saved = budget.best === "score" ? "" : `, ${model.quantities[budget.best].label} ${valueText(model.quantities[budget.best], found.values[budget.best])}`;
    return h("li", {}, text, ...nameOf(found, pool), saved, difference ? `: ${differenceText(difference)}` : "", ".");
  });
}

function second(model, budget, result) {
  const isTimed = [...budget.limits.map(({ quantity }) => quantity), budget.best].some((name) => model.quantities[name].timed);
  if (!isTimed || !(result.answer || result.passed.length)) return null;
  return h("p", { class: "note" }, result.timed
    ? "These latencies are of a second timing that the run holds: a query judges its answer by it, and so does this card."
    : "A query times this answer again beside its rivals, judges it by that, and passes over one that then misses a limit. This page cannot time: what it says is of the first timing.");
}

/** Draws the answer to a budget. */
export function drawCard(model, view, { onPin }) {
  const { state, pool, budget, result } = view;
  const card = find("card");
  const { answer, nearest, fitting } = result;
  const isLimited = budget.limits.length > 0 || budget.loss !== null;
  const phrase = [...budget.limits.map(({ quantity, limit }) => limitText(model, quantity, limit)), ...(budget.loss === null ? [] : [limitText(model, "loss", budget.loss)])].join(" and ");
  const corrected = answer && budget.best === "score" ? model.correctedAnswer(result) : null;
  Object.assign(card.dataset, {
    answer: answer?.key ?? "",
    tie: result.tie?.key ?? "",
    nearest: nearest?.key ?? "",
    feasible: fitting.length,
    rivals: result.rivals.map((row) => row.key).join(" "),
    passed: result.passed.map((row) => row.key).join(" "),
    corrected: corrected?.value ?? "",
    timed: result.timed,
  });
  const pin = (row) => h("button", { type: "button", class: "small", click: () => onPin(row) }, state.pins.includes(row.key) ? "Unpin" : "Pin");
  const unknown = result.unknown
    ? [h("p", {}, `Passed over: ${result.unknown} of ${pool.rows.length} networks, of which not everything was measured that this budget names.`)]
    : [];
  const passed = result.passed.map((row) => h("p", {}, "Passed over, because it missed a limit when it was timed again: ", ...nameOf(row, pool), ` (latency ${intervalText(model.quantities.latency_ms, model.interval(row, "latency_ms"))}).`));
  if (!answer && !nearest) {
    card.replaceChildren(h("h3", {}, "No network can be judged"), ...unknown);
    return null;
  }
  if (!answer) {
    card.replaceChildren(
      h("h3", {}, `None of the ${pool.rows.length} networks keeps this budget`),
      h("p", {}, "Nearest is ", ...nameOf(nearest, pool), ". ", pin(nearest)),
      h("p", {}, "It misses ", missed(model, nearest, budget).join(" and "), "."),
      ...unknown,
      ...passed,
      definitions(facts(model, nearest, result, null)),
      h("h4", {}, "What 10 % more budget buys"),
      h("ul", {}, more(model, pool, budget, result)),
      ...[second(model, budget, result)].filter(Boolean),
    );
    return null;
  }
  const command = exportCommand(model, state, budget, answer);
  const lead = budget.best === "score" ? "scores best" : `is best by ${model.quantities[budget.best].label}`;
  const rivals = result.rivals.map((row) => {
    const difference = model.compare(row.score, answer.score, "search");
    const latency = model.interval(row, "latency_ms");
    return h("li", {},
      ...nameOf(row, pool), ": ",
      difference ? differenceText(difference) : "not compared in pairs on this page",
      latency ? `; ${intervalText(model.quantities.latency_ms, latency)}` : "",
      row === result.tie ? h("strong", {}, "; the cheapest that ties") : "",
      " ", pin(row));
  });
  const headroom = budget.limits.map(({ quantity, limit }) => {
    const left = -model.rule.excess(answer, { quantity, limit });
    return `${general(100 * left, 3)} % of ${model.quantities[quantity].label}`;
  });
  card.replaceChildren(
    h("h3", {}, ...nameOf(answer, pool), pool.sheets.length > 1 ? "" : ` on ${answer.sheet.title}`, " ", pin(answer)),
    h("p", {}, isLimited ? `${lead} of the ${fitting.length} network${fitting.length > 1 ? "s" : ""} (of ${pool.rows.length}) with ${phrase}.` : `${lead} of ${pool.rows.length} networks; no limit is set.`),
    ...unknown,
    ...passed,
    definitions([...facts(model, answer, result, corrected), ...(headroom.length ? [["left of the limits", headroom.join(", ")]] : [])]),
    ...[second(model, budget, result)].filter(Boolean),
    h("div", { class: "command" }, h("code", { id: "command", tabindex: 0, "aria-label": "command that exports the answer" }, unbroken(command)), h("button", { type: "button", id: "copy", click: () => copy(command) }, "Copy")),
    ...(isLimited ? [h("h4", {}, "What 10 % more budget buys"), h("ul", {}, more(model, pool, budget, result))] : []),
    ...(rivals.length ? [h("h4", {}, "Beside it, against the answer on the same search examples"), h("ul", {}, rivals)] : []),
  );
  return command;
}
