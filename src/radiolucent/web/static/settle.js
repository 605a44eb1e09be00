// Settling what several readers said: their readings under letters, and marks to take over.

import { json } from "/static/api.js";
import { h, UNASSESSED } from "/static/dom.js";
import { described } from "/static/geometry.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */
/** @typedef {{name: string, label: string, confidence: number | null, statement: string, marks: import("/static/geometry.js").Mark[]}} Opinion */

/** What the readers said, each with their marks. @param {CasePage} page */
export function settling(page) {
  const at = h("section", { id: "opinions", "aria-label": "What the readers said" }, h("p", { class: "hint" }, "Loading what the readers said…"));
  const take = (/** @type {Opinion} */ said) => {
    const own = page.draft.marks, more = said.marks.filter((m) => !own.some((o) => JSON.stringify(o.points) === JSON.stringify(m.points)));
    const { label, confidence } = said;
    page.change({ marks: [...own, ...more], label, confidence, finding: label === UNASSESSED ? null : own.length + more.length > 0 }, "");
  };
  const one = (/** @type {import("/static/geometry.js").Mark} */ mark, /** @type {string} */ name, /** @type {number} */ i) => h("li", {}, described(mark, i + 1), " ",
    h("button", { type: "button", class: "small", "aria-label": `Take mark ${i + 1} of ${name}`, onclick: () => page.change({ marks: [...page.draft.marks, mark], finding: true }, "") }, "Take"));
  const shown = (/** @type {Opinion} */ said) => h("div", { class: "opinion" },
    h("div", { class: "pair" }, h("h3", {}, said.name), h("button", { type: "button", class: "small", onclick: () => take(said), "aria-label": `Take all of ${said.name}` }, "Take all")),
    h("p", {}, `${said.label}${said.confidence ? `, confidence ${said.confidence} of 5` : ""}`),
    said.statement && h("blockquote", {}, said.statement),
    h("ul", {}, ...(said.marks.length ? said.marks.map((m, i) => one(m, said.name, i)) : [h("li", {}, "No mark")])));
  json(`/api/cases/${page.id}/opinions`).then((/** @type {Opinion[]} */ found) => {
    at.replaceChildren(h("h2", {}, "What the readers said"), ...found.map(shown));
    page.tools.others = found.flatMap((o) => o.marks);
    page.tools.draw();
  }, (error) => at.replaceChildren(h("p", { class: "problem" }, error.message)));
  return at;
}

/** A settled case: nothing to compare, the model stays hidden. @param {CasePage} page */
export function settledPanel(page) {
  const { label, confidence, statement } = page.given.reading;
  page.panel.replaceChildren(h("div", { class: "scroll" },
    h("p", { class: "phase" }, h("b", {}, "Settled. "), "Nothing changes any more."),
    h("p", { class: "headline" }, `${label}${confidence ? `, confidence ${confidence} of 5` : ""}`),
    h("ul", {}, ...(page.draft.marks.length ? page.spoken().map((t) => h("li", {}, t)) : [h("li", {}, "No mark")])),
    statement && h("blockquote", {}, statement), page.note.element),
  h("div", { class: "foot" }, h("button", { type: "button", class: "primary wide ready", id: "finish", onclick: () => page.next() }, "Next case")));
}
