/** The page of the API: what /api/openapi.json says, with a line of curl for each request. */

import { get } from "./api.js";
import { byId, fill, make, showError } from "./dom.js";
import { startLanguage, startTheme } from "./settings.js";
import { say } from "./words.js";

const NAMING = ["files", "ecg", "record", "example", "sampling_rate", "unit", "leads"]; // an ECG
const SHOWN = { labels: "AF,STEMI", label: "AF", text: "atrial fibrillation", explain: "true", k: "5" };
const LOCAL = ["127.0.0.1", "localhost", "[::1]"];
let described = null; // the OpenAPI description

/** The thing that a description refers to, or itself. */
function resolved(schema) {
  if (!schema?.$ref) return schema;
  return schema.$ref
    .slice(2)
    .split("/")
    .reduce((part, key) => part[key], described);
}

function fieldsOf(operation) {
  const content = Object.values(operation.requestBody?.content ?? {})[0];
  return resolved(content?.schema)?.properties ?? {};
}

/** The kind of a field: "string", "number", "file …". */
function kindOf(schema) {
  if (schema.type === "array") return `${kindOf(schema.items)} …`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  if (schema.enum) return schema.enum.join(" | ");
  const kinds = (schema.anyOf ?? []).map(kindOf).filter((kind) => kind !== "null");
  return schema.type ?? kinds.join(" | ");
}

function curl(path, method, fields) {
  const parts = ["curl"];
  if (!LOCAL.includes(location.hostname)) parts.push("-H 'Authorization: Bearer TOKEN'");
  if (method === "post") {
    if ("files" in fields && !("text" in fields)) parts.push("-F files=@af.hea -F files=@af.dat");
    const shown = Object.keys(SHOWN).filter((key) => key in fields);
    parts.push(...shown.map((key) => `-F ${key}=${/[ ,]/.test(SHOWN[key]) ? `"${SHOWN[key]}"` : SHOWN[key]}`));
    const format = fields.format?.default;
    if (format) parts.push(`-F format=${format} -o ${path.split("/").at(-1)}.${format}`);
  }
  return [...parts, location.origin + path.replace(/\{.*\}/, "atrial-fibrillation")].join(" ");
}

function requestPart(path, method, operation) {
  const fields = fieldsOf(operation);
  const own = Object.entries(fields).filter(([name]) => !NAMING.includes(name));
  return make(
    "section",
    { class: "request" },
    make("h2", {}, make("code", {}, `${method.toUpperCase()} ${path}`)),
    make("p", { lang: "en" }, operation.description ?? operation.summary),
    make("pre", { tabindex: "0" }, curl(path, method, fields)),
    own.length ? fieldTable(own) : null,
    "files" in fields ? make("p", { class: "soft" }, say("namesEcg")) : null,
  );
}

function fieldTable(fields) {
  const heads = ["field", "kind", "meaning"].map((key) => make("th", { scope: "col" }, say(key)));
  const rows = fields.map(([name, schema]) => {
    const standard = Array.isArray(schema.default) ? null : (schema.default ?? null);
    const meaning = `${schema.description ?? ""}${standard === null ? "" : ` [${standard}]`}`;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, name)),
      make("td", {}, kindOf(schema)),
      make("td", { lang: "en" }, meaning),
    );
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows));
  return make("div", { class: "scroll" }, table);
}

function namingPart(paths) {
  const all = paths.map(([, , operation]) => fieldsOf(operation)).find((fields) => "files" in fields);
  if (!all) return null;
  const fields = NAMING.filter((name) => name in all).map((name) => [name, all[name]]);
  return make("section", { class: "request" }, make("h2", {}, say("anEcg")), fieldTable(fields));
}

function render() {
  if (!described) return;
  const paths = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method, operation]),
  );
  fill(byId("api-list"), namingPart(paths), ...paths.map((path) => requestPart(...path)));
}

startTheme();
startLanguage(render);
try {
  const [info, description] = await Promise.all([get("/api/info"), get("/api/openapi.json")]);
  document.querySelector("#views a[href='/#/search']").hidden = !info.index;
  described = description;
  render();
} catch (error) {
  showError(byId("api-error"), error.message);
}
