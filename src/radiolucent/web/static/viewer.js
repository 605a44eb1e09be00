// The film on screen: zoom, pan, window and level. Frames: source pixels, and pixels of the stage (CSS pixels).

import { h, svg } from "/static/dom.js";
import { decoded } from "/static/film.js";
import { clamp } from "/static/geometry.js";
import { resample, taps } from "/static/resample.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {{scale: number, x: number, y: number}} View */
/** @typedef {import("/static/film.js").Window} Window */

const REST = 120; // milliseconds after the last move

export class Viewer {
  /**
   * @param {number} width of the film in source pixels
   * @param {number} height
   * @param {string} [label]
   */
  constructor(width, height, label = "") {
    this.width = width;
    this.height = height;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "film", width: 1, height: 1, "aria-hidden": true }));
    this.overlay = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "overlay", width: 1, height: 1, "aria-hidden": true }));
    this.shapes = svg("svg", { class: "shapes", "aria-hidden": "true" });
    this.stage = h("div", {
      class: "stage", tabindex: "0", role: "application",
      "aria-label": label || "The film. Keys: B box, P polygon, V select, W window; Enter draws, arrows move; question mark for help.",
    }, this.canvas, this.overlay, this.shapes);
    /** @type {View} */ this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    /** @type {Window} */ this.window = { centre: 0, width: 1, invert: false, function: "LINEAR_EXACT", table: null };
    /** @type {import("/static/film.js").Film | null} */ this.film = null;
    /** @type {[number, number, number, number]} */ this.place = [0, 0, width, height];
    /** @type {(() => void)[]} */ this.listeners = [];
    this.levels = new Uint16Array(0);
    /** @type {ImageData | null} */ this.image = null;
    this.due = 0; // the next frame
    this.resting = 0; // until the film is drawn exactly
    this.moved = true;
    this.sizes = new ResizeObserver(() => { if (this.fitted) this.fit(); else this.apply(); });
    this.sizes.observe(this.stage);
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Show a film, at first through its first window. @param {import("/static/film.js").Film} film */
  load(film) {
    const first = this.film === null;
    this.film = film;
    this.moved = true;
    if (first && this.window.width === 1 && this.window.centre === 0) this.preset(0);
    this.draw();
    this.stage.dataset.ready = "true";
    if (film.whole) this.stage.dataset.whole = "true";
    for (const listener of this.listeners) listener();
  }

  /** @param {() => void} listener called whenever view, window or film changed */
  onchange(listener) { this.listeners.push(listener); }

  // Zoom and pan

  /** Stage pixels a source pixel when the whole film is seen. */
  get whole() { return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height); }

  /** The whole film, as large as it goes. */
  fit() {
    const { clientWidth: w, clientHeight: t } = this.stage;
    if (!w || !t) return;
    const scale = this.whole;
    this.view = { scale, x: (this.width - w / scale) / 2, y: (this.height - t / scale) / 2 };
    this.fitted = true;
    this.apply();
  }

  /** @param {View} view */
  look(view) {
    this.view = { ...view };
    this.fitted = false;
    this.apply();
  }

  /**
   * @param {number} scale stage pixels a source pixel
   * @param {Point} [at] stage point that stays where it is; the middle unless given
   */
  zoom(scale, at) {
    const { clientWidth: w, clientHeight: t } = this.stage;
    const [px, py] = at ?? [w / 2, t / 2];
    const [sx, sy] = this.toSource([px, py]);
    const next = clamp(scale, this.whole / 2, 32);
    this.look({ scale: next, x: sx - px / next, y: sy - py / next });
  }

  /** @param {number} dx stage pixels @param {number} dy */
  pan(dx, dy) {
    const { scale } = this.view;
    const { clientWidth: w, clientHeight: t } = this.stage;
    const x = clamp(this.view.x - dx / scale, -w / scale / 2, this.width - w / scale / 2);
    const y = clamp(this.view.y - dy / scale, -t / scale / 2, this.height - t / scale / 2);
    this.look({ scale, x, y });
  }

  /** The middle of what is seen, in source pixels, within the film. @returns {Point} */
  middle() {
    const [x, y] = this.toSource([this.stage.clientWidth / 2, this.stage.clientHeight / 2]);
    return [clamp(x, 0, this.width), clamp(y, 0, this.height)];
  }

  /** Move the film, where needed, so that a point is seen. @param {Point} p source pixels @param {number} ahead stage pixels beyond it */
  show(p, ahead) {
    const [x, y] = this.toStage(p), { clientWidth: w, clientHeight: t } = this.stage;
    const by = (/** @type {number} */ at, /** @type {number} */ end) => (at < 0 ? ahead - at : at > end ? end - ahead - at : 0);
    if (by(x, w) || by(y, t)) this.pan(by(x, w), by(y, t));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
    const fast = event.ctrlKey ? 6 : 1; // two fingers on a trackpad
    this.zoom(this.view.scale * Math.exp(-clamp(lines * fast, -400, 400) * 0.0015), this.point(event));
  }

  /** Of a pointer event, in stage pixels. @param {MouseEvent} event @returns {Point} */
  point(event) {
    const at = this.stage.getBoundingClientRect();
    return [event.clientX - at.left - this.stage.clientLeft, event.clientY - at.top - this.stage.clientTop];
  }

  /** @param {Point} p stage pixels @returns {Point} source pixels */
  toSource([x, y]) { return [x / this.view.scale + this.view.x, y / this.view.scale + this.view.y]; }

  /** @param {Point} p source pixels @returns {Point} stage pixels */
  toStage([x, y]) { return [(x - this.view.x) * this.view.scale, (y - this.view.y) * this.view.scale]; }

  /** Put film, map and shapes where the view says. */
  apply() {
    const { scale, x, y } = this.view;
    this.stage.dataset.view = `${x} ${y} ${scale}`;
    const [left, top, right, bottom] = this.place;
    const [sx, sy] = [((right - left) / this.overlay.width) * scale, ((bottom - top) / this.overlay.height) * scale];
    this.overlay.style.transform = `translate(${(left - x) * scale}px, ${(top - y) * scale}px) scale(${sx}, ${sy})`;
    this.moved = true;
    this.later();
  }

  // Grey levels

  /** @param {Partial<Window>} change centre and width in the film's values; they make the window a linear one */
  setWindow(change) {
    const own = "centre" in change || "width" in change ? { function: "LINEAR_EXACT", table: null } : {};
    const next = { ...this.window, ...own, ...change }, about = this.film?.about;
    if (about) {
      const [low, high] = about.range, span = Math.max(high - low, Math.abs(about.slope));
      next.centre = clamp(next.centre, low - span, high + span);
      next.width = clamp(next.width, Math.abs(about.slope), 4 * span);
    }
    this.window = next;
    this.later();
  }

  /** @param {number} index from 0 */
  preset(index) {
    const found = this.film?.presets()[index];
    if (found) this.setWindow({ centre: found.centre, width: found.width, function: found.function, table: decoded(found.table) });
    return found?.name;
  }

  // Drawing

  /** Draw with the next frame, once. */
  later() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.draw(!this.moved);
      for (const listener of this.listeners) listener();
    });
  }

  /** @param {boolean} [exact] false: from a smaller size while the film is moved, and exactly once it rests */
  draw(exact = true) {
    const { canvas, stage, film } = this, dense = window.devicePixelRatio || 1;
    const w = Math.max(1, Math.round(stage.clientWidth * dense)), t = Math.max(1, Math.round(stage.clientHeight * dense));
    const context = canvas.getContext("2d", { alpha: false });
    if (!film || !context) return;
    if (canvas.width !== w || canvas.height !== t || !this.image) {
      canvas.width = w;
      canvas.height = t;
      canvas.style.width = `${w / dense}px`;
      canvas.style.height = `${t / dense}px`;
      this.image = new ImageData(w, t);
      this.levels = new Uint16Array(w * t);
      this.moved = true;
    }
    const from = film.at(this.view.scale * dense, exact ? 8 : 2);
    if (!from) return;
    clearTimeout(this.resting);
    if (!exact && from.size > 0) this.resting = window.setTimeout(() => { this.moved = true; this.draw(); }, REST);
    stage.dataset.drawn = exact || from.size === 0 ? "exact" : "quick";
    if (this.moved) this.inside = sample(from, this.view, this.view.scale * dense, w, t, this.levels);
    this.moved = false;
    paint(this.levels, film.greys(this.window), this.inside ?? [0, 0, w, t], this.image);
    context.putImageData(this.image, 0, 0);
  }

  stop() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.due);
    clearTimeout(this.resting);
    this.film = null;
  }
}

