// A magnifier under the pointer.

import { h } from "/static/dom.js";
import { paint, sample } from "/static/viewer.js";

const SIZE = 220, TIMES = 3; // CSS pixels; larger than the film is seen

export class Lens {
  /** @param {import("/static/viewer.js").Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.on = false;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "lens", width: SIZE, height: SIZE, hidden: true, "aria-hidden": true }));
    viewer.stage.append(this.canvas);
    viewer.stage.addEventListener("pointermove", (event) => this.over(viewer.point(event)));
    viewer.stage.addEventListener("pointerleave", () => { this.canvas.hidden = true; });
  }

  toggle() {
    this.on = !this.on;
    if (!this.on) this.canvas.hidden = true;
    else this.over([this.viewer.stage.clientWidth / 2, this.viewer.stage.clientHeight / 2]);
  }

  /** @param {import("/static/geometry.js").Point} at stage pixels */
  over([x, y]) {
    const { viewer, canvas } = this, dense = window.devicePixelRatio || 1, n = Math.round(SIZE * dense);
    if (!this.on || !viewer.film) return;
    const [sx, sy] = viewer.toSource([x, y]), scale = viewer.view.scale * TIMES, from = viewer.film.at(scale * dense);
    if (!from) return;
    canvas.hidden = false;
    canvas.width = canvas.height = n;
    canvas.style.transform = `translate(${x - SIZE / 2}px, ${y - SIZE / 2}px)`;
    const levels = new Uint16Array(n * n), image = new ImageData(n, n);
    const inside = sample(from, { scale, x: sx - SIZE / 2 / scale, y: sy - SIZE / 2 / scale }, scale * dense, n, n, levels);
    paint(levels, viewer.film.greys(viewer.window), inside, image);
    canvas.getContext("2d")?.putImageData(image, 0, 0);
  }
}
