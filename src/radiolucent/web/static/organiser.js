// The organiser's page: progress, links, comments, results.

import { json } from "/static/api.js";
import { byId, h } from "/static/dom.js";
import { dialog } from "/static/keys.js";
import { nav } from "/static/worklist.js";

/** @typedef {{id: number, name: string, role: string, total: number, locked: number, finished: number, link: boolean, seen: string | null}} Person */

/** @param {import("/static/main.js").Study} study @param {() => boolean} wanted false: the organiser went elsewhere */
export async function organiser(study, wanted) {
  /** @type {{people: Person[], comments: {film: string, reader: string, flagged: boolean, comment: string}[]}} */
  const found = await json("/api/organiser");
  if (!wanted()) return;
  byId("where").textContent = study.study;
  nav(h("span", { class: "who" }, "organiser"));
  const again = () => organiser(study, wanted);
  const at = (/** @type {string} */ path) => `${path}?ticket=${study.ticket}`;
  byId("main").replaceChildren(h("div", { class: "organiser" },
    h("h1", {}, study.study),
    h("p", { class: "quiet" }, "You see what readers have locked so far, and what the model says of those films. Do not tell them before they are done."),
    h("p", { class: "buttons" }, h("a", { class: "button primary", href: at("/statistics") }, "Doctors and model"),
      h("a", { class: "button", href: at("/export/readings.csv") }, "Readings as CSV"),
      h("a", { class: "button", href: at("/export/readings.coco.json") }, "Readings as COCO"),
      h("a", { class: "button", href: at("/export/consensus.coco.json") }, "Consensus as COCO")),
    h("section", { "aria-labelledby": "h-people" }, h("h2", { id: "h-people" }, "Who reads"),
      h("table", {}, h("thead", {}, h("tr", {}, ...["Name", "Locked", "Finished", "Access", "Links"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, ...found.people.map((p) => row(p, again)))), invite(again)),
    h("section", { "aria-labelledby": "h-comments" }, h("h2", { id: "h-comments" }, "Flags and comments"),
      found.comments.length
        ? h("ul", { class: "comments" }, ...found.comments.map((c) => h("li", {}, h("b", {}, c.reader), ` on ${c.film}${c.flagged ? " ⚑" : ""}: `, c.comment || "flagged")))
        : h("p", { class: "quiet" }, "None yet."))));
}

/** @param {Person} person @param {() => Promise<void>} again */
function row(person, again) {
  const { id, name, role, total, locked, finished, link, seen } = person;
  const access = [seen ? `last seen ${new Date(seen).toLocaleString()}` : "", link ? "unused link" : ""].filter(Boolean).join(", ") || "none";
  const revoke = () => dialog(`Revoke the access of ${name}?`, "The link and the session end at once. What was read stays.",
    [["Revoke", async () => { await json(`/api/organiser/links/${id}`, { method: "DELETE" }); await again(); }], ["Leave it", null]], 1);
  return h("tr", {}, h("th", { scope: "row" }, name, role === "adjudicator" && h("span", { class: "quiet" }, " (adjudicator)")),
    h("td", {}, `${locked} of ${total}`), h("td", {}, role === "adjudicator" ? "–" : `${finished} of ${total}`), h("td", {}, access),
    h("td", {}, h("button", { type: "button", class: "small", onclick: () => void issue(name, role, again), "aria-label": `New link for ${name}` }, "New link"), " ",
      h("button", { type: "button", class: "small", onclick: revoke, "aria-label": `Revoke the access of ${name}`, disabled: !link && !seen }, "Revoke")));
}

/** @param {() => Promise<void>} again */
function invite(again) {
  const name = /** @type {HTMLInputElement} */ (h("input", { type: "text", id: "new-name", maxlength: 80, required: true, autocomplete: "off" }));
  const role = /** @type {HTMLSelectElement} */ (h("select", { id: "new-role" }, h("option", { value: "reader" }, "reader"), h("option", { value: "adjudicator" }, "adjudicator")));
  return h("form", { class: "invite", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void issue(name.value.trim(), role.value, again); } },
    h("label", { for: "new-name" }, "Name"), name, h("label", { for: "new-role" }, "Role"), role, h("button", { type: "submit" }, "Add and give a link"));
}

/** A new link, shown once. @param {string} name @param {string} role @param {() => Promise<void>} again */
async function issue(name, role, again) {
  try {
    const made = await json("/api/organiser/links", { method: "POST", body: { name, role } });
    await again();
    const address = /** @type {HTMLInputElement} */ (h("input", { type: "text", id: "link", readonly: true, value: `${location.origin}/#${made.token}`, "aria-label": `Link for ${made.name}` }));
    dialog(`Link for ${made.name}`, h("div", {}, h("p", {}, "It works once, on this computer, and is shown only now. Their older link and, once it is used, their older session end."), address),
      [["Copy and close", () => void navigator.clipboard?.writeText(address.value)], ["Close", null]]);
  } catch (error) {
    dialog("No link", /** @type {Error} */ (error).message, [["Close", null]]);
  }
}
