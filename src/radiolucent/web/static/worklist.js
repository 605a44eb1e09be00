// The reader's worklist.

import { json, readAs } from "/static/api.js";
import { byId, h } from "/static/dom.js";
import { dialog } from "/static/keys.js";

/** @typedef {{case: string, state: "new" | "draft" | "locked" | "finished", label: string | null, flagged: boolean}} Row */

const WORDS = { new: "not read", draft: "begun", locked: "locked, answer open", finished: "finished" };
const ACTION = { new: "Read", draft: "Go on", locked: "Compare", finished: "Look again" };
const FILTERS = /** @type {[string, string, (row: Row) => boolean][]} */ ([
  ["all", "All", () => true], ["open", "To do", (r) => r.state !== "finished"], ["flagged", "Flagged", (r) => r.flagged],
  ["finished", "Finished", (r) => r.state === "finished"]]);
let filter = "all"; // stays while the page is open

/** @type {Promise<Row[]> | null} as asked for last */
let known = null;

/** All cases, as the server has them now. @returns {Promise<Row[]>} */
function rowsNow() {
  const asked = /** @type {Promise<Row[]>} */ (json("/api/worklist"));
  known = asked;
  asked.catch(() => { known = null; });
  return asked;
}

/**
 * All cases, at once where they were asked for before; the present state follows. Nobody waits for a thousand rows
 * between two films.
 * @param {(rows: Row[]) => void} later
 * @returns {Promise<Row[]>}
 */
export function rowsSoon(later) {
  const before = known, now = rowsNow();
  if (!before) return now;
  now.then(later, () => {});
  return before;
}

/** The first case that still needs the reader, after the given one. @param {Row[]} rows @param {string} [after] */
export function nextOpen(rows, after) {
  const start = rows.findIndex((r) => r.case === after) + 1;
  return [...rows.slice(start), ...rows.slice(0, start)].find((r) => r.state !== "finished" && r.case !== after);
}

/** Links and "Sign out" at the top of the page. @param {Node[]} links */
export function nav(...links) {
  const leave = async () => {
    await json("/api/session", { method: "DELETE" });
    readAs("");
    location.reload();
  };
  const ask = () => dialog("Sign out?", "You need a new address from the organiser to come back. Without signing out, this browser remembers you.",
    [["Sign out", () => void leave()], ["Stay", null]], 1);
  byId("nav").replaceChildren(...links, h("button", { type: "button", id: "sign-out", onclick: ask }, "Sign out"));
}

/** @param {import("/static/main.js").Study} study @param {() => boolean} wanted false: the reader went elsewhere */
export async function worklist(study, wanted) {
  /** @type {Row[]} */
  const rows = await rowsNow();
  if (!wanted()) return;
  const settles = study.role === "adjudicator", done = rows.filter((r) => r.state === "finished").length, next = nextOpen(rows);
  byId("where").textContent = study.study;
  nav(h("span", { class: "who" }, study.reader));
  const heading = !rows.length ? "No case to settle yet" : done === rows.length ? "All cases are finished. Thank you." : done ? `${done} of ${rows.length} finished`
    : `${rows.length} case${rows.length === 1 ? "" : "s"} to ${settles ? "settle" : "read"}`;
  const lines = rows.map((row, i) => h("tr", { class: row.state, "data-case": row.case },
    h("th", { scope: "row" }, `Case ${i + 1}`),
    h("td", {}, h("span", { class: "state" }, settles && row.state === "finished" ? "settled" : WORDS[row.state]), row.flagged && h("span", { class: "flag" }, " ⚑ flagged")),
    h("td", {}, row.label ?? "–"),
    h("td", {}, h("a", { class: "button", href: `#/case/${row.case}`, "aria-label": `${ACTION[row.state]}: case ${i + 1}` }, ACTION[row.state]))));
  const body = h("tbody", {});
  const buttons = FILTERS.map(([key, text, fits]) => h("button", { type: "button", class: "small", id: `filter-${key}`,
    onclick: () => { filter = key; show(); } }, `${text} ${rows.filter(fits).length}`));
  const show = () => {
    const fits = FILTERS.find(([key]) => key === filter)?.[2] ?? (() => true), kept = lines.filter((_, i) => fits(rows[i]));
    body.replaceChildren(...(kept.length ? kept : [h("tr", {}, h("td", { colspan: 4, class: "quiet" }, "No such case."))]));
    for (const [i, [key]] of FILTERS.entries()) buttons[i].setAttribute("aria-pressed", String(key === filter));
  };
  show();
  const steps = settles ? [["Read", " what the readers said of a film, under letters in place of names."], ["Settle", " what is there: take their marks, or draw your own."]]
    : [["Read", " the film alone: mark what you see, or say that there is nothing."], ["Lock", " your reading. After that nobody can change it, neither can you."],
      ["Compare", " with the model and its maps, and give your final answer."]];
  byId("main").replaceChildren(h("div", { class: "list" },
    h("section", { class: "lead", "aria-label": "Where you are" },
      h("h1", {}, heading),
      h("progress", { max: Math.max(rows.length, 1), value: done, "aria-label": "finished cases" }),
      h("ol", { class: "steps" }, ...steps.map(([what, more]) => h("li", {}, h("b", {}, what), more))),
      next && h("a", { class: "button primary", id: "next", href: `#/case/${next.case}` }, done || next.state !== "new" ? "Continue" : "Begin"),
      !settles && rows.length > 0 && done === rows.length && h("a", { class: "button", href: `/statistics?ticket=${study.ticket}` }, "Statistics")),
    h("div", {}, h("div", { class: "filters", role: "group", "aria-label": "Which cases" }, ...buttons),
      h("table", { class: "cases" }, h("caption", { class: "unseen" }, "Your cases, in your own order"),
        h("thead", {}, h("tr", {}, ...["Case", "State", settles ? "Settled as" : "Your diagnosis", ""].map((t) => h("th", { scope: "col" }, t || h("span", { class: "unseen" }, "open"))))),
        body))));
  byId(next ? "next" : "main").focus({ preventScroll: true });
}
