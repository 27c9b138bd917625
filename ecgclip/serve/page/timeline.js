/** A long recording at a glance: heart rate, and the probability of each condition, by window; to click through. */

import { draw } from "./paper-draw.js";
import { make } from "./paper-toolbar.js";
import { clock, number, percent } from "./paper-units.js";
import { say } from "./words-paper.js";

// px
const SIDE = 6, RATE = 64, LABEL = 18, ROW = 20, AXIS = 18;
const TICKS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600]; // s
const TICK = 70; // px between two ticks at the least
const WAIT = 200; // ms after the last key until the part is asked for

/** The timeline in a container. */
export class Timeline {
  /** Told when a window is chosen: its start, s. */
  onselect = (_start) => {};

  constructor(container, { language = "en" } = {}) {
    this.language = language;
    this.svg = draw(null, "svg", { class: "timeline-svg", role: "slider", tabindex: 0 });
    this.readout = make("p", { className: "timeline-readout" });
    this.help = make("p", { className: "timeline-help" });
    this.root = make("div", { className: "timeline", hidden: true }, this.svg, this.readout, this.help);
    container.append(this.root);
    this.at = 0; // the window that is told of
    this.marked = [0, 0]; // the part that is shown: start and length, s
    this.svg.addEventListener("keydown", (event) => this.onkey(event));
    this.listenToPointer();
    new ResizeObserver(() => this.data && this.draw()).observe(this.root);
  }

  /** Show an answer of /api/timeline; seconds: of the recording. */
  show(answer, { seconds }) {
    this.data = answer;
    this.seconds = seconds;
    this.at = this.windowAt(this.marked[0]);
    this.root.hidden = !answer.windows.length;
    this.setLanguage(this.language);
  }

  /** "en" or "de". */
  setLanguage(language) {
    this.language = language;
    this.svg.setAttribute("aria-label", say(language, "timeline"));
    this.help.textContent = say(language, "timelineHelp");
    if (this.data) this.draw();
  }

  /** Mark the part that is shown, s. */
  mark(start, seconds) {
    this.marked = [start, seconds];
    if (!this.data?.windows.length) return;
    this.tell(this.windowAt(start));
    this.drawMark();
  }

  /** The window that a time, s, is in. */
  windowAt(time) {
    const after = this.data.windows.findIndex((start) => start > time + 1e-6);
    return after < 0 ? this.data.windows.length - 1 : Math.max(after - 1, 0);
  }

  /** Tell of a window: when, rate, probabilities. */
  tell(at) {
    const { windows, rate, scores } = this.data;
    this.at = Math.min(Math.max(at, 0), windows.length - 1);
    const bpm = rate[this.at];
    const language = this.language;
    const parts = [
      clock(windows[this.at], language),
      bpm === null ? say(language, "noRate") : say(language, "rateIs", { value: number(bpm, 0, language) }),
      ...scores.map(({ label, probability }) => {
        const value = probability[this.at];
        return `${label} ${value === null ? "–" : percent(value, language)}`;
      }),
    ];
    this.readout.textContent = parts.join(" · ");
    const numbers = { min: 0, max: windows.length - 1, now: this.at, text: parts.join(", ") };
    for (const [name, value] of Object.entries(numbers)) this.svg.setAttribute(`aria-value${name}`, value);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Pointer and keys

  listenToPointer() {
    const { svg } = this;
    const under = (event) => this.windowAt((event.offsetX - SIDE) / this.perSecond);
    svg.addEventListener("pointermove", (event) => this.data && this.tell(under(event)));
    svg.addEventListener("pointerleave", () => this.data && this.tell(this.windowAt(this.marked[0])));
    svg.addEventListener("click", (event) => this.data && this.select(under(event), 0));
  }

  onkey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    const last = this.data.windows.length - 1;
    const to = {
      ArrowLeft: this.at - 1, ArrowRight: this.at + 1, ArrowDown: this.at - 1, ArrowUp: this.at + 1,
      PageUp: this.at - 10, PageDown: this.at + 10, Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(Math.min(Math.max(to, 0), last), WAIT);
  }

  /** Choose a window; while keys are held down only the last one counts. */
  select(at, wait) {
    const start = this.data.windows[at];
    this.mark(start, this.marked[1]);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onselect(start), wait);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Drawing

  draw() {
    const { svg, data } = this;
    const width = Math.max(this.root.clientWidth, 200);
    const height = RATE + data.scores.length * (LABEL + ROW) + AXIS + LABEL;
    svg.replaceChildren();
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) {
      svg.setAttribute(name, value);
    }
    this.perSecond = (width - 2 * SIDE) / this.seconds;
    this.length = data.windows.length > 1 ? data.windows[1] - data.windows[0] : this.seconds;
    this.drawRate(width);
    data.scores.forEach((score, i) => this.drawScore(score, LABEL + RATE + i * (LABEL + ROW), width));
    this.drawAxis(width, height);
    this.drawMark();
    this.tell(this.at);
  }

