/** Draws a scene (paper-layout.js) as SVG. User units are mm; only lines keep their width on the screen. */

import { isOn, NAME, ordered, sceneOf, xOf } from "./paper-layout.js";
import { clock, HUNDREDTH, pathOf, signalOf } from "./paper-units.js";
import { say } from "./words-paper.js";

const SVG = "http://www.w3.org/2000/svg";
// The letters of the classes of beats, as annotators write them
const LETTERS = { usual: "N", early: "S", wide: "V", run: "V", fusion: "F", paced: "P", late: "N", other: "?" };
const NEAR = 9; // mm: nearer letters leave no room for R-R between them
let patterns = 0; // each has its own id on the page

/** The letter of a beat of BEATS. */
export const letterOf = (beat) => beat.letter ?? LETTERS[beat.kind] ?? "?";

/** An SVG element with attributes; those that are null are left out. */
export function draw(parent, name, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  parent?.append(element);
  return element;
}

/**
 * Draw the paper into an emptied svg.
 *
 * scale: CSS px in a mm; extra: {beats, shades, chosen, language}
 */
export function drawScene(svg, scene, scale, { beats = [], shades = [], chosen = null, language = "en" } = {}) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
  drawGrid(svg, scene.width, scene.height, scale);
  drawShades(draw(svg, "g", { class: "shades" }), scene, shades);
  if (scene.waves) drawWaves(draw(svg, "g", { class: "waves" }), scene, beats);
  drawPulses(svg, scene);
  drawTraces(svg, scene, scale);
  drawNames(draw(svg, "g", { class: "names" }), scene, { chosen, language, shades });
  if (scene.peaks) drawBeats(draw(svg, "g", { class: "beats" }), scene, beats);
}

function drawGrid(svg, width, height, scale) {
  const defs = draw(svg, "defs");
  const fine = scale >= 2; // finer lines would be a tint
  draw(svg, "rect", { class: "sheet", width, height });
  const grids = [["grid-fine", 1, 0.15], ["grid", 5, 0.25]];
  for (const [name, step, thick] of fine ? grids : grids.slice(1)) {
    // each tile has its lines whole, in the middle of a border that is moved out
    const [id, half] = [`paper-${name}-${patterns++}`, thick / 2];
    const tile = { id, x: -half, y: -half, width: step, height: step, patternUnits: "userSpaceOnUse" };
    const d = `M0 ${half}H${step}M${half} 0V${step}`;
    draw(draw(defs, "pattern", tile), "path", { class: name, d, "stroke-width": thick });
    draw(svg, "rect", { width, height, fill: `url(#${id})` });
  }
}

function drawPulses(svg, scene) {
  const at = 2;
  const tops = scene.rows.map(([{ baseline }]) =>
    `M${at - 1} ${baseline}h1v${-scene.gain}h${scene.pulse}v${scene.gain}h1`);
  draw(svg, "path", { class: "pulse", d: tops.join("") });
}

function drawTraces(svg, scene, scale) {
  const group = draw(svg, "g", { class: "traces", transform: `scale(${1 / HUNDREDTH})` });
  const { signal } = scene;
  const column = 1 / (scale * Math.max(2, window.devicePixelRatio || 1)); // half a px at the most
  for (const strip of scene.strips) {
    const values = signal.leads[strip.lead];
    if (!values) continue;
    const place = {
      x: xOf(scene, strip, signal.start + strip.low / signal.rate),
      dx: scene.speed / signal.rate,
      y: strip.baseline + scene.gain * strip.middle,
      dy: scene.gain,
      column,
    };
    draw(group, "path", { class: "trace", "data-lead": strip.lead, d: pathOf(values, strip.low, strip.high, place) });
  }
}

function drawNames(group, scene, { chosen, language, shades }) {
  for (const strip of scene.strips) {
    const there = Boolean(scene.signal.leads[strip.lead]);
    // not where its column or line lets expect
    const late = Math.abs(strip.first - scene.start - (strip.x - scene.left) / scene.speed) > 1e-6;
    const name = there ? strip.lead : `${strip.lead} ${say(language, "missing")}`;
    const text = late ? `${name} ${clock(strip.first, language)}` : name;
    const marks = [chosen === strip.lead && "chosen", shades.some((s) => s.lead === strip.lead) && "lit"];
    const [x, y] = [strip.x + 0.6, strip.baseline - strip.name];
    const link = draw(group, "g", { class: ["name", ...marks].filter(Boolean).join(" "), "data-name": strip.lead });
    draw(link, "rect", { x: x - 0.6, y: y - NAME - 0.3, width: widthOf(text), height: NAME + 1.2, rx: 0.6 });
    draw(link, "text", { x, y: y - 0.4, class: there ? null : "missing" }, text);
  }
}

