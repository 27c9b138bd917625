/** The toolbar above the paper: layout, scale, zoom, marks, calipers, the part of a long record, the keys. */

import { layoutsOf } from "./paper-layout.js";
import { clock, number } from "./paper-units.js";
import { say, words } from "./words-paper.js";

const SPEEDS = [25, 50], GAINS = [5, 10, 20], LENGTHS = [10, 30, 60];
const STEP = 1.25;

/** An HTML element with properties and children. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Fill `bar` with the controls of a paper; returns what brings them up to date. */
export function makeToolbar(bar, paper) {
  const text = (name, values) => say(paper.language, name, values);
  const controls = [
    layoutChoice(paper, text),
    choice(text("speed"), SPEEDS.map((value) => [value, `${value} mm/s`]), () => paper.view.speed,
      (value) => paper.set({ speed: Number(value) })),
    choice(text("gain"), GAINS.map((value) => [value, `${value} mm/mV`]), () => paper.view.gain,
      (value) => paper.set({ gain: Number(value) })),
    zoomGroup(paper, text),
    marksGroup(paper, text),
    partGroup(paper, text),
  ];
  bar.replaceChildren(...controls.map(({ element }) => element), keysHelp(paper.language));
  return () => controls.forEach(({ refresh }) => refresh());
}

function choice(label, options, get, set) {
  const select = make("select", {}, ...options.map(([value, name]) => make("option", { value, textContent: name })));
  select.setAttribute("aria-label", label);
  select.title = label;
  select.addEventListener("change", () => set(select.value));
  return { element: select, refresh: () => (select.value = get()) };
}

function layoutChoice(paper, text) {
  const all = layoutsOf(paper.leads);
  const option = (value) =>
    make("option", { value, textContent: words.en[value] ? text(value) : text("alone", { lead: value }) });
  const group = (label, values) => make("optgroup", { label }, ...values.map(option));
  const { element, refresh } = choice(text("layout"), [], () => paper.view.layout, (value) => paper.setLayout(value));
  const single = (value) => paper.leads.includes(value);
  const several = all.filter((value) => !single(value));
  element.append(group(text("grids"), several), group(text("single"), all.filter(single)));
  return { element, refresh };
}

function button(label, sign, action) {
  const element = make("button", { type: "button", title: label, textContent: sign });
  if (label !== sign) element.setAttribute("aria-label", label);
  element.addEventListener("click", action);
  return element;
}

function group(label, ...children) {
  const element = make("div", { className: "paper-group" }, ...children);
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", label);
  return element;
}

function zoomGroup(paper, text) {
  const percent = button(text("zoomTrue"), "100 %", () => paper.zoomTo(1));
  const element = group(
    text("zoom"),
    button(text("zoomOut"), "−", () => paper.zoomTo(paper.zoom / STEP)),
    percent,
    button(text("zoomIn"), "+", () => paper.zoomTo(paper.zoom * STEP)),
    button(text("zoomFit"), "↔", () => paper.zoomToFit()),
  );
  const refresh = () => {
    percent.textContent = `${Math.round(100 * paper.zoom)} %`;
    percent.setAttribute("aria-label", `${percent.textContent}: ${text("zoomTrue")}`);
  };
  return { element, refresh };
}

function marksGroup(paper, text) {
  const beats = button(text("beats"), text("beats"), () => paper.set({ peaks: !paper.view.peaks }));
  const waves = button(text("waves"), text("waves"), () => paper.set({ waves: !paper.view.waves }));
  const { calipers } = paper;
  const measure = button(text("calipers"), text("calipers"), () => {
    calipers.on ? calipers.stop() : calipers.start(false);
    refresh();
  });
  const march = button(text("march"), text("march"), () => {
    calipers.toggleMarch();
    refresh();
  });
  const back = button(text("back"), `✕ ${text("back")}`, () => {
    paper.leaveLead();
    paper.box.focus();
  });
  const element = make("div", { className: "paper-group" }, beats, waves, measure, march, back);
  const refresh = () => {
    const { peaks, waves: spans } = paper.view;
    const pressed = [[beats, peaks], [waves, spans], [measure, calipers.on], [march, calipers.marching]];
    pressed.forEach(([each, on]) => each.setAttribute("aria-pressed", String(on)));
    march.hidden = !calipers.on;
    back.hidden = !paper.isAlone || paper.leads.length < 2;
  };
  return { element, refresh };
}

function partGroup(paper, text) {
  const first = button(text("first"), "«", () => paper.goTo(0));
  const previous = button(text("previous"), "‹", () => paper.move(-1));
  const next = button(text("next"), "›", () => paper.move(1));
  const last = button(text("last"), "»", () => paper.goTo(Infinity));
  const where = make("span", { className: "paper-where" });
  const lengths = LENGTHS.filter((value, i) => i === 0 || value <= paper.whole);
  const length = choice(text("length"), lengths.map((value) => [value, `${value} s`]), () => paper.view.seconds,
    (value) => paper.setSeconds(Number(value)));
  const element = group(text("part"), first, previous, where, next, last, length.element);
  const refresh = () => {
    const { start, seconds } = paper.view;
    element.hidden = paper.whole <= lengths[0];
    length.element.hidden = lengths.length < 2;
    length.refresh();
    first.disabled = previous.disabled = start <= 0;
    next.disabled = last.disabled = start + seconds >= paper.whole - 1e-6;
    const { language } = paper;
    where.textContent = `${clock(start, language)} / ${clock(paper.whole, language)}`;
    where.title = `${number(start, 2, language)} s`;
  };
  return { element, refresh };
}

function keysHelp(language) {
  const rows = words[language].help.flatMap(([keys, meaning]) => [
    make("dt", {}, make("kbd", { textContent: keys })), make("dd", { textContent: meaning })]);
  const summary = make("summary", { textContent: words[language].keys });
  return make("details", { className: "paper-help" }, summary, make("dl", {}, ...rows));
}
