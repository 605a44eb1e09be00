// Painting a mark: a wide stroke joined with a mark, or wiped out of it, as one outline.

import { bounds, corners, outlined } from "/static/geometry.js";

/** @typedef {import("/static/geometry.js").Point} Point */

const GRID = 700; // cells along the longer side, at most

/**
 * The outline of a stroke and a mark together, or of what a stroke leaves of it; of several parts, the largest.
 * @param {Point[]} line source pixels
 * @param {number} radius source pixels
 * @param {import("/static/geometry.js").Mark | null} mark
 * @param {boolean} wipe
 * @param {number} most points of the outline
 * @param {Point} end of the film: width, height
 * @param {number} near source pixels that the outline may be off
 * @returns {Point[] | null} null where nothing is left
 */
export function stroke(line, radius, mark, wipe, most, end, near) {
  const wide = bounds({ kind: "polygon", points: line }).map((v, i) => v + (i < 2 ? -radius : radius));
  const old = mark ? bounds(mark) : wide;
  const left = Math.max(0, Math.min(wide[0], old[0])), top = Math.max(0, Math.min(wide[1], old[1]));
  const right = Math.min(end[0], Math.max(wide[2], old[2])), bottom = Math.min(end[1], Math.max(wide[3], old[3]));
  const scale = Math.min(1, GRID / Math.max(right - left, bottom - top));
  const w = Math.ceil((right - left) * scale) + 2, t = Math.ceil((bottom - top) * scale) + 2;
  const context = new OffscreenCanvas(w, t).getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.setTransform(scale, 0, 0, scale, 1 - left * scale, 1 - top * scale);
  if (mark) {
    context.beginPath();
    for (const [x, y] of corners(mark)) context.lineTo(x, y);
    context.fill();
  }
  if (wipe) context.globalCompositeOperation = "destination-out";
  context.lineWidth = 2 * radius;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...line[0]);
  for (const p of line.length > 1 ? line.slice(1) : line) context.lineTo(...p);
  context.stroke();
  const alpha = context.getImageData(0, 0, w, t).data, inside = new Uint8Array(w * t);
  for (let y = 1; y < t - 1; y++) for (let x = 1; x < w - 1; x++) inside[y * w + x] = alpha[4 * (y * w + x) + 3] > 127 ? 1 : 0;
  const found = largest(inside, w, t);
  if (found < 0) return null;
  const turn = around(inside, w, found).map(([x, y]) => /** @type {Point} */ ([
    Math.min(end[0], Math.max(0, (x - 1) / scale + left)), Math.min(end[1], Math.max(0, (y - 1) / scale + top))]));
  const points = outlined([...turn, turn[0]], Math.max(0.6 / scale, near), most + 1).slice(0, -1);
  return points.length >= 3 ? points : null;
}

/** The first cell, row by row, of the largest connected part; -1 where there is none. Other parts are emptied.
 *  @param {Uint8Array} inside @param {number} w @param {number} t */
function largest(inside, w, t) {
  let best = -1, most = 0, part = 1;
  for (let i = 0; i < w * t; i++) {
    if (inside[i] !== 1) continue;
    part = part === 254 ? 254 : part + 1;
    const stack = [i];
    inside[i] = part;
    let size = 0;
    while (stack.length) {
      const at = /** @type {number} */ (stack.pop());
      size++;
      for (const next of [at - 1, at + 1, at - w, at + w]) if (inside[next] === 1) { inside[next] = part; stack.push(next); }
    }
    if (size > most) { most = size; best = i; }
  }
  const kept = best < 0 ? 0 : inside[best];
  for (let i = 0; i < inside.length; i++) inside[i] = kept && inside[i] === kept ? 1 : 0;
  return best;
}

/** The edge of a part, clockwise along the borders of its cells. @param {Uint8Array} inside @param {number} w @param {number} start its first cell, row by row @returns {Point[]} */
function around(inside, w, start) {
  const [x0, y0] = [start % w, Math.floor(start / w)];
  const steps = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // right, down, left, up
  const at = (/** @type {number} */ x, /** @type {number} */ y) => inside[y * w + x] === 1;
  // Cells to the left and right ahead of a corner, by direction.
  const left = [[0, -1], [0, 0], [-1, 0], [-1, -1]], right = [[0, 0], [-1, 0], [-1, -1], [0, -1]];
  /** @type {Point[]} */ const found = [];
  let x = x0, y = y0, way = 0;
  do {
    found.push([x, y]);
    x += steps[way][0];
    y += steps[way][1];
    if (at(x + left[way][0], y + left[way][1])) way = (way + 3) % 4;
    else if (!at(x + right[way][0], y + right[way][1])) way = (way + 1) % 4;
  } while (x !== x0 || y !== y0 || way !== 0);
  return found;
}
