// Another film of the same patient beside the one that is read, with zoom and window linked.

import { announce, h } from "/static/dom.js";
import { filmOf, load, prefetch } from "/static/film.js";
import { dialog } from "/static/keys.js";
import { link } from "/static/looks.js";
import { Viewer } from "/static/viewer.js";

const SIDE = /^(LL|RL|LAT|LATERAL|LLD|RLD)$/i; // frontal films hang to the left of lateral ones

let wanted = false; // once asked for, the next patient's other film comes by itself

/** Have the film at hand that will be shown beside a case. @param {string[]} related its patient's other films */
export async function prefetchBeside(related) {
  if (wanted && related.length) await prefetch(related[0]);
}

/** When another film was taken. @param {number | null | undefined} days after the one that is read; negative: before */
function when(days) {
  if (days === null || days === undefined) return "Other film, date not known";
  if (!days) return "Film of the same day";
  const many = Math.abs(days), far = many < 60 ? `${many} day${many === 1 ? "" : "s"}` : many < 730 ? `${Math.round(many / 30.44)} months` : `${Math.round(many / 365.25)} years`;
  return `Film of ${far} ${days < 0 ? "before" : "later"}`;
}

export class Beside {
  /** @param {import("/static/case.js").CasePage} page */
  constructor(page) {
    this.page = page;
    this.at = -1;
    /** @type {Viewer | null} */ this.viewer = null;
  }

  /** How many other films there are. */
  get count() { return this.page.given.related.length; }

  /** Show the other film at once, if the case before had one beside it. */
  start() { if (wanted && this.count && this.at < 0) void this.turn(); }

  /** Show the next of the patient's other films, after the last none. */
  async turn() {
    const { page } = this;
    if (!this.count) return announce("There is no other film of this patient in this study");
    this.stop();
    this.at += 1;
    wanted = this.at < this.count;
    if (!wanted) {
      this.at = -1;
      page.viewer.fit();
      return page.tell();
    }
    const id = page.given.related[this.at];
    try {
      const { width, height } = (await filmOf(id)).about;
      if (!page.open) return;
      const viewer = this.viewer = new Viewer(width, height, "Another film of this patient, only to look at");
      const caption = h("span", { class: "caption" }, "Other film");
      viewer.stage.classList.add("beside");
      viewer.stage.append(caption);
      page.films?.append(viewer.stage);
      this.drag(viewer);
      viewer.fit();
      page.viewer.fit();
      link(page.viewer, viewer);
      await load(id, viewer.stage.clientWidth, (film) => {
        if (this.viewer !== viewer) return;
        const { view } = film.about, own = page.viewer.film?.about.view ?? "";
        viewer.load(film);
        caption.textContent = `${when(page.given.apart?.[this.at])}${view ? ` · ${view}` : ""}${this.count > 1 ? ` · ${this.at + 1} of ${this.count}` : ""}`;
        viewer.stage.classList.toggle("first", SIDE.test(own) && !SIDE.test(view));
      });
      announce("Another film of this patient is shown beside");
    } catch (error) {
      dialog("No film", /** @type {Error} */ (error).message, [["Close", null]]);
    }
    page.tell();
  }

  /** The second film is only moved. @param {Viewer} viewer */
  drag(viewer) {
    const { stage } = viewer;
    let [x, y] = [0, 0];
    stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); [x, y] = [event.clientX, event.clientY]; });
    stage.addEventListener("pointermove", (event) => {
      if (!stage.hasPointerCapture(event.pointerId)) return;
      viewer.pan(event.clientX - x, event.clientY - y);
      [x, y] = [event.clientX, event.clientY];
    });
  }

  stop() {
    this.viewer?.stop();
    this.viewer?.stage.remove();
    this.viewer = null;
  }
}
