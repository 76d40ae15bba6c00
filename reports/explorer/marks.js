// What marks look like: shapes as paths, and which mark a row has. Colours come from the palette of
// the static figures; every series also has a shape of its own.

function polygon(corners) {
  return (x, y, r) =>
    `M${corners.map(([dx, dy]) => `${(x + r * dx).toFixed(1)} ${(y + r * dy).toFixed(1)}`).join("L")}Z`;
}

function regular(number, turn, inner = null) {
  const corners = [];
  const steps = inner === null ? number : 2 * number;
  for (let i = 0; i < steps; i++) {
    const angle = turn + (2 * Math.PI * i) / steps;
    const radius = inner !== null && i % 2 ? inner : 1;
    corners.push([radius * Math.cos(angle), radius * Math.sin(angle)]);
  }
  return polygon(corners);
}

const UP = -Math.PI / 2;

export const SHAPES = {
  circle: (x, y, r) =>
    `M${(x - r).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  square: polygon([[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]]),
  diamond: polygon([[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]]),
  "triangle-up": regular(3, UP),
  "triangle-down": regular(3, -UP),
  "triangle-left": regular(3, Math.PI),
  "triangle-right": regular(3, 0),
  pentagon: regular(5, UP),
  hexagon: regular(6, UP),
  star: regular(5, UP, 0.45),
  cross: (x, y, r) => {
    const d = 0.7 * r;
    const [l, t, e, b] = [x - d, y - d, x + d, y + d].map((value) => value.toFixed(1));
    return `M${l} ${t}L${e} ${b}M${l} ${b}L${e} ${t}`;
  },
};

/** A palette's colour on this page: black is the ink, which a dark page has in white. */
function shown(colour) {
  return colour === "#000000" ? "var(--ink)" : colour;
}

/** The methods that made networks beside the supernet, in order. */
export function methods(pool) {
  return [...new Set(pool.rows.map((row) => row.network.method).filter(Boolean))];
}

/** How a row looks: colour, shape, size, whether it stands back, and what the legend calls it. */
export function lookOf(row, { model, pool, front, fits, byTime, methodNames }) {
  const { palette } = model.data;
  const onFront = front.has(row.key);
  const isMethod = Boolean(row.network.method);
  let look;
  if (pool.sheets.length > 1) {
    const mark = palette.deployed[row.place % palette.deployed.length];
    look = { colour: shown(mark.colour), shape: mark.shape, name: row.sheet.title, pale: !onFront };
    if (isMethod) look.ring = true;
  } else if (isMethod) {
    const mark = palette.marks[Math.min(methodNames.indexOf(row.network.method), palette.marks.length - 1)];
    look = { colour: shown(mark.colour), shape: mark.shape, name: row.network.method, pale: false };
  } else if (onFront) look = { colour: palette.front, shape: "circle", name: "front", pale: false };
  else look = { colour: palette.dominated, shape: "circle", name: "beaten on both axes", pale: false };
  look.size = onFront ? 6 : pool.rows.length > 1500 ? 3 : 4.5;
  if (row.network.is_full) {
    look = { ...look, shape: "star", size: 10 };
    if (pool.sheets.length === 1) look = { ...look, colour: palette.full, name: "full model" };
  }
  look.hollow = byTime && row.latency !== null && !row.latency.resolved;
  if (fits && !fits.has(row.key))
    look = { ...look, kept: look.shape, shape: "cross", hollow: true, pale: true };
  return look;
}
