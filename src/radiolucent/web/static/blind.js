// The panel of the blinded phase.

import { choices, h, setChoice, UNASSESSED } from "/static/dom.js";
import { bounds } from "/static/geometry.js";
import { statistics } from "/static/measure.js";
import { settling } from "/static/settle.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */
/** @typedef {import("/static/geometry.js").Mark} Mark */

export const SURE = /** @type {[string, string, string][]} */ ([
  ["1", "1", "a guess"], ["2", "2", "rather unsure"], ["3", "3", "fairly sure"], ["4", "4", "sure"], ["5", "5", "certain"]]);

/**
 * Draw the panel.
 * @param {CasePage} page
 * @returns {() => void} brings it in line with the draft
 */
export function blindPanel(page) {
  const { study, panel, tools } = page, settles = study.role === "adjudicator";
  const marks = h("ul", { class: "marks", "aria-label": "Marks" });
  const none = h("button", { type: "button", id: "nothing", "aria-pressed": "false", "aria-keyshortcuts": "N", onclick: () => page.nothing() }, "No finding ", h("kbd", { "aria-hidden": true }, "N"));
  const back = h("button", { type: "button", id: "back", hidden: true, onclick: () => page.bringBack() });
  const cannot = h("button", { type: "button", class: "small", id: "cannot", "aria-pressed": "false", onclick: () => page.cannot() }, "Cannot be assessed");
  const statement = /** @type {HTMLTextAreaElement} */ (h("textarea", {
    id: "statement", rows: 3, maxlength: study.limits.text, placeholder: "What you see, where, and what else it could be",
    oninput: () => page.change({ statement: statement.value }, "statement"),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") page.viewer.stage.focus(); },
  }));
  const terms = /** @type {HTMLSelectElement} */ (h("select", { id: "terms", "aria-label": "Add a term to the statement", onchange: () => {
    const words = page.draft.statement.trimEnd();
    if (terms.value) page.change({ statement: words ? `${words}${/[.;,:]$/.test(words) ? "" : ","} ${terms.value}` : terms.value }, "");
    terms.value = "";
  } }, h("option", { value: "" }, "Add a term…"), ...study.vocabulary.map((t) => h("option", { value: t }, t))));
  const lock = h("button", { type: "button", class: "primary wide", id: "lock", "aria-keyshortcuts": "Control+Enter", onclick: () => void page.lock() },
    settles ? "Settle this case " : "Lock and reveal ", h("kbd", { "aria-hidden": true }, "Ctrl + Enter"));
  const missing = h("p", { class: "hint", id: "missing" });
  panel.replaceChildren(
    h("div", { class: "scroll" },
      h("p", { class: "phase" }, h("b", {}, settles ? "Settle what the readers said" : "Step 1 of 2: your own reading"), h("br"),
        settles ? "Their names and the model are not shown." : "The model stays hidden until you lock."),
      settles && settling(page),
      h("section", {}, h("h2", {}, "Findings"), marks, back, none),
      h("section", {}, choices({ name: "label", legend: "Diagnosis", options: study.labels.map((l) => [l, l]), value: null, onchoose: (label) => page.change({ label }, "") }), cannot),
      choices({ name: "confidence", legend: "How sure are you?", options: SURE, value: null, hint: "1 a guess, 3 fairly sure, 5 certain",
        onchoose: (value) => page.change({ confidence: Number(value) }, "") }),
      h("section", {}, h("div", { class: "pair" }, h("label", { for: "statement" }, "Statement ", h("kbd", { "aria-hidden": true }, "T")), terms), statement),
      page.note.element),
    h("div", { class: "foot" }, missing, lock));

  let drawn = "";
  const told = () => { const key = `${tools.selected}`; if (key !== drawn) { drawn = key; list(); } };
  const list = () => {
    const kept = document.activeElement?.id || document.activeElement?.getAttribute("aria-label");
    const items = page.draft.marks.map((mark, i) => line(page, mark, i));
    const text = page.draft.finding === false ? "No finding." : "Nothing marked yet. Box (B), outline (P, F) or ellipse (E).";
    marks.replaceChildren(...(items.length ? items : [h("li", { class: "hint" }, text)]));
    const again = kept && [...marks.querySelectorAll("button, select")].find((b) => b.id === kept || b.getAttribute("aria-label") === kept);
    if (again) /** @type {HTMLElement} */ (again).focus({ preventScroll: true });
  };
  document.addEventListener("told", told);
  page.ends.push(() => document.removeEventListener("told", told));
  return () => {
    const { finding, label, confidence, statement: words, marks: drawnMarks } = page.draft;
    list();
    none.setAttribute("aria-pressed", String(finding === false));
    cannot.setAttribute("aria-pressed", String(label === UNASSESSED));
    const gone = page.removed.length && !drawnMarks.length ? page.removed.length : 0;
    back.hidden = !gone;
    back.textContent = `Bring back ${gone} removed mark${gone === 1 ? "" : "s"}`;
    setChoice("label", label);
    setChoice("confidence", confidence === null ? null : String(confidence));
    if (statement.value !== words) statement.value = words;
    const left = page.missing();
    missing.textContent = left.length ? `Still to do: ${left.join("; ")}.` : "Complete. Locking is for good.";
    lock.classList.toggle("ready", !left.length);
  };
}

