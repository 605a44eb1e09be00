// Saving without being asked, and saying so. What the server has not acknowledged is NOT SAVED.

import { ApiError, json, reader } from "/static/api.js";
import { byId } from "/static/dom.js";

const PAUSE = 400, RETRY = 1500, SILENCE = 3000; // SILENCE: what is not answered by then is called not saved

/** @typedef {"idle" | "saved" | "saving" | "unsaved" | "stale" | "refused"} SaveState */

export class Autosave {
  /**
   * @param {{path: string, revision: number, content: () => object, ondone?: (answer: any) => void, onstale: () => void}} given
   */
  constructor({ path, revision, content, ondone = () => {}, onstale }) {
    this.path = path;
    this.as = reader(); // a draft stays its reader's, whoever enters meanwhile
    this.revision = revision;
    this.content = content;
    this.ondone = ondone;
    this.onstale = onstale;
    this.dirty = false;
    this.closed = false;
    this.quiet = false;
    /** @type {object | null} a save without an answer yet; it is repeated as it was, so that it counts once */
    this.pending = null;
    /** @type {Promise<boolean> | null} */
    this.running = null;
    this.timer = 0;
    this.leaving = (/** @type {BeforeUnloadEvent} */ event) => {
      if (this.dirty || this.pending) event.preventDefault();
    };
    this.hidden = () => { if (document.visibilityState === "hidden") void this.flush(); };
    window.addEventListener("beforeunload", this.leaving);
    document.addEventListener("visibilitychange", this.hidden);
    show("idle");
  }

  /** Something changed. */
  touch() {
    if (this.closed) return;
    this.dirty = true;
    this.say("unsaved", "Not saved yet");
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.flush(), PAUSE);
  }

  /**
   * Save now.
   * @returns {Promise<boolean>} whether everything is on the server's disk
   */
  async flush() {
    clearTimeout(this.timer);
    while (!this.closed && (this.dirty || this.pending || this.running)) {
      this.running ??= this.once().finally(() => { this.running = null; });
      if (!(await this.running)) return false;
    }
    return !this.closed;
  }

  /** @returns {Promise<boolean>} */
  async once() {
    if (!this.pending) {
      this.pending = { ...this.content(), revision: this.revision, save: crypto.randomUUID() };
      this.dirty = false;
    }
    this.say("saving");
    const silent = window.setTimeout(() => { if (!this.closed) this.say("unsaved", "NOT SAVED: the server is silent"); }, SILENCE);
    try {
      const answer = await json(this.path, { method: "PUT", body: this.pending, as: this.as });
      this.pending = null;
      this.revision = answer.revision;
      this.ondone(answer);
      if (!this.closed && !this.dirty) this.say("saved");
      return true;
    } catch (error) {
      this.failed(/** @type {ApiError} */ (error));
      return false;
    } finally {
      clearTimeout(silent);
    }
  }

  /** @param {ApiError} error */
  failed(error) {
    if (this.closed) return;
    if (error.status === 409) {
      this.close();
      this.say("stale", `NOT SAVED: ${error.message}`);
      this.onstale();
    } else if (error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 401) {
      this.pending = null;
      this.dirty = true;
      this.say("refused", `NOT SAVED: ${error.message}`);
    } else {
      this.say("unsaved", error.status === 401 ? "NOT SAVED: signed out" : "NOT SAVED: no answer, trying again");
      this.timer = window.setTimeout(() => void this.flush(), RETRY);
    }
  }

  /** Say how the save stands, unless the page is another's by now. @param {SaveState} state @param {string} [text] */
  say(state, text) { if (!this.quiet) show(state, text); }

  /** Save no more. */
  close() {
    this.closed = true;
    this.dirty = false;
    this.pending = null;
    clearTimeout(this.timer);
    window.removeEventListener("beforeunload", this.leaving);
    document.removeEventListener("visibilitychange", this.hidden);
  }
}

/**
 * @param {SaveState} state
 * @param {string} [text]
 */
export function show(state, text) {
  const words = { idle: "", saved: `Saved ${new Date().toLocaleTimeString()}`, saving: "Saving…" };
  const at = byId("saved");
  at.dataset.state = state;
  at.textContent = text ?? words[/** @type {keyof typeof words} */ (state)] ?? "";
}
