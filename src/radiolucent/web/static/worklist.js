// The reader's worklist, and the organiser's page.

import { json } from "/static/api.js";
import { byId, h } from "/static/dom.js";

/** @typedef {{case: string, state: "new" | "draft" | "locked" | "finished", label: string | null}} Row */

const WORDS = { new: "not read", draft: "begun", locked: "locked, answer open", finished: "finished" };
const ACTION = { new: "Read", draft: "Go on", locked: "Compare", finished: "Look again" };

/** The first case that still needs the reader, after the given one. @param {Row[]} rows @param {string} [after] */
export function nextOpen(rows, after) {
  const start = rows.findIndex((r) => r.case === after) + 1;
  return [...rows.slice(start), ...rows.slice(0, start)].find((r) => r.state !== "finished" && r.case !== after);
}

/** @param {Node[]} links */
function nav(...links) {
  const out = h("button", { type: "button", onclick: async () => { await json("/api/session", { method: "DELETE" }); location.reload(); } }, "Sign out");
  byId("nav").replaceChildren(...links, out);
}

/** @param {import("/static/main.js").Study} study @param {() => boolean} wanted false: the reader went elsewhere */
export async function worklist(study, wanted) {
  /** @type {Row[]} */
  const rows = await json("/api/worklist");
  if (!wanted()) return;
  const done = rows.filter((r) => r.state === "finished").length, next = nextOpen(rows);
  byId("where").textContent = study.study;
  nav(h("span", { class: "who" }, study.reader));
  const heading = done === rows.length ? "All cases are finished. Thank you." : done ? `${done} of ${rows.length} finished` : `${rows.length} cases to read`;
  const lines = rows.map((row, i) => h("tr", { class: row.state, "data-case": row.case },
    h("th", { scope: "row" }, `Case ${i + 1}`),
    h("td", {}, h("span", { class: "state" }, WORDS[row.state])),
    h("td", {}, row.label ?? "–"),
    h("td", {}, h("a", { class: "button", href: `#/case/${row.case}`, "aria-label": `${ACTION[row.state]}: case ${i + 1}` }, ACTION[row.state]))));
  byId("main").replaceChildren(h("div", { class: "list" },
    h("section", { class: "lead", "aria-label": "Where you are" },
      h("h1", {}, heading),
      h("progress", { max: rows.length, value: done, "aria-label": "finished cases" }),
      h("ol", { class: "steps" },
        h("li", {}, h("b", {}, "Read"), " the film alone: mark what you see, or say that there is nothing."),
        h("li", {}, h("b", {}, "Lock"), " your reading. After that nobody can change it, neither can you."),
        h("li", {}, h("b", {}, "Compare"), " with the model and its maps, and give your final answer.")),
      next && h("a", { class: "button primary", id: "next", href: `#/case/${next.case}` }, done || next.state !== "new" ? "Continue" : "Begin"),
      done === rows.length && h("a", { class: "button", href: "/statistics" }, "Statistics")),
    h("table", { class: "cases" }, h("caption", { class: "unseen" }, "Your cases, in your own order"),
      h("thead", {}, h("tr", {}, ...["Case", "State", "Your diagnosis", ""].map((t) => h("th", { scope: "col" }, t || h("span", { class: "unseen" }, "open"))))),
      h("tbody", {}, ...lines))));
  byId(next ? "next" : "main").focus({ preventScroll: true });
}

/** @param {import("/static/main.js").Study} study */
export function organiser(study) {
  byId("where").textContent = study.study;
  nav(h("span", { class: "who" }, "organiser"));
  byId("main").replaceChildren(h("div", { class: "card" }, h("h1", {}, study.study),
    h("p", {}, "You see what readers have locked so far, and what the model says of those films. Do not tell them before they are done."),
    h("p", { class: "buttons" }, h("a", { class: "button primary", href: "/statistics" }, "Doctors and model"),
      h("a", { class: "button", href: "/export/readings.csv" }, "Readings as CSV"),
      h("a", { class: "button", href: "/export/readings.coco.json" }, "Readings as COCO"))));
}