/** A mark in the list; of the chosen one also what it is, how sure the reader is of it, and its values. @param {CasePage} page @param {Mark} mark @param {number} i */
function line(page, mark, i) {
  const { tools, study } = page, [l, t, r, b] = bounds(mark).map(Math.round), chosen = i === tools.selected;
  const choose = () => { tools.tool === "select" || tools.use("select"); tools.selected = i; tools.draw(); page.refresh(); page.viewer.stage.focus({ preventScroll: true }); };
  const remove = () => { tools.selected = i; tools.keyboard.rest(); tools.remove(); page.viewer.stage.focus({ preventScroll: true }); };
  const say = (/** @type {Partial<Mark>} */ part) => tools.replace(i, { ...mark, ...part }, "");
  const pick = (/** @type {string} */ id, /** @type {string} */ name, /** @type {string} */ empty, /** @type {[string, string][]} */ options, /** @type {string} */ value, /** @type {(v: string) => void} */ run) => {
    const made = /** @type {HTMLSelectElement} */ (h("select", { id, "aria-label": name, onchange: () => run(made.value) },
      h("option", { value: "" }, empty), ...options.map(([key, text]) => h("option", { value: key }, text))));
    made.value = value;
    return made;
  };
  const name = mark.type ?? `${mark.kind === "box" ? "Box" : "Outline"} ${i + 1}`, size = `${r - l} × ${b - t} px`;
  const film = page.viewer.film, found = chosen && film ? statistics(film, mark) : null;
  return h("li", { class: chosen ? "chosen" : "" },
    h("div", { class: "one" },
      h("button", { type: "button", class: "mark", onclick: choose, "aria-pressed": String(chosen), "aria-label": `${name} ${size} at ${l}, ${t}` },
        name, " ", h("span", {}, size)),
      h("button", { type: "button", class: "small", onclick: remove, "aria-label": `Remove mark ${i + 1}` }, "Remove")),
    chosen && h("div", { class: "one" },
      pick(`type-${i}`, `What mark ${i + 1} is`, "What is it?", study.vocabulary.map((v) => [v, v]), mark.type ?? "", (v) => say({ type: v || null })),
      pick(`sure-${i}`, `How sure of mark ${i + 1}`, "How sure?", SURE.map(([v, , text]) => [v, `${v} ${text}`]), mark.confidence ? String(mark.confidence) : "", (v) => say({ confidence: v ? Number(v) : null }))),
    film && found && h("p", { class: "hint" }, `mean ${found.mean.toFixed(1)}, SD ${found.sd.toFixed(1)}, ${film.said(found.low)} to ${film.said(found.high)}`
      + `${found.area === null ? "" : `; ${(found.area / 100).toFixed(1)} cm²${film.about.plane === "patient" ? "" : " (detector)"}`}`));
}
