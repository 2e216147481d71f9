// @ts-check
// The example SPA: shows who is logged in, wires the buttons, and explains a failed login.
import { CallError, NotLoggedIn, cloakroom } from "/cloakroom.js";
import { wireApi } from "/api-panel.js";
import { allClear, warn } from "/ending.js";
import { explain } from "/login-failures.js";
import { element } from "/page.js";
import { wireProof } from "/proof.js";
import { showSession, showSignedOut } from "/ticket.js";

const client = cloakroom();

/** @type {boolean | undefined} */
let signedIn;

const proof = wireProof(client);

const look = client.watchSession((state) => {
  if (state instanceof CallError) {
    say(`${state.message} What you see may be out of date.`);
    return;
  }
  if (state.authenticated) {
    showSession(state);
    say("");
    if (state.ending) warn(state.ending);
    else allClear();
  } else {
    showSignedOut();
    allClear();
    if (signedIn) say("You are signed out. Another tab did it, or the session ran out.");
  }
  if (state.authenticated !== signedIn) void proof.search();
  signedIn = state.authenticated;
});

wireApi(client, look);
explainLoginFailure();

for (const id of ["sign-in", "sign-in-top", "sign-in-again"]) {
  element(id).addEventListener("click", () => client.login());
}
element("sign-out").addEventListener("click", () => attempt(async () => {
  await client.logout();
  // This tab is leaving and knows why.
  signedIn = false;
}));
for (const id of ["refresh", "stay"]) {
  element(id).addEventListener("click", () => attempt(async () => {
    await client.refresh();
    await look();
  }));
}

/**
 * Runs what a button asked for and says so when it fails.
 * @param {() => Promise<void>} action
 */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (error instanceof NotLoggedIn) await look();
    say(error.message);
  }
}

/**
 * Shows one line of news, also to screen readers; an empty text takes it away.
 * @param {string} text
 */
function say(text) {
  const news = element("news");
  news.textContent = text;
  news.hidden = text === "";
}

/** The token handler sends a failed login back here with the cause in the query; the query does not stay. */
function explainLoginFailure() {
  const query = new URLSearchParams(location.search);
  const code = query.get("auth_error");
  if (code === null) return;
  const returnTo = query.get("return_to") ?? "/";
  const [title, text] = explain(code);
  element("auth-error-title").textContent = title;
  element("auth-error-text").textContent = text;
  element("auth-error-request").textContent = query.get("request_id") ?? "unknown";
  element("auth-error-code").textContent = code;
  element("auth-error").hidden = false;
  element("auth-error-retry").addEventListener("click", () => client.login({ returnTo }));
  element("auth-error-close").addEventListener("click", () => {
    element("auth-error").hidden = true;
    element("content").focus();
  });
  for (const name of ["auth_error", "request_id", "return_to"]) query.delete(name);
  const rest = query.size > 0 ? `?${query}` : "";
  history.replaceState(history.state, "", location.pathname + rest + location.hash);
}
