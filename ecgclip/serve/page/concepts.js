/** The conditions that the server knows: their names, and which of them a few letters may mean. */

import { get, once } from "./api.js";
import { language } from "./words.js";

const SLIP = 2; // how well a name fits that is typed with slips
const concepts = new Map(); // id → row of /api/kb, with its names folded
const whole = new Map(); // id → promise of /api/kb/{id}

/** Load the names, once. */
export async function loadConcepts() {
  for (const row of await get("/api/kb")) {
    const names = [...new Set([row.name.en, row.name.de, row.id, ...row.names])];
    concepts.set(row.id, { ...row, names, folded: names.map(fold) });
  }
}

/** All conditions, by name in the language of the page. */
export function allConcepts() {
  const order = new Intl.Collator(language()).compare;
  return [...concepts.values()].sort((a, b) => order(nameOf(a.id), nameOf(b.id)));
}

/** The row of a condition, or undefined. */
export const conceptOf = (id) => concepts.get(id);

/** The name of a condition in the language of the page; its id if there is none. */
export const nameOf = (id) => concepts.get(id)?.name[language()] ?? concepts.get(id)?.name.en ?? id;

/** All that the knowledge base says about a condition. */
export const wholeConcept = (id) => once(whole, id, () => get(`/api/kb/${encodeURIComponent(id)}`));

/** The condition with just this name, alias, id or code; or undefined. */
export function conceptNamed(text) {
  const folded = fold(text);
  return [...concepts.values()].find((concept) => concept.folded.includes(folded));
}

/**
 * Conditions that typed letters may mean, the likeliest first.
 * @param {string} text
 * @param {number} [most]
 * @returns {{id: string, name: string, by: string}[]}  by: the alias that fits, or "" where it is the name
 */
export function complete(text, most = 8) {
  const typed = fold(text);
  if (!typed) return [];
  const found = [];
  for (const concept of concepts.values()) {
    let best = 0;
    let by = "";
    concept.folded.forEach((name, i) => {
      const fits = fit(typed, name);
      if (fits > best) [best, by] = [fits, concept.names[i]];
    });
    if (best) found.push({ id: concept.id, name: nameOf(concept.id), by, best });
  }
  const alias = (row) => Number(fold(row.by) !== fold(row.name));
  const order = (a, b) => b.best - a.best || alias(a) - alias(b) || a.name.length - b.name.length;
  found.sort((a, b) => order(a, b) || a.name.localeCompare(b.name));
  const sure = found.filter((row) => row.best > SLIP);
  return (sure.length ? sure : found)
    .slice(0, most)
    .map(({ id, name, by }) => ({ id, name, by: fold(by) === fold(name) ? "" : by }));
}

/** Without case, accents, umlauts and what stands between words. */
export function fold(text) {
  const plain = text.toLowerCase().replaceAll("ß", "ss").replaceAll("ä", "ae").replaceAll("ö", "oe");
  const bare = plain.replaceAll("ü", "ue").normalize("NFD").replace(/\p{M}/gu, "");
  return bare.replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

/** How well typed letters fit a name: 0 not at all, 6 it is the name. */
function fit(typed, name) {
  if (name === typed) return 6;
  if (name.startsWith(typed)) return 5;
  const words = name.split(" ");
  const starts = (word) => words.some((each) => each.startsWith(word));
  if (typed.split(" ").every(starts)) return 4;
  if (typed.length > 2 && name.includes(typed)) return 3;
  const slips = typed.length < 5 ? 0 : typed.length < 9 ? 1 : 2;
  if (!slips) return 0;
  if (nearStart(typed, name, slips)) return SLIP;
  return words.some((word) => nearStart(typed, word, slips)) ? 1 : 0;
}

/** Whether letters are the start of a name but for a few slips (a letter wrong, missing, too many or two swapped). */
function nearStart(typed, name, slips) {
  if (typed[0] !== name[0] || name.length + slips < typed.length) return false;
  let [before, row] = [[], Array.from({ length: name.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= typed.length; i++) {
    const next = [i];
    for (let j = 1; j <= name.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (typed[i - 1] !== name[j - 1]));
      const swapped = i > 1 && j > 1 && typed[i - 1] === name[j - 2] && typed[i - 2] === name[j - 1];
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    if (Math.min(...next) > slips) return false;
    [before, row] = [row, next];
  }
  return Math.min(...row) <= slips;
}
