/** How an ECG comes in: dropped, chosen, or an example; and which files are one record. */

import { byId, fill, make, showError } from "./dom.js";
import { capital, pick, say } from "./words.js";

export class Intake {
  /**
   * @param {Object} info  answer of /api/info
   * @param {function({name: string, files: File[]}[], Object): void} onrecords  called with the records of what was
   *   given, and with what was given by hand: sampling_rate, unit, leads
   */
  constructor(info, onrecords) {
    this.info = info;
    this.onrecords = onrecords;
    this.records = []; // of what was given last
    const input = byId("files");
    input.addEventListener("change", () => {
      this.#take([...input.files]);
      input.value = ""; // the same file again is a change, too
    });
    byId("read-again").addEventListener("click", () => this.onrecords(this.records, this.#reading()));
    this.#listenForDrops();
    this.render();
  }

  #reading() {
    const rate = byId("reading-rate").value.trim().replace(",", ".");
    return { sampling_rate: rate, unit: byId("reading-unit").value, leads: byId("reading-leads").value.trim() };
  }

  /** What was given by hand was for the files that are open now, and must not overrule the next ones. */
  forgetReading() {
    for (const field of ["reading-rate", "reading-unit", "reading-leads"]) byId(field).value = "";
    byId("reading").open = false;
  }

  /** Show what went wrong; where the file lacks something that a person can give, the fields for it. */
  fail(message) {
    byId("intake").hidden = false;
    showError(byId("intake-error"), message);
    if (/sampling.rate|unit|leads/i.test(message)) byId("reading").open = true;
  }

  render() {
    const examples = this.info.examples.map((example) =>
      make(
        "li",
        {},
        make(
          "a",
          { class: "button", href: `#/ecg/example/${encodeURIComponent(example.id)}` },
          capital(pick(example.name)),
        ),
      ),
    );
    fill(byId("example-list"), examples);
    byId("examples").hidden = !examples.length;
    byId("limits").textContent = say("limits", this.info.limits.files, this.info.limits.max_mb);
  }

  #listenForDrops() {
    let depth = 0; // of elements that the dragged files are over
    const show = () => document.documentElement.classList.toggle("dropping", depth > 0);
    const isFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => isFiles(event) && show(++depth));
    addEventListener("dragleave", (event) => isFiles(event) && show(--depth));
    addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
    addEventListener("drop", async (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      show((depth = 0));
      this.#take(await droppedFiles(event.dataTransfer, this.info.limits.files + 1));
    });
  }

  async #take(files) {
    const { files: most, max_mb: megabytes } = this.info.limits;
    showError(byId("intake-error"), "");
    if (!files.length) return;
    if (!location.hash.startsWith("#/ecg")) location.hash = "#/ecg"; // they may be dropped on any view
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (files.length > most) return this.fail(say("tooMany", most));
    if (size > megabytes * 1e6) return this.fail(say("tooLarge", Math.ceil(size / 1e6), megabytes));
    const records = await recordsOf(files);
    const alone = records.find(({ files: [file, ...others] }) => !others.length && /\.hea$/i.test(file.name));
    if (alone) return this.fail(say("needsSignal", alone.files[0].name));
    this.records = records;
    byId("read-again").hidden = false;
    this.onrecords(records, this.#reading());
  }
}

/** The files that were dropped, those in folders too, up to `most`. */
async function droppedFiles(transfer, most) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  while (entries.length && files.length < most) {
    const entry = entries.shift();
    if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else entries.push(...(await new Promise((resolve, reject) => entry.createReader().readEntries(resolve, reject))));
  }
  return files.filter((file) => !file.name.startsWith("."));
}

/**
 * Which files belong together: a header (.hea) and what it names or what shares its name; any other is a record alone.
 * @param {File[]} files
 * @returns {Promise<{name: string, files: File[]}[]>}  by name
 */
export async function recordsOf(files) {
  const stem = (name) => name.replace(/\.[^.]*$/, "");
  const headers = files.filter((file) => /\.hea$/i.test(file.name));
  const named = new Map(); // header → names in it
  for (const header of headers) {
    const lines = (await header.slice(0, 100_000).text()).split(/\r?\n/).filter((line) => !/^\s*(#|$)/.test(line));
    named.set(header, new Set([stem(header.name), ...lines.slice(1).map((line) => line.trim().split(/\s+/)[0])]));
  }
  const belongs = (file, header) => named.get(header).has(file.name) || named.get(header).has(stem(file.name));
  const isPart = (file) =>
    headers.some((header) => header !== file && belongs(file, header) && stem(file.name) !== stem(header.name));
  const records = headers
    .filter((header) => !isPart(header))
    .map((header) => {
      const parts = files.filter((file) => file === header || belongs(file, header));
      const segments = headers.filter((part) => part !== header && parts.includes(part));
      const theirs = files.filter((file) => segments.some((part) => belongs(file, part)));
      return { name: stem(header.name), files: [...new Set([...parts, ...theirs])] };
    });
  const taken = new Set(records.flatMap((record) => record.files));
  const alone = files.filter((file) => !taken.has(file)).map((file) => ({ name: file.name, files: [file] }));
  return [...records, ...alone].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
