// Undo and redo over whole states, which are small and never changed in place.

/** @template T */
export class History {
  /** @param {T} state */
  constructor(state) {
    /** @type {T[]} */ this.past = [];
    /** @type {T[]} */ this.future = [];
    this.state = state;
    this.kind = "";
    this.at = 0;
  }

  /**
   * Take a new state. Changes of the same kind within a second (typing, arrow keys) are one step.
   * @param {T} state
   * @param {string} kind
   */
  push(state, kind) {
    const now = performance.now();
    const joined = kind !== "" && kind === this.kind && now - this.at < 1000;
    if (!joined) this.past.push(this.state);
    if (this.past.length > 200) this.past.shift();
    this.future = [];
    this.state = state;
    this.kind = kind;
    this.at = now;
  }

  /** @returns {boolean} whether there was anything to undo */
  undo() {
    const before = this.past.pop();
    if (before === undefined) return false;
    this.future.push(this.state);
    this.state = before;
    this.kind = "";
    return true;
  }

  /** @returns {boolean} */
  redo() {
    const after = this.future.pop();
    if (after === undefined) return false;
    this.past.push(this.state);
    this.state = after;
    this.kind = "";
    return true;
  }
}

/** @type {Map<string, History<any>>} of cases that were open since the page was loaded */
const kept = new Map();

/**
 * The history of a case; what was done before it was left can be undone, if the case is as it was then.
 * @template T
 * @param {string} id
 * @param {T} state as the server has it
 * @returns {History<T>}
 */
export function historyOf(id, state) {
  const old = kept.get(id);
  const found = old && JSON.stringify(old.state) === JSON.stringify(state) ? old : new History(state);
  found.kind = "";
  kept.set(id, found);
  return found;
}
