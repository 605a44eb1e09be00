// Marks and measures over the film. Outlines only, as wide on screen at every zoom: a fill would tint the finding.

import { svg } from "/static/dom.js";
import { corners, handles } from "/static/geometry.js";
import { inWords } from "/static/measure.js";

/** @typedef {import("/static/geometry.js").Point} Point */
/** @typedef {import("/static/geometry.js").Mark} Mark */
/** @typedef {import("/static/viewer.js").Viewer} Viewer */

/** @param {import("/static/tools.js").Tools} tools */
export function drawShapes(tools) {
  const { viewer, board, keyboard, open, trace } = tools, made = [];
  const marks = board.marks();
  if (tools.selected >= marks.length) tools.selected = -1;
  const ghosting = tools.ghost && tools.drop && tools.tool === "select" ? tools.selected : -1;
  marks.forEach((mark, i) => made.push(...outline(viewer, i === ghosting && tools.ghost ? tools.ghost : mark, i === tools.selected ? "chosen" : "mark")));
  for (const mark of tools.others) made.push(...outline(viewer, mark, "other"));
  if (tools.ghost && ghosting < 0) made.push(...outline(viewer, tools.ghost, "chosen"));
  const chosen = ghosting >= 0 ? tools.ghost : marks[tools.selected];
  if (chosen && board.editable && tools.tool === "select") {
    for (const { at, add, corner } of handles(chosen)) {
      const [x, y] = viewer.toStage(at), held = !add && corner === keyboard.corner;
      made.push(svg("circle", { cx: x, cy: y, r: add ? 3 : held ? 7 : 5, class: add ? "grip add" : held ? "grip held" : "grip" }));
    }
  }
  if (open.length) {
    const corner = [...open, ...(tools.cursor ? [tools.clip(tools.cursor)] : [])];
    made.push(...line(viewer, corner));
    for (const p of open) made.push(dot(viewer.toStage(p)));
  }
  if (trace.length && tools.tool === "brush") made.push(...painted(viewer, trace, tools.brush));
  else if (trace.length) made.push(...line(viewer, trace));
  else if (tools.tool === "brush" && tools.cursor && board.editable) {
    const [x, y] = viewer.toStage(tools.cursor);
    made.push(svg("circle", { cx: x, cy: y, r: tools.brush, class: "chosen" }));
  }
  for (const measure of tools.measures) made.push(...measured(viewer, measure));
  if (keyboard.at) made.push(...cross(viewer.toStage(keyboard.at)));
  viewer.shapes.replaceChildren(...made);
}

/** @param {Point} at stage pixels */
const dot = ([x, y]) => svg("circle", { cx: x, cy: y, r: 4, class: "grip" });

/** @param {Viewer} viewer @param {Point[]} points */
const joined = (viewer, points) => points.map((p) => viewer.toStage(p).map((v) => v.toFixed(2)).join(",")).join(" ");

/** @param {Viewer} viewer @param {Point[]} points */
function line(viewer, points) {
  const at = joined(viewer, points);
  return [svg("polyline", { points: at, class: "halo" }), svg("polyline", { points: at, class: "chosen" })];
}

/** @param {Viewer} viewer @param {Point[]} points @param {number} radius */
function painted(viewer, points, radius) {
  const at = joined(viewer, points.length > 1 ? points : [points[0], points[0]]);
  return [svg("polyline", { points: at, class: "paint", "stroke-width": 2 * radius })];
}

/** @param {Viewer} viewer @param {import("/static/tools.js").Measure} measure */
function measured(viewer, measure) {
  const [x, y] = viewer.toStage(measure.points[Math.min(1, measure.points.length - 1)]);
  const text = svg("text", { x: x + 10, y: y - 8, class: "figure" });
  text.textContent = inWords(measure, viewer.film?.about ?? null);
  const points = joined(viewer, measure.points);
  return [svg("polyline", { points, class: "halo" }), svg("polyline", { points, class: "measure" }), ...measure.points.map((p) => dot(viewer.toStage(p))), text];
}

/** The keyboard's cursor: open in the middle, where the finding is. @param {Point} at stage pixels */
function cross([x, y]) {
  const d = [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([a, b]) => `M${x + 4 * a} ${y + 4 * b}l${12 * a} ${12 * b}`).join("");
  return [svg("path", { d, class: "halo" }), svg("path", { d, class: "chosen cross" })];
}

/** @param {Viewer} viewer @param {Mark} mark @param {string} kind */
function outline(viewer, mark, kind) {
  const points = joined(viewer, corners(mark));
  return [svg("polygon", { points, class: "halo" }), svg("polygon", { points, class: kind })];
}
