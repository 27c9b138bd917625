/** What is said of the ECG: the stated findings, and the scores of what is asked for. */

import { joinLabels } from "./api.js";
import { nameOf } from "./concepts.js";
import { Differential } from "./differential.js";
import { announce, bringIntoSight, byId, english, fill, make, showError } from "./dom.js";
import { evidence } from "./evidence.js";
import { bar, legend, percent, reliabilityOf } from "./score.js";
import { capital, language, noteWords, say } from "./words.js";

export class Answers {
  /**
   * @param {Object} info  answer of /api/info
   * @param {import("./labels.js").Labels} labels  what is asked for
   * @param {function(Object[], string): void} light  lights up places on the paper
   */
  constructor(info, labels, light) {
    Object.assign(this, { info, labels, light });
    this.ecg = null;
    this.findings = null; // scores of what is stated, each with its sentence; null while it is not known
    this.scored = new Map(); // label that was asked for → its score
    this.unfolded = new Set(); // keys of rows that are open
    this.places = new Map(); // label → promise of what it looks at
    this.lit = ""; // what is lit up: label and number of the criterion
    this.turn = 0; // of asking: a later one wins
    this.differential = new Differential(this);
  }

  /** The labels that are asked for, as the server takes them. */
  get labelList() {
    return joinLabels(this.labels.asked);
  }

  /** A new ECG is on screen: say what is found, and answer what was asked of the one before. */
  open(ecg) {
    this.ecg = ecg;
    this.findings = null;
    this.scored.clear();
    this.unfolded.clear();
    this.#forgetPlaces();
    this.differential.close();
    this.#renderFindings();
    this.#renderScores();
    this.#describe();
    this.ask();
  }

  setLanguage() {
    if (!this.ecg) return;
    this.#renderFindings();
    this.#renderScores();
    this.differential.render();
  }

  /** Score the labels that are asked for and were not yet. */
  async ask() {
    const { ecg } = this;
    const turn = ++this.turn;
    const missing = this.labels.asked.filter((label) => !this.scored.has(label));
    showError(byId("scores-error"), "");
    this.#renderScores();
    if (!ecg || !missing.length) return;
    byId("scores").setAttribute("aria-busy", "true");
    try {
      const scores = await this.classify(missing);
      if (ecg !== this.ecg) return;
      missing.forEach((label, i) => this.scored.set(label, scores[i]));
      this.#renderScores();
      announce(scores.map((score) => `${this.titleOf(score)}: ${percent(score.probability)}`).join("; "));
    } catch (error) {
      if (ecg === this.ecg && turn === this.turn) showError(byId("scores-error"), error.message);
    } finally {
      if (turn === this.turn) byId("scores").removeAttribute("aria-busy");
    }
  }

  /** The scores of labels, each with its evidence. */
  async classify(labels) {
    const [answer] = await this.ecg.ask("/api/classify", { labels: joinLabels(labels), explain: "true" });
    return answer.scores;
  }

