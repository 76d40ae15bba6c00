// The rule of answers: `search.query`, on what is known already. The page and `paretobert query`
// give the same answer to the same budget wherever no network has to be timed again.
//
// A row is a network as deployed: its key, the place of its score, `values` and `judged` by
// quantity, its latency. A budget has limits on quantities, a limit on the loss, and an aim.

const RANKED = ["latency_ms", "num_flops", "num_params"];

/** Compares rows the cheapest first, equal ones by key; what is not known is infinite. */
export function cheapest(a, b) {
  for (const name of RANKED) {
    const order = (a.values[name] ?? Infinity) - (b.values[name] ?? Infinity);
    if (order) return Math.sign(order);
  }
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

export class Rule {
  /**
   * @param quantities By name.
   * @param losses By the score's place, what is lost against the full model: value, low, high, tie.
   * @param compare Compares the scores at two places in pairs; null where that is not known.
   * @param shownRivals How many runners-up are shown beside an answer.
   * @param more How many times more of a limit `relaxed` asks for.
   */
  constructor({ quantities, losses, compare, shownRivals, more }) {
    Object.assign(this, { quantities, losses, compare, shownRivals, more });
  }

  sign(name) {
    return this.quantities[name].larger ? -1 : 1;
  }

  /** The share by which a row exceeds a limit; 0 or less is feasible. */
  excess(row, { quantity, limit }) {
    const sign = this.sign(quantity);
    return (sign * row.judged[quantity] - sign * limit) / limit;
  }

  /** The shares of the limits that a row exceeds, summed. */
  violation(row, budget) {
    let missed = 0;
    for (const limit of budget.limits) missed += Math.max(0, this.excess(row, limit));
    return missed;
  }

  mostLost(row) {
    return this.losses[row.score][2];
  }

  knows(row, name) {
    return row.judged[name] !== null && row.judged[name] !== undefined;
  }

  /** Whether everything is known of a row that a budget names. */
  judges(row, { limits, best }) {
    return [...limits.map(({ quantity }) => quantity), best].every((name) => this.knows(row, name));
  }

  fits(row, budget) {
    if (!(this.violation(row, budget) <= 0)) return false;
    return budget.loss === null || this.mostLost(row) <= budget.loss;
  }

  /** The rows that keep the limits as far as they are known, and are not wholly known. */
  unjudged(rows, budget) {
    return rows.filter((row) => {
      const limits = budget.limits.filter(({ quantity }) => this.knows(row, quantity));
      return limits.length < budget.limits.length && this.fits(row, { ...budget, limits });
    });
  }

  aim(row, { best }) {
    if (best === "score") return -row.values.score;
    const value = row.values[best];
    return value === undefined || value === null ? Infinity : this.sign(best) * value;
  }

  /** Compares rows by a budget's aim, then by score, then by cost. */
  compareRows(a, b, budget) {
    return (
      Math.sign(this.aim(a, budget) - this.aim(b, budget) || 0) ||
      Math.sign(b.values.score - a.values.score) ||
      cheapest(a, b)
    );
  }

  bestFirst(rows, budget) {
    return [...rows].sort((a, b) => this.compareRows(a, b, budget));
  }

  /** The first rows of `bestFirst`, found without sorting thousands. */
  firstFew(rows, budget, number) {
    const found = [];
    for (const row of rows) {
      let place = found.length;
      while (place > 0 && this.compareRows(row, found[place - 1], budget) < 0) place -= 1;
      if (place < number) found.splice(place, 0, row);
      if (found.length > number) found.pop();
    }
    return found;
  }

  /** The best row under a budget, by the costs that are known. */
  answer(rows, budget) {
    const known = rows.filter((row) => this.judges(row, budget));
    const fitting = known.filter((row) => this.fits(row, budget));
    const [answer = null, ...rivals] = this.firstFew(fitting, budget, 1 + this.shownRivals);
    const tie = answer && this.cheapestTie(answer, fitting);
    if (tie && !rivals.includes(tie)) rivals.push(tie);
    const nearest = answer ? null : this.nearest(known, budget);
    const unknown = rows.length - known.length;
    const unjudged = this.unjudged(rows, budget);
    return { answer, fitting, unknown, unjudged, rivals, tie: tie || null, nearest, passed: [], timed: false };
  }

  nearest(rows, budget) {
    const missed = (row) =>
      this.violation(row, budget) +
      (budget.loss === null ? 0 : Math.max(0, this.mostLost(row) / budget.loss - 1));
    let least = Infinity;
    for (const row of rows) least = Math.min(least, missed(row));
    return this.firstFew(rows.filter((row) => missed(row) === least), budget, 1)[0] ?? null;
  }

  /** The cheapest row that is cheaper than an answer and not distinguishable from it. */
  cheapestTie(answer, rows) {
    return rows
      .filter((row) => this.isCheaper(row, answer))
      .sort(cheapest)
      .find((row) => this.compare(answer.score, row.score)?.tie);
  }

  isCheaper(row, than) {
    let isLess = false;
    for (const name of RANKED) {
      const [ours, theirs] = [row.values[name], than.values[name]];
      if (ours === null || ours === undefined || theirs === null || theirs === undefined) continue;
      if (ours > theirs) return false;
      isLess ||= ours < theirs;
    }
    return isLess;
  }

  /** Each limit with so many times more of it, and the budget that has it in the place of the old. */
  relaxed(budget) {
    const found = budget.limits.map((entry) => {
      const limit = this.quantities[entry.quantity].larger ? entry.limit / this.more : entry.limit * this.more;
      const limits = budget.limits.map((other) => (other === entry ? { ...entry, limit } : other));
      return [entry.quantity, limit, { ...budget, limits }];
    });
    if (budget.loss === null) return found;
    const loss = Math.min(budget.loss * this.more, 1 - Number.EPSILON / 2);
    return [...found, ["loss", loss, { ...budget, loss }]];
  }

  /** Whether the interval of something that was timed holds a limit. */
  straddles(row, budget) {
    if (!row.latency) return false;
    const [time, low] = row.latency.time;
    const best = {
      latency_ms: low,
      throughput_per_s: (row.values.throughput_per_s * time) / low,
      speedup: 1 / row.latency.ratio[1],
    };
    return budget.limits
      .filter(({ quantity }) => this.quantities[quantity].timed)
      .some((limit) => {
        const inside = { judged: best };
        return this.excess(inside, limit) <= 0 && this.excess(row, limit) > 0;
      });
  }

  /** Whether latencies tell which row is the answer. */
  decided(rows, budget) {
    for (const row of rows) {
      if (this.straddles(row, budget)) return false;
      if (this.fits(row, budget)) break;
    }
    return true;
  }

  /**
   * The answer as a query delivers it: judged again by a second timing, where one is known.
   * @param sessions Second timings, the latest first.
   */
  deliver(rows, budget, sessions) {
    const first = this.answer(rows, budget);
    const { fitting, unknown, unjudged } = first;
    let [result, everyone, broken] = [first, rows, new Map()];
    while (result.answer) {
      const wanted = new Map(
        [result.answer, ...result.rivals, ...broken.values()].map((row) => [row.key, row]),
      );
      const timed = [...wanted.values()].filter((row) => row.latency);
      const session = sessions.find(
        (each) =>
          each.enough &&
          timed.every((row) => row.key in each.networks) &&
          (each.spent || this.decided(timed.map((row) => again(row, each)), budget)),
      );
      if (timed.length && !session) break;
      const retimed = [...wanted.values()].map((row) => (row.latency ? again(row, session) : row));
      const found = this.answer(retimed, budget);
      if (found.answer) {
        const passed = this.passed(retimed, budget, found);
        return { ...found, fitting, unknown, unjudged, passed, timed: true };
      }
      broken = new Map(retimed.map((row) => [row.key, row]));
      everyone = everyone.map((row) => broken.get(row.key) ?? row);
      result = this.answer(everyone, budget);
    }
    const passed = this.passed([...broken.values()], budget, result);
    return { ...result, fitting, unknown, unjudged, passed, timed: !result.answer && broken.size > 0 };
  }

  /** Rows timed again that miss a limit and would have come before the answer. */
  passed(rows, budget, found) {
    const bound = found.answer ? this.aim(found.answer, budget) : Infinity;
    return this.bestFirst(rows, budget).filter(
      (row) => row !== found.nearest && !this.fits(row, budget) && this.aim(row, budget) <= bound,
    );
  }
}

/** A row with the costs of a second timing. */
export function again(row, session) {
  const { values, judged, latency } = session.networks[row.key];
  return {
    ...row,
    values: { ...row.values, ...values },
    judged: { ...row.judged, ...judged },
    latency,
  };
}
