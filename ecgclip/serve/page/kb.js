/** The knowledge base to browse: a list by category, and a page for each condition. */

import { allConcepts, complete, conceptOf, fold, nameOf, wholeConcept } from "./concepts.js";
import { byId, english, fill, make, showError } from "./dom.js";
import { capital, language, pick, say, sayIf } from "./words.js";

const SYSTEMS = { scp: "SCP-ECG", snomed: "SNOMED CT", aha: "AHA", icd10: "ICD-10" };

export class KnowledgeView {
  /**
   * @param {Object} info  answer of /api/info
   * @param {function(string): void} ask  asks for a condition (id) in the ECG view
   */
  constructor(info, ask) {
    this.info = info;
    this.ask = ask;
    this.shown = null; // id of the condition that is seen
    this.listed = ""; // language and letters of the list that is there
    byId("kb-filter").addEventListener("input", () => this.#list());
  }

  /** Show the list, or the condition that the address names. */
  show([id]) {
    this.shown = id || null;
    byId("kb-list").hidden = Boolean(id);
    byId("kb-concept").hidden = !id;
    showError(byId("kb-error"), "");
    if (id) this.#concept(id, true);
    else this.#list();
  }

  setLanguage() {
    if (this.listed) this.#list();
    if (this.shown) this.#concept(this.shown, false);
  }

  #list() {
    const typed = byId("kb-filter").value;
    if (this.listed === `${language()} ${typed}`) return;
    this.listed = `${language()} ${typed}`;
    const fits = typed.trim() ? new Set(this.#fitting(typed)) : null;
    const rows = allConcepts().filter((concept) => !fits || fits.has(concept.id));
    byId("kb-count").textContent = say("conditionsFound", rows.length);
    const order = this.info.categories.filter((category) => rows.some((row) => row.category === category));
    const sections = order.map((category) => {
      const items = rows.filter((row) => row.category === category).map((row) => make("li", {}, conceptLink(row.id)));
      return make("section", {}, make("h2", {}, categoryName(category)), make("ul", { class: "columns" }, items));
    });
    fill(byId("kb-categories"), sections);
  }

  /** All conditions whose names hold the typed letters; where none does, those they may mean. */
  #fitting(typed) {
    const folded = fold(typed);
    const holding = allConcepts().filter((concept) => concept.folded.some((name) => name.includes(folded)));
    return (holding.length ? holding : complete(typed, 20)).map((concept) => concept.id);
  }

  async #concept(id, moved) {
    const place = byId("kb-concept");
    place.setAttribute("aria-busy", "true");
    try {
      const concept = await wholeConcept(id);
      if (this.shown !== id) return;
      fill(place, this.#parts(concept));
      document.title = `${capital(pick(concept.name))} – ecgclip`;
      if (moved) {
        scrollTo(0, 0);
        place.querySelector("h1").focus({ preventScroll: true });
      }
    } catch (error) {
      fill(place, this.#back());
      showError(byId("kb-error"), error.message);
    } finally {
      place.removeAttribute("aria-busy");
    }
  }

  #back() {
    return make("p", {}, make("a", { href: "#/kb" }, `← ${say("allConditions")}`));
  }

  #parts(concept) {
    const ask = make("button", { type: "button", class: "primary" }, say("askFor"));
    ask.addEventListener("click", () => {
      this.ask(concept.id);
      location.hash = "#/ecg";
    });
    return [
      this.#back(),
      make("h1", { tabindex: "-1" }, capital(pick(concept.name))),
      make("p", { class: "soft" }, categoryName(concept.category), " · ", make("code", {}, concept.id)),
      make("p", { class: "lead" }, pick(concept.definition)),
      make("p", {}, ask),
      this.#names(concept),
      section("criteria", criteriaTable(concept)),
      links("lookalikes", concept.lookalikes),
      links("broader", concept.broader),
      links("explainedBy", idsOf(concept.explained_by)),
      links("excludes", idsOf(concept.excludes)),
      section("sources", sourceList(concept.sources)),
    ];
  }

  #names(concept) {
    const rows = [];
    for (const [key, names] of Object.entries(concept.aliases)) {
      if (names.length) rows.push(make("dt", {}, sayIf(`also-${key}`)), make("dd", { lang: key }, names.join(", ")));
    }
    for (const [system, codes] of Object.entries(concept.codes)) {
      rows.push(make("dt", {}, SYSTEMS[system] ?? system), make("dd", {}, [codes].flat().join(", ")));
    }
    return rows.length ? section("names", make("dl", { class: "pairs" }, rows)) : null;
  }
}

function section(heading, ...parts) {
  return make("section", {}, make("h2", {}, say(heading)), parts);
}

function links(heading, concepts) {
  if (!concepts?.length) return null;
  const items = concepts.map((concept) => make("li", {}, conceptLink(concept.id ?? concept)));
  return section(heading, make("ul", { class: "columns" }, items));
}

/** The ids in what names conditions: a list, or an object by id. */
function idsOf(named) {
  return Array.isArray(named) ? named : Object.keys(named ?? {});
}

function criteriaTable(concept) {
  if (!concept.criteria.length) return make("p", {}, say("noCriteria"));
  const heads = ["criterion", "role", "leads", "test", "source"];
  const rows = concept.criteria.map((criterion) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", lang: "en" }, criterion.text),
      make("td", {}, roleName(criterion.role ?? "supporting")),
      make(
        "td",
        {},
        [criterion.leads]
          .flat()
          .map((lead) => (lead === "all" ? say("allLeads") : lead))
          .join(" "),
      ),
      make("td", {}, criterion.test ? make("code", {}, criterion.test) : say("noTest")),
      make("td", { class: "soft" }, criterion.source ?? "–"),
    ),
  );
  const head = make(
    "thead",
    {},
    make(
      "tr",
      {},
      heads.map((key) => make("th", { scope: "col" }, say(key))),
    ),
  );
  const table = make("table", {}, head, make("tbody", {}, rows));
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": say("criteria") }, table);
}

/** A link to the page of a condition. */
export function conceptLink(id) {
  return make("a", { href: `#/kb/${encodeURIComponent(id)}` }, conceptOf(id) ? nameOf(id) : english(id));
}

/** The name of a category in the language of the page. */
export const categoryName = (category) => sayIf(`category-${category}`, category);

/** What a criterion is to its condition: required, one of several, supporting, against. */
export function roleName(role) {
  const [, count, group] = role.match(/^(\w+) of (.*)$/) ?? [];
  if (!count) return sayIf(`role-${role}`, role);
  return say("roleOf", count === "one" ? say("one") : count, group.replaceAll("_", " "));
}

/** Literature by its key, with a link where it has a DOI. */
export function sourceList(sources) {
  const rows = Object.entries(sources ?? {}).map(([key, text]) => {
    const [, words, doi] = text.match(/^(.*?),? doi:(\S+)$/) ?? [null, text, null];
    const href = doi && `https://doi.org/${encodeURI(doi)}`;
    const link = doi && [" ", make("a", { href, rel: "noreferrer noopener", target: "_blank" }, `doi:${doi}`)];
    return make("li", {}, make("span", { class: "soft" }, `[${key}] `), english(words), link);
  });
  return make("ul", { class: "sources" }, rows);
}
