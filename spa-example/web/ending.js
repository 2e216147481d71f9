// @ts-check
// The warning before the session ends by itself, with what the user can do about it.
import { element } from "/page.js";
import { spell } from "/ticket.js";

/** @typedef {import("./cloakroom.js").Ending} Ending */

/** What helps, by what ends: an idle session goes on when its user says so, everything else needs a new login. */
const WORDS = {
  idle: { text: "Nobody has done anything here for a while.", mend: "stay" },
  session: { text: "It has lasted as long as it may. Save your work, then sign in again.", mend: "sign-in-again" },
  access_token: { text: "Its access token cannot be renewed. Save your work, then sign in again.", mend: "sign-in-again" },
};

/** @type {Ending["what"] | undefined} */
let shown;
let endsAt = 0;
let ticking = 0;

/**
 * Shows that something ends soon.
 * @param {Ending} ending
 */
export function warn({ what, seconds }) {
  endsAt = Date.now() + seconds * 1000;
  tick();
  if (shown === what) return;
  shown = what;
  const { text, mend } = WORDS[what];
  element("ending-text").textContent = text;
  for (const id of ["stay", "sign-in-again"]) element(id).hidden = id !== mend;
  element("ending").hidden = false;
  // Said once: a screen reader that read every second aloud would say nothing else.
  element("ending-said").textContent = `Your session ends in ${spellOut(seconds)}. ${text}`;
  clearInterval(ticking);
  ticking = window.setInterval(tick, 1000);
}

/** Takes the warning away. */
export function allClear() {
  if (shown === undefined) return;
  shown = undefined;
  clearInterval(ticking);
  const warning = element("ending");
  const hadFocus = warning.contains(document.activeElement);
  warning.hidden = true;
  element("ending-said").textContent = "";
  // Who pressed its button by the keyboard goes on from here, not from the top of the page.
  if (hadFocus) element("content").focus();
}

function tick() {
  element("left-ending").textContent = spell(Math.max(0, Math.round((endsAt - Date.now()) / 1000)));
}

/** @param {number} seconds */
function spellOut(seconds) {
  const minutes = Math.round(seconds / 60);
  return seconds < 90 ? `${seconds} seconds` : `${minutes} minutes`;
}
