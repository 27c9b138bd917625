/** The ECG view: what comes in is read, drawn, measured and asked about. */

import { Answers } from "./answers.js";
import { Ecg, save } from "./api.js";
import { nameOf } from "./concepts.js";
import { announce, byId, fill, make, showError } from "./dom.js";
import { factsParts, patientLine, vitals } from "./facts.js";
import { Intake } from "./intake.js";
import { Labels } from "./labels.js";
import { Light } from "./light.js";
import { Paper } from "./paper.js";
import { hitItems } from "./search.js";
import { Timeline } from "./timeline.js";
import { language, say } from "./words.js";

const FILES = [
  ["report", "html"],
  ["report", "pdf"],
  ["plot", "svg"],
  ["plot", "png"],
  ["plot", "pdf"],
];

export class EcgView {
  /** @param {Object} info  answer of /api/info */
  constructor(info) {
    this.info = info;
    this.ecg = null; // the one on screen
    this.opened = null; // what /api/open said of it
    this.address = ""; // what the address named when it was opened
    this.records = []; // that came in together
    this.reading = {}; // what was given by hand for them
    this.turn = 0; // of opening: a later one wins
    this.intake = new Intake(info, (records, reading) => this.#take(records, reading));
    this.labels = new Labels(() => this.answers.ask());
    this.light = new Light((shades, title) => this.paper?.shade(shades, title));
    this.answers = new Answers(info, this.labels, this.light);
    byId("open-other").addEventListener("click", () => this.#showIntake(byId("intake").hidden));
    byId("print").addEventListener("click", () => print());
    byId("find-similar").addEventListener("click", () => this.#findSimilar());
    this.#downloads();
  }

  /** Open what the address names: example/ID or record/ID/START; without, what is on screen stays. */
  show([kind, id, start]) {
    const address = id ? `${kind}/${id}/${start ?? ""}` : "";
    if (!address || address === this.address) return;
    if (kind === "example" || kind === "record")
      this.#open(new Ecg({ [kind]: id }), { address, start: Number(start) || 0 });
  }

  setLanguage() {
    this.intake.render();
    this.labels.render();
    this.#downloads();
    this.paper?.setLanguage(language());
    this.timeline?.setLanguage(language());
    if (this.walked) this.#showWalk();
    if (this.opened) this.#render();
    this.answers.setLanguage();
  }

  #take(records, reading) {
    Object.assign(this, { records, reading });
    this.#recordList(0);
    this.#openRecord(0);
  }

  #openRecord(i) {
    this.#open(new Ecg({ files: this.records[i].files }, this.reading), { address: "files", at: i });
  }

  async #open(ecg, { address, start = 0, at = null }) {
    const turn = ++this.turn;
    showError(byId("intake-error"), "");
    byId("view-ecg").setAttribute("aria-busy", "true");
    announce(say("readingNow"));
    try {
      const opened = await ecg.open();
      if (turn !== this.turn) return;
      Object.assign(this, { ecg, opened, address });
      if (at === null) this.records = [];
      if (address === "files" && location.hash !== "#/ecg") location.hash = "#/ecg";
      this.#opened(start);
    } catch (error) {
      if (turn === this.turn) this.intake.fail(error.message);
      if (turn === this.turn && at === null) history.replaceState(null, "", "#/ecg"); // so that a link opens it again
      if (!error.status && error.status !== 0) throw error; // a fault of the page itself
    } finally {
      if (turn === this.turn) {
        byId("view-ecg").removeAttribute("aria-busy");
        this.#recordList(at);
      }
    }
  }

