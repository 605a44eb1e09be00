// One case, from the first look to the final answer.

import { bytes, json } from "/static/api.js";
import { Attention } from "/static/attention.js";
import { Autosave, show } from "/static/autosave.js";
import { blindPanel } from "/static/blind.js";
import { compare } from "/static/compare.js";
import { announce, byId, h } from "/static/dom.js";
import { described } from "/static/geometry.js";
import { History } from "/static/history.js";
import { dialog, help, listen } from "/static/keys.js";
import { commonKeys, strip, toolbar } from "/static/controls.js";
import { Tools } from "/static/tools.js";
import { Viewer } from "/static/viewer.js";
import { nextOpen } from "/static/worklist.js";

/** @typedef {import("/static/geometry.js").Mark} Mark */
/** @typedef {{finding: boolean | null, label: string | null, confidence: number | null, statement: string, marks: Mark[]}} Draft */
/** @typedef {import("/static/keys.js").Binding} Binding */

const NOTES = [
  "Mark every finding with a box or an outline, or say that there is none. Coordinates are kept to a hundredth of a pixel.",
  "Everything is saved as you go; the top of the page says so. NOT SAVED means what it says.",
  "Films are never flipped or turned: left stays left.",
];

/**
 * Show a case.
 * @param {import("/static/main.js").Study} study
 * @param {string} id
 * @param {() => boolean} wanted false: the reader went elsewhere meanwhile
 * @returns {Promise<(() => Promise<boolean>) | null>} leaves the page; false: something is not saved; null: not opened
 */
export async function openCase(study, id, wanted) {
  const [given, rows] = await Promise.all([json(`/api/cases/${id}`), json("/api/worklist")]);
  if (!wanted()) return null;
  const page = new CasePage(study, id, given, rows);
  page.start();
  return () => page.leave();
}

export class CasePage {
  /**
   * @param {import("/static/main.js").Study} study @param {string} id @param {any} given
   * @param {import("/static/worklist.js").Row[]} rows
   */
  constructor(study, id, given, rows) {
    this.study = study;
    this.id = id;
    this.rows = rows;
    this.given = given;
    this.number = rows.findIndex((r) => r.case === id) + 1;
    this.blind = !given.reading.locked;
    this.viewer = new Viewer(given.width, given.height);
    const { finding, label, confidence, statement, marks } = given.reading;
    /** @type {History<Draft>} */ this.history = new History({ finding, label, confidence, statement, marks });
    this.attention = new Attention();
    this.panel = h("aside", { class: "panel", "aria-label": "Your reading" });
    this.tools = new Tools(this.viewer, {
      marks: () => this.draft.marks,
      change: (marks, kind) => this.change({ marks, finding: marks.length ? true : this.draft.finding === true ? null : this.draft.finding }, kind),
      told: () => this.tell(),
      limits: study.limits,
      editable: this.blind,
    });
    /** @type {(() => void)[]} */ this.ends = [];
    this.refresh = () => {};
    this.open = true;
  }

  /** @returns {Draft} */
  get draft() { return this.history.state; }

  start() {
    const { study, viewer } = this;
    document.body.dataset.page = "case";
    byId("where").textContent = `${study.study} · Case ${this.number} of ${this.rows.length}`;
    byId("nav").replaceChildren(h("span", { class: "who" }, study.reader), h("a", { class: "button", href: "#/" }, "Worklist"),
      h("button", { type: "button", id: "help", onclick: () => this.help(), "aria-keyshortcuts": "?" }, "Help ?"));
    byId("main").replaceChildren(h("div", { class: "case" }, toolbar(this), viewer.stage, this.panel, strip(this)));
    viewer.fit();
    this.tools.use("select");
    void this.film();
    if (this.blind) this.startBlind(); else this.startCompare();
    viewer.stage.focus({ preventScroll: true });
    announce(`Case ${this.number} of ${this.rows.length}. ${this.blind ? "Blinded reading." : "Locked; compare with the model."}`);
  }

  async film() {
    try {
      const { bytes: content, headers } = await bytes(`/api/cases/${this.id}/film`);
      if (this.open) this.viewer.load(content, Number(headers.get("x-bits")));
    } catch (error) {
      dialog("No film", /** @type {Error} */ (error).message, [["Close", null]]);
    }
  }