/** mm of a name of a lead. */
function widthOf(text) {
  return [...text].reduce((sum, letter) => sum + (letter === "I" ? 1.3 : 2.3), 1.4);
}

function drawBeats(group, scene, beats) {
  for (const strip of scene.strips.filter((each) => each.marked)) {
    const y = strip.baseline - strip.above - 1;
    let last = null;
    for (const beat of beats.filter((each) => isOn(strip, each.time_s))) {
      const x = xOf(scene, strip, beat.time_s);
      const letter = letterOf(beat);
      draw(group, "text", { x, y, class: `letter beat-${letter === "?" ? "other" : letter}` }, letter);
      draw(group, "path", { class: "tick", d: `M${x} ${y + 0.6}v1` });
      if (last && x - last.x >= NEAR) {
        const ms = Math.round(1000 * (beat.time_s - last.time));
        draw(group, "text", { x: (x + last.x) / 2, y, class: "interval" }, ms);
      }
      last = { x, time: beat.time_s };
    }
  }
}

function drawWaves(group, scene, beats) {
  for (const strip of scene.strips.filter((each) => each.marked)) {
    const [above, top] = [strip.baseline - strip.above, strip.baseline + strip.below + 0.8];
    for (const [name, from, to] of beats.flatMap((beat) => wavesOf(beat))) {
      const [a, b] = [Math.max(from, strip.first), Math.min(to, strip.first + strip.seconds)];
      if (b <= a) continue;
      const [x, width] = [xOf(scene, strip, a), (b - a) * scene.speed];
      draw(group, "rect", { class: `span wave-${name}`, x, width, y: above, height: top - above });
      draw(group, "rect", { class: `wave-bar wave-${name}`, x, width, y: top, height: 1.4 });
      draw(group, "text", { x: x + width / 2, y: top + 4, class: "wave" }, name);
    }
  }
}

function wavesOf(beat) {
  return ["P", "QRS", "T"].filter((name) => beat.waves?.[name]).map((name) => [name, ...beat.waves[name]]);
}

function drawShades(group, scene, shades) {
  for (const shade of shades) {
    for (const strip of scene.strips) {
      if (shade.lead !== null && shade.lead !== strip.lead) continue;
      const from = Math.max(shade.start_s, strip.first);
      const to = Math.min(shade.end_s, strip.first + strip.seconds);
      if (to <= from) continue;
      const [x, width] = [xOf(scene, strip, from), (to - from) * scene.speed];
      const [y, height] = [strip.baseline - strip.above, strip.above + strip.below];
      draw(group, "rect", { class: "shade", "data-lead": strip.lead, x, y, width, height });
      draw(group, "path", { class: "shade-edge", d: `M${x} ${y}h${width}M${x} ${y + height}h${width}` });
    }
  }
}

/**
 * A small ECG: leads below one another on their grid, as wide as its container.
 *
 * signal: SIGNAL of an answer; seconds: how much of it
 */
export function smallEcg(signal, { leads = null, seconds = 10, language = "en" } = {}) {
  const decoded = signalOf(signal);
  const there = ordered(Object.keys(decoded.leads));
  const shown = (leads ?? ["II"]).filter((lead) => there.includes(lead));
  const view = {
    layout: "rows", leads: shown.length ? shown : there.slice(0, 1), start: decoded.start, speed: 25, gain: 10,
    seconds: Math.min(seconds, decoded.stop - decoded.start), peaks: false, waves: false,
  };
  const scene = sceneOf(decoded, view);
  const label = say(language, "small", { leads: view.leads.join(", "), seconds: Math.round(view.seconds) });
  const svg = draw(null, "svg", { class: "paper-small", role: "img", "aria-label": label });
  drawScene(svg, scene, 1.5, { language });
  return svg;
}
