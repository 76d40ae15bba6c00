// Numbers as readers know them: the same texts as `search.quantities` and `intervals` print.

/** A number with so many significant digits, as Python's format "g" gives it. */
export function general(value, digits) {
  if (value === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (power < -4 || power >= digits) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const sign = exponent.startsWith("-") ? "-" : "+";
    return `${trimmed(mantissa)}e${sign}${exponent.slice(1).padStart(2, "0")}`;
  }
  return trimmed(value.toFixed(digits - 1 - power));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function short(count) {
  for (const [factor, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "K"]])
    if (Math.abs(count) >= factor) return general(count / factor, 4) + letter;
  return general(count, 4);
}

/** A value of a quantity with its unit. */
export function valueText(quantity, value) {
  if (value === null || value === undefined) return "";
  if (quantity.name === "loss") return `${points(value)} points`;
  if (quantity.name === "num_params" || quantity.name === "num_flops") return short(value);
  if (quantity.unit === "bytes") return `${short(value)}B`;
  if (quantity.unit === "times") return `${general(value, 4)}×`;
  if (quantity.unit === "ms" && Math.abs(value) >= 1000) return `${general(value / 1000, 4)} s`;
  const text = quantity.unit ? general(value, 4) : trimmed(value.toFixed(4));
  return quantity.unit ? `${text} ${quantity.unit}` : text;
}

/** A fraction as points, with its sign. */
export function points(fraction) {
  const text = (100 * fraction).toFixed(1);
  const plain = text.replace("-", "");
  return Number(plain) === 0 ? "0.0" : (fraction < 0 ? "−" : "+") + plain;
}

/** An interval in brackets. */
export const between = ([low, high], show) => `[${show(low)}, ${show(high)}]`;

/** A value with its interval. */
export function bracketed([value, low, high], show) {
  const text = show(value);
  return low === null || low === undefined ? text : `${text} ${between([low, high], show)}`;
}

export const fourPlaces = (value) => value.toFixed(4);

/** A decimal text times a power of ten, exactly as the command line reads it: 7 points are 0.07. */
export function decimal(text, exponent) {
  const [mantissa, own = "0"] = String(text).trim().toLowerCase().split("e");
  return Number(`${mantissa}e${Number(own) + exponent}`);
}