  #opened(start) {
    const opened = this.opened;
    byId("opened").hidden = false;
    this.#showIntake(false);
    this.intake.forgetReading();
    this.#render();
    this.#makePaper();
    this.paper.open(opened);
    if (start) this.paper.goTo(start);
    this.#walk();
    byId("similar").hidden = !this.info.index;
    fill(byId("similar-hits"));
    for (const place of ["part-error", "similar-error", "download-error"]) showError(byId(place), "");
    const rate = opened.measured.find((row) => (row.name.en ?? row.name) === "heart rate")?.value;
    announce(say("openedNow", opened.record, rate ? Math.round(rate) : "–"));
    this.answers.open(this.ecg);
    if (this.records.length < 2) byId("record-name").focus({ preventScroll: true });
  }

  #render() {
    byId("record-name").textContent = this.opened.record;
    byId("patient").textContent = patientLine(this.opened);
    fill(byId("vitals"), vitals(this.opened.measured));
    fill(byId("facts"), factsParts(this.opened, this.ecg.reading));
  }

  #showIntake(shown) {
    byId("intake").hidden = !shown;
    byId("open-other").setAttribute("aria-expanded", String(shown));
    byId("intake").classList.toggle("compact", this.opened !== null);
  }

  #makePaper() {
    if (this.paper) return;
    this.paper = new Paper(byId("paper"), { language: language() });
    this.paper.onpart = async (start, seconds) => {
      try {
        showError(byId("part-error"), "");
        return await this.ecg.ask("/api/signal", { start, seconds });
      } catch (error) {
        showError(byId("part-error"), error.message);
        throw error;
      }
    };
    byId("paper").addEventListener("click", (event) => {
      if (event.target.closest(".paper-shaded button")) this.light.forget();
    });
    this.paper.onmoved = (start, seconds) => {
      this.timeline?.mark(start, seconds);
      this.light.moved(start, seconds);
    };
  }

  /** A long record gets a timeline to walk through. */
  async #walk() {
    const { ecg, opened } = this;
    const long = opened.windows.length > 1;
    this.walked = null; // answer of /api/timeline
    byId("timeline").hidden = !long;
    if (!long) return;
    if (!this.timeline) {
      this.timeline = new Timeline(byId("timeline"), { language: language() });
      this.timeline.onselect = (start) => this.paper.goTo(start);
    }
    try {
      const walked = await ecg.ask("/api/timeline");
      if (ecg !== this.ecg) return;
      this.walked = walked;
      this.#showWalk();
      const over = (row) => row.concept && row.probability.some((p) => p >= this.info.model.threshold);
      this.answers.foundInParts(walked.scores.filter(over).map((row) => row.concept));
    } catch (error) {
      if (ecg === this.ecg) showError(byId("part-error"), error.message);
    }
  }

  #showWalk() {
    const scores = this.walked.scores.map((row) => ({ ...row, label: row.concept ? nameOf(row.concept) : row.label }));
    this.timeline.show({ ...this.walked, scores }, { seconds: this.opened.seconds });
  }

  #recordList(current) {
    byId("records").hidden = this.records.length < 2;
    const items = this.records.map((record, i) => {
      const button = make("button", { type: "button", "aria-current": i === current ? "true" : null }, record.name);
      button.addEventListener("click", () => this.#openRecord(i));
      return make("li", {}, button);
    });
    const focused = byId("record-list").contains(document.activeElement);
    fill(byId("record-list"), items);
    if (focused) byId("record-list").querySelector("[aria-current]")?.focus();
  }

  async #findSimilar() {
    const { ecg } = this;
    const button = byId("find-similar");
    button.disabled = true;
    showError(byId("similar-error"), "");
    try {
      const hits = await ecg.ask("/api/similar", { k: 6 });
      if (ecg === this.ecg) fill(byId("similar-hits"), hitItems(hits));
    } catch (error) {
      showError(byId("similar-error"), error.message);
    } finally {
      button.disabled = false;
    }
  }

  #downloads() {
    const items = FILES.map(([what, format]) => {
      const button = make("button", { type: "button" }, `${say(what)} (${format.toUpperCase()})`);
      button.addEventListener("click", () => this.#download(button, what, format));
      return make("li", {}, button);
    });
    fill(byId("download-list"), items);
  }

  async #download(button, what, format) {
    button.disabled = true;
    showError(byId("download-error"), "");
    const fields = what === "report" ? { labels: this.answers.labelList, language: language() } : {};
    try {
      const blob = await this.ecg.download(`/api/${what}`, { ...fields, format });
      save(blob, `${this.opened.record.replace(/^.*[\\/]/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-")}-${what}.${format}`);
    } catch (error) {
      showError(byId("download-error"), error.message);
    } finally {
      button.disabled = false;
    }
  }
}