  async #describe() {
    const { ecg } = this;
    showError(byId("findings-error"), "");
    try {
      const [{ sentences }] = await ecg.ask("/api/describe");
      if (ecg !== this.ecg) return;
      this.findings = sentences.map((each) => ({ ...each, label: each.concept, trained: null, note: "" }));
      this.#renderFindings();
      if (!sentences.length) return;
      const scores = await this.classify(sentences.map((each) => each.concept));
      if (ecg !== this.ecg) return;
      this.findings = scores;
      this.#renderFindings();
    } catch (error) {
      if (ecg !== this.ecg) return;
      this.findings ??= [];
      fill(byId("findings"));
      showError(byId("findings-error"), error.message);
    }
  }

  /** What a score is of, in the language of the page. */
  titleOf(score) {
    return score.concept ? capital(nameOf(score.concept)) : score.label;
  }

  #renderFindings() {
    const place = byId("findings");
    place.setAttribute("aria-busy", String(this.findings === null));
    if (this.findings === null) return fill(place, make("li", { class: "soft wait" }, say("readingNow")));
    const rows = this.findings.map((score, i) => this.#row(score, `finding-${i}`));
    fill(place, rows.length ? rows : make("li", { class: "soft" }, say("nothingStated")));
    this.#renderLegend();
  }

  #renderScores() {
    const scores = this.labels.asked.map((label) => this.scored.get(label)).filter(Boolean);
    fill(
      byId("scores"),
      scores.map((score, i) => this.#row(score, `score-${i}`)),
    );
    this.#renderLegend();
  }

  #renderLegend() {
    const any = this.findings?.length || this.scored.size;
    byId("legend").hidden = !any;
    fill(byId("legend"), legend(this.info));
  }

  /** A score: its name, number and bar, and what lies behind it to unfold. */
  #row(score, id) {
    const key = `${id.startsWith("finding")} ${score.label}`;
    const panel = make("div", { id, class: "evidence", hidden: true });
    const over = score.probability !== null && score.probability >= this.info.model.threshold;
    const button = make(
      "button",
      { type: "button", class: "unfold", "aria-expanded": "false", "aria-controls": id },
      make("span", { class: "name" }, this.titleOf(score)),
      make("span", { class: over ? "number over" : "number" }, percent(score.probability)),
    );
    const unfold = (open) => {
      button.setAttribute("aria-expanded", String(open));
      panel.hidden = !open;
      this.unfolded[open ? "add" : "delete"](key);
      if (open && !panel.childElementCount) this.#evidence(panel, score);
    };
    button.addEventListener("click", () => {
      const open = panel.hidden;
      unfold(open);
      if (open) this.lightUp(score, null);
      else if (this.lit.startsWith(`${score.label}\n`)) this.#dark();
    });
    if (this.unfolded.has(key)) unfold(true);
    const row = make("li", { class: "score", "data-concept": score.concept ?? "" }, make("h4", {}, button));
    row.append(bar(score, this.info, reliabilityOf(score, this.info)), ...this.#remarks(score), panel);
    return row;
  }

  /** How a label was understood, and that a condition was not trained, always in sight. */
  #remarks(score) {
    const asked = this.labels.labels.find((label) => label.text === score.label && !label.concept);
    const words = [];
    if (asked && score.concept) words.push(make("span", {}, say("askedAs", score.label)));
    const note = noteWords(score.note);
    if (note) words.push(note === score.note && language() !== "en" ? english(note) : make("span", {}, note));
    else if (score.trained === false) words.push(make("span", {}, say("untrained")));
    return words.length ? [make("p", { class: "remark" }, words)] : [];
  }

  async #evidence(panel, score) {
    panel.setAttribute("aria-busy", "true");
    try {
      const whole = score.explain ? score : (await this.classify([score.label]))[0];
      fill(panel, await evidence(whole, this));
    } catch (error) {
      fill(panel, make("p", { class: "error", role: "alert" }, error.message));
    } finally {
      panel.removeAttribute("aria-busy");
    }
  }

  /**
   * Light up what a label (criterion null) or its criterion of this number looks at; the same again makes it dark.
   * @param {Object} score
   * @param {?number} criterion
   * @param {boolean} [look]  bring the paper into sight
   */
  async lightUp(score, criterion, look = false) {
    const { ecg } = this;
    const wanted = `${score.label}\n${criterion ?? ""}`;
    if (this.lit === wanted) return this.#dark();
    this.#mark(wanted);
    const title = criterion === null ? this.titleOf(score) : score.explain.criteria[criterion].text;
    try {
      const places = await this.#placesOf(score.label);
      if (this.lit !== wanted || ecg !== this.ecg) return;
      this.light(criterion === null ? places.label : (places.criteria[criterion] ?? []), title);
      if (look) bringIntoSight(byId("paper"));
    } catch (error) {
      if (this.lit === wanted) this.#dark();
      showError(byId("part-error"), error.message);
    }
  }

  #placesOf(label) {
    if (!this.places.has(label)) {
      const asked = this.ecg.ask("/api/places", { label });
      this.places.set(label, asked);
      asked.catch(() => this.places.delete(label));
    }
    return this.places.get(label);
  }

  #forgetPlaces() {
    this.places.clear();
    this.lit = "";
  }

  /** The paper was made dark by itself. */
  forgetLit() {
    this.#mark("");
  }

  #dark() {
    this.#mark("");
    this.light([], "");
  }

  #mark(lit) {
    this.lit = lit;
    for (const button of document.querySelectorAll("[data-lights]")) {
      button.setAttribute("aria-pressed", String(button.dataset.lights === lit));
    }
  }
}
