/** Where each lead stands on the paper: strips, rows and their room. Lengths are mm, y grows downwards. */

import { samples } from "./paper-units.js";

const LIMB = ["I", "II", "III", "aVR", "aVL", "aVF"];
const CHEST = ["V1", "V2", "V3", "V4", "V5", "V6"];
export const LEADS = [...LIMB, ...CHEST];
const GRIDS = {
  "3x4": [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]],
  "6x2": LIMB.map((lead, i) => [lead, CHEST[i]]),
};
const FEW = 3; // leads, at most, that stand below one another: a watch, a Holter
const LINE = 10; // s: a lead alone goes on in the next line
const LEFT = 5, PULSE = 0.2; // mm beside the paper's signals; s of the calibration pulse, left of each row
const EDGE = 5; // above and below
const UP = [10, 30], DOWN = [5, 30]; // least and, at 10 mm/mV, most room of a trace; more overlaps the next row
export const NAME = 3.4, LETTER = 5, BARS = 7; // heights: name of a lead, letters of beats, bars of waves

/** The layouts that make sense for these leads: the first is the default. "rows": all leads below one another. */
export function layoutsOf(leads) {
  return leads.length <= FEW ? ["rows", ...leads] : ["3x4", "6x2", "rows", ...leads];
}

/** The leads in the standard order, others behind them. */
export function ordered(leads) {
  return [...LEADS.filter((lead) => leads.includes(lead)), ...leads.filter((lead) => !LEADS.includes(lead))];
}

/**
 * Strips: {lead, first, seconds, row, x, marked}; first in s of the recording, x from where the signals begin; marked:
 * marks of the whole ECG stand on it.
 */
export function arrange(layout, leads, start, seconds, speed) {
  const grid = GRIDS[layout];
  if (!grid) return lines(layout === "rows" ? leads : [layout], start, seconds);
  const rhythm = ["II", "V1", "V5", ...leads].find((lead) => leads.includes(lead));
  const below = layout === "3x4";
  const part = Math.min(Math.max(seconds, LINE) / grid[0].length, seconds);
  const strips = grid.flatMap((row, r) => row.map((lead, column) => {
    // the last columns begin earlier where a recording is too short for them
    const first = start + Math.min(column * part, seconds - part);
    return { lead, first, seconds: part, row: r, x: column * part * speed, marked: !below && r === 0 };
  }));
  return below ? [...strips, { lead: rhythm, first: start, seconds, row: grid.length, x: 0, marked: true }] : strips;
}

function lines(leads, start, seconds) {
  const long = leads.length <= FEW && seconds > LINE;
  const length = long ? LINE : seconds;
  const marked = leads.includes("II") ? "II" : leads[0];
  const strips = [];
  for (let first = 0; first < seconds - 0.01; first += length) {
    for (const lead of leads) {
      const part = Math.min(length, seconds - first);
      strips.push({ lead, first: start + first, seconds: part, row: strips.length, x: 0, marked: lead === marked });
    }
  }
  return strips;
}

/**
 * The scene: strips with the place of each, and the size of the paper.
 *
 * view: {layout, leads, start, seconds, speed, gain, peaks, waves}; signal as of `signalOf`
 */
export function sceneOf(signal, view) {
  const strips = arrange(view.layout, view.leads, view.start, view.seconds, view.speed);
  const left = LEFT + PULSE * view.speed;
  strips.forEach((strip) => {
    strip.x += left;
    strip.width = strip.seconds * view.speed;
    [strip.low, strip.high] = samples(signal, strip.lead, strip.first, strip.first + strip.seconds);
    strip.middle = signal.middle[strip.lead] ?? 0;
  });
  const rows = [];
  for (const strip of strips) (rows[strip.row] ??= []).push(strip);
  const height = place(rows, signal, view);
  const width = Math.ceil((Math.max(...strips.map((strip) => strip.x + strip.width)) + LEFT) / 5) * 5;
  return { signal, strips, rows, left, width, height, pulse: PULSE * view.speed, ...view };
}

/** Give each row its baseline on a 5 mm line, as near to the last as they allow; returns the height of the paper. */
function place(rows, signal, view) {
  let bottom = EDGE;
  for (const row of rows) {
    const { above, below } = reach(row, signal, view);
    const marked = row.some((strip) => strip.marked);
    const up = above + (marked && view.peaks ? LETTER : 0);
    const down = below + (marked && view.waves ? BARS : 0);
    const baseline = 5 * Math.ceil((bottom + up) / 5);
    const top = baseline - up;
    bottom = baseline + down;
    row.forEach((strip) => Object.assign(strip, { baseline, above, below, top, bottom }));
  }
  return 5 * Math.ceil((bottom + EDGE) / 5);
}

/** How far the traces of a row reach above and below its baseline, the names of its leads with them. */
function reach(row, signal, view) {
  const most = (room) => Math.max(room[0], (room[1] * view.gain) / 10);
  let [above, below] = [Math.max(UP[0], view.gain), DOWN[0]];
  for (const strip of row) {
    const values = signal.leads[strip.lead] ?? [];
    const named = strip.low + ((2 + 2.4 * strip.lead.length) / view.speed) * signal.rate; // samples under the name
    let [high, low, over] = [0, 0, 3];
    for (let i = strip.low; i < strip.high; i++) {
      const y = view.gain * (values[i] - strip.middle);
      if (y > high) high = y;
      if (y < low) low = y;
      if (i < named && y > over) over = y;
    }
    strip.name = Math.min(over + 1, most(UP) - NAME); // over the baseline: it hides none of the trace
    above = Math.max(above, Math.min(high, most(UP)), strip.name + NAME);
    below = Math.max(below, Math.min(-low, most(DOWN)));
  }
  return { above, below };
}

/** x of a time, s, on a strip. */
export const xOf = (scene, strip, time) => strip.x + (time - strip.first) * scene.speed;
/** The time, s, at x of a strip. */
export const timeAt = (scene, strip, x) => strip.first + (x - strip.x) / scene.speed;
/** y of mV on a strip. */
export const yOf = (scene, strip, mv) => strip.baseline - scene.gain * (mv - strip.middle);
/** mV at y of a strip. */
export const mvAt = (scene, strip, y) => strip.middle + (strip.baseline - y) / scene.gain;
/** Whether a time is on a strip. */
export const isOn = (strip, time) => time >= strip.first - 1e-9 && time <= strip.first + strip.seconds + 1e-9;

/** The strip at a point of the paper, or the nearest: the row first, then the column. */
export function stripAt(scene, x, y) {
  const away = (value, low, high) => Math.max(low - value, 0, value - high);
  const distance = ({ top, bottom, baseline, x: left, width }) =>
    1e4 * away(y, top, bottom) + 1e2 * away(x, left, left + width) + Math.abs(y - baseline);
  return scene.strips.reduce((best, strip) => (distance(strip) < distance(best) ? strip : best));
}
