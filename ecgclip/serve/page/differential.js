/** The differential: a condition and its look-alikes, scored and judged side by side. */

import { nameOf, wholeConcept } from "./concepts.js";
import { announce, bringIntoSight, byId, english, fill, make } from "./dom.js";
import { SIGNS } from "./facts.js";
import { bar, percent, remarkOf } from "./score.js";
import { answerName, capital, say } from "./words.js";

export class Differential {
  /** @param {import("./answers.js").Answers} answers */
  constructor(answers) {
    this.answers = answers;
    this.place = byId("differential");
    this.concept = null;
    this.scores = [];
    this.opener = null; // gets the focus back
  }

  /** Score a condition (id) and its look-alikes. */
  async show(concept, opener) {
    const { ecg } = this.answers;
    Object.assign(this, { concept, opener, scores: [] });
    this.place.hidden = false;
    this.render();
    try {
      const { lookalikes } = await wholeConcept(concept);
      const scores = await this.answers.explain([concept, ...lookalikes.map((other) => other.id ?? other)]);
      if (ecg !== this.answers.ecg || concept !== this.concept) return;
      const [own, ...others] = scores;
      this.scores = [own, ...others.sort((a, b) => (b.probability ?? -1) - (a.probability ?? -1))];
      this.render();
      announce(this.scores.map((score) => `${nameOf(score.concept)}: ${percent(score.probability)}`).join("; "));
    } catch (error) {
      if (concept !== this.concept) return;
      this.place.append(make("p", { class: "error", role: "alert" }, error.message));
    }
    const heading = byId("differential-title");
    heading?.focus({ preventScroll: true });
    bringIntoSight(this.place);
  }

  close() {
    this.concept = null;
    this.place.hidden = true;
    fill(this.place);
    if (this.opener) (this.opener.isConnected ? this.opener : byId("label-input")).focus(); // its row is new by now
    this.opener = null;
  }

  render() {
    if (!this.concept) return;
    const close = make("button", { type: "button", class: "quiet", onclick: () => this.close() }, say("close"));
    const title = make("h3", { id: "differential-title", tabindex: "-1" }, say("differential", nameOf(this.concept)));
    const columns = this.scores.map((score, i) => this.#column(score, i === 0));
    const attributes = { class: "columns-side", tabindex: "0", role: "group", "aria-labelledby": "differential-title" };
    const body = columns.length ? make("ul", attributes, columns) : make("p", { class: "soft" }, say("working"));
    if (columns.length) body.setAttribute("role", "list");
    fill(this.place, make("div", { class: "titled" }, title, close), body);
  }

  #column(score, own) {
    const { info, labels } = this.answers;
    const ask = make("button", { type: "button", class: "quiet" }, say("askThis"));
    ask.setAttribute("aria-label", `${say("askThis")}: ${nameOf(score.concept)}`);
    ask.addEventListener("click", () => labels.addConcept(score.concept));
    const over = score.probability !== null && score.probability >= info.model.threshold;
    const head = [
      make("h4", {}, capital(nameOf(score.concept))),
      make("p", { class: over ? "number over" : "number" }, percent(score.probability)),
      bar(score, info),
      make("p", { class: "remark" }, remarkOf(score)),
    ];
    const criteria = score.explain.criteria.map((row) =>
      make(
        "li",
        { class: `${row.answer.replace(" ", "-")} ${row.role === "against" ? "against" : ""}` },
        make("span", { role: "img", "aria-label": answerName(row.answer) }, SIGNS[row.answer]),
        " ",
        english(row.text),
        row.role === "against" ? make("span", { class: "soft" }, ` (${say("role-against")})`) : null,
      ),
    );
    return make("li", { class: own ? "own" : null }, head, make("ul", { class: "signs" }, criteria), own ? null : ask);
  }
}
