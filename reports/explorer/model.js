// The page's data, decoded: networks as deployed as rows, outcomes, fronts, corrected scores.

import { accuracies } from "./statistics.js";
import { Rule, cheapest } from "./rule.js";

export const ALL = "all";
/** What a network costs, in the order in which it is listed. */
export const COSTS = [
  "latency_ms",
  "speedup",
  "p99_ms",
  "throughput_per_s",
  "peak_memory_bytes",
  "size_bytes",
  "num_params",
  "num_flops",
  "energy_j",
];
const SUPPORTED_SCHEMA = 1;

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Small numbers in as few bits as hold them, one row of bytes each. */
class Packed {
  constructor(text, bits, n) {
    Object.assign(this, { bytes: bytes(text), bits, n, width: Math.ceil((n * bits) / 8) });
  }

  row(place) {
    const { bits, n, width } = this;
    const found = new Uint8Array(n);
    const mask = 2 ** bits - 1;
    for (let i = 0; i < n; i++) {
      const bit = i * bits;
      found[i] = (this.bytes[place * width + (bit >> 3)] >> (8 - bits - (bit & 7))) & mask;
    }
    return found;
  }
}

/** Ones and zeros as the bits of words. */
function asBits(row) {
  const found = new Uint32Array(Math.ceil(row.length / 32));
  row.forEach((value, i) => (found[i >> 5] |= value << (i & 31)));
  return found;
}

