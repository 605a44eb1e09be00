// One case, from the first look to the final answer.

import { json } from "/static/api.js";
import { Attention } from "/static/attention.js";
import { Autosave, show } from "/static/autosave.js";
import { Beside, prefetchBeside } from "/static/beside.js";
import { blindPanel } from "/static/blind.js";
import { blindKeys, commonKeys } from "/static/case_keys.js";
import { compare } from "/static/compare.js";
import { strip, toolbar } from "/static/controls.js";
import { announce, byId, h, UNASSESSED } from "/static/dom.js";
import { load, prefetch } from "/static/film.js";
import { described } from "/static/geometry.js";
import { historyOf } from "/static/history.js";
import { dialog, help, listen } from "/static/keys.js";
import { Lens } from "/static/lens.js";
import { askToLock } from "/static/locking.js";
import { remember, restore } from "/static/looks.js";
import { noteBox } from "/static/note.js";
import { settledPanel } from "/static/settle.js";
import { Tools } from "/static/tools.js";
import { Viewer } from "/static/viewer.js";
import { nextOpen, rowsSoon } from "/static/worklist.js";

/** @typedef {import("/static/geometry.js").Mark} Mark */
/** @typedef {{finding: boolean | null, label: string | null, confidence: number | null, statement: string, marks: Mark[]}} Draft */
/** @typedef {import("/static/keys.js").Binding} Binding */

const NOTES = [
  "Mark every finding with a box or an outline, or say that there is none. Coordinates are kept to a hundredth of a pixel.",
  "Everything is saved as you go; the top of the page says so. NOT SAVED means what it says.",
  "Films are never flipped or turned: left stays left. Two fingers zoom and move the film; a pen draws by hand.",
];

/** @type {Map<string, Promise<any>>} the next case, asked for while one is read */
const ahead = new Map();

/**
 * Show a case.
 * @param {import("/static/main.js").Study} study
 * @param {string} id
 * @param {() => boolean} wanted false: the reader went elsewhere meanwhile
 * @returns {Promise<(() => Promise<boolean>) | null>} leaves the page; false: something is not saved; null: not opened
 */
