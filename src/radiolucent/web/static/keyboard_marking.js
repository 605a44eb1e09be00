// Marking without a mouse: a cursor that arrows move and Enter draws with, and one chosen corner of a mark.

import { announce } from "/static/dom.js";
import { corners, described, dragged, moved } from "/static/geometry.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {"one" | "ten" | "more"} Step */

const FAR = { one: 1, ten: 10, more: 50 }; // source pixels, of the cursor and of a corner
const GROW = 5, AHEAD = 60; // source pixels that a box grows by; stage pixels that are shown beyond the cursor

export class KeyboardMarking {
  /** @param {import("/static/tools.js").Tools} tools */
  constructor(tools) {
    this.tools = tools;
    /** @type {Point | null} the cursor in source pixels */ this.at = null;
    this.place = -1;
    this.of = -1;
  }

  /** The chosen corner of the selected mark, or -1. */
  get corner() {
    const { tools } = this, mark = tools.board.marks()[tools.selected];
    return mark && this.of === tools.selected && this.place < corners(mark).length ? this.place : -1;
  }

  /** Neither cursor nor corner. */
  rest() {
    this.at = null;
    this.place = this.of = -1;
  }

  /** Arrow keys. @param {number} x -1, 0 or 1 @param {number} y @param {Step} step @returns {boolean} whether anything moved by them */
  arrow(x, y, step) {
    const { tools } = this, { width, height } = tools.viewer;
    const [dx, dy] = [x * FAR[step], y * FAR[step]];
    if (this.at) {
      this.go([this.at[0] + dx, this.at[1] + dy]);
      return true;
    }
    const mark = tools.board.marks()[tools.selected];
    if (!mark || !tools.board.editable) return false;
    if (this.corner >= 0) {
      const [cx, cy] = corners(mark)[this.corner], to = tools.clip([cx + dx, cy + dy]);
      tools.replace(tools.selected, dragged(mark, this.corner, to), "bend");
      tools.viewer.show(to, AHEAD);
    } else if (step !== "more") tools.replace(tools.selected, moved(mark, dx, dy, width, height), "nudge");
    else if (mark.kind === "box") {
      const [cx, cy] = mark.points[1];
      tools.replace(tools.selected, dragged(mark, 2, tools.clip([cx + x * GROW, cy + y * GROW])), "nudge");
    }
    return true;
  }

  /** Enter, with the polygon tool: bring the cursor, put a corner, or close on a corner that was just put. */
  enter() {
    const { tools } = this, { open } = tools;
    if (!this.at) {
      if (open.length) return tools.close();
      const [x, y] = tools.viewer.middle();
      announce("Cursor in the middle. Arrows move it, Enter puts a corner, Enter again closes.");
      return this.go([Math.round(x), Math.round(y)]);
    }
    const last = open.at(-1), again = last && last[0] === this.at[0] && last[1] === this.at[1];
    if (again && open.length < 3) return announce("A polygon needs three corners.");
    const before = tools.board.marks().length;
    if (again) tools.close();
    else tools.corner(tools.viewer.toStage(this.at), this.at);
    if (tools.open.length) announce(`Corner ${tools.open.length} at ${Math.floor(this.at[0])}, ${Math.floor(this.at[1])}`);
    else {
      const marks = tools.board.marks();
      announce(marks.length > before ? described(marks[before], marks.length) : "These corners enclose nothing.");
      this.at = null;
    }
    tools.draw();
  }

  /** Choose the next mark. @param {number} by 1 or -1 */
  mark(by) {
    const { tools } = this, marks = tools.board.marks();
    if (!marks.length || !tools.board.editable) return;
    if (tools.tool !== "select") tools.use("select");
    tools.selected = tools.selected < 0 ? (by > 0 ? 0 : marks.length - 1) : (tools.selected + by + marks.length) % marks.length;
    announce(`${described(marks[tools.selected], tools.selected + 1)}. Arrows move it.`);
    tools.board.told();
    tools.draw();
  }

  /** Choose the next corner of the selected mark; with none selected, of the last one. @param {number} by 1 or -1 */
  next(by) {
    const { tools } = this, marks = tools.board.marks();
    if (!marks.length || !tools.board.editable) return;
    if (tools.tool !== "select") tools.use("select");
    if (tools.selected < 0) tools.selected = marks.length - 1;
    const outline = corners(marks[tools.selected]), now = this.corner;
    this.place = now < 0 ? (by > 0 ? 0 : outline.length - 1) : (now + by + outline.length) % outline.length;
    this.of = tools.selected;
    const [x, y] = outline[this.place];
    announce(`Corner ${this.place + 1} of ${outline.length} at ${Math.floor(x)}, ${Math.floor(y)}. Arrows move it.`);
    tools.viewer.show([x, y], AHEAD);
    tools.board.told();
    tools.draw();
  }

  /** Add a corner halfway to the next one, and choose it. */
  add() {
    const { tools } = this, mark = tools.board.marks()[tools.selected], at = this.corner;
    if (!mark || at < 0 || mark.kind !== "polygon" || mark.points.length >= tools.board.limits.points) return;
    const [ax, ay] = mark.points[at], [bx, by] = mark.points[(at + 1) % mark.points.length];
    const middle = tools.clip([(ax + bx) / 2, (ay + by) / 2]);
    tools.replace(tools.selected, { ...mark, points: mark.points.toSpliced(at + 1, 0, middle) }, "");
    this.place = at + 1;
    announce(`Corner ${at + 2} of ${mark.points.length + 1} added`);
    tools.draw();
  }

  /** Take the chosen corner away. @returns {boolean} whether a corner was chosen */
  drop() {
    const { tools } = this, mark = tools.board.marks()[tools.selected], at = this.corner;
    if (at < 0) return false;
    if (mark.kind !== "polygon" || mark.points.length < 4) announce("Fewer corners would be no mark; Esc, then Delete removes it.");
    else {
      this.place = Math.min(at, mark.points.length - 2);
      tools.replace(tools.selected, { ...mark, points: mark.points.toSpliced(at, 1) }, "");
      announce("Corner removed");
    }
    return true;
  }

  /** @param {Point} to source pixels */
  go(to) {
    const { tools } = this;
    this.at = tools.cursor = tools.clip(to);
    tools.viewer.show(this.at, AHEAD);
    tools.board.told();
    tools.draw();
  }
}
