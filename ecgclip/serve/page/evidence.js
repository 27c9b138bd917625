/** What lies behind a score: its criteria with what was measured, what explains them away, definition and sources. */

import { wholeConcept } from "./concepts.js";
import { bringIntoSight, byId, english, make } from "./dom.js";
import { SIGNS } from "./facts.js";
import { conceptLink, roleName, sourceList } from "./kb.js";
import { percent, range } from "./score.js";
import { answerName, pick, say } from "./words.js";

/**
 * The parts of the panel of a score.
 * @param {Object} score  of classify with its evidence
 * @param {import("./answers.js").Answers} answers
 * @returns {Promise<Node[]>}
 */
export async function evidence(score, answers) {
  const concept = score.concept ? await wholeConcept(score.concept) : null;
  const { explain } = score;
  return [
    definition(concept, explain),
    calibration(score),
    actions(score, concept, answers),
    criteriaList(score, answers),
    ...explain.explained.map(explainedAway),
    Object.keys(explain.sources).length
      ? make("details", {}, make("summary", {}, say("sources")), sourceList(explain.sources))
      : null,
  ].filter(Boolean);
}

function definition(concept, explain) {
  if (concept) return make("p", {}, pick(concept.definition));
  return explain.definition ? make("p", {}, english(explain.definition)) : null;
}

function calibration({ observed, trained }) {
  if (observed) return make("p", { class: "soft" }, say("calibration", range(...observed)));
  return trained === false ? make("p", { class: "soft" }, say("uncalibrated")) : null;
}

function actions(score, concept, answers) {
  const light = lightButton("button", score, null, answers, say("lightUp"));
  const compare = make("button", { type: "button" }, say("compare"));
  compare.addEventListener("click", () => answers.differential.show(score.concept, compare));
  const link = concept && make("a", { href: `#/kb/${encodeURIComponent(concept.id)}` }, say("inKnowledge"));
  return make("p", { class: "buttons" }, light, concept?.lookalikes.length ? compare : null, link);
}

function lightButton(kind, score, criterion, answers, ...words) {
  const { light } = answers;
  const title = criterion === null ? answers.titleOf(score) : score.explain.criteria[criterion].text;
  const attributes = { "data-lights": JSON.stringify([score.label, criterion]), class: kind };
  const pressed = String(light.isOn(score.label, criterion));
  const button = make("button", { type: "button", ...attributes, "aria-pressed": pressed }, words);
  button.addEventListener("click", async () => {
    await light.toggle(score.label, criterion, title);
    bringIntoSight(byId("paper"));
  });
  return button;
}

function criteriaList(score, answers) {
  const { criteria } = score.explain;
  if (!criteria.length) return make("p", { class: "soft" }, say("noCriteria"));
  const several = new Set(criteria.map((row) => row.concept)).size > 1;
  const items = criteria.map((row, i) => {
    const heading = several && row.concept && row.concept !== criteria[i - 1]?.concept;
    return [
      heading ? make("li", { class: "of" }, conceptLink(row.concept)) : null,
      criterionItem(score, row, i, answers),
    ];
  });
  return make("div", {}, make("h5", {}, say("criteria")), make("ul", { class: "criteria-list" }, items));
}

function criterionItem(score, row, i, answers) {
  const text = row.test ? lightButton("criterion", score, i, answers, english(row.text)) : english(row.text);
  const verdict = make("span", { class: "verdict" }, `${SIGNS[row.answer]} ${answerName(row.answer)}`);
  const role = make("span", { class: "soft" }, roleName(row.role), row.source ? ` · [${row.source}]` : "");
  const kinds = `${row.answer.replace(" ", "-")} ${row.role === "against" ? "against" : ""}`;
  return make(
    "li",
    { class: kinds },
    make("p", { class: "titled" }, verdict, role),
    make("p", {}, text),
    measured(row),
  );
}

/** What was measured, each alternative on a line of its own. */
function measured(row) {
  if (!row.test) return make("p", { class: "measured" }, say("noTest"));
  const lines = row.value.split(", or ").map((text, i) => make("p", {}, i ? "or " : "", text));
  return make("div", { class: "measured", lang: "en" }, lines);
}

function explainedAway(row) {
  return make(
    "p",
    { class: "explained" },
    say("explainedAway"),
    " ",
    conceptLink(row.by),
    ` (${percent(row.degree)}). `,
    say("countsLess"),
  );
}
