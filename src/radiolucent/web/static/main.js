// Start: who is here, and which page they are on.

import { ApiError, json, reader, readAs } from "/static/api.js";
import { show } from "/static/autosave.js";
import { openCase } from "/static/case.js";
import { byId, h } from "/static/dom.js";
import { enter, login } from "/static/login.js";
import { organiser } from "/static/organiser.js";
import { worklist } from "/static/worklist.js";

/** @typedef {{study: string, reader: string, ticket: string, role: string, labels: string[], positive: string,
 *             vocabulary: string[], limits: {marks: number, points: number, text: number}}} Study */

/** @type {Study | null} */
let study = null;
/** @type {(() => Promise<boolean>)} leaves the present page, or false: it holds what is not saved */
let leave = async () => true;
let at = "";
let turn = 0;

/** Draw the page that the address names. */
async function route() {
  const hash = location.hash;
  if (/^#[A-Za-z0-9_-]{20,}$/.test(hash)) return begin();
  if (!study) return;
  const mine = ++turn, current = () => mine === turn; // a later navigation makes this one void
  const kept = await leave();
  if (!current()) return;
  if (!kept && !confirm("What you changed last is NOT SAVED. Leave all the same?")) {
    history.replaceState(null, "", at);
    return;
  }
  leave = async () => true;
  at = hash || "#/";
  show("idle");
  byId("main").replaceChildren();
  document.body.dataset.page = "";
  try {
    const found = /^#\/case\/([0-9a-f]{12})$/.exec(hash);
    if (study.role === "organiser") await organiser(study, current);
    else if (found) leave = (await openCase(study, found[1], current)) ?? leave;
    else await worklist(study, current);
  } catch (error) {
    if (current()) failed(/** @type {ApiError} */ (error));
  }
}

/** @param {ApiError} error */
function failed(error) {
  if (error.status === 401) {
    study = null;
    readAs("");
    login("Your session has ended. Open a new address from the organiser.");
    return;
  }
  byId("main").replaceChildren(h("div", { class: "card", role: "alert" }, h("h1", {}, "This did not work"), h("p", {}, error.message),
    h("p", {}, h("a", { class: "button", href: "#/" }, "Back to the worklist"))));
  if (!(error instanceof ApiError)) throw error;
}

/** Sign in with the token in the address, or with the cookie. */
async function begin() {
  const token = location.hash.slice(1);
  try {
    if (/^[A-Za-z0-9_-]{20,}$/.test(token)) {
      history.replaceState(null, "", "/");
      if (await leave()) leave = async () => true; // what is open is saved as its own reader's
      await enter(token);
    }
    const { role } = reader() ? await json("/api/session") : { role: null };
    if (!role) return login("");
    study = await json("/api/study");
  } catch (error) {
    return login(/** @type {ApiError} */ (error).message);
  }
  document.title = `${study?.study} · radiolucent review`;
  await route();
}

window.addEventListener("hashchange", () => void route());
document.addEventListener("entered", () => void begin());
void begin();
