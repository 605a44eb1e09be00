// What the pointer does on the film: draw, move and bend marks, measure, window, pan, and zoom with two fingers.

import { stroke } from "/static/brush.js";
import { area, away, box, bounds, contains, corners, dragged, ellipse, handles, inside, moved, outlined } from "/static/geometry.js";
import { KeyboardMarking } from "/static/keyboard_marking.js";
import { drawShapes } from "/static/shapes.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {import("/static/geometry.js").Mark} Mark */
/** @typedef {"select" | "box" | "polygon" | "freehand" | "ellipse" | "brush" | "window" | "ruler" | "angle"} Tool */
/** @typedef {{marks: () => Mark[], change: (marks: Mark[], kind: string) => void, told: () => void,
 *             limits: {marks: number, points: number}, editable: boolean}} Board */
/** @typedef {{kind: "ruler" | "angle", points: Point[]}} Measure */

const GRAB = 9, FINGER = 22, SMALL = 4, LEAST = 0.01; // stage pixels, stage pixels, stage pixels, source pixels squared
const ALWAYS = ["select", "window", "ruler", "angle"]; // tools that leave the reading as it is

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
    this.brush = 18; // radius in stage pixels
    /** @type {Point[]} a polygon being drawn */ this.open = [];
    /** @type {Point[]} a line being drawn by hand */ this.trace = [];
    /** @type {Measure[]} */ this.measures = [];
    /** @type {Mark[]} other readers', for who settles them */ this.others = [];
    /** @type {Point | null} */ this.cursor = null;
    this.keyboard = new KeyboardMarking(this);
    /** @type {Point | null} where the pointer was, in the window */ this.pointer = null;
    /** @type {Mark | null} a mark being drawn or dragged, not taken yet */ this.ghost = null;
    /** @type {((event: PointerEvent) => void) | null} */ this.drag = null;
    /** @type {(() => void) | null} */ this.drop = null;
    /** @type {Map<number, Point>} fingers on the stage */ this.fingers = new Map();
    this.pinched = false; // until every finger is lifted, none draws
    const { stage } = viewer;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", (event) => { this.drop = null; this.up(event); });
    stage.addEventListener("pointerleave", () => { this.cursor = this.keyboard.at; this.board.told(); this.draw(); });
    stage.addEventListener("dblclick", () => { if (this.open.length) this.close(); });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    viewer.onchange(() => this.draw());
  }

  /** @param {Tool} tool */
  use(tool) {
    this.tool = this.board.editable || ALWAYS.includes(tool) ? tool : "select";
    this.open = [];
    this.keyboard.rest();
    this.viewer.stage.dataset.tool = this.tool;
    this.board.told();
    this.draw();
  }

  /** @param {Point} p @returns {Point} */
  clip(p) { return inside(p, this.viewer.width, this.viewer.height); }

  /** Of an event, in source pixels within the film. @param {PointerEvent} event @returns {Point} */
  at(event) { return this.clip(this.viewer.toSource(this.viewer.point(event))); }

  /** @param {PointerEvent} event */
  down(event) {
    const { stage } = this.viewer;
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, this.viewer.point(event));
      if (this.fingers.size > 1) return this.pinching();
    }
    const start = this.viewer.point(event), at = this.viewer.toSource(start);
    this.keyboard.rest();
    if (event.button === 2 || (event.button === 0 && this.tool === "window")) this.windowing(event);
    else if (event.button === 1) this.panning(event);
    else if (event.button !== 0) return;
    else if (this.tool === "ruler" || this.tool === "angle") this.measuring(this.clip(at));
    else if (!this.board.editable) this.panning(event);
    else if (this.tool === "box" || this.tool === "ellipse") this.boxing(this.clip(at));
    else if (this.tool === "brush") this.brushing(this.clip(at), event.shiftKey);
    else if (this.tool === "freehand" || (this.tool === "polygon" && event.pointerType === "pen")) this.tracing(this.clip(at));
    else if (this.tool === "polygon" && event.pointerType === "touch") this.drop = () => this.corner(start, this.clip(at), FINGER);
    else if (this.tool === "polygon") this.corner(start, this.clip(at), GRAB);
    else this.selecting(event, start, at);
  }

  /** @param {PointerEvent} event */
  move(event) {
    // A browser tells of a pointer that stands still while the film moves under it; the keyboard's cursor stays then.
    if (this.pointer && (this.pointer[0] !== event.clientX || this.pointer[1] !== event.clientY)) this.keyboard.at = null;
    this.pointer = [event.clientX, event.clientY];
    this.cursor = this.keyboard.at ?? this.viewer.toSource(this.viewer.point(event));
    if (this.pinched) this.pinch(event);
    else if (this.drag) this.drag(event);
    if (this.drag || this.open.length || this.tool === "brush") this.draw();
    this.board.told();
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (this.viewer.stage.hasPointerCapture(event.pointerId)) this.viewer.stage.releasePointerCapture(event.pointerId);
    this.fingers.delete(event.pointerId);
    const drop = this.pinched ? null : this.drop;
    this.drag = this.drop = null;
    if (drop) drop();
    if (!this.fingers.size) this.pinched = false;
    this.ghost = null;
    this.trace = [];
    this.draw();
  }

  // Looking

  /** A second finger came down: what the first began is dropped. */
  pinching() {
    this.pinched = true;
    this.drag = this.drop = this.ghost = null;
    this.trace = [];
    this.draw();
  }

  /** Two fingers zoom and move the film. @param {PointerEvent} event */
  pinch(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before || this.fingers.size !== 2) return;
    const now = this.viewer.point(event), other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1] ?? now;
    this.fingers.set(event.pointerId, now);
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(now[0] - other[0], now[1] - other[1]);
    this.viewer.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    if (was > 8 && is > 8) this.viewer.zoom((this.viewer.view.scale * is) / was, [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  }

  /** @param {PointerEvent} event */
  windowing(event) {
    let [x, y] = [event.clientX, event.clientY];
    const [low, high] = this.viewer.film?.about.range ?? [0, 255];
    this.drag = (next) => {
      const { centre, width } = this.viewer.window;
      this.viewer.setWindow({ width: width * Math.exp((next.clientX - x) * 0.005), centre: centre + (next.clientY - y) * 0.002 * (high - low) });
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

  /** Ruler: press, drag, let go. Angle: the same for each of its two arms. @param {Point} start source pixels */
  measuring(start) {
    const last = this.measures.at(-1), second = this.tool === "angle" && last?.kind === "angle" && last.points.length === 2;
    const made = /** @type {Measure} */ (second && last ? last : { kind: this.tool, points: [start, start] });
    const base = second ? [...made.points] : [start];
    if (!second) this.measures = [...this.measures.slice(-9), made];
    this.drag = (event) => { made.points = [...base, ...(second ? [start] : []), this.at(event)]; };
    this.drop = () => {
      const [a, b] = made.points;
      if (Math.hypot(a[0] - b[0], a[1] - b[1]) * this.viewer.view.scale < SMALL) this.measures.pop();
    };
  }

  // Drawing

  /** A box or an ellipse. @param {Point} start source pixels */
  boxing(start) {
    const shaped = (/** @type {Mark} */ mark) => (this.tool === "ellipse" ? ellipse(mark) : mark);
    this.drag = (event) => { this.ghost = shaped(box(start, this.at(event))); };
    this.drop = () => {
      if (!this.ghost) return;
      const [l, t, r, b] = bounds(this.ghost), least = SMALL / this.viewer.view.scale;
      if (r - l >= least && b - t >= least) this.add(this.ghost);
    };
  }

  /** A closed line by hand. @param {Point} start source pixels */
  tracing(start) {
    this.trace = [start];
    this.drag = (event) => {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) this.trace.push(this.at(part));
    };
    this.drop = () => {
      const points = outlined(this.trace, 1 / this.viewer.view.scale, this.board.limits.points);
      if (points.length >= 3 && area(points) * this.viewer.view.scale ** 2 >= SMALL ** 2) this.add({ kind: "polygon", points });
    };
  }

  /** Paint a mark, or more of the selected one; with Shift, wipe some of it away. @param {Point} start @param {boolean} wipe */
  brushing(start, wipe) {
    this.trace = [start];
    const index = this.selected, mark = this.board.marks()[index];
    this.drag = (event) => { this.trace.push(this.at(event)); };
    this.drop = () => {
      const points = stroke(this.trace, this.brush / this.viewer.view.scale, mark ?? null, wipe, this.board.limits.points, [this.viewer.width, this.viewer.height], 1 / this.viewer.view.scale);
      if (!points || area(points) < LEAST) return;
      if (mark) this.replace(index, { ...mark, kind: "polygon", points }, "");
      else if (!wipe) this.add({ kind: "polygon", points });
    };
  }

  /** @param {Point} start stage pixels @param {Point} at source pixels @param {number} [reach] stage pixels */
  corner(start, at, reach = GRAB) {
    if (this.open.length >= 3) {
      const [x, y] = this.viewer.toStage(this.open[0]);
      if (Math.hypot(start[0] - x, start[1] - y) < reach) return this.close();
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

  // Changing marks

  /** @param {PointerEvent} event @param {Point} start stage pixels @param {Point} at source pixels */
  selecting(event, start, at) {
    const marks = this.board.marks(), chosen = marks[this.selected], near = event.pointerType === "touch" ? FINGER : GRAB;
    if (chosen) {
      const grips = handles(chosen).map((grip) => {
        const [x, y] = this.viewer.toStage(grip.at);
        return { grip, far: Math.hypot(start[0] - x, start[1] - y) + (grip.add ? 2 : 0) };
      }).sort((a, b) => a.far - b.far)[0];
      if (grips && grips.far < near) return this.bending(chosen, grips.grip);
    }
    const reach = near / this.viewer.view.scale;
    const hit = [this.selected, ...marks.keys()].find((i) => marks[i] && away(at, marks[i]) < reach)
      ?? [...marks.keys()].reverse().find((i) => contains(at, marks[i])) ?? -1;
    this.selected = hit;
    this.board.told();
    if (hit < 0) return event.pointerType === "pen" ? this.tracing(this.clip(at)) : this.panning(event);
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
    const base = /** @type {Mark} */ ({ ...mark, points });
    this.drag = (event) => { this.ghost = dragged(base, corner, this.at(event)); };
    this.drop = () => this.replace(this.selected, this.ghost, "");
  }

  /** @param {number} index @param {Mark | null} mark @param {string} kind */
  replace(index, mark, kind) {
    if (mark && area(corners(mark)) >= LEAST) this.board.change(this.board.marks().map((m, i) => (i === index ? mark : m)), kind);
  }

  /** Take back the last corner, the chosen corner, the selected mark, or the last measure. */
  remove() {
    if (this.open.length) this.open.pop();
    else if (this.keyboard.drop()) return;
    else if (this.selected >= 0 && this.board.editable) {
      const kept = this.board.marks().filter((_, i) => i !== this.selected);
      this.selected = -1;
      this.board.change(kept, "");
    } else this.measures.pop();
    this.draw();
  }

  /** Let go of what is being drawn, of the keyboard's cursor or corner, or of the selection. */
  escape() {
    if (this.open.length) this.open = [];
    else if (this.keyboard.at || this.keyboard.corner >= 0) this.keyboard.rest();
    else if (this.selected >= 0) this.selected = -1;
    else this.measures = [];
    this.drag = this.drop = this.ghost = null;
    this.trace = [];
    this.board.told();
    this.draw();
  }

  /** Enter: draw a polygon with the keyboard's cursor, or (box tool) place a box in the middle of the view. */
  enter() {
    if (!this.board.editable) return;
    if (this.tool === "polygon") return this.keyboard.enter();
    if (this.tool !== "box" && this.tool !== "ellipse") return;
    const { clientWidth: w, clientHeight: t } = this.viewer.stage;
    const a = this.clip(this.viewer.toSource([w * 0.4, t * 0.4])), b = this.clip(this.viewer.toSource([w * 0.6, t * 0.6]));
    if (a[0] < b[0] && a[1] < b[1]) this.add(this.tool === "box" ? box(a, b) : ellipse(box(a, b)));
  }

  draw() { drawShapes(this); }
}
