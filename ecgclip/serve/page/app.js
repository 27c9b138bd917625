/** The page of `ecgclip serve`: which view is seen. The address after # names it. */

import { get } from "./api.js";
import { loadConcepts } from "./concepts.js";
import { byId, showError } from "./dom.js";
import { EcgView } from "./ecg.js";
import { KnowledgeView } from "./kb.js";
import { SearchView } from "./search.js";
import { startLanguage, startTheme } from "./settings.js";
import { say } from "./words.js";

const TITLES = { ecg: "ecg", search: "search", kb: "knowledge" };
const views = {};
let seen = "ecg";
let about = null; // answer of /api/info

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
  const moved = seen !== shown;
  seen = shown;
  write();
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

/** The title of the window and the last line. */
function write() {
  document.title = `${say(TITLES[seen])} – ecgclip`;
  if (!about) return;
  const { version, model } = about;
  byId("about").textContent = say("about", version, model.sha256.slice(0, 12), model.threshold);
}

async function start() {
  startTheme();
  startLanguage(() => {
    Object.values(views).forEach((view) => view.setLanguage());
    write();
  });
  try {
    const [info] = await Promise.all([get("/api/info"), loadConcepts()]);
    about = info;
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