  x(time) {
    return SIDE + time * this.perSecond;
  }

  drawRate(width) {
    const { rate, windows } = this.data;
    const known = rate.filter((value) => value !== null);
    const low = Math.max(20 * Math.floor((Math.min(...known, 60) - 5) / 20), 0);
    const high = 20 * Math.ceil((Math.max(...known, 100) + 5) / 20);
    const y = (value) => LABEL + ((high - value) / (high - low)) * (RATE - 6);
    const { svg } = this;
    draw(svg, "text", { x: SIDE, y: 13, class: "label" }, `${say(this.language, "rate")} (/min)`);
    for (const value of [60, 100]) { // between them it is normal
      draw(svg, "path", { class: "level", d: `M${SIDE} ${y(value)}H${width - SIDE}` });
      draw(svg, "text", { x: width - SIDE, y: y(value) - 2, class: "level-value" }, value);
    }
    const d = windows.map((start, i) => {
      if (rate[i] === null) return "";
      const point = `${this.x(start + this.length / 2).toFixed(1)} ${y(rate[i]).toFixed(1)}`;
      return i && rate[i - 1] !== null ? `L${point}` : `M${point}h.01`; // a dot, if the next has none
    });
    draw(svg, "path", { class: "rate", d: d.join("") });
  }

  /** Where windows share a px, the most probable one is seen. */
  drawScore({ label, probability }, top, width) {
    const { svg } = this;
    const bottom = top + LABEL + ROW;
    draw(svg, "text", { x: SIDE, y: top + 13, class: "label" }, label);
    draw(svg, "rect", { class: "track", x: SIDE, y: top + LABEL, width: width - 2 * SIDE, height: ROW });
    const columns = new Float32Array(Math.ceil(width));
    this.data.windows.forEach((start, i) => {
      const from = Math.round(this.x(start));
      const to = Math.max(Math.round(this.x(Math.min(start + this.length, this.seconds))), from + 1);
      for (let x = from; x < to; x++) columns[x] = Math.max(columns[x], probability[i] ?? 0);
    });
    const d = Array.from(columns, (value, x) => `M${x} ${bottom}v${(-ROW * value).toFixed(1)}h1V${bottom}`);
    draw(svg, "path", { class: "score", d: d.join("") });
    draw(svg, "path", { class: "level", d: `M${SIDE} ${top + LABEL + ROW / 2}H${width - SIDE}` });
  }

  drawAxis(width, height) {
    const step = TICKS.find((each) => each * this.perSecond >= TICK) ?? 86400;
    for (let time = 0; time <= this.seconds; time += step) {
      const x = this.x(time);
      draw(this.svg, "path", { class: "axis", d: `M${x} ${height - AXIS}v4` });
      const anchor = x < 20 ? "start" : x > width - 20 ? "end" : "middle";
      draw(this.svg, "text", { x, y: height - 2, class: "time", "text-anchor": anchor }, clock(time, this.language));
    }
  }

  drawMark() {
    const { svg } = this;
    const [start, seconds] = this.marked;
    svg.querySelector(".here")?.remove();
    const width = Math.max((seconds || this.length) * this.perSecond, 3);
    const height = Number(svg.getAttribute("height")) - AXIS;
    const x = Math.min(this.x(start), Number(svg.getAttribute("width")) - width);
    draw(svg, "rect", { class: "here", x, y: LABEL - 2, width, height: height - LABEL + 2 });
  }
}
