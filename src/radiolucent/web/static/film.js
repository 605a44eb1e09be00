// A film: its levels in halved sizes, what values they stand for, and the windows it can be seen through.

import { bytes, json } from "/static/api.js";
import { clamp } from "/static/geometry.js";
import { halved } from "/static/resample.js";

/** @typedef {import("/static/resample.js").Level} Level */
/** @typedef {{name: string, centre: number, width: number, function: string, table: string | null}} Preset */
/** @typedef {{centre: number, width: number, invert: boolean, function: string, table: Uint8Array | null}} Window
 *  centre and width in the film's values */
/** @typedef {{width: number, height: number, slope: number, intercept: number, unit: string, bits: number, sizes: number,
 *    range: [number, number], auto: [number, number], inverted: boolean, windows: Preset[],
 *    spacing: [number, number] | null, plane: string, view: string, note: string}} About */

const KEPT = 6, LARGE = 1_500_000; // films in memory; pixels from which a smaller size is fetched first

export class Film {
  /** @param {string} id @param {About} about */
  constructor(id, about) {
    this.id = id;
    this.about = about;
    /** @type {(Level | undefined)[]} */ this.levels = [];
    this.table = new Uint32Array(65536);
    this.top = 65535;
  }

  /** Whether every pixel is there. */
  get whole() { return Boolean(this.levels[0]); }

  /** Fetch one size. @param {number} size */
  async fetch(size) {
    if (this.levels[size]) return;
    const { bytes: content } = await bytes(`/api/cases/${this.id}/film/${size}`);
    const { width, height } = this.about, n = 2 ** size, w = Math.ceil(width / n), t = Math.ceil(height / n);
    const data = new Uint16Array(content);
    if (data.length !== w * t) throw new Error("The film has another size than announced.");
    for (let y = 0, i = 0; y < t; y++) {
      let sum = 0;
      for (let x = 0; x < w; x++, i++) data[i] = sum = (sum + data[i]) & 65535; // differences to the left neighbour
    }
    this.levels[size] = { width: w, height: t, data };
  }

  /**
   * The size to draw from: the whole film, or one that is still reduced more than eightfold; while the wanted one is
   * not there, the best there is.
   * @param {number} scale screen pixels a source pixel
   * @param {number} [most] how much may be left to reduce: 2 is quicker, for films that are being moved
   * @returns {{size: number, level: Level} | null}
   */
  at(scale, most = 8) {
    const wanted = clamp(Math.floor(Math.log2(1 / (most * scale))), 0, this.about.sizes - 1);
    for (let size = wanted; size < this.levels.length; size++) {
      const level = this.levels[size];
      if (level) return { size, level };
    }
    for (let size = wanted - 1; size >= 0; size--) {
      let level = this.levels[size];
      if (!level) continue;
      for (let at = size; at < wanted; at++) this.levels[at + 1] = level = halved(level);
      return { size: wanted, level };
    }
    return null;
  }

  /** The value at a pixel, or null where it is not there. @param {number} x @param {number} y source pixels */
  value(x, y) {
    const level = this.levels[0], { width, height, slope, intercept } = this.about;
    if (!level || x < 0 || y < 0 || x >= width || y >= height) return null;
    return intercept + slope * level.data[Math.floor(y) * width + Math.floor(x)];
  }

  /** A value in words, with its unit. @param {number} value */
  said(value) {
    const { slope, unit } = this.about;
    const digits = clamp(-Math.floor(Math.log10(Math.abs(slope))), 0, 6);
    return `${Number.isInteger(value) ? value : value.toFixed(digits)}${unit ? ` ${unit}` : ""}`;
  }

  /** Windows by key 1 to 9: the header's first, then some of the film's own values. @returns {Preset[]} */
  presets() {
    const { windows, auto, range, bits, inverted } = this.about;
    const own = (/** @type {string} */ name, /** @type {[number, number]} */ ends, /** @type {number} */ from = 0, /** @type {number} */ part = 1) => {
      const span = Math.max(ends[1] - ends[0], 1e-9), middle = from + part / 2;
      return { name, centre: ends[0] + (inverted ? 1 - middle : middle) * span, width: part * span, function: "LINEAR_EXACT", table: null };
    };
    const full = own("Full", range), best = own("Auto", auto);
    const first = windows.length ? [...windows.slice(0, 4), best, full] : bits > 8 ? [best, full] : [full, best];
    return [...first, own("Lung", auto, 0, 0.64), own("Bone", auto, 0.36, 0.64), own("Contrast", auto, 0.275, 0.45)];
  }

  /**
   * Grey of every level through a window, as opaque ABGR pixels.
   * @param {Window} window
   */
  greys({ centre, width, invert, function: kind, table: given }) {
    const { slope, intercept, inverted } = this.about, { table } = this;
    const flip = invert !== inverted;
    const [c, w] = kind === "LINEAR" ? [centre - 0.5, width - 1] : [centre, width];
    for (let i = 0; i < 65536; i++) {
      const value = intercept + slope * i;
      let share;
      if (given) share = given[Math.min(i, given.length - 1)] / 255;
      else if (kind === "SIGMOID") share = 1 / (1 + Math.exp(clamp((-4 * (value - c)) / w, -700, 700)));
      else share = w > 0 ? clamp((value - c) / w + 0.5, 0, 1) : value <= c ? 0 : 1;
      const grey = Math.round(255 * (flip ? 1 - share : share));
      table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    return table;
  }
}

/** @type {Map<string, Promise<Film>>} films asked for, the last ones used last */
const known = new Map();

/**
 * The film of a case; its sizes come with `load`.
 * @param {string} id
 * @returns {Promise<Film>}
 */
export function filmOf(id) {
  const found = known.get(id) ?? json(`/api/cases/${id}/film`).then((about) => new Film(id, about));
  known.delete(id);
  known.set(id, found);
  found.catch(() => known.delete(id));
  for (const old of [...known.keys()].slice(0, -KEPT)) known.delete(old);
  return found;
}

/**
 * Fetch a film, of a large one a smaller size first.
 * @param {string} id
 * @param {number} wide pixels it is to be seen at
 * @param {(film: Film) => void} seen called once there is something to see, and again when all of it is there
 */
export async function load(id, wide, seen) {
  const film = await filmOf(id);
  if (!film.whole && film.about.width * film.about.height > LARGE) {
    const size = clamp(Math.floor(Math.log2(film.about.width / wide)), 0, film.about.sizes - 1);
    if (size > 0) {
      await film.fetch(size);
      seen(film);
    }
  }
  await film.fetch(0);
  seen(film);
}

/** Have a film at hand before it is asked for. @param {string} id */
export async function prefetch(id) {
  const film = await filmOf(id);
  await film.fetch(0);
}

/** @param {string | null} text base64 @returns {Uint8Array | null} */
export const decoded = (text) => (text === null ? null : Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
