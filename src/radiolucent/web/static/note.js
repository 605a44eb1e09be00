// A flag for later and a comment to the organiser: no part of the reading, and open after its lock.

import { json } from "/static/api.js";
import { announce, h } from "/static/dom.js";

const PAUSE = 500, RETRY = 1500;

/**
 * @param {import("/static/case.js").CasePage} page
 * @returns {{element: HTMLElement, flag: () => void, leave: () => Promise<void>}}
 */
export function noteBox(page) {
  const { note } = page.given;
  let timer = 0, dirty = false;
  const state = h("span", { class: "hint", role: "status", id: "note-state" });
  const flag = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "flag", onchange: () => changed() }));
  const words = /** @type {HTMLTextAreaElement} */ (h("textarea", { id: "comment", rows: 2, maxlength: page.study.limits.text, oninput: () => changed(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") page.viewer.stage.focus(); } }));
  flag.checked = note.flagged;
  words.value = note.comment;
  const save = async () => {
    clearTimeout(timer);
    if (!dirty) return;
    dirty = false;
    try {
      await json(`/api/cases/${page.id}/note`, { method: "PUT", body: { flagged: flag.checked, comment: words.value } });
      Object.assign(note, { flagged: flag.checked, comment: words.value });
      state.textContent = "Saved";
    } catch (error) {
      dirty = true;
      state.textContent = `NOT SAVED: ${/** @type {Error} */ (error).message}`;
      if (page.open) timer = window.setTimeout(() => void save(), RETRY);
    }
  };
  const changed = () => {
    dirty = true;
    state.textContent = "Not saved yet";
    clearTimeout(timer);
    timer = window.setTimeout(() => void save(), PAUSE);
  };
  const element = h("details", { class: "note", open: note.flagged || Boolean(note.comment) }, h("summary", {}, "Flag or comment ", h("kbd", { "aria-hidden": true }, "X")),
    h("label", { class: "check", for: "flag" }, flag, "Look at this case again"),
    h("label", { for: "comment" }, "To the organiser (not part of the reading)"), words, state);
  return {
    element,
    flag() { flag.checked = !flag.checked; announce(flag.checked ? "Flagged" : "No longer flagged"); element.setAttribute("open", ""); changed(); },
    leave: save,
  };
}
