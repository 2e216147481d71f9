// Tabs that are left open for many lives of the access token: silent until it is over and then calling all at once,
// calling in turn, and listening to session events meanwhile.
import assert from "node:assert/strict";

import { isSignedIn, openTab, session, signIn } from "./actions.mjs";
import { oidcProvider } from "./login-servers.mjs";
import { until } from "./waits.mjs";

/** @typedef {import("./browsers.mjs").Page} Page */
/** @typedef {{ page: Page, left: string[], streams: () => number }} Tab */
/** @typedef {{ endpoint: string, grant_type: string, status: number }} Call of a client to its authorization server */
/** @typedef {{ app: string, lifetime: number, calls: () => Promise<Call[]>, refreshTokens: () => string[] }} Stack */

const TABS = 4;

/** Each lasts for two lives of the access token. */
const ROUNDS = 3;

/**
 * None of four tabs with one session ever shows anything but its user, and the authorization server sees no more than it
 * has to.
 * @param {import("./browsers.mjs").BrowserContext} context
 * @param {Stack} stack `lifetime` is that of the access tokens, in seconds; refresh tokens are good for one use
 */
export async function tabsStaySignedIn(context, stack) {
  const tabs = await openTabs(context, stack.app);
  const [one] = tabs;
  assert.ok(one);
  const earlier = (await stack.calls()).length;
  const tokensBefore = stack.refreshTokens().length;
  const refreshes = async () => (await stack.calls()).slice(earlier)
    .filter(({ endpoint, grant_type: grant }) => endpoint === "token" && grant === "refresh_token");

  for (let round = 0; round < ROUNDS; round += 1) {
    const before = (await refreshes()).length;
    await until("the access token is over", async () => (await session(one.page)).access_token_expires_in === 0);
    assert.equal((await refreshes()).length, before, "looking at the session renews nothing");
    await renewsOnce(stack, refreshes, () => Promise.all(tabs.map((tab) => call(tab, 5))));
    await renewsOnce(stack, refreshes, () => callInTurn(tabs, stack.lifetime));
  }

  const seen = await refreshes();
  assert.ok(seen.length >= 2 * ROUNDS, `only ${seen.length} refreshes`);
  // The reuse of a refresh token would be refused, and end the whole grant.
  assert.deepEqual([...new Set(seen.map(({ status }) => status))], [200]);
  const tokens = stack.refreshTokens().slice(tokensBefore);
  assert.equal(new Set(tokens).size, seen.length, "each refresh gave a new refresh token");
  for (const { page, left } of tabs) {
    await until("every tab has heard of every refresh", async () => await heard(page) >= seen.length);
    assert.deepEqual(await page.evaluate(() => Reflect.get(window, "states")), ["in"], "what the tab showed");
    assert.deepEqual(left, [], "where the tab went");
    assert.equal((await session(page)).authenticated, true);
  }
  assert.deepEqual(tabs.map(({ streams }) => streams()), [1, 0, 0, 0], "one stream for all, from first to last");
}

/**
 * Signs in in one tab, opens the others, and notes from then on what they show and where they go.
 * @param {import("./browsers.mjs").BrowserContext} context
 * @param {string} app
 * @returns {Promise<Tab[]>}
 */
async function openTabs(context, app) {
  const tabs = [];
  for (let count = 0; count < TABS; count += 1) {
    const page = await openTab(context);
    let streams = 0;
    page.on("request", (request) => { if (new URL(request.url()).pathname === "/events") streams += 1; });
    if (count === 0) await signIn(page, app, "alice", oidcProvider);
    else await page.goto(app);
    await isSignedIn(page);
    // The first one is elected.
    await until("the first tab listens", () => count > 0 || streams === 1);
    /** @type {string[]} */
    const left = [];
    page.on("request", (request) => { if (request.isNavigationRequest()) left.push(request.url()); });
    await page.evaluate(() => {
      const state = () => document.body.dataset["state"];
      const states = [state()];
      Object.assign(window, { states, heard: 0 });
      new MutationObserver(() => {
        if (states.at(-1) !== state()) states.push(state());
      }).observe(document.body, { attributes: true, attributeFilter: ["data-state"] });
      new BroadcastChannel("cloakroom:").onmessage = ({ data }) => {
        if (data.name === "refreshed") Reflect.set(window, "heard", Reflect.get(window, "heard") + 1);
      };
    });
    tabs.push({ page, left, streams: () => streams });
  }
  return tabs;
}

/**
 * Of how many refreshes the tab has heard.
 * @param {Page} page
 * @returns {Promise<number>}
 */
function heard(page) {
  return page.evaluate(() => Reflect.get(window, "heard"));
}

/**
 * Acts, and looks at what it cost: tokens are renewed from half of their life on, and never more often than that.
 * @param {Stack} stack
 * @param {() => Promise<unknown[]>} refreshes
 * @param {() => Promise<unknown>} act
 */
async function renewsOnce({ lifetime }, refreshes, act) {
  const before = (await refreshes()).length;
  const began = performance.now();
  await act();
  const most = 1 + Math.floor((performance.now() - began) / (lifetime * 500));
  const count = (await refreshes()).length - before;
  assert.ok(count >= 1 && count <= most, `${count} refreshes, at most ${most}`);
}

/**
 * Lets one tab after the other call, for a number of seconds.
 * @param {Tab[]} tabs
 * @param {number} seconds
 */
async function callInTurn(tabs, seconds) {
  const end = performance.now() + seconds * 1000;
  for (let turn = 0; performance.now() < end; turn += 1) {
    const tab = tabs[turn % tabs.length];
    if (tab) await call(tab, 1);
    await new Promise((resolve) => { setTimeout(resolve, 150); });
  }
}

/**
 * Calls the API from the tab, all of it at the same time.
 * @param {Tab} tab
 * @param {number} count
 */
async function call({ page }, count) {
  const statuses = await page.evaluate((count) => Promise.all(Array.from({ length: count }, async () =>
    (await fetch("/api/echo", { headers: { "X-CSRF": "1" } })).status)), count);
  assert.deepEqual([...new Set(statuses)], [200]);
}
