// Seconds a reader looked: the page is visible and was touched within the last minute.

const IDLE = 60_000;

export class Attention {
  constructor() {
    this.spent = 0; // since it was taken last
    this.whole = 0; // since the case was opened
    this.paused = false;
    this.since = performance.now();
    this.last = this.since;
    this.visible = document.visibilityState === "visible";
    this.seen = () => { this.count(); this.last = performance.now(); };
    this.events = ["pointermove", "pointerdown", "keydown", "wheel", "visibilitychange"];
    for (const name of this.events) document.addEventListener(name, this.seen, { passive: true, capture: true });
  }

  /** Add the time since the last count, as far as somebody was there. */
  count() {
    const now = performance.now();
    const end = this.visible && !this.paused ? Math.min(now, this.last + IDLE) : this.since; // as it was until now
    const more = Math.max(0, end - this.since);
    this.spent += more;
    this.whole += more;
    this.since = now;
    this.visible = document.visibilityState === "visible";
  }

  /** Seconds since the last call. @returns {number} */
  take() {
    this.count();
    const seconds = Math.round(this.spent / 10) / 100;
    this.spent = 0;
    return seconds;
  }

  /** Stop the clock, or let it go on. @param {boolean} paused */
  pause(paused) {
    this.seen();
    this.paused = paused;
  }

  /** The reading time so far, and why it stands still, if it does. @returns {{text: string, why: string}} */
  shown() {
    this.count();
    const seconds = Math.floor(this.whole / 1000), still = performance.now() - this.last > IDLE;
    return { text: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`, why: this.paused ? "paused" : still ? "nobody here" : "" };
  }

  stop() {
    for (const name of this.events) document.removeEventListener(name, this.seen, { capture: true });
  }
}
