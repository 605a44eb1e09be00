// What the pointer does on the film: draw boxes and polygons, move and bend marks, window, pan.

import { svg } from "/static/dom.js";
import { area, away, box, bounds, contains, corners, dragged, handles, inside, moved } from "/static/geometry.js";
import { KeyboardMarking } from "/static/keyboard_marking.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {import("/static/geometry.js").Mark} Mark */
/** @typedef {"select" | "box" | "polygon" | "window"} Tool */
/** @typedef {{marks: () => Mark[], change: (marks: Mark[], kind: string) => void, told: () => void,
 *             limits: {marks: number, points: number}, editable: boolean}} Board */

const GRAB = 9, SMALL = 4, LEAST = 0.01; // stage pixels, stage pixels, source pixels squared

export class Tools {
  /**
   * @param {import("/static/viewer.js").Viewer} viewer
   * @param {Board} board
   */
  constructor(viewer, board) {
    this.viewer = viewer;
    this.board = board;
    /** @type {Tool} */ this.tool = "select";
    this.selected = -1;
    /** @type {Point[]} a polygon being drawn */ this.open = [];
    /** @type {Point | null} */ this.cursor = null;
    this.keyboard = new KeyboardMarking(this);
    /** @type {Point | null} where the pointer was, in the window */ this.pointer = null;
    /** @type {Mark | null} a mark being drawn or dragged, not taken yet */ this.ghost = null;
    /** @type {((event: PointerEvent) => void) | null} */ this.drag = null;
    /** @type {(() => void) | null} */ this.drop = null;
    const { stage } = viewer;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", (event) => this.up(event));
    stage.addEventListener("pointerleave", () => { this.cursor = this.keyboard.at; this.draw(); });
    stage.addEventListener("dblclick", () => { if (this.open.length) this.close(); });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    viewer.onchange(() => this.draw());
  }

  /** @param {Tool} tool */
  use(tool) {
    this.tool = this.board.editable || tool === "window" ? tool : "select";
    this.open = [];
    this.keyboard.rest();
    this.viewer.stage.dataset.tool = this.tool;
    this.board.told();
    this.draw();
  }

  /** @param {Point} p @returns {Point} */
  clip(p) { return inside(p, this.viewer.width, this.viewer.height); }