/** How many bits of a word are set, counted in pairs, fours and bytes (Warren, Hacker's Delight 5-1). */
function numSet(word) {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** What every network answers on a split; rows are decoded when they are asked for. */
class Outcomes {
  constructor({ kind, bits, n, labels, rows }) {
    this.n = n;
    this.packed = new Packed(rows, bits, n);
    this.labels = kind === "classes" ? new Packed(labels, bits, n).row(0) : null;
    this.found = new Map();
  }

  of(place) {
    if (!this.found.has(place)) {
      const given = this.packed.row(place);
      const right = this.labels ? given.map((value, i) => (value === this.labels[i] ? 1 : 0)) : given;
      this.found.set(place, { given: this.labels && given, right, bits: asBits(right) });
    }
    return this.found.get(place);
  }

  discordant(a, b) {
    const [one, other] = [this.of(a).bits, this.of(b).bits];
    let [onlyA, onlyB] = [0, 0];
    for (let i = 0; i < one.length; i++) {
      onlyA += numSet(one[i] & ~other[i]);
      onlyB += numSet(other[i] & ~one[i]);
    }
    return [onlyA, onlyB];
  }

  /** The share of the examples that two networks answer otherwise; null where that is not kept. */
  flips(a, b) {
    const [one, other] = [this.of(a).given, this.of(b).given];
    if (!one) return null;
    let changed = 0;
    for (let i = 0; i < this.n; i++) changed += one[i] !== other[i];
    return changed / this.n;
  }

  /** How many examples of each class there are, and how many of them a network has right. */
  classes(place) {
    if (!this.labels) return [];
    const found = [];
    const { right } = this.of(place);
    this.labels.forEach((label, i) => {
      found[label] ??= { label, n: 0, right: 0 };
      found[label].n += 1;
      found[label].right += right[i];
    });
    return found.filter(Boolean);
  }
}

export class Model {
  constructor(data) {
    if (data.schema !== SUPPORTED_SCHEMA)
      throw new Error(`data of schema ${data.schema}, not ${SUPPORTED_SCHEMA}`);
    this.data = data;
    this.quantities = Object.fromEntries(data.quantities.map((entry) => [entry.name, entry]));
    this.quantities.loss = {
      name: "loss",
      label: "loss against the full model",
      unit: "points",
      larger: false,
      timed: false,
      shared: false,
      field: { unit: "points", exponent: -2, suffix: "pt" },
    };
    const { outcomes, halves } = data.scores;
    this.outcomes = Object.fromEntries(
      Object.entries(outcomes ?? {}).map(([split, packed]) => [split, new Outcomes(packed)]),
    );
    this.halves = halves && {
      count: halves.count,
      scores: new Float32Array(bytes(halves.scores).buffer),
    };
    this.rule = new Rule({
      quantities: this.quantities,
      losses: data.scores.loss,
      compare: (a, b) => this.compare(a, b, "search"),
      shownRivals: data.shown_rivals,
      more: data.more,
    });
    this.pools = new Map();
    this.fronts = new Map();
  }

  get metric() {
    return this.data.metric;
  }

  deployments(setting) {
    return this.data.settings[setting].measured;
  }

  /** The rows of one deployment of a setting, or of all of them, and the quantities that are known of any. */
  pool(setting, deployment) {
    const key = `${setting}/${deployment}`;
    if (!this.pools.has(key)) {
      const all = this.deployments(setting);
      const sheets = deployment === ALL ? all : all.filter((sheet) => sheet.slug === deployment);
      const rows = sheets.flatMap((sheet) => this.rows(sheet, all[0], all.indexOf(sheet), sheets.length > 1));
      const known = Object.values(this.quantities).filter(({ name }) => rows.some((row) => this.rule.knows(row, name)));
      this.pools.set(key, { key, rows, sheets, known, again: sheets[0].again, byKey: new Map(rows.map((row) => [row.key, row])) });
    }
    return this.pools.get(key);
  }

  rows(sheet, first, place, several) {
    const { scores, networks } = this.data;
    return sheet.keys.map((key, i) => {
      const score = sheet.scores[i];
      const values = { score: scores.search[score][0], loss: scores.loss[score]?.[0] ?? null };
      const judged = { score: values.score, loss: scores.loss[score]?.[2] ?? null };
      for (const [name, column] of Object.entries(sheet.costs)) {
        values[name] = column.values[i];
        judged[name] = (column.judged ?? column.values)[i];
      }
      let latency = sheet.latencies[i];
      if (several && latency) {
        // Where deployments are looked at together, all of them are set against one full model.
        values.speedup = first.full_ms / values.latency_ms;
        judged.speedup = first.full_ms / judged.latency_ms;
        const ratio = latency.time.map((time) => time * (1 / first.full_ms));
        latency = { ...latency, ratio };
      }
      const network = networks[sheet.networks[i]];
      return { key, number: network.number, network, score, sheet, place, values, judged, latency };
    });
  }

  /** What the ends of a pool's times are, in words. */
  meaningOfTimes(pool) {
    return pool.rows.find((row) => row.latency)?.latency.meaning ?? "none was measured";
  }

  /** A score with its interval on a split; null where it is not scored. */
  score(row, split) {
    return this.data.scores[split][row.score];
  }

  /** The ends of what a quantity's value has an interval of. */
  interval(row, name) {
    if (name === "score") return this.score(row, "search");
    if (name === "loss") return this.data.scores.loss[row.score];
    if (name === "latency_ms" && row.latency) return row.latency.time;
    if (name === "speedup" && row.latency) {
      const [value, low, high] = row.latency.ratio;
      return [1 / value, 1 / high, 1 / low];
    }
    const value = row.values[name];
    return value === null || value === undefined ? null : [value, value, value];
  }

  /** One score minus another in pairs, with the verdict; null where the page cannot tell. */
  compare(a, b, split) {
    if (this.metric.name === "accuracy") {
      const outcomes = this.outcomes[split];
      if (!outcomes) return null;
      return accuracies(...outcomes.discordant(a, b), outcomes.n);
    }
    if (split !== "search") return null;
    const { pairs } = this.data.scores;
    const straight = pairs[`${a}-${b}`];
    const found = straight ?? pairs[`${b}-${a}`];
    if (!found) return a === b ? { interval: [0, 0, 0], tie: true, shows: () => null } : null;
    const [value, low, high, tie, shown] = found;
    const interval = straight ? [value, low, high] : [-value, -high, -low];
    return { interval, tie, shows: () => shown };
  }

  /** The rows that compete for the front of two quantities. */
  rivals(pool, x, y) {
    const known = pool.rows.filter((row) => [x, y].every((name) => Number.isFinite(row.values[name])));
    const isShared = [x, y].some((name) => this.quantities[name].shared);
    const isFixed = [x, y].every((name) => this.quantities[name].shared || name === "score" || name === "loss");
    return isShared && isFixed ? known.filter((row) => row.sheet === pool.sheets[0]) : known;
  }

  /** The rows that no other one beats in two quantities on the search split, by x. */
  front(pool, x, y) {
    const key = `${pool.key}/${x}/${y}`;
    if (!this.fronts.has(key)) {
      const [signX, signY] = [x, y].map((name) => this.rule.sign(name));
      const places = this.rivals(pool, x, y).map((row) => [
        signX * row.values[x],
        signY * row.values[y],
        row,
      ]);
      places.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      const members = [];
      let best = Infinity;
      for (const [px, py, row] of places) {
        const last = members.at(-1);
        const equal = last && last[0] === px && last[1] === py;
        if (py < best || equal) members.push([px, py, row]);
        best = Math.min(best, py);
      }
      this.fronts.set(key, members.map((member) => member[2]));
    }
    return this.fronts.get(key);
  }

  /** The score of the best of some rows, with the luck of having been chosen taken off. */
  corrected(chosen, rivals) {
    const { halves } = this;
    if (!halves) return null;
    const number = this.data.scores.search.length;
    const places = [...rivals].sort(cheapest).map((row) => row.score);
    let lost = 0;
    for (let half = 0; half < halves.count; half++) {
      const within = half * number;
      const without = (half ^ 1) * number;
      let again = places[0];
      for (const place of places)
        if (halves.scores[without + place] > halves.scores[without + again]) again = place;
      lost += halves.scores[within + chosen.score] - halves.scores[within + again];
    }
    return {
      value: chosen.values.score - lost / halves.count,
      error: this.data.scores.error[chosen.score],
      tried: rivals.length,
    };
  }

  /** The corrected scores of a front's members, each among what costs no more; by key. */
  correctedFront(pool, cost) {
    const key = `corrected/${pool.key}/${cost}`;
    if (!this.fronts.has(key)) {
      const rivals = this.rivals(pool, cost, "score");
      const sign = this.rule.sign(cost);
      const found = this.front(pool, cost, "score").map((row) => [
        row.key,
        this.corrected(
          row,
          rivals.filter((other) => sign * other.values[cost] <= sign * row.values[cost]),
        ),
      ]);
      this.fronts.set(key, new Map(found));
    }
    return this.fronts.get(key);
  }

  /** An answer's score, corrected for the choice among what keeps the budget, and what nobody
   * measured of no more FLOPs, which lost that choice when nobody measured it. */
  correctedAnswer({ answer, passed, fitting, unjudged }) {
    const gone = new Set([answer, ...passed].map((row) => row.key));
    const lost = unjudged.filter(
      ({ values }) => values.num_flops <= answer.values.num_flops && values.score <= answer.values.score,
    );
    return this.corrected(answer, [answer, ...fitting.filter((row) => !gone.has(row.key)), ...lost]);
  }
}
