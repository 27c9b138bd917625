/** The requests of the page: its own server, and no other. */

import { say } from "./words.js";

/** What went wrong, in one line for the reader; `status` is that of HTTP, 0 if there was no answer. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const TRIES = 3; // of a request that a busy server puts off

/**
 * Ask the server.
 * @param {string} path  "/api/…"
 * @param {FormData} [form]  makes it a POST
 * @param {number} [tries]  how often, while the server is busy
 * @returns {Promise<Response>}  a good one
 * @throws {ApiError}
 */
async function request(path, form, tries = TRIES) {
  let response;
  try {
    response = await fetch(path, form ? { method: "POST", body: form } : {});
  } catch {
    throw new ApiError(say("noServer"), 0);
  }
  if (response.ok) return response;
  if (response.status === 503 && tries > 1) {
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 5)));
    return request(path, form, tries - 1);
  }
  const said = await response.json().catch(() => ({}));
  throw new ApiError(said.error || said.detail || said[0]?.error || say("failed", response.status), response.status);
}

/** GET JSON. */
export const get = async (path) => (await request(path)).json();

/** POST fields that name no ECG, and get JSON. */
export const post = async (path, fields) => (await request(path, formOf(fields))).json();

function formOf(fields) {
  const form = new FormData();
  for (const [key, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined && value !== "") form.append(key, value);
  }
  return form;
}

/** Labels as the server wants them: between commas, and one that holds a comma or a quote in quotes. */
export const joinLabels = (labels) =>
  labels.map((label) => (/[,"]/.test(label) ? `"${label.replaceAll('"', '""')}"` : label)).join(",");

/** An ECG that the server can be asked about: files of this computer, an example, or a record of the index. */
export class Ecg {
  /**
   * @param {{files: File[]}|{example: string}|{record: string}} source
   * @param {Object} reading  sampling_rate, unit and leads where the files do not say them
   */
  constructor(source, reading = {}) {
    this.source = source;
    this.reading = reading;
    this.id = null; // under which the server holds it
  }

  /** Read it, and get what the first look needs. */
  async open(fields = {}) {
    const opened = await (await request("/api/open", this.#form(fields, false))).json();
    this.id = opened.ecg ?? null;
    return opened;
  }

  /** Ask for JSON about it. */
  async ask(path, fields = {}) {
    return (await this.#request(path, fields)).json();
  }

  /** Ask for a file about it. */
  async download(path, fields = {}) {
    return (await this.#request(path, fields)).blob();
  }

  async #request(path, fields) {
    try {
      return await request(path, this.#form(fields, true));
    } catch (error) {
      if (error.status !== 404 || this.id === null) throw error;
      await this.open(); // the server no longer holds it
      return request(path, this.#form(fields, true));
    }
  }

  #form(fields, held) {
    if (held && this.id !== null) return formOf({ ...fields, ecg: this.id });
    const { files, ...named } = this.source;
    const form = formOf({ ...fields, ...this.reading, ...named });
    for (const file of files ?? []) form.append("files", file, file.name);
    return form;
  }
}

/** Let the browser save a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** What was asked for under a key already, or is asked for now; what failed may be asked for again. */
export function once(known, key, ask) {
  if (!known.has(key)) {
    const asked = ask();
    known.set(key, asked);
    asked.catch(() => known.delete(key));
  }
  return known.get(key);
}
