// @ts-check
// Looks everywhere a script can look for a token, and says what it found in plain words.
import { CallError } from "/cloakroom.js";
import { element, make } from "/page.js";

/** @typedef {{ place: string, found: string, suspicious: boolean }} Finding */
/** @typedef {ReturnType<typeof import("./cloakroom.js").cloakroom>} Client */

/** A JSON Web Token starts with `{"` in base64url; `Bearer` precedes any access token. */
const TOKEN = /eyJ[\w-]{10,}|bearer\s+[\w.~+/-]{16,}/i;

/** @param {Client} client */
export function wireProof(client) {
  const search = async () => {
    element("proof-verdict").textContent = "Searching.";
    const findings = await everywhere(client);
    const bad = findings.filter((finding) => finding.suspicious).length;
    element("findings").replaceChildren(...findings.map(row));
    element("proof-verdict").dataset.found = String(bad);
    element("proof-verdict").textContent = bad === 0
      ? `Looked in ${findings.length} places. There is no token here.`
      : `Something that looks like a token is in ${bad} of ${findings.length} places. That must not be.`;
  };
  element("search").addEventListener("click", search);
  return { search };
}

/** @param {Finding} finding */
function row({ place, found, suspicious }) {
  const item = document.createElement("li");
  item.className = suspicious ? "bad" : "clean";
  item.append(make("b", place), make("span", found));
  return item;
}

/**
 * @param {Client} client
 * @returns {Promise<Finding[]>}
 */
async function everywhere(client) {
  return [
    stored("document.cookie", document.cookie.split("; ").filter(Boolean), "cookie"),
    await cookieStoreFinding(),
    stored("localStorage", entries(localStorage), "entry"),
    stored("sessionStorage", entries(sessionStorage), "entry"),
    stored("IndexedDB", (await indexedDB.databases()).map(({ name }) => name ?? ""), "database"),
    stored("Cache storage", await cacheNames(), "cache"),
    stored("Address and history", [location.href, JSON.stringify(history.state)], "value", "No code, no token."),
    stored("Request log", performance.getEntries().map(({ name }) => name), "address", "No code, no token."),
    await answerFinding(client, "/session"),
    await answerFinding(client, "/api/echo"),
  ];
}

/**
 * @param {string} place
 * @param {string[]} values
 * @param {string} noun
 * @param {string} [clean] what to say when there are values and none is a token
 * @returns {Finding}
 */
function stored(place, values, noun, clean) {
  const tokens = values.filter((value) => TOKEN.test(value) || /[?&]code=/.test(value));
  if (tokens.length > 0) return { place, found: `${tokens.length} like a token.`, suspicious: true };
  if (values.length === 0) return { place, found: "Empty.", suspicious: false };
  const count = `${values.length} ${values.length === 1 ? noun : plural(noun)}, none like a token.`;
  return { place, found: clean ?? count, suspicious: false };
}

/** @param {string} noun */
function plural(noun) {
  return noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}

/** @param {Storage} storage */
function entries(storage) {
  return Object.keys(storage).map((key) => `${key}=${storage.getItem(key)}`);
}

async function cacheNames() {
  return "caches" in window ? caches.keys() : [];
}

/** @returns {Promise<Finding>} */
async function cookieStoreFinding() {
  const store = /** @type {{ getAll(): Promise<{ name: string, value: string }[]> } | undefined} */ (
    Reflect.get(window, "cookieStore"));
  if (!store) return { place: "Cookie Store API", found: "This browser has none.", suspicious: false };
  const cookies = await store.getAll();
  return stored("Cookie Store API", cookies.map(({ name, value }) => `${name}=${value}`), "cookie");
}

/**
 * Reads all of an answer that a script may read; `Set-Cookie` is not among it.
 * @param {Client} client
 * @param {string} url
 * @returns {Promise<Finding>}
 */
async function answerFinding(client, url) {
  const place = `Answer of ${url}`;
  /** @type {Response | null} */
  let response;
  try {
    response = await client.apiFetch(url);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    response = error.response;
  }
  if (response === null) return { place, found: "No answer.", suspicious: false };
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`);
  const values = [...headers, await response.text()];
  const finding = stored(place, values, "value");
  return finding.suspicious
    ? finding
    : { place, found: `${headers.length} headers and the body, none like a token.`, suspicious: false };
}