export async function openCase(study, id, wanted) {
  /** @type {CasePage | null} */ let page = null;
  const asked = ahead.get(id) ?? json(`/api/cases/${id}`);
  ahead.clear();
  const [given, rows] = await Promise.all([asked, rowsSoon((found) => { if (page) page.rows = found; })]);
  if (!wanted()) return null;
  page = new CasePage(study, id, given, rows);
  page.start();
  const opened = page;
  return () => opened.leave();
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
    this.open = true;
    this.viewer = new Viewer(given.width, given.height);
    this.viewer.stage.id = "stage";
    const { finding, label, confidence, statement, marks, removed } = given.reading;
    /** @type {import("/static/history.js").History<Draft>} */ this.history = historyOf(id, { finding, label, confidence, statement, marks });
    /** @type {Mark[]} taken away last, also before this page was opened */ this.removed = removed;
    this.attention = new Attention();
    this.panel = h("aside", { class: "panel", "aria-label": "Your reading" });
    this.tools = new Tools(this.viewer, {
      marks: () => this.draft.marks,
      change: (after, kind) => this.marked(after, kind),
      told: () => this.tell(),
      limits: study.limits,
      editable: this.blind,
    });
    this.lens = new Lens(this.viewer);
    this.note = noteBox(this);
    this.beside = new Beside(this);
    /** @type {(() => void)[]} */ this.ends = [];
    this.refresh = () => {};
    this.called = ""; // by the model, once it is shown
  }

  /** @returns {Draft} */
  get draft() { return this.history.state; }

  start() {
    const { study, viewer } = this;
    document.body.dataset.page = "case";
    byId("where").replaceChildren(h("span", {}, study.study), " · ", h("h1", {}, `Case ${this.number} of ${this.rows.length}`));
    byId("nav").replaceChildren(h("span", { class: "who" }, study.reader), h("a", { class: "button", href: "#/" }, "Worklist"),
      h("button", { type: "button", id: "help", onclick: () => this.help(), "aria-keyshortcuts": "?" }, "Help ?"));
    this.films = h("div", { class: "films" }, viewer.stage);
    byId("main").replaceChildren(h("div", { class: "case" }, toolbar(this), this.films, this.panel, strip(this)));
    viewer.fit();
    this.tools.use("select");
    void this.film();
    if (this.blind) this.startBlind();
    else if (study.role === "adjudicator") { settledPanel(this); this.keys(commonKeys(this)); }
    else this.startCompare();
    viewer.stage.focus({ preventScroll: true });
    announce(`Case ${this.number} of ${this.rows.length}. ${this.blind ? "Blinded reading." : "Locked."}`);
  }

  async film() {
    const { viewer } = this;
    let first = true;
    try {
      await load(this.id, Math.max(1, viewer.stage.clientWidth * (window.devicePixelRatio || 1)), (film) => {
        if (!this.open) return;
        viewer.load(film);
        if (first) restore(this.id, viewer, this.tools);
        if (first) this.beside.start();
        first = false;
        this.refresh();
        this.tell();
      });
    } catch (error) {
      if (this.open) dialog("No film", /** @type {Error} */ (error).message, [["Close", null]]);
      return;
    }
    const row = nextOpen(this.rows, this.id);
    if (row && this.open) await this.prepare(row).catch(() => {}); // told when it is opened
  }

  /** Have the next case at hand. @param {import("/static/worklist.js").Row} row */
  async prepare({ case: id, state }) {
    const given = json(`/api/cases/${id}`);
    if (state === "new") ahead.set(id, given); // what was never opened does not change meanwhile; the server refuses if it did
    given.catch(() => ahead.delete(id));
    await prefetch(id);
    await prefetchBeside((await given).related);
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
    this.keys([...commonKeys(this), ...blindKeys(this)]);
    this.refresh();
    if (!this.given.reading.revision) this.autosave.touch(); // opening is noted, and starts the clock
  }

  startCompare() {
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

  /** @param {number} x @param {number} y @param {import("/static/keyboard_marking.js").Step} step */
  arrow(x, y, step) {
    if (!this.tools.keyboard.arrow(x, y, step) && step !== "more") this.viewer.pan(-x * 40, -y * 40);
  }

  /** Take a change of the draft. @param {Partial<Draft>} part @param {string} kind */
  change(part, kind) {
    if (!this.blind || !this.autosave || this.autosave.closed) return;
    const before = this.draft.marks;
    this.history.push({ ...this.draft, ...part }, kind);
    if (part.marks && part.marks.length < before.length) this.removed = before.filter((m) => !part.marks?.includes(m));
    this.changed();
  }

  /** Marks were drawn, changed or taken away. @param {Mark[]} marks @param {string} kind */
  marked(marks, kind) {
    const { finding, label } = this.draft;
    this.change({ marks, finding: marks.length ? true : finding === true ? null : finding, label: marks.length && label === UNASSESSED ? null : label }, kind);
  }

  changed() {
    this.autosave?.touch();
    this.refresh();
    this.tools.draw();
    this.tell();
  }

  undo() { if (this.history.undo()) { announce("Undone"); this.changed(); } }

  redo() { if (this.history.redo()) { announce("Redone"); this.changed(); } }

  /** "No finding" takes the marks away; undo brings them back, and after a return "Bring back" does. */
  nothing() {
    const [well, ill] = [this.study.labels.find((l) => l !== this.study.positive) ?? null, this.study.positive];
    const old = this.draft.label === UNASSESSED ? null : this.draft.label;
    const label = (old === ill || old === null) && this.study.labels.length === 2 ? well : old;
    this.change({ finding: false, marks: [], label }, "");
    announce("No finding");
  }

  /** The film is not good enough to say anything. */
  cannot() {
    const again = this.draft.label === UNASSESSED;
    this.change(again ? { label: null } : { label: UNASSESSED, finding: null, confidence: null, marks: [] }, "");
    announce(again ? "No diagnosis" : "Cannot be assessed");
  }

  bringBack() {
    this.change({ marks: this.removed, finding: true, label: this.draft.label === UNASSESSED ? null : this.draft.label }, "");
    announce("Marks are back");
  }

  /** @returns {string[]} what is missing before a lock */
  missing() {
    const { finding, label, confidence, marks } = this.draft;
    if (label === UNASSESSED) return [];
    return [
      finding === null || (finding && !marks.length) ? "mark what you see, or say “no finding”" : "",
      label === null ? "choose a diagnosis" : "",
      confidence === null ? "say how sure you are" : "",
    ].filter(Boolean);
  }

  lock() { return askToLock(this); }

  /** Draw the page anew from what the server holds. */
  reload() { window.dispatchEvent(new HashChangeEvent("hashchange")); }

  stale() {
    if (!this.open) return;
    this.tools.board.editable = false;
    dialog("Changed elsewhere", "This case was saved or locked from another tab, or another reader entered in this browser. This tab saves no more, so that neither overwrites the other.",
      [["Load the newer version", () => this.reload()]]);
  }

  /** Stop the clock and hide the film, or go on. */
  pause() {
    const paused = !this.attention.paused;
    this.attention.pause(paused);
    this.films?.toggleAttribute("data-paused", paused);
    announce(paused ? "Paused; the film is hidden" : "Reading goes on");
    this.tell();
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
      if (autosave.dirty || autosave.pending || autosave.running || !this.blind) {
        if (!(await autosave.flush())) return false;
        autosave.close();
      } else { // time alone is worth a save, but neither a wait nor a question when it fails
        autosave.dirty = autosave.quiet = true;
        void autosave.flush().finally(() => autosave.close());
      }
    }
    this.open = false;
    void this.note.leave();
    remember(this.id, this.viewer, this.tools);
    this.attention.stop();
    this.viewer.stop();
    this.beside.stop();
    for (const end of this.ends.splice(0)) end();
    return true;
  }
}
