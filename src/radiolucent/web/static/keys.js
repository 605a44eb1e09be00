// The keyboard map: one list, both for what keys do and for the help page.

import { byId, h } from "/static/dom.js";

/** @typedef {{keys: string[], what: string, group: string, run?: () => void, typing?: boolean, show?: string[], held?: boolean}} Binding
 *  keys as named by `name`; group "": not in the help; typing: also while writing text; show: other keys for the help;
 *  held: again and again while the key is held down */

/** @param {KeyboardEvent} event @returns {string} */
export function name(event) {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const plain = /^[A-Z0-9]$/.test(key) || event.key.length > 1;
  // "[" takes AltGr on many keyboards (Ctrl and Alt at once, for Windows), and Option on a Mac's: it is no shortcut then.
  const typed = !plain && (event.altKey || event.getModifierState("AltGraph"));
  const parts = [!typed && (event.ctrlKey || event.metaKey) ? "Ctrl" : "", event.altKey && !typed ? "Alt" : "", event.shiftKey && plain ? "Shift" : "", key];
  return parts.filter(Boolean).join("+");
}

/** @param {EventTarget | null} target */
function writes(target) {
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && ["text", "search"].includes(target.type));
}

/**
 * Run bindings until the returned function is called.
 * @param {Binding[]} bindings
 */
export function listen(bindings) {
  const handler = (/** @type {KeyboardEvent} */ event) => {
    if (document.querySelector("dialog[open]")) return;
    const pressed = name(event);
    const found = bindings.find((b) => b.run && b.keys.includes(pressed) && (b.typing || !writes(event.target)));
    if (!found?.run) return;
    const target = event.target;
    const native = target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement || target instanceof HTMLInputElement;
    if (native && (pressed === "Enter" || pressed.startsWith("Arrow"))) return;
    if (target instanceof HTMLInputElement && target.type === "range" && pressed.startsWith("Page")) return; // a slider's own
    event.preventDefault();
    if (!event.repeat || found.held) found.run();
  };
  document.addEventListener("keydown", handler);
  return () => document.removeEventListener("keydown", handler);
}

/** The help page. @param {Binding[]} bindings @param {string[]} notes */
export function help(bindings, notes) {
  const groups = [...new Set(bindings.map((b) => b.group))];
  const tables = groups.map((group) => h("section", {}, h("h3", {}, group),
    h("dl", {}, ...bindings.filter((b) => b.group === group).flatMap((b) => [
      h("dt", {}, ...(b.show ?? b.keys).flatMap((k, i) => [i ? " " : "", h("kbd", {}, shown(k))])), h("dd", {}, b.what)]))));
  dialog("Help", h("div", {}, h("ul", { class: "notes" }, ...notes.map((n) => h("li", {}, n))), h("div", { class: "keys" }, ...tables)),
    [["Close", null]]);
}

/** @param {string} key */
const shown = (key) => ({ " ": "Space", PageUp: "PgUp", PageDown: "PgDn", Delete: "Del", Escape: "Esc", ArrowLeft: "← → ↑ ↓",
  "Shift+ArrowLeft": "Shift + arrow", "Alt+ArrowLeft": "Alt + arrow" }[key] ?? (key === "+" ? key : key.replaceAll("+", " + ")));

/**
 * A modal dialog.
 * @param {string} title
 * @param {Node | string} content
 * @param {[string, (() => void) | null][]} buttons the first is drawn as what is proposed
 * @param {number} [safe] the button that Enter presses: where something cannot be undone, the one that leaves it
 */
export function dialog(title, content, buttons, safe = 0) {
  const box = /** @type {HTMLDialogElement} */ (byId("dialog"));
  const made = buttons.map(([text, run], i) => h("button", {
    type: "button", class: i ? "" : "primary", autofocus: i === safe,
    onclick: () => { box.close(); run?.(); },
  }, text));
  box.replaceChildren(h("h2", { id: "dialog-title" }, title), content instanceof Node ? content : h("p", {}, content),
    h("div", { class: "buttons" }, ...made));
  if (!box.open) box.showModal();
  made[safe]?.focus();
}
