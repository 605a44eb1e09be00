// The film on screen: zoom, pan, window and level. Frames: source pixels and pixels of the stage.

import { h, svg } from "/static/dom.js";
import { clamp } from "/static/geometry.js";
import { Greys } from "/static/windowing.js";

/** @typedef {import("/static/geometry.js").Point} Point */

export class Viewer {
  /**
   * @param {number} width of the film in source pixels
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "film", width, height, "aria-hidden": true }));
    this.overlay = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "overlay", width: 1, height: 1, "aria-hidden": true }));
    this.shapes = svg("svg", { class: "shapes", "aria-hidden": "true" });
    this.stage = h("div", {
      class: "stage", id: "stage", tabindex: "0", role: "application",
      "aria-label": "The film. Keys: B box, P polygon, V select, W window; Enter draws, arrows move; question mark for help.",
    }, this.canvas, this.overlay, this.shapes);
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.window = { centre: 0.5, width: 1, invert: false };
    /** @type {Greys | null} */ this.greys = null;
    /** @type {[number, number, number, number]} */ this.place = [0, 0, width, height];
    /** @type {(() => void)[]} */ this.listeners = [];
    this.waiting = 0;
    this.sizes = new ResizeObserver(() => { if (this.fitted) this.fit(); else this.apply(); });
    this.sizes.observe(this.stage);
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** @param {ArrayBuffer} bytes @param {number} bits */
  load(bytes, bits) {
    this.greys = new Greys(bytes, bits, this.width, this.height);
    this.preset(0);
    this.stage.dataset.ready = "true";
  }

  /** @param {() => void} listener called whenever view or window changed */
  onchange(listener) { this.listeners.push(listener); }

  // Zoom and pan

  /** The whole film, as large as it goes. */
  fit() {
    const { clientWidth: w, clientHeight: t } = this.stage;
    if (!w || !t) return;
    const scale = Math.min(w / this.width, t / this.height);
    this.view = { scale, x: (this.width - w / scale) / 2, y: (this.height - t / scale) / 2 };
    this.fitted = true;
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
    const least = Math.min(w / this.width, t / this.height) / 2;
    const next = clamp(scale, least, 32);
    this.view = { scale: next, x: sx - px / next, y: sy - py / next };
    this.fitted = false;
    this.apply();
  }

  /** @param {number} dx stage pixels @param {number} dy */
  pan(dx, dy) {
    const { scale } = this.view;
    const { clientWidth: w, clientHeight: t } = this.stage;
    const x = clamp(this.view.x - dx / scale, -w / scale / 2, this.width - w / scale / 2);
    const y = clamp(this.view.y - dy / scale, -t / scale / 2, this.height - t / scale / 2);
    this.view = { scale, x, y };
    this.fitted = false;
    this.apply();
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
    this.zoom(this.view.scale * Math.exp(-clamp(lines, -400, 400) * 0.0015), this.point(event));
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
    this.canvas.style.transform = `translate(${-x * scale}px, ${-y * scale}px) scale(${scale})`;
    const [left, top, right, bottom] = this.place;
    const [sx, sy] = [((right - left) / this.overlay.width) * scale, ((bottom - top) / this.overlay.height) * scale];
    this.overlay.style.transform = `translate(${(left - x) * scale}px, ${(top - y) * scale}px) scale(${sx}, ${sy})`;
    for (const listener of this.listeners) listener();
  }

  // Grey levels

  /** @param {Partial<import("/static/windowing.js").Window>} change */
  setWindow(change) {
    const next = { ...this.window, ...change };
    this.window = { ...next, centre: clamp(next.centre, -0.5, 1.5), width: clamp(next.width, 0.01, 2) };
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      const context = this.canvas.getContext("2d", { alpha: false });
      if (this.greys && context) this.greys.draw(context, this.window);
      for (const listener of this.listeners) listener();
    });
  }

  /** @param {number} index from 0 */
  preset(index) {
    const found = this.greys?.presets()[index];
    if (found) this.setWindow({ centre: found.centre, width: found.width });
    return found?.name;
  }

  stop() {
    this.sizes.disconnect();
    this.greys = null;
  }
}
