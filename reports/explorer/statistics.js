// Paired differences of accuracies: `tasks.proportions`, in the browser.

const Z95 = 1.959963984540054;
const LEVEL = 0.05;
const POWER = 0.8;
const FEWEST = Math.floor(Math.log2(2 / LEVEL)) + 1;
const COUNTS = 1e-17;
const logFactorials = [0];

function logFactorial(n) {
  for (let i = logFactorials.length; i <= n; i++)
    logFactorials.push(logFactorials[i - 1] + Math.log(i));
  return logFactorials[n];
}

function binomial(n, k, share) {
  if (share <= 0) return k === 0 ? 1 : 0;
  if (share >= 1) return k === n ? 1 : 0;
  const ways = logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  return Math.exp(ways + k * Math.log(share) + (n - k) * Math.log1p(-share));
}

/** The chance of at most so many: the tail away from the mean, until its terms no longer count. */
function atMost(n, most, share) {
  if (most >= n || (most >= 0 && share <= 0)) return 1;
  if (most < 0 || share >= 1) return 0;
  const odds = share / (1 - share);
  let sum = 0;
  if (most <= n * share) {
    for (let k = most, term = binomial(n, k, share); term > COUNTS * sum; term *= k / ((n - k + 1) * odds), k--) sum += term;
    return sum;
  }
  for (let k = most + 1, term = binomial(n, k, share); term > COUNTS * sum; term *= ((n - k) * odds) / (k + 1), k++) sum += term;
  return 1 - sum;
}

/** The two-sided p-value of McNemar's exact test. */
export function mcnemar(onlyA, onlyB) {
  return Math.min(1, 2 * atMost(onlyA + onlyB, Math.min(onlyA, onlyB), 0.5));
}

/** Tango's 95 % interval of the difference of two shares on the same examples. */
export function tango(onlyA, onlyB, n) {
  return [tangoLow(onlyA, onlyB, n), -tangoLow(onlyB, onlyA, n)];
}

function tangoLow(onlyA, onlyB, n) {
  let delta = 0;
  for (let i = 0, step = 0.5; i < 40; i++, step /= 2) {
    const b = (2 * n - onlyA + onlyB) * delta - onlyA - onlyB;
    const c = -onlyB * delta * (1 - delta);
    const onlySecond = (Math.sqrt(Math.abs(b * b - 8 * n * c)) - b) / (4 * n);
    const variance = Math.abs(n * (2 * onlySecond + delta * (1 - delta)));
    delta += onlyA - onlyB - n * delta > Z95 * Math.sqrt(variance) ? step : -step;
  }
  return delta;
}

const known = new Map();

/** The smallest true loss that the test finds with probability .8; null where none would show. */
export function detectable(n, discordant) {
  const key = `${n}-${discordant}`;
  if (!known.has(key)) known.set(key, smallestShown(n, discordant));
  return known.get(key);
}

function smallestShown(n, discordant) {
  if (n < FEWEST) return null;
  const share = discordant / n;
  const nested = (loss) => 1 - atMost(n, FEWEST - 1, loss);
  if (nested(share) <= POWER) return where(nested, 1);
  const spread = Math.ceil(5 * Math.sqrt(discordant * (1 - share)));
  const drawn = [];
  const last = Math.min(n, discordant + spread);
  for (let d = Math.max(FEWEST, discordant - spread); d <= last; d++) {
    let against = -1;
    for (let tail = 0; against < d; against++) {
      tail += binomial(d, against + 1, 0.5);
      if (2 * tail >= LEVEL) break;
    }
    drawn.push([d, against, binomial(n, d, share)]);
  }
  const power = (loss) =>
    drawn.reduce((sum, [d, most, chance]) => sum + chance * atMost(d, most, (1 - loss / share) / 2), 0);
  return where(power, share);
}

/** Where a rising function passes the power that is asked for. */
function where(rising, largest) {
  let [low, high] = [0, largest];
  for (let i = 0; i < 24; i++) {
    const middle = (low + high) / 2;
    if (rising(middle) < POWER) low = middle;
    else high = middle;
  }
  return high;
}

/** A paired difference of two accuracies, from how many examples only one of them has right. */
export function accuracies(onlyA, onlyB, n) {
  return {
    get interval() {
      return [(onlyA - onlyB) / n, ...tango(onlyA, onlyB, n)];
    },
    tie: mcnemar(onlyA, onlyB) >= LEVEL,
    shows: () => detectable(n, onlyA + onlyB),
  };
}
