/** Elements of the page. Nothing here or elsewhere takes text for markup: what a stranger's file says stays text. */

/**
 * Make an element.
 * @param {string} name
 * @param {Object} attributes  a function under "onclick" and the like listens; null, undefined or false is left out,
 *   true is an attribute without a value
 * @param {...(Node|string|number|Array|null)} children
 * @returns {HTMLElement}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** Replace what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false),
  );
}

/** A text in English whatever the language of the page: marked as such for who reads aloud. */
export const english = (text) => make("span", { lang: "en" }, text);

/**
 * One line of what went wrong, beside what caused it; an empty message takes it away.
 * @param {HTMLElement} place  has role="alert"
 * @param {string} message
 */
export function showError(place, message) {
  place.textContent = message;
  place.hidden = !message;
}

/** Say something to who does not see the page, as soon as she is not spoken to. */
export function announce(message) {
  byId("status").textContent = message;
}

/** Scroll as little as shows an element. */
export function bringIntoSight(element) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

/** A state of a page that is remembered where the browser allows it. */
export const remembered = {
  get(key) {
    try {
      return localStorage.getItem(`ecgclip.${key}`);
    } catch {
      return null; // storage is blocked
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`ecgclip.${key}`, value);
    } catch {
      // not remembered, then
    }
  },
};
