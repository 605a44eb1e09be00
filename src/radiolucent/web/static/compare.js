// The second phase: the model, its maps, and the final answer.

import { json, patient } from "/static/api.js";
import { Autosave, show } from "/static/autosave.js";
import { SURE } from "/static/blind.js";
import { announce, byId, choices, h, UNASSESSED } from "/static/dom.js";
import { dialog } from "/static/keys.js";
import { mapControls } from "/static/maps.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

const AGREE = /** @type {[string, string, string?][]} */ ([["agree", "Yes"], ["partly", "Partly"], ["disagree", "No"]]);

/**
 * Draw the panel.
 * @param {CasePage} page
 * @returns {{bindings: import("/static/keys.js").Binding[], end: () => void}}
 */
export function compare(page) {
  const { study, id, panel, given } = page;
  const { label, confidence, agree, why, finished, revision } = given.final;
  const answer = { label: revision ? label : given.reading.label, confidence: revision ? confidence : given.reading.confidence, agree, why };
  const model = h("section", { class: "model", id: "model", "aria-live": "polite" }, h("h2", {}, "Model"), h("p", { class: "hint" }, "The model is looking at this film…"));
  const maps = h("div", { id: "maps" });
  const autosave = finished ? null : new Autosave({
    path: `/api/cases/${id}/final`, revision,
    content: () => ({ ...answer, seconds: page.attention.take(), finish: closing }),
    ondone: (saved) => { if (saved.finished) over(); },
    onstale: () => page.stale(),
  });
  let closing = false;
  page.autosave = autosave ?? undefined;
  const over = () => { autosave?.close(); show("saved", "Finished and saved"); announce("Case finished"); page.next(); };
  const change = (/** @type {object} */ part) => { Object.assign(answer, part); autosave?.touch(); };
  const reason = /** @type {HTMLTextAreaElement} */ (h("textarea", {
    id: "why", rows: 2, maxlength: study.limits.text, disabled: Boolean(finished), placeholder: "Why, or why not",
    oninput: () => change({ why: reason.value }),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") page.viewer.stage.focus(); },
  }));
  reason.value = answer.why;
  const finish = async () => {
    if (!autosave) return page.next();
    if (closing) return;
    if (!answer.agree || !answer.label || (!answer.confidence && answer.label !== UNASSESSED)) {
      dialog("Not complete yet", "Say whether you agree with the model, your final diagnosis, and how sure you are.", [["Go on", null]]);
      return;
    }
    const odd = disputed(answer, page.called);
    dialog("Finish this case?", h("div", {}, h("p", {}, h("b", {}, `${answer.label}${answer.confidence ? `, confidence ${answer.confidence} of 5` : ""}.`)),
      odd && h("p", { class: "problem", id: "odd" }, `${odd} Is that what you mean?`), h("p", {}, "Afterwards nobody can change it.")),
    [["Finish", () => void done()], ["Not yet", null]], 1);
  };
  const done = async () => {
    if (!autosave || closing) return;
    closing = true;
    autosave.dirty = true;
    if (!(await autosave.flush())) closing = false;
  };
  const finals = /** @type {[string, string][]} */ ([...study.labels.map((l) => [l, l]), ...(given.reading.label === UNASSESSED || answer.label === UNASSESSED ? [[UNASSESSED, "Cannot assess"]] : [])]);
  const said = page.draft.marks.length ? page.spoken().map((t) => h("li", {}, t)) : [h("li", {}, given.reading.label === UNASSESSED ? "Cannot be assessed" : "No finding")];
  panel.replaceChildren(
    h("div", { class: "scroll tight" },
      h("p", { class: "phase" }, h("b", {}, finished ? "Finished. " : "Step 2 of 2: compare"),
        finished && "Nothing changes any more."),
      model, maps,
      h("section", { "aria-label": "Your final answer" },
        choices({ name: "agree", legend: "Do you agree?", options: AGREE, value: answer.agree, disabled: Boolean(finished), onchoose: (v) => change({ agree: v }) }),
        choices({ name: "final", legend: "Final diagnosis", options: finals, value: answer.label, disabled: Boolean(finished), onchoose: (v) => change({ label: v }) }),
        choices({ name: "sure", legend: "How sure are you?", options: SURE, value: answer.confidence ? String(answer.confidence) : null, disabled: Boolean(finished), onchoose: (v) => change({ confidence: Number(v) }) }),
        h("label", { for: "why" }, "Why? ", h("kbd", { "aria-hidden": true }, "T")), reason),
      h("details", { class: "locked" }, h("summary", {}, `Your locked reading: ${given.reading.label}${given.reading.confidence ? `, confidence ${given.reading.confidence} of 5` : ""}`),
        h("ul", {}, ...said), given.reading.statement && h("blockquote", {}, given.reading.statement)), page.note.element),
    h("div", { class: "foot" }, h("button", { type: "button", class: "primary wide ready", id: "finish", "aria-keyshortcuts": "Control+Enter", onclick: () => void finish() },
      finished ? "Next case " : "Finish this case ", h("kbd", { "aria-hidden": true }, "Ctrl + Enter"))));
  if (finished) show("saved", "Finished and saved");
  else if (given.final.saved) show("saved", "Saved");
  const controls = mapControls(page, maps);
  void reveal(page, model, controls);
  return {
    bindings: [
      ...controls.bindings,
      { keys: ["V"], group: "Film", what: "move the film by dragging", run: () => page.tools.use("select") },
      { keys: ["T"], group: "Answer", what: "write why (Esc: back to the film)", run: () => byId("why").focus() },
      { keys: ["Ctrl+Enter"], group: "Answer", what: finished ? "next case" : "finish this case", typing: true, run: () => void finish() },
    ],
    end: () => controls.end(),
  };
}

