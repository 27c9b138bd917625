/** The page of `ecgclip serve`: language and light, and which view is seen. The address after # names the view. */

import { get } from "./api.js";
import { loadConcepts } from "./concepts.js";
import { byId, remembered, showError } from "./dom.js";
import { EcgView } from "./ecg.js";
import { KnowledgeView } from "./kb.js";
import { SearchView } from "./search.js";
import { chooseLanguage, language, say, translate } from "./words.js";

const TITLES = { ecg: "ecg", search: "search", kb: "knowledge" };
const views = {};
let seen = null;

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = remembered.get("theme");
  setTheme(kept ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => remembered.get("theme") ?? setTheme(dark.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    remembered.set("theme", theme);
    setTheme(theme);
  });
}

function setLanguage(chosen) {
  chooseLanguage(chosen);
  document.documentElement.lang = language();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
  translate(document);
  Object.values(views).forEach((view) => view.setLanguage());
  if (seen) document.title = `${say(TITLES[seen])} – ecgclip`;
}

function startLanguage() {
  setLanguage(remembered.get("language") ?? navigator.language.slice(0, 2));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      remembered.set("language", button.dataset.language);
      setLanguage(button.dataset.language);
    });
  }
}

/** Show the view that the address names: #/ecg/example/af, #/kb/atrial-fibrillation. */
function route() {
  if (location.hash === "#main") return; // the skip link
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decode);
  const shown = name in views ? name : "ecg";
  for (const key of Object.keys(TITLES)) byId(`view-${key}`).hidden = key !== shown;
  for (const link of document.querySelectorAll("#views a[href^='#']")) {
    if (link.hash === `#/${shown}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const moved = seen !== null && seen !== shown;
  seen = shown;
  document.title = `${say(TITLES[shown])} – ecgclip`;
  if (moved) {
    scrollTo(0, 0);
    document.querySelector(`#view-${shown} h1`)?.focus({ preventScroll: true });
  }
  views[shown].show(rest);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a % that a person typed
  }
}

async function start() {
  startTheme();
  startLanguage();
  byId("view-ecg").hidden = false; // a place to drop at while the rest loads
  try {
    const [info] = await Promise.all([get("/api/info"), loadConcepts()]);
    views.ecg = new EcgView(info);
    views.kb = new KnowledgeView(info, (id) => views.ecg.labels.addConcept(id));
    if (info.index) {
      views.search = new SearchView(info, () => views.ecg.ecg);
      document.querySelector("#views a[href='#/search']").hidden = false;
    }
  } catch (error) {
    showError(byId("start-error"), error.message);
    return;
  }
  addEventListener("hashchange", route);
  route();
}

start();
