// The panel of the blinded phase.

import { choices, h, setChoice } from "/static/dom.js";
import { bounds, described } from "/static/geometry.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

export const SURE = /** @type {[string, string, string][]} */ ([
  ["1", "1", "a guess"], ["2", "2", "rather unsure"], ["3", "3", "fairly sure"], ["4", "4", "sure"], ["5", "5", "certain"]]);

/**
 * Draw the panel.
 * @param {CasePage} page
 * @returns {() => void} brings it in line with the draft
 */
export function blindPanel(page) {
  const { study, panel, tools } = page;
  const marks = h("ul", { class: "marks", "aria-label": "Marks" });
  const none = h("button", { type: "button", id: "nothing", "aria-pressed": "false", "aria-keyshortcuts": "N", onclick: () => page.nothing() }, "No finding ", h("kbd", { "aria-hidden": true }, "N"));
  const statement = /** @type {HTMLTextAreaElement} */ (h("textarea", {
    id: "statement", rows: 3, maxlength: study.limits.text, placeholder: "What you see, where, and what else it could be",
    oninput: () => page.change({ statement: statement.value }, "statement"),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") page.viewer.stage.focus(); },
  }));
  const lock = h("button", { type: "button", class: "primary wide", id: "lock", "aria-keyshortcuts": "Control+Enter", onclick: () => void page.lock() },
    "Lock and reveal ", h("kbd", { "aria-hidden": true }, "Ctrl + Enter"));
  const missing = h("p", { class: "hint", id: "missing" });
  panel.replaceChildren(
    h("div", { class: "scroll" },
      h("p", { class: "phase" }, h("b", {}, "Step 1 of 2: your own reading"), h("br"), "The model stays hidden until you lock."),
      h("section", {}, h("h2", {}, "Findings"), marks, none),
      choices({ name: "label", legend: "Diagnosis", options: study.labels.map((l) => [l, l]), value: null, onchoose: (label) => page.change({ label }, "") }),
      choices({ name: "confidence", legend: "How sure are you?", options: SURE, value: null, hint: "1 a guess, 3 fairly sure, 5 certain",
        onchoose: (value) => page.change({ confidence: Number(value) }, "") }),
      h("section", {}, h("label", { for: "statement" }, "Statement ", h("kbd", { "aria-hidden": true }, "T")), statement)),
    h("div", { class: "foot" }, missing, lock));

  const line = (/** @type {import("/static/geometry.js").Mark} */ mark, /** @type {number} */ i) => {
    const [l, t, r, b] = bounds(mark).map(Math.round);
    const choose = () => { tools.tool === "select" || tools.use("select"); tools.selected = i; tools.draw(); page.refresh(); page.viewer.stage.focus({ preventScroll: true }); };
    const remove = () => { tools.selected = i; tools.remove(); page.viewer.stage.focus({ preventScroll: true }); };
    return h("li", { class: i === tools.selected ? "chosen" : "" },
      h("button", { type: "button", class: "mark", onclick: choose, "aria-pressed": String(i === tools.selected), "aria-label": described(mark, i + 1) },
        `${mark.kind === "box" ? "Box" : "Polygon"} ${i + 1}`, h("span", {}, `${r - l} × ${b - t} px`)),
      h("button", { type: "button", class: "small", onclick: remove, "aria-label": `Remove mark ${i + 1}` }, "Remove"));
  };
  let drawn = "";
  const told = () => { const key = `${tools.selected}`; if (key !== drawn) { drawn = key; list(); } };
  const list = () => {
    const kept = document.activeElement?.getAttribute("aria-label");
    const items = page.draft.marks.map(line);
    const text = page.draft.finding === false ? "No finding." : "Nothing marked yet. Box (B) or Polygon (P).";
    marks.replaceChildren(...(items.length ? items : [h("li", { class: "hint" }, text)]));
    const again = kept && [...marks.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === kept);
    if (again) again.focus({ preventScroll: true });
  };
  document.addEventListener("told", told);
  page.ends.push(() => document.removeEventListener("told", told));
  return () => {
    const { finding, label, confidence, statement: words } = page.draft;
    list();
    none.setAttribute("aria-pressed", String(finding === false));
    setChoice("label", label);
    setChoice("confidence", confidence === null ? null : String(confidence));
    if (statement.value !== words) statement.value = words;
    const left = page.missing();
    missing.textContent = left.length ? `Still to do: ${left.join("; ")}.` : "Complete. Locking is for good.";
    lock.classList.toggle("ready", !left.length);
  };
}
