// What a user does on the example page, and what the browser holds afterwards.
import { PATIENCE } from "./browsers.mjs";
import { builtIn } from "./login-servers.mjs";
import { acrossNavigations, holds, press, shows } from "./waits.mjs";

/** @typedef {import("./browsers.mjs").BrowserContext} BrowserContext */
/** @typedef {import("./browsers.mjs").Page} Page */
/** @typedef {import("./login-servers.mjs").LoginServer} LoginServer */

/**
 * A new tab whose waits all have the same patience.
 * @param {BrowserContext} context
 * @returns {Promise<Page>}
 */
export async function openTab(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  return page;
}

/**
 * Opens the app and signs in through the real pages.
 * @param {Page} page
 * @param {string} address within the app, fragment included
 * @param {string} [user]
 * @param {LoginServer} [server]
 */
export async function signIn(page, address, user = "alice", server = builtIn) {
  await startSignIn(page, address, server);
  await chooseUser(page, user, server);
}

/**
 * Opens the app and goes as far as the login server's page.
 * @param {Page} page
 * @param {string} address
 * @param {LoginServer} [server]
 */
export async function startSignIn(page, address, server = builtIn) {
  await page.goto(address);
  await shows(page, "[data-state=out]");
  await press(page, "#sign-in");
  await shows(page, server.asks);
}

/**
 * Finishes at the login server and waits until the app shows the user.
 * @param {Page} page
 * @param {string} user
 * @param {LoginServer} [server]
 */
export async function chooseUser(page, user, server = builtIn) {
  await server.answer(page, user);
  await isSignedIn(page);
}

/** @param {Page} page */
export async function isSignedIn(page) {
  await shows(page, "[data-state=in]");
}

/** @param {Page} page */
export async function isSignedOut(page) {
  await shows(page, "[data-state=out]");
}

/**
 * Signs out and comes back to the app.
 * @param {Page} page
 * @param {LoginServer} [server]
 */
export async function signOut(page, server = builtIn) {
  await press(page, "#sign-out");
  await server.signOut(page);
  await isSignedOut(page);
}

/**
 * Presses a button of the API panel and waits for the answer.
 * @param {Page} page
 * @param {string} selector
 * @returns {Promise<{ kind: string, said: string, facts: string, body: string }>}
 */
export async function ask(page, selector) {
  await press(page, selector);
  await holds(page, `the answer to ${selector}`, () => {
    const kind = document.getElementById("answer")?.dataset["kind"];
    return kind !== undefined && kind !== "busy";
  });
  return page.evaluate(() => {
    const text = (/** @type {string} */ id) => document.getElementById(id)?.textContent ?? "";
    const answer = {
      kind: document.getElementById("answer")?.dataset["kind"] ?? "",
      said: text("answer-said"),
      facts: text("answer-facts"),
      body: text("answer-body"),
    };
    // The next press must not be answered by this answer.
    delete document.getElementById("answer")?.dataset["kind"];
    return answer;
  });
}

/**
 * What `GET /session` tells the page.
 * @param {Page} page
 * @returns {Promise<any>}
 */
export function session(page) {
  return acrossNavigations(page, "GET /session", () =>
    page.evaluate(async () => (await fetch("/session", { headers: { "X-CSRF": "1" } })).json()));
}

/**
 * The cookies that the browser keeps for the app's host and has not thrown away. On a busy machine Firefox now and then
 * takes a deletion (`Max-Age=0`) for an empty value that ends this instant: it never sends that cookie again, but lists
 * it, with its end in the past, until it tidies up.
 * @param {BrowserContext} context
 * @param {string} app
 */
export async function appCookies(context, app) {
  const { hostname } = new URL(app);
  const now = Date.now() / 1000;
  return (await context.cookies())
    .filter(({ domain, session: untilClosed, expires }) => domain === hostname && (untilClosed || expires > now));
}

/**
 * The names of the login cookies that the browser keeps.
 * @param {BrowserContext} context
 * @param {string} app
 */
export async function loginCookies(context, app) {
  return (await appCookies(context, app)).map(({ name }) => name).filter((name) => name.includes("-login-"));
}
