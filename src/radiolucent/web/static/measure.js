// Lengths and angles on the film, and the values within a mark.

import { bounds, corners } from "/static/geometry.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {import("/static/film.js").About} About */

/** Where millimetres hold; in projection the detector's are larger than the patient's. @param {About} about */
export const plane = ({ plane: at }) => ({ patient: "in the patient (calibrated)", detector: "at the detector, not in the patient", "scanned film": "on the scanned film" }[at] ?? "plane not stated");

/** The way from one point to another, in mm or pixels. @param {Point} a @param {Point} b @param {About | null} about @returns {Point} */
const way = (a, b, about) => [(b[0] - a[0]) * (about?.spacing?.[1] ?? 1), (b[1] - a[1]) * (about?.spacing?.[0] ?? 1)];

/** @param {Point} a @param {Point} b @param {About | null} about */
export const length = (a, b, about) => Math.hypot(...way(a, b, about));

/** Degrees between the lines from a to b and from c to d, from 0 to 180. @param {Point[]} points @param {About | null} about */
function degrees([a, b, c, d], about) {
  const [p, q] = [way(a, b, about), way(c, d, about)];
  return Math.abs((Math.atan2(p[0] * q[1] - p[1] * q[0], p[0] * q[0] + p[1] * q[1]) * 180) / Math.PI);
}

/** @param {import("/static/tools.js").Measure} measure @param {About | null} about */
export function inWords(measure, about) {
  const [a, b] = measure.points;
  if (measure.kind === "angle") return measure.points.length < 4 ? "draw the other arm" : `${degrees(measure.points, about).toFixed(1)}°`;
  const long = length(a, b, about);
  return about?.spacing ? `${long.toFixed(1)} mm ${about.plane === "patient" ? "" : about.plane === "detector" ? "(detector)" : "(plane not stated)"}`.trim() : `${long.toFixed(0)} px`;
}

/**
 * Values of the pixels whose centres lie in a mark.
 * @param {import("/static/film.js").Film} film
 * @param {import("/static/geometry.js").Mark} mark
 * @returns {{n: number, mean: number, sd: number, low: number, high: number, area: number | null} | null} area in mm²
 */
export function statistics(film, mark) {
  const level = film.levels[0], outline = corners(mark), { slope, intercept, spacing } = film.about;
  if (!level) return null;
  const [l, t, r, b] = bounds(mark);
  let n = 0, sum = 0, squares = 0, low = Infinity, high = -Infinity;
  for (let y = Math.max(0, Math.floor(t)); y < Math.min(level.height, Math.ceil(b)); y++) {
    const cuts = outline.flatMap(([ax, ay], i) => {
      const [bx, by] = outline[(i + 1) % outline.length], at = y + 0.5;
      return ay > at !== by > at ? [((bx - ax) * (at - ay)) / (by - ay) + ax] : [];
    }).sort((p, q) => p - q);
    for (let i = 0; i + 1 < cuts.length; i += 2) {
      for (let x = Math.max(0, Math.ceil(cuts[i] - 0.5)); x < Math.min(level.width, Math.ceil(cuts[i + 1] - 0.5), Math.ceil(r)); x++) {
        const value = intercept + slope * level.data[y * level.width + x];
        n++;
        sum += value;
        squares += value * value;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (!n || r <= l) return null;
  const mean = sum / n;
  return { n, mean, sd: Math.sqrt(Math.max(0, squares / n - mean * mean)), low, high, area: spacing ? n * spacing[0] * spacing[1] : null };
}
