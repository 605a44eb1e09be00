// Points and shapes in source pixels: (0, 0) is the top left corner of the top left pixel.

/** @typedef {[number, number]} Point */
/** @typedef {{kind: "box" | "polygon", points: Point[], type?: string | null, confidence?: number | null}} Mark */

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Hundredths of a source pixel are kept. @param {number} value */
export const round = (value) => Math.round(value * 100) / 100;

/** @param {Point} p @param {number} width @param {number} height @returns {Point} */
export const inside = ([x, y], width, height) => [round(clamp(x, 0, width)), round(clamp(y, 0, height))];

/** @param {Point} a @param {Point} b @returns {Mark} */
export function box(a, b) {
  return { kind: "box", points: [[Math.min(a[0], b[0]), Math.min(a[1], b[1])], [Math.max(a[0], b[0]), Math.max(a[1], b[1])]] };
}

/** Left, top, right, bottom. @param {Mark} mark @returns {[number, number, number, number]} */
export function bounds(mark) {
  const xs = mark.points.map((p) => p[0]), ys = mark.points.map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** The outline's corners, in order. @param {Mark} mark @returns {Point[]} */
export function corners(mark) {
  if (mark.kind === "polygon") return mark.points;
  const [[l, t], [r, b]] = mark.points;
  return [[l, t], [r, t], [r, b], [l, b]];
}

/** What an outline encloses; 0 where its corners lie on a line. @param {Point[]} outline */
export function area(outline) {
  return Math.abs(outline.reduce((sum, [x, y], i) => {
    const [nx, ny] = outline[(i + 1) % outline.length];
    return sum + x * ny - nx * y;
  }, 0)) / 2;
}

/** @param {Mark} mark @param {number} dx @param {number} dy @param {number} width @param {number} height @returns {Mark} */
export function moved(mark, dx, dy, width, height) {
  const [l, t, r, b] = bounds(mark);
  const x = clamp(dx, -l, width - r), y = clamp(dy, -t, height - b);
  return { ...mark, points: mark.points.map(([px, py]) => [round(px + x), round(py + y)]) };
}

/**
 * Places to grab: corners, and for polygons the middles of edges, where a corner can be added.
 * @param {Mark} mark
 * @returns {{at: Point, corner: number, add: boolean}[]}
 */
export function handles(mark) {
  const outline = corners(mark);
  const found = outline.map((at, corner) => ({ at, corner, add: false }));
  if (mark.kind === "box" || outline.length > 40) return found; // of many corners, those between would lie on top of each other
  return [...found, ...outline.map((p, i) => {
    const q = outline[(i + 1) % outline.length];
    return { at: /** @type {Point} */ ([(p[0] + q[0]) / 2, (p[1] + q[1]) / 2]), corner: i + 1, add: true };
  })];
}

/** The mark with one corner put elsewhere. @param {Mark} mark @param {number} corner @param {Point} to @returns {Mark} */
export function dragged(mark, corner, to) {
  if (mark.kind === "box") {
    const opposite = corners(mark)[(corner + 2) % 4];
    const made = box(to, opposite);
    const [l, t, r, b] = bounds(made);
    return r - l < 1 || b - t < 1 ? mark : { ...mark, points: made.points };
  }
  return { ...mark, points: mark.points.map((p, i) => (i === corner ? to : p)) };
}

/** @param {Point} p @param {Mark} mark */
export function contains(p, mark) {
  const outline = corners(mark);
  let odd = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [ax, ay] = outline[i], [bx, by] = outline[j];
    if (ay > p[1] !== by > p[1] && p[0] < ((bx - ax) * (p[1] - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

/** Smallest distance of a point to an outline. @param {Point} p @param {Mark} mark */
export function away(p, mark) {
  const outline = corners(mark);
  let least = Infinity;
  outline.forEach(([ax, ay], i) => {
    const [bx, by] = outline[(i + 1) % outline.length];
    const long = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = long ? clamp(((p[0] - ax) * (bx - ax) + (p[1] - ay) * (by - ay)) / long, 0, 1) : 0;
    least = Math.min(least, Math.hypot(p[0] - ax - t * (bx - ax), p[1] - ay - t * (by - ay)));
  });
  return least;
}

/** In words, for lists and screen readers. @param {Mark} mark @param {number} number */
export function described(mark, number) {
  const [l, t, r, b] = bounds(mark).map(Math.round);
  const what = mark.kind === "box" ? `Box ${number}` : `Polygon ${number}, ${mark.points.length} corners`;
  return `${what}${mark.type ? ` (${mark.type})` : ""}: ${r - l} × ${b - t} at ${l}, ${t}`;
}

/** An ellipse within a box, as a polygon. @param {Mark} mark @returns {Mark} */
export function ellipse(mark) {
  const [l, t, r, b] = bounds(mark);
  const points = Array.from({ length: 48 }, (_, i) => {
    const at = (2 * Math.PI * i) / 48;
    return /** @type {Point} */ ([round((l + r) / 2 + ((r - l) / 2) * Math.cos(at)), round((t + b) / 2 + ((b - t) / 2) * Math.sin(at))]);
  });
  return { kind: "polygon", points };
}

/**
 * A drawn line with as few points as keep it within `near` of what was drawn (Douglas and Peucker 1973).
 * @param {Point[]} line @param {number} near source pixels
 * @returns {Point[]}
 */
function simplified(line, near) {
  if (line.length < 3) return line;
  const [ax, ay] = line[0], [bx, by] = line[line.length - 1], long = Math.hypot(bx - ax, by - ay);
  let most = 0, where = 0;
  for (let i = 1; i < line.length - 1; i++) {
    const [x, y] = line[i];
    const far = long ? Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / long : Math.hypot(x - ax, y - ay);
    if (far > most) { most = far; where = i; }
  }
  if (most <= near) return [line[0], line[line.length - 1]];
  return [...simplified(line.slice(0, where + 1), near).slice(0, -1), ...simplified(line.slice(where), near)];
}

/** A closed outline of at most `most` points, rounded. @param {Point[]} line @param {number} near @param {number} most @returns {Point[]} */
export function outlined(line, near, most) {
  let found = simplified(line, near);
  for (let wider = near * 1.5; found.length > most; wider *= 1.5) found = simplified(line, wider);
  return found.map(([x, y]) => [round(x), round(y)]);
}
