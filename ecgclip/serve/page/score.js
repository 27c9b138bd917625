/** A probability as a bar, with what it rests on. */

import { make } from "./dom.js";
import { language, noteWords, say } from "./words.js";

/** A probability in percent; those next to 0 and 1 are not rounded to certainty. */
export function percent(probability) {
  if (probability === null || probability === undefined) return say("notMeasurable");
  const sign = language() === "de" ? "\u00a0%" : "%";
  if (probability < 0.01) return `<\u00a01${sign}`;
  if (probability > 0.99) return `>\u00a099${sign}`;
  return `${Math.round(probability * 100)}${sign}`;
}

/**
 * Of validation ECGs that scored alike, how many had the condition: [from, to, low, high, n]; null where it is unknown,
 * as for a condition that training never had.
 */
export function reliabilityOf(score, info) {
  if (score.trained !== true || !info.reliability) return null;
  const within = ([from, to]) => score.probability >= from && (score.probability < to || to >= 1);
  return info.reliability.find(within) ?? null;
}

/**
 * The bar of a score: filled up to its probability, with the threshold, the probabilities by the vector and by the
 * criteria alone as marks, and the interval of calibration below.
 */
export function bar(score, info, reliability) {
  const { probability, by_vector: vector, by_criteria: criteria } = score;
  const parts = [];
  const at = (kind, from, to = null) => {
    const mark = make("span", { class: kind });
    mark.style.left = `${100 * from}%`;
    if (to !== null) mark.style.width = `${100 * (to - from)}%`;
    parts.push(mark);
  };
  const known = (value) => value !== null && value !== undefined;
  if (known(probability)) at(probability >= info.model.threshold ? "filled over" : "filled", 0, probability);
  at("threshold", info.model.threshold);
  if (reliability) at("interval", reliability[2], reliability[3]);
  if (known(vector)) at("mark vector", vector);
  if (known(criteria)) at("mark criteria", criteria);
  const said = [
    percent(probability),
    known(vector) && `${say("byVector")} ${percent(vector)}`,
    known(criteria) && `${say("byCriteria")} ${percent(criteria)}`,
    reliability && `${say("calibrated")} ${interval(reliability)}`,
    `${say("threshold")} ${percent(info.model.threshold)}`,
  ];
  return make("div", { class: "bar", role: "img", "aria-label": said.filter(Boolean).join(", ") }, parts);
}

/** The interval of calibration, as "82–91%". */
export const interval = ([, , low, high]) => range(low, high);

/** Two shares in percent, as "82–91%". */
export function range(low, high) {
  const rounded = [low, high].map((share) => Math.round(share * 100));
  return `${rounded[0]}–${rounded[1]}${language() === "de" ? "\u00a0%" : "%"}`;
}

/** How a label was understood, or that training had no ECGs of it; else empty. */
export const remarkOf = (score) => noteWords(score.note) || (score.trained === false ? say("untrained") : "");

/** What the marks on bars mean. */
export function legend(info) {
  const entry = (kind, words) => make("span", { class: "entry" }, make("span", { class: `sample ${kind}` }), words);
  return [
    entry("threshold", `${say("threshold")} ${percent(info.model.threshold)}`),
    entry("mark vector", say("byVector")),
    entry("mark criteria", say("byCriteria")),
    info.reliability ? entry("interval", say("calibrated")) : null,
  ];
}
