/** What speaks for a label or a criterion, lit up on the paper; it follows to another part of a long record. */

import { byId, showError } from "./dom.js";
import { once } from "./api.js";
import { say } from "./words.js";

const CALM = 200; // ms that a part is looked at before it is lit up

export class Light {
  /** @param {function(Object[], string): void} shade  lights up places on the paper under a title */
  constructor(shade) {
    this.shade = shade;
    this.ecg = null;
    this.part = [0, 10]; // start and seconds of what the paper shows
    this.lit = null; // {label, criterion, title} of what is lit up; criterion null: the label itself
    this.places = new Map(); // label and part → promise of what they look at there
    this.timer = 0;
  }

  /** A new ECG is on the paper, and nothing is lit up. */
  open(ecg) {
    this.ecg = ecg;
    this.places.clear();
    this.dark();
  }

  /** Light up what a label, or its criterion of this number, looks at; the same again makes it dark. */
  async toggle(label, criterion, title) {
    if (this.isOn(label, criterion)) return this.dark();
    this.lit = { label, criterion, title };
    this.#mark();
    await this.#draw();
  }

  isOn(label, criterion) {
    return this.lit?.label === label && this.lit.criterion === criterion;
  }

  /** Make the paper dark. */
  dark() {
    this.forget();
    this.shade([], "");
    byId("lit").textContent = "";
  }

  /** The paper was made dark by itself. */
  forget() {
    this.lit = null;
    this.#mark();
  }

  /** The paper shows another part, in s. */
  moved(start, seconds) {
    if (start === this.part[0] && seconds === this.part[1]) return;
    this.part = [start, seconds];
    clearTimeout(this.timer);
    if (this.lit) this.timer = setTimeout(() => this.#draw(), CALM);
  }

  async #draw() {
    const { ecg, lit, part } = this;
    const [start, seconds] = part;
    const ask = () => ecg.ask("/api/places", { label: lit.label, start, seconds });
    try {
      const places = await once(this.places, `${lit.label}\n${start}\n${seconds}`, ask);
      if (lit !== this.lit || ecg !== this.ecg || part !== this.part) return;
      const shades = lit.criterion === null ? places.label : (places.criteria[lit.criterion] ?? []);
      this.shade(shades, lit.title);
      byId("lit").textContent = shades.length ? "" : say("nothingToLight", lit.title);
    } catch (error) {
      if (lit !== this.lit || ecg !== this.ecg) return;
      this.dark();
      showError(byId("part-error"), error.message);
    }
  }

  #mark() {
    for (const button of document.querySelectorAll("[data-lights]")) {
      const [label, criterion] = JSON.parse(button.dataset.lights);
      button.setAttribute("aria-pressed", String(this.isOn(label, criterion)));
    }
  }
}
