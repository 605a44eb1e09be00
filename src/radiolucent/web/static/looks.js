// How films were looked at: zoom, window and measures survive the lock and a return, and by choice go to the next film.

import { clamp } from "/static/geometry.js";

/** @typedef {import("/static/viewer.js").Viewer} Viewer */
/** @typedef {{view: import("/static/viewer.js").View | null, window: import("/static/film.js").Window, ends: [number, number],
 *    bits: number, near: number, x: number, y: number, measures: import("/static/tools.js").Measure[]}} Look */

const KEEP = "radiolucent-keep-look";

/** @type {Map<string, Look>} */
const looks = new Map();
let last = "";

/** Whether the next film begins as the one before was left. */
export const keeps = () => localStorage.getItem(KEEP) === "yes";

/** @param {boolean} yes */
export const keep = (yes) => localStorage.setItem(KEEP, yes ? "yes" : "no");

/** @param {string} id @param {Viewer} viewer @param {import("/static/tools.js").Tools} tools */
export function remember(id, viewer, tools) {
  const about = viewer.film?.about, [x, y] = viewer.middle();
  if (!about) return;
  looks.set(id, { view: viewer.fitted ? null : { ...viewer.view }, window: { ...viewer.window }, ends: about.range, bits: about.bits,
    near: viewer.view.scale / viewer.whole, x: x / viewer.width, y: y / viewer.height, measures: tools.measures });
  last = id;
}

/** Show a film as it was left or, by choice, as the film before was. @param {string} id @param {Viewer} viewer @param {import("/static/tools.js").Tools} tools */
export function restore(id, viewer, tools) {
  const own = looks.get(id), before = keeps() ? looks.get(last) : undefined;
  if (own) {
    tools.measures = own.measures;
    viewer.setWindow(own.window);
    viewer.window = { ...own.window };
    if (own.view) viewer.look(own.view);
  } else if (before) carry(before, viewer);
}

/** @param {Look} before @param {Viewer} viewer */
function carry(before, viewer) {
  const about = viewer.film?.about;
  if (!about) return;
  const { centre, width, invert } = before.window, [low, high] = before.ends, [from, to] = about.range;
  if (about.bits === before.bits) viewer.setWindow({ centre, width, invert });
  else { // other values: the same shares of their range
    const times = (to - from) / Math.max(high - low, 1e-9);
    viewer.setWindow({ centre: from + (centre - low) * times, width: width * times, invert });
  }
  if (!before.view) return;
  const scale = clamp(before.near * viewer.whole, viewer.whole / 2, 32), { clientWidth: w, clientHeight: t } = viewer.stage;
  viewer.look({ scale, x: before.x * viewer.width - w / scale / 2, y: before.y * viewer.height - t / scale / 2 });
}

/** Have a second film follow the first, and the first the second. @param {Viewer} one @param {Viewer} other */
export function link(one, other) {
  const seen = (/** @type {Viewer} */ { view, window }) => JSON.stringify([view, window.centre, window.width, window.invert]);
  /** @type {WeakMap<Viewer, string>} what a film was told by the other: no news for that one */ const told = new WeakMap();
  const follow = (/** @type {Viewer} */ from, /** @type {Viewer} */ to) => () => {
    if (!from.film || !to.film || !(to.whole > 0) || told.get(from) === seen(from)) return;
    const [x, y] = from.middle(), { range, bits } = from.film.about;
    carry({ view: from.view, window: from.window, ends: range, bits, near: from.view.scale / from.whole, x: x / from.width, y: y / from.height, measures: [] }, to);
    told.set(from, seen(from));
    told.set(to, seen(to));
  };
  one.onchange(follow(one, other));
  other.onchange(follow(other, one));
}
