// Building the page without ever parsing text as HTML.

/** @typedef {string | Node | null | undefined | false} Child */

/** The answer in place of a diagnosis; the server knows it by this name. */
export const UNASSESSED = "cannot be assessed";

/**
 * An element with attributes, listeners (keys that begin with "on") and children.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  made.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/**
 * Tell a screen reader.
 * @param {string} text
 */
export function announce(text) {
  byId("announce").textContent = "";
  requestAnimationFrame(() => { byId("announce").textContent = text; });
}

/**
 * A group of radio buttons drawn as one row of choices.
 * @param {{name: string, legend: string, options: [string, string, string?][], value: string | null,
 *          onchoose: (value: string) => void, disabled?: boolean, hint?: string}} given options: value, text, title
 * @returns {HTMLElement}
 */
export function choices({ name, legend, options, value, onchoose, disabled = false, hint = "" }) {
  const rows = options.map(([key, text, title]) => {
    const id = `${name}-${key}`;
    const input = h("input", { type: "radio", name, id, value: key, disabled, onchange: () => onchoose(key) });
    /** @type {HTMLInputElement} */ (input).checked = key === value;
    return h("span", { class: "choice" }, input, h("label", { for: id, title }, text));
  });
  return h("fieldset", { class: "choices", id: name },
    h("legend", {}, legend), h("div", { class: "row" }, ...rows), hint && h("p", { class: "hint" }, hint));
}

/**
 * Check the radio button of a value, or none.
 * @param {string} name
 * @param {string | null} value
 */
export function setChoice(name, value) {
  for (const input of document.querySelectorAll(`input[name="${name}"]`)) {
    const radio = /** @type {HTMLInputElement} */ (input);
    radio.checked = radio.value === value;
  }
}
