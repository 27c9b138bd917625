/** Calipers on the paper: two ends in a lead; what lies between them in ms, beats per minute and mV. */

import { draw } from "./paper-draw.js";
import { isOn, mvAt, timeAt, xOf, yOf } from "./paper-layout.js";
import { between, clock, march, number, signed, valueAt } from "./paper-units.js";
import { say, words } from "./words-paper.js";

const HANDLE = 12, FINGER = 24; // px: so near to an end it is taken; by mouse, by finger
const BOTH = 2; // the end that stands for both

/** The value of two ends {time, mv} in words: "812 ms · 74 bpm · +0.10 mV". */
export function valueText(one, other, language = "en") {
  const { ms, bpm, mv } = between(one, other);
  const rate = bpm === null ? [] : [say(language, "bpm", { value: number(bpm, 0, language) })];
  return [`${number(ms, 0, language)} ms`, ...rate, `${signed(mv, 2, language)} mV`].join(" · ");
}

/** Of a paper: its scene, signal, chosen lead, `svg`, `scale`, `say` and `reveal`. */
export class Calipers {
  constructor(paper) {
    this.paper = paper;
    this.on = false;
    this.clear();
  }

  /** Lift them off the paper. */
  clear() {
    this.lead = null;
    this.row = 0;
    this.ends = [];
    this.end = 1; // the one that keys move
    this.marching = false;
    this.held = null; // what the pointer moves
  }

  /** Take them up; with `place`, put them on the chosen lead: on two R peaks in the middle, if there are any. */
  start(place) {
    const { paper } = this;
    this.on = true;
    if (!place) {
      this.draw();
      return paper.say("calipersReady");
    }
    const strip = paper.chosenStrip();
    this.clear();
    Object.assign(this, { lead: strip.lead, row: strip.row });
    const [from, to] = this.seen(strip);
    const beats = paper.part.beats.map((beat) => beat.time_s).filter((time) => time >= from && time <= to);
    const first = Math.max(Math.ceil(beats.length / 2) - 1, 0);
    const apart = [0.4, 0.6].map((share) => from + share * (to - from));
    const times = beats.length > 1 ? beats.slice(first, first + 2) : apart;
    this.ends = times.map((time) => this.onTrace(this.sampled(time)));
    this.draw();
    paper.reveal(xOf(paper.scene, strip, times[1]), strip);
    paper.say("calipersOn", { lead: this.lead, value: this.text });
  }

  /** From when to when a strip is seen, s. */
  seen(strip) {
    const { scene, scale, box } = this.paper;
    const last = strip.first + strip.seconds;
    const from = Math.max(timeAt(scene, strip, box.scrollLeft / scale), strip.first);
    const to = Math.min(timeAt(scene, strip, (box.scrollLeft + box.clientWidth) / scale), last);
    return to > from ? [from, to] : [strip.first, last];
  }

  stop() {
    this.on = false;
    this.clear();
    this.draw();
    this.paper.say("calipersOff");
  }

  toggleMarch() {
    if (!this.ends.length) return;
    this.marching = !this.marching;
    this.draw();
    this.paper.say(this.marching ? "marching" : "notMarching");
  }

  /** What is between the ends, in words. */
  get text() {
    return this.ends.length ? valueText(...this.ends, this.paper.language) : "";
  }

  /** The strip that they are on, null where it is not shown. */
  get strip() {
    const there = this.paper.scene.strips.filter(
      (strip) => strip.lead === this.lead && this.ends.every((end) => isOn(strip, end.time)));
    return there.find((strip) => strip.row === this.row) ?? there[0] ?? null;
  }

  /** The time of the nearest sample, s. */
  sampled(time) {
    const { start, rate } = this.paper.scene.signal;
    return start + Math.round((time - start) * rate) / rate;
  }

