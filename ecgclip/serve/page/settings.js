/** Language and light of a page, as they were last chosen. */

import { byId, remembered } from "./dom.js";
import { chooseLanguage, language, translate } from "./words.js";

/** Dark or light as the computer is set, until a person chooses. */
export function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
  };
  const preferred = () => (dark.matches ? "dark" : "light");
  set(remembered.get("theme") ?? preferred());
  dark.addEventListener("change", () => remembered.get("theme") ?? set(preferred()));
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    remembered.set("theme", theme);
    set(theme);
  });
}

/**
 * The language of the browser, until a person chooses.
 * @param {function(): void} changed  writes what the page has made itself
 */
export function startLanguage(changed) {
  const buttons = [...document.querySelectorAll("[data-language]")];
  const set = (chosen) => {
    chooseLanguage(chosen);
    document.documentElement.lang = language();
    buttons.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.language === language())));
    translate(document);
    changed();
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      remembered.set("language", button.dataset.language);
      set(button.dataset.language);
    });
  }
  set(remembered.get("language") ?? navigator.language.slice(0, 2));
}
