// @ts-check
// The ticket: who is logged in and how long things last.
import { bar, element, make } from "/page.js";

/** @typedef {{ name: string, ends: number, whole: number, over: string }} Clock */

/** @type {Clock[]} */
let clocks = [];
let ticking = 0;

/**
 * Shows a signed-in user.
 * @param {import("./cloakroom.js").SignedIn} session
 */
export function showSession(session) {
  const who = text(session.claims.name ?? session.claims.sub ?? "guest");
  document.body.dataset.state = "in";
  document.title = `${who} · Cloakroom example`;
  element("ticket-title").textContent = `Welcome, ${who.split(" ")[0]}`;
  element("peg-number").textContent = String(pegOf(text(session.claims.sub ?? who)));
  element("claims").replaceChildren(...Object.entries(session.claims).map(claim));
  element("ticket-body").ariaBusy = "false";
  countDown(session);
}

/** Shows that nobody is signed in. */
export function showSignedOut() {
  clearInterval(ticking);
  document.body.dataset.state = "out";
  document.title = "Signed out · Cloakroom example";
  element("ticket-title").textContent = "Leave your tokens at the door";
  element("peg-number").textContent = "\u2013 \u2013 \u2013";
  element("claims").replaceChildren();
  element("ticket-body").ariaBusy = "false";
}

/** @param {[string, unknown]} entry */
function claim([name, value]) {
  const pair = document.createElement("div");
  const shown = make("dd", text(value));
  shown.dataset.claim = name;
  pair.append(make("dt", name), shown);
  return pair;
}

/** @param {import("./cloakroom.js").SignedIn} session */
function countDown(session) {
  const now = Date.now();
  const clock = (/** @type {string} */ name, /** @type {number} */ seconds, /** @type {string} */ over) => {
    const before = clocks.find((other) => other.name === name)?.whole ?? 0;
    return { name, ends: now + seconds * 1000, whole: Math.max(before, seconds, 1), over };
  };
  clocks = [
    clock("access", session.access_token_expires_in, "renewed by the next call"),
    clock("idle", session.idle_expires_in, "over"),
    clock("session", session.session_expires_in, "over"),
  ];
  clearInterval(ticking);
  ticking = window.setInterval(tick, 1000);
  tick();
}

/** Shows the seconds that are left. The wall clock is asked, as a timer stands still while the computer sleeps. */
function tick() {
  for (const { name, ends, whole, over } of clocks) {
    const left = Math.max(0, Math.round((ends - Date.now()) / 1000));
    element(`left-${name}`).textContent = left > 0 ? spell(left) : over;
    bar(`bar-${name}`).value = left / whole;
  }
}

/** @param {number} seconds */
export function spell(seconds) {
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours} h ${two(minutes)} min` : `${minutes}:${two(seconds % 60)}`;
}

/**
 * A peg number that is the same for a user at every visit; decoration.
 * @param {string} subject
 */
function pegOf(subject) {
  let sum = 7;
  for (const letter of subject) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 900;
  return 100 + sum;
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