  /** An end on the trace. */
  onTrace(time) {
    const { signal } = this.paper.scene;
    const mv = valueAt(signal, this.lead, time);
    return { time, mv: Number.isNaN(mv) ? signal.middle[this.lead] : mv };
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Pointer

  /** The pointer goes down at a point of the paper, mm: it takes an end or what joins them, or puts them anew. */
  down(point, strip, byFinger) {
    const near = (byFinger ? FINGER : HANDLE) / this.paper.scale;
    this.held = this.near(point, near);
    if (this.held === null) {
      const open = this.ends.length && this.isClosed() && this.strip === strip; // set by a click: another sets its end
      if (!open) {
        Object.assign(this, { lead: strip.lead, row: strip.row, marching: false });
        const end = this.at(point, strip);
        this.ends = [end, end];
      }
      this.held = 1;
      if (open) this.move(point);
    }
    this.end = this.held;
    this.from = { point, ends: this.ends };
    this.draw();
  }

  move(point) {
    const strip = this.strip;
    if (this.held === null || !strip) return;
    if (this.held === BOTH) {
      const { speed, gain } = this.paper.scene;
      const dt = (point.x - this.from.point.x) / speed;
      const dv = (this.from.point.y - point.y) / gain;
      this.shift(this.from.ends, dt, dv);
    } else {
      this.ends = this.ends.map((end, i) => (i === this.held ? this.at(point, strip) : end));
    }
    this.draw();
  }

  up() {
    if (this.held !== null && !this.isClosed()) this.paper.write(this.text);
    this.held = null;
  }

  isClosed() {
    return Math.abs(this.ends[0].time - this.ends[1].time) < 1e-9;
  }

  at(point, strip) {
    const { scene } = this.paper;
    const time = Math.min(Math.max(timeAt(scene, strip, point.x), strip.first), strip.first + strip.seconds);
    return { time, mv: mvAt(scene, strip, point.y) };
  }

  /** Which end is at a point: 0, 1, both, or null. */
  near(point, distance) {
    const strip = this.strip;
    if (!strip) return null;
    const [a, b] = this.ends.map((end) => this.place(strip, end));
    const away = [a, b].map((place) => Math.hypot(place.x - point.x, place.y - point.y));
    const nearest = away[1] <= away[0] ? 1 : 0;
    if (away[nearest] < distance) return nearest;
    // along the upright line of an end it is taken too
    const beside = [a, b].findIndex((place) => Math.abs(place.x - point.x) < distance / 2);
    const inside = point.y > strip.top && point.y < strip.bottom;
    if (inside && beside >= 0) return beside;
    const joined = point.x > Math.min(a.x, b.x) && point.x < Math.max(a.x, b.x);
    return joined && inside ? BOTH : null;
  }

  place(strip, end) {
    return { x: xOf(this.paper.scene, strip, end.time), y: yOf(this.paper.scene, strip, end.mv) };
  }

  /** Move both ends of `ends`, as far as the strip goes. */
  shift(ends, dt, dv) {
    const { first, seconds } = this.strip;
    const times = ends.map((end) => end.time);
    const moved = Math.min(Math.max(dt, first - Math.min(...times)), first + seconds - Math.max(...times));
    this.ends = ends.map((end) => ({ time: end.time + moved, mv: end.mv + dv }));
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Keys

  /** Whether a key was for them. */
  key(event) {
    const { key, shiftKey } = event;
    const { rate } = this.paper.scene.signal;
    if (key === "Escape") this.stop();
    else if (!this.ends.length || !this.strip) return false;
    else if (key === "m" || key === "M") this.toggleMarch();
    else if (key === "Tab") return this.changeEnd(shiftKey ? -1 : 1);
    else if (key === "ArrowLeft" || key === "ArrowRight") {
      this.step((key === "ArrowLeft" ? -1 : 1) * (shiftKey ? 0.01 : 1 / rate));
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      this.raise((key === "ArrowDown" ? -1 : 1) * (shiftKey ? 0.1 : 0.01));
    } else return false;
    return true;
  }

  /** Tab goes on behind the last end, so that nobody is caught. */
  changeEnd(by) {
    const next = this.end + by;
    if (next < 0 || next > BOTH) return false;
    this.end = next;
    this.draw();
    const { language } = this.paper;
    const at = this.ends[Math.min(next, 1)].time;
    this.paper.write(say(language, "endAt", { end: words[language].ends[next], time: clock(at, language, 3) }));
    return true;
  }

  /** Move the end in time; it stays on the trace. */
  step(dt) {
    const strip = this.strip;
    const ends = this.ends;
    if (this.end === BOTH) this.shift(ends, dt, 0);
    else {
      const time = Math.min(Math.max(ends[this.end].time + dt, strip.first), strip.first + strip.seconds);
      this.ends = ends.map((end, i) => (i === this.end ? this.onTrace(time) : end));
    }
    this.moved();
  }

  raise(dv) {
    this.ends = this.ends.map((end, i) => (i === this.end || this.end === BOTH ? { ...end, mv: end.mv + dv } : end));
    this.moved();
  }

  moved() {
    this.draw();
    const strip = this.strip;
    this.paper.reveal(xOf(this.paper.scene, strip, this.ends[Math.min(this.end, 1)].time), strip);
    this.paper.write(this.text);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Drawing

  draw() {
    const { svg, scene } = this.paper;
    svg.querySelector(".calipers")?.remove();
    svg.classList.toggle("measuring", this.on);
    const strip = this.ends.length ? this.strip : null;
    if (!strip) return;
    const group = draw(svg, "g", { class: "calipers" });
    const [a, b] = this.ends.map((end) => this.place(strip, end));
    const [top, bottom] = [strip.baseline - strip.above, strip.baseline + strip.below];
    const [low, high] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
    draw(group, "rect", { class: "caliper-band", x: low, y: top, width: high - low, height: bottom - top });
    this.drawAcross(group, strip);
    draw(group, "path", { class: "caliper-line", d: [a, b].map(({ x }) => `M${x} ${top}V${bottom}`).join("") });
    draw(group, "path", { class: "caliper-level", d: [a, b].map(({ y }) => `M${low} ${y}H${high}`).join("") });
    if (this.marching) {
      const times = march(this.ends[0].time, this.ends[1].time, strip.first, strip.first + strip.seconds);
      const d = times.map((time) => `M${xOf(scene, strip, time)} ${top}V${bottom}`).join("");
      draw(group, "path", { class: "caliper-march", d });
    }
    [a, b].forEach(({ x, y }, i) => {
      const held = this.end === i || this.end === BOTH;
      const name = held ? "caliper-end held" : "caliper-end";
      draw(group, "circle", { class: name, cx: x, cy: y, r: 5 / this.paper.scale });
    });
    this.drawLabel(group, (low + high) / 2, top);
  }

  /** The same moments in the other leads: where one begins or ends is seen best in another. */
  drawAcross(group, strip) {
    const { scene } = this.paper;
    const parts = scene.strips.filter((other) => other !== strip).flatMap((other) =>
      this.ends.filter((end) => isOn(other, end.time)).map((end) =>
        `M${xOf(scene, other, end.time)} ${other.baseline - other.above}V${other.baseline + other.below}`));
    if (parts.length) draw(group, "path", { class: "caliper-across", d: parts.join("") });
  }

  drawLabel(group, middle, top) {
    const { scale, box: { scrollLeft, clientWidth } } = this.paper;
    const size = 13 / scale; // mm
    const y = Math.max(top - 0.4 * size, 1.2 * size);
    const box = draw(group, "rect", { class: "caliper-box", rx: 0.3 * size, height: 1.45 * size, y: y - 1.08 * size });
    const text = draw(group, "text", { class: "caliper-value", y, "font-size": size }, this.text);
    const width = text.getComputedTextLength() + size;
    const [left, right] = [scrollLeft / scale, (scrollLeft + clientWidth) / scale]; // of what is seen
    const x = Math.min(Math.max(middle, left + width / 2), right - width / 2);
    text.setAttribute("x", x);
    box.setAttribute("x", x - width / 2);
    box.setAttribute("width", width);
  }
}
