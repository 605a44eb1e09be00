// Locking a reading: for good, so never by accident, and never twice at once.

import { json } from "/static/api.js";
import { h, UNASSESSED } from "/static/dom.js";
import { dialog } from "/static/keys.js";

/** @typedef {import("/static/case.js").CasePage} CasePage */

const busy = new WeakSet();

/** What does not go together in a draft, in words; "" where all does. @param {CasePage} page */
function contradiction({ draft, study }) {
  const { label, marks, finding } = draft, well = study.labels.length === 2 ? study.labels.find((l) => l !== study.positive) : study.labels.find((l) => /^(normal|no finding|healthy)$/i.test(l));
  if (marks.length && label === well) return `You marked ${marks.length === 1 ? "a finding" : `${marks.length} findings`}, and chose ${label}.`;
  if (finding === false && label === study.positive) return `You said “no finding”, and chose ${label}.`;
  return "";
}

/** @param {CasePage} page */
export async function askToLock(page) {
  const missing = page.missing(), { draft, study } = page;
  if (busy.has(page)) return;
  if (missing.length) {
    dialog("Not complete yet", h("ul", {}, ...missing.map((m) => h("li", {}, m))), [["Go on reading", null]]);
    return;
  }
  const count = draft.marks.length, odd = contradiction(page);
  const said = draft.label === UNASSESSED ? "Cannot be assessed."
    : `${draft.label}, ${count ? `${count} mark${count > 1 ? "s" : ""}` : "no finding"}, confidence ${draft.confidence} of 5.`;
  const settles = study.role === "adjudicator";
  dialog(settles ? "Settle this case?" : "Lock this reading?", h("div", {}, h("p", {}, h("b", {}, said)),
    odd && h("p", { class: "problem", id: "odd" }, `${odd} Is that what you mean?`),
    h("p", {}, settles ? "Afterwards nobody can change it." : "Afterwards nobody can change it, and you will see the model.")),
  [[odd ? "Lock all the same" : settles ? "Settle" : "Lock and reveal", () => void lock(page)], ["Not yet", null]], 1);
}

/** @param {CasePage} page */
async function lock(page) {
  const { autosave } = page;
  if (busy.has(page)) return;
  busy.add(page);
  try {
    if (autosave) autosave.dirty = true; // the time since the last change belongs to the reading
    if (!autosave || !(await autosave.flush())) {
      dialog("Not locked", "Your last changes are not saved yet. Wait until the top of the page says so, then lock again.", [["Close", null]]);
      return;
    }
    await json(`/api/cases/${page.id}/lock`, { method: "POST", body: { revision: autosave.revision } });
    autosave.close();
    page.reload();
  } catch (error) {
    if (/** @type {any} */ (error).code === "stale") page.stale();
    else dialog("Not locked", /** @type {Error} */ (error).message, [["Close", null]]);
  } finally {
    busy.delete(page);
  }
}
