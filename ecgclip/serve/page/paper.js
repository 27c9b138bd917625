/**
 * ECG paper: twelve leads true to scale, to zoom, measure and walk through.
 *
 *     const paper = new Paper(container, {language: "en"});
 *     paper.onpart = async (start, seconds) => ({signal, beats});
 *     paper.open(answer of /api/open);
 *
 * The numbers are in paper-units.js, the places of leads in paper-layout.js, the drawing in paper-draw.js.
 */

import { Calipers } from "./calipers.js";
import { drawScene, letterOf, smallEcg } from "./paper-draw.js";
import { listen } from "./paper-gestures.js";
import { isOn, layoutsOf, ordered, sceneOf, xOf } from "./paper-layout.js";
import { printInParts } from "./paper-print.js";
import { make, makeToolbar } from "./paper-toolbar.js";
import { clock, number, PX, signalOf } from "./paper-units.js";
import { say } from "./words-paper.js";

export { smallEcg };

const ZOOM = [0.2, 8];
const SMALLEST = 0.7; // the whole width is shown where this zoom is enough for it
const ALONE = 2; // zoom of a lead alone
const SECONDS = 10;
const TALL = 0.85; // of the window: the box is no higher, see paper.css
let papers = 0;

/** The paper with its toolbar in a container. */
export class Paper {
  /** @type {?(start: number, seconds: number) => Promise<{signal, beats}>} asked for a part that is not there yet */
  onpart = null;
  /** Told when another part is shown: s of the recording. */
  onmoved = (_start, _seconds) => {};

  constructor(container, { language = "en" } = {}) {
    this.language = language;
    this.view = {
      layout: null, leads: [], start: 0, seconds: SECONDS, speed: 25, gain: 10, peaks: false, waves: false,
    };
    this.leads = [];
    this.whole = 0; // s of the recording
    this.wish = null; // the layout of several leads that was chosen, for the next ECG too
    this.zoom = 1;
    this.zoomed = null; // zoom that was asked for; null: what suits
    this.shades = [];
    this.asked = 0; // parts, so that an answer that comes late is not shown
    this.build(container);
    this.calipers = new Calipers(this);
    this.refresh = () => {};
    listen(this);
    printInParts(this);
    new ResizeObserver(() => {
      if (this.part && this.zoomed === null && this.room !== this.fitted) this.draw();
    }).observe(this.root);
  }

  build(container) {
    this.bar = make("div", { className: "paper-bar" });
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("class", "paper-svg");
    this.box = make("div", { className: "paper-box", tabIndex: 0 }, this.svg);
    this.box.setAttribute("role", "application");
    this.caption = make("p", { className: "paper-caption", id: `paper-caption-${papers++}` });
    this.box.setAttribute("aria-describedby", this.caption.id);
    this.unshade = make("p", { className: "paper-shaded", hidden: true });
    this.said = make("p", { className: "paper-said" });
    this.said.setAttribute("role", "status");
    this.root = make("div", { className: "paper", hidden: true });
    this.root.append(this.bar, this.box, this.caption, this.said, this.unshade);
    container.append(this.root);
  }

  /** Show an ECG, the answer of /api/open: its first part. */
  open(ecg) {
    this.asked++;
    this.whole = ecg.seconds;
    this.part = { signal: signalOf(ecg.signal), beats: ecg.beats };
    this.leads = ordered(Object.keys(this.part.signal.leads));
    const layouts = layoutsOf(this.leads);
    const layout = layouts.includes(this.wish) ? this.wish : layouts[0];
    const seconds = Math.min(SECONDS, this.whole);
    Object.assign(this.view, { layout, leads: this.leads, start: this.part.signal.start, seconds });
    this.lead = this.leads.includes("II") ? "II" : this.leads[0];
    this.before = layout;
    this.wanted = null;
    this.calipers.on = false;
    this.calipers.clear();
    this.shades = [];
    this.root.hidden = false;
    this.zoomed = null;
    this.setLanguage(this.language);
    this.box.scrollTo(0, 0);
    this.onmoved(this.view.start, seconds);
  }

  /** "en" or "de". */
  setLanguage(language) {
    this.language = language;
    if (!this.part) return;
    this.box.setAttribute("aria-label", say(language, "paper"));
    this.refresh = makeToolbar(this.bar, this);
    this.shade(this.shades, this.title);
    this.write("");
  }

