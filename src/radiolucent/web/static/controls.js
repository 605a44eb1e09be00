// The tools beside the film, the strip below it, and the keys that both phases share.

import { h } from "/static/dom.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

/** @param {CasePage} page */
export function toolbar(page) {
  const { tools, viewer } = page;
  const button = (/** @type {string} */ text, /** @type {string} */ key, /** @type {() => void} */ run, /** @type {string} */ tool = "") => {
    const made = h("button", { type: "button", class: "tool", onclick: run, "data-tool": tool, "aria-keyshortcuts": key, title: `${text} (${key})`,
      "aria-pressed": tool ? "false" : undefined }, h("span", {}, text), h("kbd", { "aria-hidden": true }, key));
    return made;
  };
  const tool = (/** @type {any} */ name, /** @type {string} */ text, /** @type {string} */ key) => button(text, key, () => tools.use(name), name);
  const made = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    tool("select", page.blind ? "Select" : "Pan", "V"), page.blind && tool("box", "Box", "B"), page.blind && tool("polygon", "Polygon", "P"),
    tool("window", "Window", "W"), h("hr"),
    button("Fit", "0", () => viewer.fit()), button("Invert", "I", () => viewer.setWindow({ invert: !viewer.window.invert })),
    page.blind && h("hr"),
    page.blind && button("Undo", "Ctrl+Z", () => page.undo()), page.blind && button("Redo", "Ctrl+Y", () => page.redo()),
    page.blind && button("Remove", "Del", () => tools.remove()));
  const told = () => {
    for (const one of made.querySelectorAll("[data-tool]:not([data-tool=''])")) {
      one.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (one).dataset.tool === tools.tool));
    }
  };
  document.addEventListener("told", told);
  page.ends.push(() => document.removeEventListener("told", told));
  return made;
}

/** @param {CasePage} page */
export function strip(page) {
  const { viewer, tools } = page;
  const presets = ["Full", "Auto", "Lung", "Bone", "Contrast"].map((name, i) =>
    h("button", { type: "button", class: "small", onclick: () => viewer.preset(i), "aria-keyshortcuts": String(i + 1), "aria-label": `Window preset ${name}` },
      name, " ", h("kbd", { "aria-hidden": true }, String(i + 1))));
  const levels = h("output", { class: "figures" });
  const told = () => {
    const { centre, width, invert } = viewer.window, at = tools.cursor;
    const inside = at && at[0] >= 0 && at[1] >= 0 && at[0] < viewer.width && at[1] < viewer.height;
    levels.textContent = `zoom ${(viewer.view.scale * 100).toFixed(0)} %   window ${(width * 100).toFixed(0)}   level ${(centre * 100).toFixed(0)}`
      + (invert ? "   inverted" : "") + (inside ? `   x ${Math.floor(at[0])} y ${Math.floor(at[1])}` : "");
  };
  viewer.onchange(told);
  document.addEventListener("told", told);
  page.ends.push(() => document.removeEventListener("told", told));
  return h("div", { class: "strip" }, h("div", { class: "presets", role: "group", "aria-label": "Window presets" }, ...presets), levels);
}

/** @param {CasePage} page @returns {import("/static/keys.js").Binding[]} */
export function commonKeys(page) {
  const { viewer, tools } = page;
  return [
    { keys: ["W"], group: "Film", what: "window tool: drag for window and level", run: () => tools.use("window") },
    ...[0, 1, 2, 3, 4].map((i) => ({ keys: [String(i + 1)], show: ["1", "2", "3", "4", "5"], group: i ? "" : "Film", what: "windows Full, Auto, Lung, Bone, Contrast", run: () => void viewer.preset(i) })),
    { keys: ["I"], group: "Film", what: "invert", run: () => viewer.setWindow({ invert: !viewer.window.invert }) },
    { keys: ["0"], group: "Film", what: "fit the whole film", run: () => viewer.fit() },
    { keys: ["+", "="], group: "Film", what: "larger", run: () => viewer.zoom(viewer.view.scale * 1.25) },
    { keys: ["-"], group: "Film", what: "smaller", run: () => viewer.zoom(viewer.view.scale / 1.25) },
    { keys: ["wheel"], group: "Film", what: "zoom where the pointer is" },
    { keys: ["right drag"], group: "Film", what: "window and level, with any tool" },
    { keys: ["middle drag"], group: "Film", what: "move the film" },
    { keys: ["PageUp"], group: "Cases", what: "case before", run: () => page.turn(-1) },
    { keys: ["PageDown"], group: "Cases", what: "case after", run: () => page.turn(1) },
    { keys: ["?"], group: "Cases", what: "this help", run: () => page.help() },
  ];
}
