/** A probability as a bar, with what it rests on. */

import { make } from "./dom.js";
import { percent as inPercent } from "./paper-units.js";
import { language, noteWords, say } from "./words.js";

/** A probability in percent. */
export function percent(probability) {
  if (probability === null || probability === undefined) return say("notMeasurable");
  return inPercent(probability, language());
}

/**
 * The bar of a score: filled up to its probability, with the threshold, the probabilities by the vector and by the
 * criteria alone as marks, and the interval of calibration below: how many of the validation ECGs that scored about so
 * had the condition, [low, high].
 */
export function bar(score, info) {
  const { probability, by_vector: vector, by_criteria: criteria, observed } = score;
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
  if (observed) at("interval", ...observed);
  if (known(vector)) at("mark vector", vector);
  if (known(criteria)) at("mark criteria", criteria);
  const said = [
    percent(probability),
    known(vector) && `${say("byVector")} ${percent(vector)}`,
    known(criteria) && `${say("byCriteria")} ${percent(criteria)}`,
    observed && `${say("calibrated")} ${range(...observed)}`,
    `${say("threshold")} ${percent(info.model.threshold)}`,
  ];
  return make("div", { class: "bar", role: "img", "aria-label": said.filter(Boolean).join(", ") }, parts);
}

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
    entry("interval", say("calibrated")),
  ];
}