/** What does not go together in a final answer, in words. @param {{agree: string | null, label: string | null}} answer @param {string} called by the model; "" while not known */
function disputed({ agree, label }, called) {
  if (!called || label === UNASSESSED) return "";
  if (agree === "agree" && label !== called) return `You agree with the model, which says ${called}, and chose ${label}.`;
  if (agree === "disagree" && label === called) return `You disagree with the model, and chose ${label} as it does.`;
  return "";
}

/** @param {CasePage} page @param {HTMLElement} at @param {ReturnType<typeof mapControls>} controls */
async function reveal(page, at, controls) {
  try {
    const answer = await patient(`/api/cases/${page.id}/prediction`, () => page.open);
    if (!answer) return;
    const found = await answer.json();
    if (found.failed) {
      at.replaceChildren(h("h2", {}, "Model"), h("p", { class: "problem" }, found.failed));
      return;
    }
    const own = page.given.reading.label;
    page.called = found.called ?? "";
    const gauge = found.called && h("div", { class: "gauge", role: "img", "aria-label": `${found.target}: ${(100 * found.probability).toFixed(1)} percent` },
      h("span", { class: "filled" }), h("span", { class: "cut" }));
    if (gauge) {
      /** @type {HTMLElement} */ (gauge.firstChild).style.width = `${100 * found.probability}%`;
      /** @type {HTMLElement} */ (gauge.lastChild).style.left = `${100 * found.threshold}%`;
    }
    at.replaceChildren(h("h2", {}, "Model"),
      h("p", { class: "headline", id: "headline" }, found.headline),
      found.called ? h("p", { class: found.called === own ? "same" : "differs" }, found.called === own ? "Same diagnosis as yours." : `You said ${own}.`) : "",
      gauge || "", ...found.words.map((/** @type {string} */ w) => h("p", { class: "hint" }, w)));
    await controls.offer(found.methods, found.target, found.names);
  } catch (error) {
    at.replaceChildren(h("h2", {}, "Model"), h("p", { class: "problem" }, /** @type {Error} */ (error).message));
  }
}
