// The tools beside the film and the strip below it.

import { h } from "/static/dom.js";
import { keep, keeps } from "/static/looks.js";
import { plane } from "/static/measure.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

/** @param {CasePage} page */
export function toolbar(page) {
  const { tools, viewer } = page;
  const button = (/** @type {string} */ text, /** @type {string} */ key, /** @type {() => void} */ run, /** @type {string} */ tool = "") =>
    h("button", { type: "button", class: "tool", onclick: run, "data-tool": tool, "aria-keyshortcuts": key, title: `${text} (${key})`,
      "aria-pressed": tool ? "false" : undefined }, h("span", {}, text), h("kbd", { "aria-hidden": true }, key));
  const tool = (/** @type {any} */ name, /** @type {string} */ text, /** @type {string} */ key) => button(text, key, () => tools.use(name), name);
  const blind = page.blind;
  const made = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    tool("select", blind ? "Select" : "Pan", "V"), blind && tool("box", "Box", "B"), blind && tool("polygon", "Polygon", "P"),
    blind && tool("freehand", "Freehand", "F"), blind && tool("ellipse", "Ellipse", "E"), blind && tool("brush", "Brush", "D"), h("hr"),
    tool("window", "Window", "W"), tool("ruler", "Ruler", "R"), tool("angle", "Angle", "Q"), button("Magnify", "Z", () => page.lens.toggle()), h("hr"),
    button("Fit", "0", () => viewer.fit()), button("Larger", "+", () => viewer.zoom(viewer.view.scale * 1.25)),
    button("Smaller", "-", () => viewer.zoom(viewer.view.scale / 1.25)),
    button("Invert", "I", () => viewer.setWindow({ invert: !viewer.window.invert })),
    page.beside.count > 0 && button("Beside", "Y", () => void page.beside.turn()),
    blind && h("hr"),
    blind && button("Undo", "Ctrl+Z", () => page.undo()), blind && button("Redo", "Ctrl+Y", () => page.redo()),
    blind && button("Remove", "Del", () => tools.remove()));
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
  const presets = h("div", { class: "presets", role: "group", "aria-label": "Window presets" });
  const next = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "keep", onchange: () => keep(next.checked) }));
  next.checked = keeps();
  const clock = h("button", { type: "button", class: "small", id: "clock", onclick: () => page.pause() });
  const levels = h("output", { class: "figures" });
  let shown = null;
  const offer = () => {
    const film = viewer.film;
    if (!film || shown === film) return;
    shown = film;
    presets.replaceChildren(...film.presets().slice(0, 9).map(({ name }, i) =>
      h("button", { type: "button", class: "small", onclick: () => viewer.preset(i), "aria-keyshortcuts": String(i + 1) },
        name, " ", h("kbd", { "aria-hidden": true }, String(i + 1)))));
  };
  const tick = () => {
    const { text, why } = page.attention.shown();
    clock.textContent = why ? `${text} ${why}` : text;
    clock.setAttribute("aria-label", `Reading time ${text}${why ? `, ${why}` : ""}. ${page.attention.paused ? "Go on" : "Pause"}`);
  };
  const told = () => {
    offer();
    const film = viewer.film, at = tools.cursor, { centre, width, invert } = viewer.window;
    if (!film) return;
    const { about } = film, [low, high] = about.range, digits = high - low > 50 ? 0 : 3;
    const value = at && film.value(at[0], at[1]);
    const parts = [`zoom ${(viewer.view.scale * 100).toFixed(0)} %`, `window ${width.toFixed(digits)}`, `level ${centre.toFixed(digits)}`, invert ? "inverted" : "",
      about.view, about.note, at && value !== null ? `x ${Math.floor(at[0])} y ${Math.floor(at[1])}  value ${film.said(value)}` : ""];
    levels.textContent = parts.filter(Boolean).join("   ");
    levels.title = about.spacing ? `${about.spacing[1].toFixed(3)} × ${about.spacing[0].toFixed(3)} mm a pixel, ${plane(about)}` : "No pixel spacing: lengths are in pixels";
    tick();
  };
  viewer.onchange(told);
  document.addEventListener("told", told);
  const timer = window.setInterval(tick, 1000);
  page.ends.push(() => { clearInterval(timer); document.removeEventListener("told", told); });
  tick();
  return h("div", { class: "strip" }, presets, levels,
    h("label", { class: "check", for: "keep", title: "The next film begins with this zoom and window" }, next, "Keep view"), clock);
}
