// @ts-check
// The API panel: makes calls and says in plain words who answered what.
import { CallError, CloakroomError, NotLoggedIn, StepUpRequired, Unavailable } from "/cloakroom.js";
import { bar, element } from "/page.js";
import { remember, remembered } from "/wanted.js";

/** @typedef {ReturnType<typeof import("./cloakroom.js").cloakroom>} Client */

/** What each kind of failure means for the person at the screen. */
const MEANING = {
  not_logged_in: "Not signed in. Cloakroom answered; the API was never asked.",
  step_up: "The API wants to be sure that it is you. Confirm, and the transfer goes on by itself.",
  forged: "Refused as forged. Cloakroom answered; the API was never asked.",
  not_allowed: "Not allowed. Cloakroom answered; the API was never asked.",
  unavailable: "Try again later: the login server is away. You are still signed in.",
  upstream_failed: "The API is down. Cloakroom says so.",
  upstream_timeout: "The API took too long. Cloakroom says so.",
  rejected: "Cloakroom refused the request.",
  api_unauthorized: "The API itself answered 401: it did not accept the token.",
  api_forbidden: "The API itself said no: this user may not do that.",
  api_error: "The API itself failed.",
  unreachable: "No answer at all. Are you offline?",
};

/**
 * @param {Client} client
 * @param {() => Promise<void>} look asks for the session again, as a call may have moved its ends
 */
export function wireApi(client, look) {
  for (const button of document.querySelectorAll("[data-call]")) {
    const url = /** @type {HTMLElement} */ (button).dataset.call ?? "";
    button.addEventListener("click", () => show(`GET ${url}`, () => client.apiFetch(url), look));
  }
  const transfer = () => show("POST /api/transfer", () => client.apiFetch("/api/transfer", { method: "POST" }), look, client);
  element("transfer").addEventListener("click", transfer);
  // Back from the login that the API asked for: what the user wanted goes on.
  if (remembered("transfer")) void transfer();
  element("upload").addEventListener("click", () => {
    const progress = bar("upload-progress");
    progress.hidden = false;
    progress.value = 0;
    const send = () => client.upload("/api/upload", chosen(), (part) => { progress.value = part; });
    return show("POST /api/upload", send, look);
  });
}

/** The chosen file, or a megabyte of sample. */
function chosen() {
  const input = /** @type {HTMLInputElement} */ (element("file"));
  return input.files?.[0] ?? new Blob([new Uint8Array(1_000_000)], { type: "application/octet-stream" });
}

/**
 * @param {string} what
 * @param {() => Promise<Response>} call
 * @param {() => Promise<void>} look
 * @param {Client} [client] of a call that may want a better login
 */
async function show(what, call, look, client) {
  element("confirm-row").hidden = true;
  write("busy", `Asking: ${what}`, "", "");
  const started = performance.now();
  const took = () => `${what} · ${Math.round(performance.now() - started)} ms`;
  try {
    const response = await call();
    write("good", "The API answered.", `${took()} · ${response.status}`, await response.text());
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (error instanceof StepUpRequired && client) offerConfirmation(client, error);
    await showFailure(error, took());
    if (error instanceof NotLoggedIn) return look();
  }
  if (document.body.dataset.state === "in") await look();
}

/**
 * Asks the user before the page is left for a login; what they wanted is kept for when they are back.
 * @param {Client} client
 * @param {StepUpRequired} error
 */
function offerConfirmation(client, error) {
  element("confirm-row").hidden = false;
  element("confirm").onclick = () => {
    remember("transfer");
    void client.stepUp(error, { returnTo: "/#api" });
  };
}

/**
 * @param {CallError} error
 * @param {string} facts
 */
async function showFailure(error, facts) {
  const parts = [facts];
  if (error.status) parts.push(String(error.status));
  if (error instanceof CloakroomError) parts.push(`Cloakroom-Error ${error.code}`);
  if (error instanceof Unavailable) parts.push(`try again in ${error.retryAfter} s`);
  if (error.requestId) parts.push(`request ${error.requestId}`);
  const body = await error.response?.clone().text() ?? "";
  write(error.kind, MEANING[error.kind], parts.join(" · "), body);
}

/**
 * @param {string} kind
 * @param {string} said
 * @param {string} facts
 * @param {string} body
 */
function write(kind, said, facts, body) {
  element("answer").dataset.kind = kind;
  element("answer-said").textContent = said;
  element("answer-facts").textContent = facts;
  const shown = element("answer-body");
  shown.textContent = pretty(body);
  shown.hidden = body === "";
}

/** @param {string} body */
function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