  /** @param {PointerEvent} event */
  down(event) {
    const { stage } = this.viewer;
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const start = this.viewer.point(event), at = this.viewer.toSource(start);
    this.keyboard.rest();
    if (event.button === 2 || (event.button === 0 && this.tool === "window")) this.windowing(event);
    else if (event.button === 1) this.panning(event);
    else if (event.button !== 0) return;
    else if (!this.board.editable) this.panning(event);
    else if (this.tool === "box") this.boxing(this.clip(at));
    else if (this.tool === "polygon") this.corner(start, this.clip(at));
    else this.selecting(event, start, at);
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  move(event) {
    // A browser tells of a pointer that stands still while the film moves under it; the keyboard's cursor stays then.
    if (this.pointer && (this.pointer[0] !== event.clientX || this.pointer[1] !== event.clientY)) this.keyboard.at = null;
    this.pointer = [event.clientX, event.clientY];
    this.cursor = this.keyboard.at ?? this.viewer.toSource(this.viewer.point(event));
    if (this.drag) this.drag(event);
    if (this.drag || this.open.length) this.draw();
    this.board.told();
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (this.viewer.stage.hasPointerCapture(event.pointerId)) this.viewer.stage.releasePointerCapture(event.pointerId);
    const drop = this.drop;
    this.drag = this.drop = null;
    if (drop) drop();
    this.ghost = null;
    this.draw();
  }

  /** @param {PointerEvent} event */
  windowing(event) {
    let [x, y] = [event.clientX, event.clientY];
    this.drag = (next) => {
      const { centre, width } = this.viewer.window;
      this.viewer.setWindow({ width: width * Math.exp((next.clientX - x) * 0.005), centre: centre + (next.clientY - y) * 0.002 });
      [x, y] = [next.clientX, next.clientY];
    };
  }

  /** @param {PointerEvent} event */
  panning(event) {
    let [x, y] = [event.clientX, event.clientY];
    this.drag = (next) => {
      this.viewer.pan(next.clientX - x, next.clientY - y);
      [x, y] = [next.clientX, next.clientY];
    };
  }

  /** @param {Point} start source pixels */
  boxing(start) {
    this.drag = (event) => { this.ghost = box(start, this.clip(this.viewer.toSource(this.viewer.point(event)))); };
    this.drop = () => {
      if (!this.ghost) return;
      const [l, t, r, b] = bounds(this.ghost), least = SMALL / this.viewer.view.scale;
      if (r - l >= least && b - t >= least) this.add(this.ghost);
    };
  }

  /** @param {Point} start stage pixels @param {Point} at source pixels */
  corner(start, at) {
    if (this.open.length >= 3) {
      const [x, y] = this.viewer.toStage(this.open[0]);
      if (Math.hypot(start[0] - x, start[1] - y) < GRAB) return this.close();
    }
    const last = this.open.at(-1);
    if (last && last[0] === at[0] && last[1] === at[1]) return;
    if (this.open.length < this.board.limits.points) this.open.push(at);
    this.draw();
  }

  /** Close the polygon being drawn, if it has an inside. */
  close() {
    if (area(this.open) >= LEAST) this.add({ kind: "polygon", points: this.open });
    this.open = [];
    this.draw();
  }

  /** @param {Mark} mark */
  add(mark) {
    const marks = this.board.marks();
    if (marks.length >= this.board.limits.marks) return;
    this.selected = marks.length;
    this.board.change([...marks, mark], "");
  }

  /** @param {PointerEvent} event @param {Point} start stage pixels @param {Point} at source pixels */
  selecting(event, start, at) {
    const marks = this.board.marks(), chosen = marks[this.selected];
    if (chosen) {
      const near = handles(chosen).map((grip) => {
        const [x, y] = this.viewer.toStage(grip.at);
        return { grip, far: Math.hypot(start[0] - x, start[1] - y) + (grip.add ? 2 : 0) };
      }).sort((a, b) => a.far - b.far)[0];
      if (near && near.far < GRAB) return this.bending(chosen, near.grip);
    }
    const reach = GRAB / this.viewer.view.scale;
    const hit = [this.selected, ...marks.keys()].find((i) => marks[i] && away(at, marks[i]) < reach)
      ?? [...marks.keys()].reverse().find((i) => contains(at, marks[i])) ?? -1;
    this.selected = hit;
    this.board.told();
    if (hit < 0) return this.panning(event);
    const mark = marks[hit];
    this.drag = (next) => {
      const to = this.viewer.toSource(this.viewer.point(next));
      this.ghost = moved(mark, to[0] - at[0], to[1] - at[1], this.viewer.width, this.viewer.height);
    };
    this.drop = () => this.replace(hit, this.ghost, "");
  }

  /** @param {Mark} mark @param {{corner: number, add: boolean, at: Point}} grip */
  bending(mark, { corner, add, at }) {
    const full = mark.points.length >= this.board.limits.points;
    if (add && full) return;
    const points = add ? mark.points.toSpliced(corner, 0, at) : mark.points;
    const base = /** @type {Mark} */ ({ kind: mark.kind, points });
    this.drag = (event) => { this.ghost = dragged(base, corner, this.clip(this.viewer.toSource(this.viewer.point(event)))); };
    this.drop = () => this.replace(this.selected, this.ghost, "");
  }

  /** @param {number} index @param {Mark | null} mark @param {string} kind */
  replace(index, mark, kind) {
    if (mark && area(corners(mark)) >= LEAST) this.board.change(this.board.marks().map((m, i) => (i === index ? mark : m)), kind);
  }

  /** Take back the last corner, the chosen corner, or the selected mark. */
  remove() {
    if (this.open.length) this.open.pop();
    else if (this.keyboard.drop()) return;
    else if (this.selected >= 0 && this.board.editable) {
      const kept = this.board.marks().filter((_, i) => i !== this.selected);
      this.selected = -1;
      this.board.change(kept, "");
    }
    this.draw();
  }

  /** Let go of what is being drawn, of the keyboard's cursor or corner, or of the selection. */
  escape() {
    if (this.open.length) this.open = [];
    else if (this.keyboard.at || this.keyboard.corner >= 0) this.keyboard.rest();
    else this.selected = -1;
    this.drag = this.drop = this.ghost = null;
    this.board.told();
    this.draw();
  }

  /** Enter: draw a polygon with the keyboard's cursor, or (box tool) place a box in the middle of the view. */
  enter() {
    if (!this.board.editable) return;
    if (this.tool === "polygon") return this.keyboard.enter();
    if (this.tool !== "box") return;
    const { clientWidth: w, clientHeight: t } = this.viewer.stage;
    const a = this.clip(this.viewer.toSource([w * 0.4, t * 0.4])), b = this.clip(this.viewer.toSource([w * 0.6, t * 0.6]));
    if (a[0] < b[0] && a[1] < b[1]) this.add(box(a, b));
  }

  /** Outlines only, as wide on screen at every zoom: a fill would tint the finding. */
  draw() {
    const { shapes } = this.viewer, made = [];
    const marks = this.board.marks();
    if (this.selected >= marks.length) this.selected = -1;
    const ghosting = this.ghost && this.drop && this.tool === "select" ? this.selected : -1;
    marks.forEach((mark, i) => made.push(...this.outline(i === ghosting && this.ghost ? this.ghost : mark, i === this.selected ? "chosen" : "mark")));
    if (this.ghost && ghosting < 0) made.push(...this.outline(this.ghost, "chosen"));
    const chosen = ghosting >= 0 ? this.ghost : marks[this.selected];
    if (chosen && this.board.editable && this.tool === "select") {
      for (const { at, add, corner } of handles(chosen)) {
        const [x, y] = this.viewer.toStage(at), held = !add && corner === this.keyboard.corner;
        made.push(svg("circle", { cx: x, cy: y, r: add ? 3 : held ? 7 : 5, class: add ? "grip add" : held ? "grip held" : "grip" }));
      }
    }
    if (this.open.length) {
      const line = [...this.open, ...(this.cursor ? [this.clip(this.cursor)] : [])].map((p) => this.viewer.toStage(p));
      made.push(svg("polyline", { points: line.map((p) => p.join(",")).join(" "), class: "halo" }));
      made.push(svg("polyline", { points: line.map((p) => p.join(",")).join(" "), class: "chosen" }));
      for (const [x, y] of line.slice(0, this.open.length)) made.push(svg("circle", { cx: x, cy: y, r: 4, class: "grip" }));
    }
    if (this.keyboard.at) made.push(...this.cross(this.viewer.toStage(this.keyboard.at)));
    shapes.replaceChildren(...made);
  }

  /** The keyboard's cursor: open in the middle, where the finding is. @param {Point} at stage pixels */
  cross([x, y]) {
    const d = [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([a, b]) => `M${x + 4 * a} ${y + 4 * b}l${12 * a} ${12 * b}`).join("");
    return [svg("path", { d, class: "halo" }), svg("path", { d, class: "chosen cross" })];
  }

  /** @param {Mark} mark @param {string} kind */
  outline(mark, kind) {
    const points = corners(mark).map((p) => this.viewer.toStage(p).map((v) => v.toFixed(2)).join(",")).join(" ");
    return [svg("polygon", { points, class: "halo" }), svg("polygon", { points, class: kind })];
  }
}
