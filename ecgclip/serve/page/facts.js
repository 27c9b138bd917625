/** What was read and measured: patient, intervals beside their normal ranges, ST by lead, quality. */

import { english, make } from "./dom.js";
import { answerName, capital, pick, say, sayIf, signed } from "./words.js";

/** Signs of answers: what is out of range is told by its sign and word, too, and not by colour alone. */
export const SIGNS = {
  ...{ met: "●", unmet: "○", borderline: "◐", "not measurable": "–" },
  ...{ within: "", above: "▲", below: "▼" },
};
const OLDEST = 90; // years: the server tells no older age
const ADULT = 18; // years, from which on the normal ranges hold
const VITALS = ["heart rate", "PR", "QRS", "QT", "QTc (Fridericia)", "QRS axis"]; // English names of rows

/** Age, sex, time, device and recording in a line; no identity. */
export function patientLine(opened) {
  const { age, sex, time, device } = opened.patient;
  const years = age === null || age === undefined ? null : ageWords(age);
  const who = [years, sex && sayIf(sex, sex)].filter(Boolean).join(", ") || say("unknownPatient");
  const rate = `${Number(opened.sampling_rate.toPrecision(6))} Hz`;
  const length = opened.seconds < 120 ? `${Number(opened.seconds.toFixed(1))} s` : minutes(opened.seconds);
  const leads = opened.leads.length === 12 ? say("twelveLeads") : `${say("leads")}: ${opened.leads.join(" ")}`;
  const made =
    typeof device === "string"
      ? device
      : Object.values(device ?? {})
          .filter(Boolean)
          .join(" ");
  return [who, time && String(time).replace("T", " "), made, `${length}, ${rate}`, leads].filter(Boolean).join(" · ");
}

function ageWords(age) {
  if (age >= OLDEST) return say("years", `≥ ${OLDEST}`);
  if (age >= 2) return say("years", Math.floor(age));
  return say("months", Math.round(age * 12));
}

/** Seconds as 1:02:03 h or 2:03 min. */
export function minutes(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h ? `${h}:${two(m)}:${two(s)} h` : `${m}:${two(s)} min`;
}

/** The few numbers that are read first, as pairs of a definition list. */
export function vitals(measured) {
  const rows = VITALS.map((name) => measured.find((row) => englishName(row) === name)).filter(Boolean);
  return rows.map((row) =>
    make(
      "div",
      { class: row.answer ? `vital ${row.answer.replace(" ", "-")}` : "vital" },
      make("dt", {}, capital(nameOf(row)).replace(" (Fridericia)", "")),
      make("dd", {}, make("span", { class: "value" }, valueOf(row)), row.value === null ? null : unitOf(row)),
      make("dd", { class: "range" }, answerWords(row), " ", make("span", {}, rangeOf(row))),
    ),
  );
}

/**
 * All else: every measurement, ST by lead, quality, what was assumed.
 * @param {Object} opened  answer of /api/open
 * @param {Object} reading  what was given by hand
 */
export function factsParts(opened, reading) {
  return [
    make("h3", {}, say("measurements")),
    make("div", { class: "tables" }, tables(opened)),
    notes(opened, reading),
  ];
}

function tables(opened) {
  const st = Object.values(opened.st ?? {});
  const levels = st.map((row) => line(row, isNumber(row.value) ? signed(row.value, 2) : "–", null));
  return [
    make(
      "div",
      {},
      rangedTable(
        say(opened.patient.age !== null && opened.patient.age < ADULT ? "childCaption" : "measurementsCaption"),
        "measurement",
        opened.measured.map((row) => line(row)),
      ),
      rangedTable(
        say("quality"),
        "measurement",
        (opened.quality ?? []).map((row) => line(row)),
      ),
    ),
    st.length ? rangedTable(say("stCaption"), "lead", levels) : null,
  ];
}

/** A row of a table of measurements: its name, value, normal range and answer. */
const line = (row, value = valueOf(row), unit = unitOf(row)) =>
  make(
    "tr",
    { class: row.answer ? row.answer.replace(" ", "-") : null },
    make("th", { scope: "row" }, rowName(row)),
    make("td", { class: "number" }, value, isNumber(row.value) ? unit : null),
    make("td", { class: "number soft" }, rangeOf(row) || "–"),
    make("td", {}, answerWords(row)),
  );

function rangedTable(caption, first, rows) {
  const heads = [first, "value", "normal", "answer"].map((key) => make("th", { scope: "col" }, say(key)));
  const head = make("thead", {}, make("tr", {}, heads));
  const table = make("table", { class: "ranged" }, make("caption", {}, caption), head, make("tbody", {}, rows));
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, table);
}

function notes(opened, reading) {
  const given = Object.values(reading).filter(Boolean).join(", ");
  const used =
    opened.used_s < opened.seconds - 0.05 && say("used", opened.used_s.toFixed(1), opened.seconds.toFixed(1));
  const items = [
    given && say("byHand", given),
    used,
    listOf("masked", opened.masked),
    listOf("derived", opened.derived),
    ...(opened.notes ?? []).map(english),
  ].filter(Boolean);
  return [
    make("h3", {}, say("assumed")),
    items.length
      ? make(
          "ul",
          {},
          items.map((item) => make("li", {}, item)),
        )
      : make("p", {}, say("nothingAssumed")),
  ];
}

function listOf(key, leads) {
  const names = Array.isArray(leads) ? leads : Object.keys(leads ?? {});
  return names.length ? `${say(key)}: ${names.join(" ")}` : null;
}

const englishName = (row) => row.name.en ?? row.name;
const nameOf = (row) => (typeof row.name === "string" ? row.name : pick(row.name));
const rowName = (row) => (nameOf(row).startsWith("aV") ? nameOf(row) : capital(nameOf(row)));
const unitOf = (row) => make("span", { class: "unit" }, row.unit === "°" ? "°" : ` ${row.unit}`);

function valueOf(row) {
  if (row.value === null || row.value === undefined) return "–";
  return row.value.toFixed(row.digits ?? 0).replace("-", "−");
}

/** The normal range, or an empty text where there is none. */
function rangeOf(row, long = true) {
  const [low, high] = row.range ?? [row.low, row.high];
  const text = (end) => String(Number(end.toFixed(Math.max(row.digits ?? 0, 2)))).replace("-", "−");
  if (isNumber(low) && isNumber(high)) return `${text(low)}${low < 0 ? " … " : "–"}${text(high)}`;
  if (isNumber(high)) return `${long ? "≤ " : "≤"}${text(high)}`;
  return isNumber(low) ? `${long ? "≥ " : "≥"}${text(low)}` : "";
}

const isNumber = (value) => typeof value === "number";

function answerWords(row) {
  if (row.value === null || row.value === undefined)
    return make("span", { class: "answer" }, `${answerName("not measurable")} `);
  if (!row.answer || row.answer === "within")
    return make("span", { class: "answer" }, row.answer ? `${answerName("within")} ` : "");
  return make("span", { class: "answer" }, `${SIGNS[row.answer]} ${answerName(row.answer)} `);
}
