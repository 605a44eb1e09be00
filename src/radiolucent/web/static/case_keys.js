// What the keys do in a case; the help page shows the same list.

/** @typedef {import("/static/case.js").CasePage} CasePage */
/** @typedef {import("/static/keys.js").Binding} Binding */

/** @param {CasePage} page @returns {Binding[]} */
export function commonKeys(page) {
  const { viewer, tools } = page;
  return [
    { keys: ["W"], group: "Film", what: "window tool: drag for window and level", run: () => tools.use("window") },
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => ({ keys: [String(i + 1)], show: ["1", "…", "9"], group: i ? "" : "Film", what: "windows: the header's first, then those below the film", run: () => void viewer.preset(i) })),
    { keys: ["I"], group: "Film", what: "invert", run: () => viewer.setWindow({ invert: !viewer.window.invert }) },
    { keys: ["0"], group: "Film", what: "fit the whole film", run: () => viewer.fit() },
    { keys: ["+", "="], group: "Film", what: "larger", held: true, run: () => viewer.zoom(viewer.view.scale * 1.25) },
    { keys: ["-"], group: "Film", what: "smaller", held: true, run: () => viewer.zoom(viewer.view.scale / 1.25) },
    { keys: ["Z"], group: "Film", what: "magnifier on and off", run: () => page.lens.toggle() },
    { keys: ["R"], group: "Film", what: "ruler: drag", run: () => tools.use("ruler") },
    { keys: ["Q"], group: "Film", what: "angle: drag one arm, then the other", run: () => tools.use("angle") },
    { keys: ["Y"], group: "Film", what: "the patient's other film beside it", run: () => void page.beside.turn() },
    { keys: ["wheel"], group: "Film", what: "zoom where the pointer is" },
    { keys: ["right drag"], group: "Film", what: "window and level, with any tool" },
    { keys: ["middle drag"], group: "Film", what: "move the film" },
    { keys: ["X"], group: "Cases", what: "flag to look at again", run: () => page.note.flag() },
    { keys: ["U"], group: "Cases", what: "pause the clock and hide the film", run: () => page.pause() },
    { keys: ["PageUp"], group: "Cases", what: "case before", run: () => page.turn(-1) },
    { keys: ["PageDown"], group: "Cases", what: "case after", run: () => page.turn(1) },
    { keys: ["?"], group: "Cases", what: "this help", run: () => page.help() },
  ];
}

/** @param {CasePage} page @returns {Binding[]} */
export function blindKeys(page) {
  const { tools } = page;
  const arrows = /** @type {[string, number, number][]} */ ([["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]]);
  const nudge = (/** @type {string} */ prefix, /** @type {import("/static/keyboard_marking.js").Step} */ step, /** @type {string} */ what) =>
    arrows.map(([key, x, y], i) => ({ keys: [prefix + key], group: i ? "" : "Keyboard alone", what, held: true, run: () => page.arrow(x, y, step) }));
  return [
    { keys: ["B"], group: "Marks", what: "draw a box", run: () => tools.use("box") },
    { keys: ["P"], group: "Marks", what: "draw a polygon, corner by corner", run: () => tools.use("polygon") },
    { keys: ["F"], group: "Marks", what: "draw an outline by hand", run: () => tools.use("freehand") },
    { keys: ["E"], group: "Marks", what: "draw an ellipse", run: () => tools.use("ellipse") },
    { keys: ["D"], group: "Marks", what: "paint a mark, or more of the chosen one; Shift wipes", run: () => tools.use("brush") },
    { keys: ["["], group: "Marks", what: "smaller brush", held: true, run: () => { tools.brush = Math.max(4, tools.brush - 3); tools.draw(); } },
    { keys: ["]"], group: "Marks", what: "larger brush", held: true, run: () => { tools.brush = Math.min(120, tools.brush + 3); tools.draw(); } },
    { keys: ["V"], group: "Marks", what: "select, move and bend marks", run: () => tools.use("select") },
    { keys: ["Enter"], group: "Marks", what: "close the polygon", run: () => tools.enter() },
    { keys: ["Delete", "Backspace"], group: "Marks", what: "remove the mark, or a corner", run: () => tools.remove() },
    { keys: ["Escape"], group: "Marks", what: "let go", run: () => tools.escape() },
    { keys: ["B", "Enter"], group: "Keyboard alone", what: "a box in the middle of the view" },
    { keys: ["P", "Enter"], group: "Keyboard alone", what: "a cursor; Enter puts a corner, Enter again closes" },
    ...nudge("", "one", "move cursor, corner or mark by 1 pixel; else the film"),
    ...nudge("Shift+", "ten", "… by 10 pixels"),
    ...nudge("Alt+", "more", "… by 50 pixels; a whole box: its size"),
    { keys: ["S"], group: "Keyboard alone", what: "next mark", run: () => tools.keyboard.mark(1) },
    { keys: ["Shift+S"], group: "", what: "mark before", run: () => tools.keyboard.mark(-1) },
    { keys: ["C"], group: "Keyboard alone", what: "next corner of the mark", run: () => tools.keyboard.next(1) },
    { keys: ["Shift+C"], group: "", what: "corner before", run: () => tools.keyboard.next(-1) },
    { keys: ["A"], group: "Keyboard alone", what: "add a corner after it", run: () => tools.keyboard.add() },
    { keys: ["Ctrl+Z"], group: "Reading", what: "undo", held: true, run: () => page.undo() },
    { keys: ["Ctrl+Y", "Ctrl+Shift+Z"], group: "Reading", what: "redo", held: true, run: () => page.redo() },
    { keys: ["N"], group: "Reading", what: "no finding", run: () => page.nothing() },
    { keys: ["T"], group: "Reading", what: "write the statement (Esc: back to the film)", run: () => document.getElementById("statement")?.focus() },
    { keys: ["Ctrl+Enter"], group: "Reading", what: "lock and reveal", typing: true, run: () => void page.lock() },
  ];
}
