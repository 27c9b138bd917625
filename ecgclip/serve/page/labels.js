/** The label box: a combobox that completes from the knowledge base, takes free words, and holds labels as chips. */

import { complete, conceptNamed, nameOf } from "./concepts.js";
import { announce, byId, fill, make } from "./dom.js";
import { say } from "./words.js";

const MOST = 24; // labels at once

export class Labels {
  /** @param {function(): void} changed  called when labels came or went */
  constructor(changed) {
    this.labels = []; // {text: what is asked, concept: id or null}
    this.changed = changed;
    this.options = [];
    this.active = -1;
    this.input = byId("label-input");
    this.list = byId("label-options");
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.#close());
    byId("label-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#take();
    });
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // the input keeps the focus
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#choose(this.options[Number(option.dataset.at)]);
    });
  }

  /** The labels as they are asked for. */
  get asked() {
    return this.labels.map((label) => label.text);
  }

  /** The label as a reader of the page calls it. */
  shown(text) {
    const label = this.labels.find((each) => each.text === text);
    return label?.concept ? nameOf(label.concept) : text;
  }

  /** Ask for a condition or for words. */
  add(...labels) {
    const known = (label) => this.labels.some((each) => each.text.toLowerCase() === label.text.toLowerCase());
    const fresh = labels.filter((label) => label.text && !known(label)).slice(0, MOST - this.labels.length);
    this.labels.push(...fresh);
    this.render();
    if (fresh.length) this.changed();
  }

  /** Ask for a condition of the knowledge base. */
  addConcept(id) {
    this.add({ text: id, concept: id });
  }

  remove(text) {
    announce(say("removed", this.shown(text)));
    this.labels = this.labels.filter((label) => label.text !== text);
    this.render();
    this.changed();
  }

  render() {
    const chips = this.labels.map((label) => {
      const shown = this.shown(label.text);
      const remove = make("button", { type: "button", "aria-label": say("remove", shown) }, "×");
      remove.addEventListener("click", () => {
        this.remove(label.text);
        this.input.focus();
      });
      return make("li", { class: "chip" }, make("span", {}, shown), remove);
    });
    fill(byId("chips"), chips);
  }

  #typed() {
    this.options = complete(this.input.value.split(",").at(-1));
    this.active = -1;
    this.#showOptions();
  }

  #showOptions() {
    const rows = this.options.map((option, i) => {
      const also = option.by ? make("span", { class: "soft" }, ` ${option.by}`) : null;
      const attributes = {
        role: "option",
        id: `option-${i}`,
        "data-at": i,
        "aria-selected": String(i === this.active),
      };
      return make("li", attributes, option.name, also);
    });
    fill(this.list, rows);
    if (this.list.hidden && rows.length) requestAnimationFrame(() => this.list.scrollIntoView({ block: "nearest" }));
    this.list.hidden = !rows.length;
    this.input.setAttribute("aria-expanded", String(rows.length > 0));
    if (this.active >= 0) {
      this.input.setAttribute("aria-activedescendant", `option-${this.active}`);
      rows[this.active].scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.options = [];
    this.active = -1;
    this.#showOptions();
  }

  #key(event) {
    const count = this.options.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!count) return this.#typed();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.active = (this.active + step + count + (this.active < 0 && step < 0 ? 1 : 0)) % count;
      this.#showOptions();
    } else if (event.key === "Enter" && this.active >= 0) {
      event.preventDefault();
      this.#choose(this.options[this.active]);
    } else if (event.key === "Escape" && count) {
      event.preventDefault();
      this.#close();
    } else if (event.key === "Backspace" && !this.input.value && this.labels.length) {
      this.remove(this.labels.at(-1).text);
    }
  }

  #choose(option) {
    const before = splitLabels(this.input.value.split(",").slice(0, -1).join(","));
    this.input.value = "";
    this.#close();
    this.add(...before.map(labelOf), { text: option.id, concept: option.id });
  }

  /** Ask for what stands in the box. */
  #take() {
    const words = splitLabels(this.input.value);
    this.input.value = "";
    this.#close();
    this.add(...words.map(labelOf));
  }
}

/** Words as a label; just the name of a condition stands for it. */
function labelOf(text) {
  const concept = conceptNamed(text);
  return concept ? { text: concept.id, concept: concept.id } : { text, concept: null };
}

/** Labels between commas; one that holds a comma stands in quotes. */
export function splitLabels(text) {
  const labels = text.match(/\s*"(?:[^"]|"")*"\s*|[^,]+/g) ?? [];
  const bare = labels.map((label) =>
    label
      .trim()
      .replace(/^"(.*)"$/, "$1")
      .replaceAll('""', '"'),
  );
  return bare.map((label) => label.replace(/\s+/g, " ").trim()).filter(Boolean);
}
