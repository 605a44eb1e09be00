// Seconds a reader looked: the page is visible and was touched within the last minute.

const IDLE = 60_000;

export class Attention {
  constructor() {
    this.spent = 0;
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
    const end = this.visible ? Math.min(now, this.last + IDLE) : this.since; // as it was until now
    this.spent += Math.max(0, end - this.since);
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

  stop() {
    for (const name of this.events) document.removeEventListener(name, this.seen, { capture: true });
  }
}
