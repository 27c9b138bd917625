/** The search view: ECGs of the index by words, by filters, and by likeness to the ECG on screen. */

import { post } from "./api.js";
import { announce, byId, fill, make, showError } from "./dom.js";
import { smallEcg } from "./paper.js";
import { minutes } from "./facts.js";
import { language, say } from "./words.js";

const LEADS = ["II", "V1", "V5"];

export class SearchView {
  /**
   * @param {Object} info  answer of /api/info
   * @param {function(): ?import("./api.js").Ecg} onScreen  the ECG that is on screen
   */
  constructor(info, onScreen) {
    Object.assign(this, { info, onScreen });
    this.answer = null;
    this.turn = 0;
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    this.setLanguage();
  }

  show() {
    const like = byId("search-like");
    like.disabled = !this.onScreen();
    if (like.disabled) like.checked = false;
  }

  setLanguage() {
    byId("search-what").textContent = say("searchWhat", this.info.index.records.toLocaleString());
    if (this.answer) this.#render();
  }

  async #search() {
    const turn = ++this.turn;
    const text = byId("search-text").value.trim();
    const like = byId("search-like").checked ? this.onScreen() : null;
    showError(byId("search-error"), "");
    if (!text && !like) return showError(byId("search-error"), say("nothingToSearch"));
    const fields = { text, not: byId("search-not").value.trim(), where: condition(), k: byId("search-k").value };
    byId("hits").setAttribute("aria-busy", "true");
    try {
      const answer = like ? await like.ask("/api/search", fields) : await post("/api/search", fields);
      if (turn !== this.turn) return;
      this.answer = answer;
      this.#render();
      announce(say("hitsFound", answer.hits.length));
    } catch (error) {
      if (turn === this.turn) showError(byId("search-error"), error.message);
    } finally {
      if (turn === this.turn) byId("hits").removeAttribute("aria-busy");
    }
  }

  #render() {
    const { notes, hits } = this.answer;
    const understood = (notes ?? []).map((note) => make("span", {}, say("understood", note), " "));
    fill(byId("search-notes"), understood, say("hitsFound", hits.length));
    fill(byId("hits"), hitItems(hits));
  }
}

/** The condition of `ecgclip search --where` that the simple fields and the free one make together. */
function condition() {
  const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
  const value = (id) => byId(id).value.trim();
  const parts = [];
  if (value("age-from")) parts.push(`age >= ${Number(value("age-from"))}`);
  if (value("age-to")) parts.push(`age <= ${Number(value("age-to"))}`);
  if (value("search-sex")) parts.push(`sex = ${quoted(value("search-sex"))}`);
  if (value("search-label")) parts.push(`labels LIKE ${quoted(`%${value("search-label")}%`)}`);
  if (value("search-where")) parts.push(`(${value("search-where")})`);
  return parts.join(" AND ");
}

/**
 * ECGs that were found as items of a list, each with a small ECG that comes when it is seen.
 * @param {Object[]} hits  of /api/search or /api/similar
 * @returns {HTMLElement[]}
 */
export function hitItems(hits) {
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries.filter((entry) => entry.isIntersecting)) {
        seen.unobserve(target);
        if (isIntersecting) draw(target);
      }
    },
    { rootMargin: "200px" },
  );
  const items = hits.map((hit) => hitItem(hit));
  items.forEach((item) => item.querySelector(".small") && seen.observe(item.querySelector(".small")));
  return items;
}

function hitItem(hit) {
  const name = hit.record.replace(/^.*[\\/]/, "");
  const start = hit.start_s ? `/${hit.start_s}` : "";
  const href = hit.id === undefined || hit.id === null ? null : `#/ecg/record/${encodeURIComponent(hit.id)}${start}`;
  const small = make("div", { class: "small", "data-id": hit.id ?? "", "data-start": hit.start_s });
  const where = hit.start_s ? ` · ${say("at")} ${minutes(hit.start_s)}` : "";
  const score = `${say(hit.measure === "likeness" ? "likeness" : "cosine")} ${hit.score.toFixed(2)}${where}`;
  const parts = [
    make("p", { class: "titled" }, make("strong", {}, `${hit.rank}. ${name}`), make("span", { class: "soft" }, score)),
    hit.id === undefined || hit.id === null ? null : small,
    hit.labels.length
      ? make(
          "p",
          { class: "tags" },
          hit.labels.map((label) => make("span", {}, label)),
        )
      : null,
    hit.report ? make("p", { class: "report" }, hit.report) : null,
  ];
  return make("li", { class: "hit" }, href ? make("a", { href }, parts) : parts);
}

async function draw(place) {
  const seconds = matchMedia("(max-width: 700px)").matches ? 5 : 10;
  try {
    const { signal } = await post("/api/signal", { record: place.dataset.id, start: place.dataset.start, seconds });
    const known = LEADS.filter((lead) => lead in signal.leads);
    const leads = known.length ? known : Object.keys(signal.leads).slice(0, 3);
    fill(place, smallEcg(signal, { leads, seconds, language: language() }));
  } catch (error) {
    fill(place, make("p", { class: "soft" }, error.message));
  }
}