  startBlind() {
    this.autosave = new Autosave({
      path: `/api/cases/${this.id}/reading`,
      revision: this.given.reading.revision,
      content: () => ({ ...this.draft, seconds: this.attention.take() }),
      onstale: () => this.stale(),
    });
    if (this.given.reading.saved) show("saved", "Saved");
    this.refresh = blindPanel(this);
    this.keys([...commonKeys(this), ...this.blindKeys()]);
    this.refresh();
    if (!this.given.reading.revision) this.autosave.touch(); // opening is noted, and starts the clock
  }

  startCompare() {
    this.tools.board.editable = false;
    this.tools.use("select");
    this.viewer.stage.dataset.phase = "compare";
    const { bindings, end } = compare(this);
    this.ends.push(end);
    this.keys([...commonKeys(this), ...bindings]);
  }

  /** @param {Binding[]} bindings */
  keys(bindings) {
    this.bindings = bindings;
    this.ends.push(listen(bindings));
  }

  /** @returns {Binding[]} */
  blindKeys() {
    const { tools } = this;
    const arrows = /** @type {[string, number, number][]} */ ([["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]]);
    const nudge = (/** @type {string} */ prefix, /** @type {import("/static/keyboard_marking.js").Step} */ step, /** @type {string} */ what) =>
      arrows.map(([key, x, y], i) => ({ keys: [prefix + key], group: i ? "" : "Keyboard alone", what, run: () => this.arrow(x, y, step) }));
    return [
      { keys: ["B"], group: "Marks", what: "draw a box", run: () => tools.use("box") },
      { keys: ["P"], group: "Marks", what: "draw a polygon, corner by corner", run: () => tools.use("polygon") },
      { keys: ["V"], group: "Marks", what: "select, move and bend marks", run: () => tools.use("select") },
      { keys: ["Enter"], group: "Marks", what: "close the polygon", run: () => tools.enter() },
      { keys: ["Delete", "Backspace"], group: "Marks", what: "remove the mark, or a corner", run: () => tools.remove() },
      { keys: ["Escape"], group: "Marks", what: "let go", run: () => tools.escape() },
      { keys: ["B", "Enter"], group: "Keyboard alone", what: "a box in the middle of the view" },
      { keys: ["P", "Enter"], group: "Keyboard alone", what: "a cursor; Enter puts a corner, Enter again closes" },
      ...nudge("", "one", "move cursor, corner or mark by 1 pixel; else the film"),
      ...nudge("Shift+", "ten", "… by 10 pixels"),
      ...nudge("Alt+", "more", "… by 50 pixels; a whole box: its size"),
      { keys: ["S"], group: "Keyboard alone", what: "next mark", run: () => tools.keyboard.mark(1) },
      { keys: ["Shift+S"], group: "", what: "mark before", run: () => tools.keyboard.mark(-1) },
      { keys: ["C"], group: "Keyboard alone", what: "next corner of the mark", run: () => tools.keyboard.next(1) },
      { keys: ["Shift+C"], group: "", what: "corner before", run: () => tools.keyboard.next(-1) },
      { keys: ["A"], group: "Keyboard alone", what: "add a corner after it", run: () => tools.keyboard.add() },
      { keys: ["Ctrl+Z"], group: "Reading", what: "undo", run: () => this.undo() },
      { keys: ["Ctrl+Y", "Ctrl+Shift+Z"], group: "Reading", what: "redo", run: () => this.redo() },
      { keys: ["N"], group: "Reading", what: "no finding", run: () => this.nothing() },
      { keys: ["T"], group: "Reading", what: "write the statement (Esc: back to the film)", run: () => byId("statement").focus() },
      { keys: ["Ctrl+Enter"], group: "Reading", what: "lock and reveal", typing: true, run: () => void this.lock() },
    ];
  }

  /** @param {number} x @param {number} y @param {import("/static/keyboard_marking.js").Step} step */
  arrow(x, y, step) {
    if (!this.tools.keyboard.arrow(x, y, step) && step !== "more") this.viewer.pan(-x * 40, -y * 40);
  }

  /** Take a change of the draft. @param {Partial<Draft>} part @param {string} kind */
  change(part, kind) {
    if (!this.blind || !this.autosave || this.autosave.closed) return;
    this.history.push({ ...this.draft, ...part }, kind);
    this.changed();
  }

  changed() {
    this.autosave?.touch();
    this.refresh();
    this.tools.draw();
    this.tell();
  }

  undo() { if (this.history.undo()) { announce("Undone"); this.changed(); } }

  redo() { if (this.history.redo()) { announce("Redone"); this.changed(); } }

  /** "No finding" takes the marks away; undo brings them back. */
  nothing() {
    const [well, ill] = [this.study.labels.find((l) => l !== this.study.positive) ?? null, this.study.positive];
    const label = this.draft.label === ill || this.draft.label === null ? (this.study.labels.length === 2 ? well : this.draft.label) : this.draft.label;
    this.change({ finding: false, marks: [], label }, "");
    announce("No finding");
  }

  /** @returns {string[]} what is missing before a lock */
  missing() {
    const { finding, label, confidence, marks } = this.draft;
    return [
      finding === null || (finding && !marks.length) ? "mark what you see, or say “no finding”" : "",
      label === null ? "choose a diagnosis" : "",
      confidence === null ? "say how sure you are" : "",
    ].filter(Boolean);
  }

  async lock() {
    const missing = this.missing();
    if (missing.length) {
      dialog("Not complete yet", h("ul", {}, ...missing.map((m) => h("li", {}, m))), [["Go on reading", null]]);
      return;
    }
    const count = this.draft.marks.length;
    const said = `${this.draft.label}, ${count ? `${count} mark${count > 1 ? "s" : ""}` : "no finding"}, confidence ${this.draft.confidence} of 5.`;
    dialog("Lock this reading?", h("div", {}, h("p", {}, h("b", {}, said)),
      h("p", {}, "Afterwards nobody can change it, and you will see the model.")), [
      ["Lock and reveal", () => void this.locked()], ["Not yet", null]]);
  }

  async locked() {
    if (this.autosave) this.autosave.dirty = true; // the time since the last change belongs to the reading
    if (!this.autosave || !(await this.autosave.flush())) {
      dialog("Not locked", "Your last changes are not saved yet. Wait until the top of the page says so, then lock again.", [["Close", null]]);
      return;
    }
    try {
      await json(`/api/cases/${this.id}/lock`, { method: "POST", body: { revision: this.autosave.revision } });
    } catch (error) {
      if (/** @type {any} */ (error).code === "stale") this.stale();
      else dialog("Not locked", /** @type {Error} */ (error).message, [["Close", null]]);
      return;
    }
    this.autosave.close();
    this.reload();
  }

  /** Draw the page anew from what the server holds. */
  reload() { window.dispatchEvent(new HashChangeEvent("hashchange")); }

  stale() {
    if (!this.open) return;
    this.tools.board.editable = false;
    dialog("Changed elsewhere", "This case was saved or locked from another tab, or another reader entered in this browser. This tab saves no more, so that neither overwrites the other.",
      [["Load the newer version", () => this.reload()]]);
  }

  /** Tool, window, zoom and pointer, wherever they are shown. */
  tell() { document.dispatchEvent(new CustomEvent("told")); }

  help() { help((this.bindings ?? []).filter((b) => b.group), NOTES); }

  /** @param {number} step */
  turn(step) {
    const row = this.rows[this.number - 1 + step];
    if (row) location.hash = `#/case/${row.case}`;
  }

  next() {
    const row = nextOpen(this.rows, this.id);
    location.hash = row ? `#/case/${row.case}` : "#/";
  }

  /** Marks in words. */
  spoken() { return this.draft.marks.map((m, i) => described(m, i + 1)); }

  async leave() {
    const { autosave } = this;
    if (autosave && !autosave.closed) {
      // Time alone is worth a save, but no question when it fails.
      const timed = this.blind && !autosave.dirty && !autosave.pending && !autosave.running;
      if (timed) {
        this.open = false;
        autosave.dirty = true;
      }
      if (!(await autosave.flush()) && !timed) return false;
    }
    this.open = false;
    autosave?.close();
    this.attention.stop();
    this.viewer.stop();
    for (const end of this.ends.splice(0)) end();
    return true;
  }
}
