// Signing in with a one-time token. It stands behind "#" in the address, which no server ever sees.

import { ApiError, json, readAs } from "/static/api.js";
import { byId, h } from "/static/dom.js";

/** Trade a token for a session: a cookie, and the key that this page alone keeps. @param {string} token */
export async function enter(token) {
  const { key } = await json("/api/session", { method: "POST", body: { token } });
  readAs(key);
}

/** @param {string} message why somebody is here again, or "" */
export function login(message) {
  document.body.dataset.page = "login";
  byId("where").textContent = "";
  byId("nav").replaceChildren();
  const problem = h("p", { class: "problem", role: "alert", id: "problem" }, message);
  const field = /** @type {HTMLInputElement} */ (h("input", {
    type: "text", id: "token", autocomplete: "off", spellcheck: "false", "aria-describedby": "problem", required: true }));
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const token = field.value.trim().replace(/^.*#/, "");
    try {
      await enter(token);
      document.dispatchEvent(new CustomEvent("entered"));
    } catch (error) {
      problem.textContent = /** @type {ApiError} */ (error).message;
      field.focus();
    }
  };
  byId("main").replaceChildren(h("form", { class: "card login", onsubmit: send },
    h("h1", {}, "Read films before you see the model"),
    h("p", {}, "The organiser gives every reader an address of their own. It works once, on this computer; afterwards this browser remembers you for 30 days."),
    h("label", { for: "token" }, "Your address or token"), field, problem,
    h("button", { type: "submit", class: "primary" }, "Begin reading"),
    h("p", { class: "quiet" }, "Everything stays on this computer. Research use only. Not for diagnosis.")));
  field.focus();
}