/**
 * Levels of a view on a grid of screen pixels.
 * @param {{size: number, level: import("/static/resample.js").Level}} from
 * @param {View} view
 * @param {number} scale screen pixels a source pixel
 * @param {number} w @param {number} t @param {Uint16Array} out
 * @returns {[number, number, number, number]} left, top, right, bottom of the screen pixels that see the film
 */
export function sample({ size, level }, view, scale, w, t, out) {
  const n = 2 ** size;
  const across = taps(w, level.width, scale * n, view.x / n), down = taps(t, level.height, scale * n, view.y / n);
  resample(level, across, down, out);
  const ends = (/** @type {Int32Array} */ counts) => [counts.findIndex((c) => c > 0), counts.findLastIndex((c) => c > 0) + 1];
  const [left, right] = ends(across.counts), [top, bottom] = ends(down.counts);
  return left < 0 || top < 0 ? [0, 0, 0, 0] : [left, top, right, bottom];
}

/** @param {Uint16Array} levels @param {Uint32Array} greys @param {[number, number, number, number]} inside @param {ImageData} image */
export function paint(levels, greys, [left, top, right, bottom], image) {
  const pixels = new Uint32Array(image.data.buffer), { width } = image;
  if (left > 0 || top > 0 || right < width || bottom < image.height) pixels.fill(0xff000000);
  for (let y = top; y < bottom; y++) {
    for (let i = y * width + left, end = y * width + right; i < end; i++) pixels[i] = greys[levels[i]];
  }
}
