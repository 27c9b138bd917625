/** What is said of the ECG: the stated findings, and the scores of what is asked for. */

import { joinLabels, once } from "./api.js";
import { nameOf } from "./concepts.js";
import { Differential } from "./differential.js";
import { announce, byId, english, fill, make, showError } from "./dom.js";
import { evidence } from "./evidence.js";
import { bar, legend, percent, remarkOf } from "./score.js";
import { capital, language, say } from "./words.js";

export class Answers {
  /**
   * @param {Object} info  answer of /api/info
   * @param {import("./labels.js").Labels} labels  what is asked for
   * @param {import("./light.js").Light} light  of the paper
   */
  constructor(info, labels, light) {
    Object.assign(this, { info, labels, light });
    this.ecg = null;
    this.findings = null; // scores of what is stated, each with its sentence; null while it is not known
    this.partly = []; // scores of what only parts of a long recording show
    this.scored = new Map(); // label that was asked for → its score
    this.unfolded = new Set(); // keys of rows that are open
    this.explained = new Map(); // label → promise of its score with evidence
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
    this.partly = [];
    this.scored.clear();
    this.unfolded.clear();
    this.explained.clear();
    this.light.open(ecg);
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

  /** The scores of labels. */
  async classify(labels) {
    const [answer] = await this.ecg.ask("/api/classify", { labels: joinLabels(labels) });
    return answer.scores.map((score) => ({ ...score, windows: answer.windows.length }));
  }

  /** The scores of labels with the evidence behind them, which takes longer. */
  async explain(labels) {
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

  /** Conditions (ids) that parts of a long recording show. */
  async foundInParts(concepts) {
    const { ecg } = this;
    if (!concepts.length) return;
    try {
      const scores = await this.classify(concepts);
      if (ecg !== this.ecg) return;
      this.partly = scores;
      if (this.findings) this.#renderFindings();
    } catch (error) {
      if (ecg === this.ecg) showError(byId("findings-error"), error.message);
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
    const stated = this.findings.map((score) => score.concept);
    const all = [...this.findings, ...this.partly.filter((score) => !stated.includes(score.concept))];
    const rows = all.map((score, i) => this.#row(score, `finding-${i}`));
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
      if (open !== this.light.isOn(score.label, null)) this.light.toggle(score.label, null, this.titleOf(score));
    });
    if (this.unfolded.has(key)) unfold(true);
    const row = make("li", { class: "score", "data-concept": score.concept ?? "" }, make("h4", {}, button));
    row.append(bar(score, this.info), ...this.#remarks(score), panel);
    return row;
  }

  /** How a label was understood, and that a condition was not trained, always in sight. */
  #remarks(score) {
    const asked = this.labels.labels.find((label) => label.text === score.label && !label.concept);
    const words = [];
    if (asked && score.concept) words.push(make("span", {}, say("askedAs", score.label)));
    const note = remarkOf(score);
    if (note) words.push(note === score.note && language() !== "en" ? english(note) : make("span", {}, note));
    const over = Math.round(score.burden * score.windows);
    if (score.windows > 1 && over < score.windows && score.max_probability >= this.info.model.threshold) {
      words.push(make("span", {}, say("burden", over, score.windows, percent(score.max_probability))));
    }
    return words.length ? [make("p", { class: "remark" }, words)] : [];
  }

  async #evidence(panel, score) {
    panel.setAttribute("aria-busy", "true");
    fill(panel, make("p", { class: "soft" }, say("working")));
    try {
      const [whole] = await once(this.explained, score.label, () => this.explain([score.label]));
      fill(panel, await evidence(whole, this));
    } catch (error) {
      fill(panel, make("p", { class: "error", role: "alert" }, error.message));
    } finally {
      panel.removeAttribute("aria-busy");
    }
  }
}
