// Choosing a map, its opacity and threshold, and the reader's marks measured against it.

import { json, patient } from "/static/api.js";
import { announce, choices, h, setChoice } from "/static/dom.js";
import { clamp } from "/static/geometry.js";
import { Overlay } from "/static/overlay.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

/** @param {CasePage} page @param {HTMLElement} at */
export function mapControls(page, at) {
  const { viewer } = page;
  /** @type {Map<string, Overlay>} */
  const loaded = new Map();
  /** @type {string[]} */
  let methods = [];
  /** @type {Record<string, string>} */
  let called = {};
  let chosen = "off", last = "", opacity = 45, threshold = 40, asked = 0, timer = 0;
  const figures = h("dl", { class: "live", id: "live", "aria-live": "polite" });
  const stamp = h("p", { class: "stamp", id: "stamp", "aria-live": "polite" });
  const slider = (/** @type {string} */ id, /** @type {string} */ text, /** @type {string} */ keys, /** @type {number} */ value, /** @type {(v: number) => void} */ run) => {
    const out = h("output", { for: id }, `${value} %`);
    const input = /** @type {HTMLInputElement} */ (h("input", { type: "range", id, min: id === "threshold" ? 5 : 0, max: 100, step: 5, value,
      oninput: () => { run(Number(input.value)); out.textContent = `${input.value} %`; } }));
    return { input, out, row: h("div", { class: "slider" }, h("label", { for: id }, text, " ", h("kbd", { "aria-hidden": true }, keys)), input, out) };
  };
  const see = slider("opacity", "Opacity", "[ ]", opacity, (v) => { opacity = v; viewer.overlay.style.opacity = String(v / 100); });
  const cut = slider("threshold", "Threshold", ", .", threshold, (v) => { threshold = v; paint(); });

  const paint = () => {
    const map = loaded.get(chosen);
    viewer.overlay.hidden = !map;
    if (!map) { figures.replaceChildren(); stamp.textContent = ""; return; }
    viewer.overlay.style.opacity = String(opacity / 100);
    map.paint(viewer, threshold / 100);
    clearTimeout(timer);
    timer = window.setTimeout(() => void measure(), 80);
  };

  const measure = async () => {
    const turn = ++asked, method = chosen, share = threshold / 100;
    if (!loaded.has(method)) return; // another map was chosen meanwhile, and is still being computed
    const found = await json(`/api/cases/${page.id}/maps/${method}/agreement?threshold=${share.toFixed(2)}`).catch(() => null);
    if (!found || turn !== asked || method !== chosen) return;
    const percent = (/** @type {number} */ v) => `${(100 * v).toFixed(0)} %`;
    const rows = found.reason ? [["Your marks and this map", found.reason]] : [
      ["Strongest point is in your marks", found.hit === 1 ? "yes" : found.hit === 0 ? "no" : `${percent(found.hit)} of it`],
      ["Map inside your marks", percent(found.energy)],
      ["… of a map that saw nothing", percent(found.area)],
      ["Overlap at this threshold (IoU)", found.iou.toFixed(2)],
    ];
    figures.replaceChildren(...rows.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
  };

  /** Say whether a map deserves belief, as the report does. */
  const trust = async (/** @type {string} */ method) => {
    if (method === "off") return;
    stamp.dataset.verdict = "";
    stamp.textContent = "trust: being tested…";
    const answer = await patient(`/api/cases/${page.id}/maps/${method}/trust`, () => page.open && chosen === method).catch(() => null);
    if (chosen !== method || !page.open) return;
    const found = answer ? await answer.json() : { verdict: "", line: "" };
    stamp.dataset.verdict = found.verdict;
    stamp.textContent = found.line;
  };

  const use = async (/** @type {string} */ method) => {
    chosen = method;
    setChoice("map", method);
    if (method !== "off") last = method;
    if (method !== "off" && !loaded.has(method)) {
      figures.replaceChildren(h("dt", {}, `${called[method] ?? method} is being computed…`));
      try {
        const answer = await patient(`/api/cases/${page.id}/maps/${method}`, () => page.open);
        if (!answer) return;
        loaded.set(method, new Overlay(await answer.arrayBuffer(), JSON.parse(answer.headers.get("x-map") ?? "{}")));
      } catch (error) {
        if (chosen === method) { viewer.overlay.hidden = true; figures.replaceChildren(h("dt", {}, /** @type {Error} */ (error).message)); }
        return;
      }
    }
    if (chosen !== method) return;
    void trust(method);
    announce(method === "off" ? "Map off" : `${called[method] ?? method} shown`);
    paint();
  };

  const step = (/** @type {typeof see} */ one, /** @type {number} */ by) => {
    one.input.value = String(clamp(Number(one.input.value) + by, Number(one.input.min), 100));
    one.input.dispatchEvent(new Event("input"));
  };
  const toggle = (/** @type {string} */ method) => { if (methods.includes(method)) void use(chosen === method ? "off" : method); };
  viewer.overlay.hidden = true;
  return {
    /** Show which maps there are, the first one on. @param {string[]} names @param {string} target @param {Record<string, string>} words */
    async offer(names, target, words) {
      methods = names;
      called = words;
      const options = /** @type {[string, string][]} */ ([["off", "Off"], ...names.map((n) => [n, called[n] ?? n])]);
      at.replaceChildren(h("section", {},
        choices({ name: "map", legend: `What speaks for ${target}`, options, value: "off", onchoose: (v) => void use(v) }),
        see.row, cut.row,
        h("div", { class: "legend" }, h("span", {}, "weakest"), h("span", { class: "ramp", "aria-hidden": true }), h("span", {}, "strongest on this film")), stamp, figures));
      if (names.length) await use(names[0]);
    },
    bindings: /** @type {import("/static/keys.js").Binding[]} */ ([
      { keys: ["G"], group: "Maps", what: "Grad-CAM", run: () => toggle("gradcam") },
      { keys: ["L"], group: "Maps", what: "LIME", run: () => toggle("lime") },
      { keys: ["M"], group: "Maps", what: "next map", run: () => { if (methods.length) void use(methods[(methods.indexOf(chosen) + 1) % methods.length]); } },
      { keys: ["O"], group: "Maps", what: "map on and off", run: () => void use(chosen === "off" ? last || methods[0] || "off" : "off") },
      { keys: ["["], group: "Maps", what: "less opaque", held: true, run: () => step(see, -5) },
      { keys: ["]"], group: "Maps", what: "more opaque", held: true, run: () => step(see, 5) },
      { keys: [","], group: "Maps", what: "lower threshold", held: true, run: () => step(cut, -5) },
      { keys: ["."], group: "Maps", what: "higher threshold", held: true, run: () => step(cut, 5) },
    ]),
    end() { clearTimeout(timer); loaded.clear(); },
  };
}