  /** Light up what is looked at: SHADES of an answer, under a title; [] puts it out. */
  shade(shades, title = "") {
    this.shades = shades;
    this.title = title;
    this.unshade.hidden = !shades.length;
    if (shades.length) {
      const off = make("button", { type: "button", textContent: say(this.language, "unshade") });
      off.addEventListener("click", () => {
        this.shade([]);
        this.box.focus();
      });
      this.unshade.replaceChildren(off);
    }
    if (!this.part) return;
    this.draw();
    if (!shades.length) {
      this.write("");
      return;
    }
    const leads = [...new Set(shades.map(({ lead }) => lead ?? say(this.language, "grids")))];
    this.say("shaded", { title: `${title}: ${leads.join(", ")}` });
    const strip = this.scene.strips.find((each) => shades.some((s) => s.lead === each.lead && isOn(each, s.start_s)));
    if (strip) this.reveal(xOf(this.scene, strip, shades.find((s) => s.lead === strip.lead).start_s), strip);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Which part, which leads, at what scale

  /** Show the part from `start` on, s; `onpart` is asked for what is not there. */
  async goTo(start) {
    const { seconds } = this.view;
    const begin = Math.max(Math.min(start, this.whole - seconds), 0);
    const { signal } = this.part;
    const asked = ++this.asked;
    const isThere = begin >= signal.start - 1e-6 && begin + seconds <= signal.stop + 1e-3;
    if (!isThere && !this.onpart) return;
    this.wanted = begin;
    if (!isThere && !(await this.fetch(begin, seconds, asked))) return;
    this.wanted = null;
    this.calipers.clear();
    this.view.start = begin;
    this.shown();
  }

  /** Whether the part came, and still is wanted. */
  async fetch(start, seconds, asked) {
    this.box.setAttribute("aria-busy", "true");
    this.say("loading", { from: clock(start, this.language) });
    let answer, error;
    try {
      answer = await this.onpart(start, seconds);
    } catch (problem) {
      error = problem;
    }
    if (asked !== this.asked) return false;
    if (error) {
      this.wanted = null;
      this.box.removeAttribute("aria-busy");
      this.say("failed", { error: error.message });
      return false;
    }
    this.part = { signal: signalOf(answer.signal), beats: answer.beats };
    return true;
  }

  shown() {
    const { start, seconds } = this.view;
    this.draw();
    this.say("shown", { from: clock(start, this.language), to: clock(start + seconds, this.language) });
    this.onmoved(start, seconds);
  }

  /** One part on or back. */
  move(by) {
    return this.goTo((this.wanted ?? this.view.start) + by * this.view.seconds);
  }

  /** How long the part is, s. */
  setSeconds(seconds) {
    this.view.seconds = Math.min(seconds, this.whole);
    return this.goTo(this.view.start);
  }

  get isAlone() {
    return this.leads.includes(this.view.layout);
  }

  setLayout(layout) {
    if (!this.isAlone) this.before = this.view.layout;
    if (this.leads.includes(layout)) this.lead = layout;
    else if (layout !== this.before) this.wish = layout;
    this.view.layout = layout;
    this.zoomTo(null);
    this.box.scrollTo(0, 0);
    this.say("lead", { lead: this.isAlone ? layout : this.lead });
  }

  /** A lead alone and enlarged; the same again: all of them. */
  focusLead(lead) {
    if (!this.leads.includes(lead)) return;
    if (this.isAlone) this.leaveLead();
    else this.setLayout(lead);
  }

  leaveLead() {
    if (this.isAlone) this.setLayout(this.before);
  }

  /** Choose the lead that keys work on. */
  choose(lead) {
    if (!this.leads.includes(lead)) return;
    this.lead = lead;
    if (this.isAlone) this.view.layout = lead;
    this.draw();
    const strip = this.chosenStrip();
    const values = this.part.signal.leads[lead].slice(strip.low, strip.high).filter((value) => !Number.isNaN(value));
    const mv = (value) => number(value - strip.middle, 2, this.language);
    const low = mv(values.reduce((a, b) => Math.min(a, b), strip.middle));
    const high = mv(values.reduce((a, b) => Math.max(a, b), strip.middle));
    const [from, to] = [strip.first, strip.first + strip.seconds].map((time) => clock(time, this.language));
    this.say("leadRange", { lead, from, to, low, high });
  }

  chooseNext(by) {
    const shown = this.isAlone ? this.leads : this.leads.filter((l) => this.scene.strips.some((s) => s.lead === l));
    const at = shown.indexOf(this.lead) + by;
    this.choose(shown[Math.min(Math.max(at, 0), shown.length - 1)]);
    const strip = this.chosenStrip();
    this.reveal(strip.x, strip);
  }

  /** The longest strip of the chosen lead. */
  chosenStrip() {
    const own = this.scene.strips.filter((strip) => strip.lead === this.lead);
    return own.reduce((best, strip) => (strip.seconds > best.seconds ? strip : best));
  }

  /** Change speed, gain, peaks or waves. */
  set(changes) {
    Object.assign(this.view, changes);
    this.draw();
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Zoom

  /** CSS px in a mm of the paper. */
  get scale() {
    return PX * this.zoom;
  }

  /** Zoom (1: a CSS mm is a mm; null: what suits), so that what is at `around` {clientX, clientY} stays there. */
  zoomTo(zoom, around = null) {
    this.zoomed = zoom === null ? null : Math.min(Math.max(zoom, ZOOM[0]), ZOOM[1]);
    const { box } = this;
    const area = box.getBoundingClientRect();
    const middle = [box.clientWidth / 2, box.clientHeight / 2];
    const at = around ? [around.clientX - area.left, around.clientY - area.top] : middle;
    const before = this.zoom;
    const point = [box.scrollLeft + at[0], box.scrollTop + at[1]];
    this.draw();
    const ratio = this.zoom / before;
    if (ratio !== 1) box.scrollTo(point[0] * ratio - at[0], point[1] * ratio - at[1]);
  }

  /** px for the paper beside the border and scroll bar of its box. */
  get room() {
    return this.root.clientWidth - 18;
  }

  zoomToFit() {
    this.zoomTo(this.room / (PX * this.scene.width));
  }

  /** The zoom that was asked for; else the paper as wide as there is room, if that is near to its true size. */
  fit() {
    this.fitted = this.room;
    const fit = this.room / (PX * this.scene.width);
    this.zoom = this.zoomed ?? (this.isAlone ? ALONE : fit >= SMALLEST ? Math.min(fit, 1) : 1);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Drawing and words

  draw() {
    this.scene = sceneOf(this.part.signal, this.view);
    this.fit();
    const { width, height } = this.scene;
    const { svg, scale, language, shades } = this;
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", height * scale);
    this.box.classList.toggle("tall", height * scale > TALL * window.innerHeight);
    svg.style.setProperty("--width", width); // mm, for print
    svg.style.setProperty("--height", height);
    svg.style.setProperty("--pen", Math.sqrt(Math.min(Math.max(this.zoom, 0.7), 4)));
    const beats = this.part.beats;
    drawScene(svg, this.scene, scale, { beats, shades, chosen: this.lead, language });
    this.calipers.draw();
    this.box.removeAttribute("aria-busy");
    this.describe();
    this.refresh();
  }

  describe() {
    const { language, leads } = this;
    const { start, seconds, speed, gain } = this.view;
    const text = (name, values) => say(language, name, values);
    const [from, to, whole] = [start, start + seconds, this.whole].map((time) => clock(time, language));
    const rate = text("asRecorded", { rate: number(this.part.signal.rate, 1, language) });
    const scale = `${speed} mm/s · ${gain} mm/mV`;
    this.caption.textContent = [text("fromTo", { from, to, whole }), scale, rate].join(" · ");
    const shown = [...new Set(this.scene.strips.map((strip) => strip.lead))].filter((lead) => leads.includes(lead));
    const label = [text("leadsFromTo", { leads: shown.join(", "), from, to, speed, gain }), this.beatsInWords()];
    this.svg.setAttribute("aria-label", label.join(" ").trim());
  }

  beatsInWords() {
    const { start, seconds } = this.view;
    const beats = this.part.beats.filter(({ time_s }) => time_s >= start && time_s < start + seconds);
    if (beats.length < 2) return "";
    const counts = {};
    for (const beat of beats) counts[letterOf(beat)] = (counts[letterOf(beat)] ?? 0) + 1;
    const kinds = Object.entries(counts).map(([letter, count]) => `${count} ${say(this.language, letter)}`).join(", ");
    const bpm = Math.round((60 * (beats.length - 1)) / (beats.at(-1).time_s - beats[0].time_s));
    return say(this.language, "beatsCounted", { count: beats.length, kinds, bpm });
  }

  /** Scroll so far that x of a strip, mm, is seen. */
  reveal(x, strip) {
    const { box, scale } = this;
    const edge = 64; // px
    const into = (from, size, at) =>
      at < from + edge ? Math.max(at - edge, 0) : at > from + size - edge ? at - size + edge : from;
    const left = into(box.scrollLeft, box.clientWidth, x * scale);
    box.scrollTo(left, into(box.scrollTop, box.clientHeight, strip.baseline * scale));
  }

  /** Say one of the texts under the paper, to a screen reader as well. */
  say(name, values) {
    this.write(say(this.language, name, values));
  }

  write(text) {
    this.said.textContent = text;
  }
}
