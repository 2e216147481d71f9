// Session events: one tab of a browser listens to the server, all of them know.
import assert from "node:assert/strict";

import { appCookies, isSignedIn, isSignedOut, openTab, session, signIn } from "./actions.mjs";
import { cloakroomDev } from "./stack.mjs";
import { holds, press, shows, until } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */
/** @typedef {import("./browsers.mjs").Page} Page */
/** @typedef {{ page: Page, streams: () => number }} Tab */

/** @param {World} world */
export function eventsTests(world) {
  const { it } = world;

  it("listens in one of four tabs, and in another one when that is closed", async () => {
    const tabs = await fourTabs(world, world.app);
    assert.deepEqual(tabs.map(({ streams }) => streams()), [1, 0, 0, 0]);

    const [leader, ...rest] = tabs;
    await leader?.page.close();
    await until("another tab listens", () => rest.some(({ streams }) => streams() > 0));
    await locks(rest, 1, 2);
    assert.equal(rest.reduce((sum, { streams }) => sum + streams(), 0), 1);

    // From another browser with the same session, of which no tab of this one knows.
    await elsewhere(world, world.app, "/logout");
    for (const { page } of rest) await isSignedOut(page);
    assert.equal(rest.reduce((sum, { streams }) => sum + streams(), 0), 1, "nobody asks when there is no session");
  });

  it("tells every tab of a logout at the server, and of the next login", async () => {
    const tabs = await fourTabs(world, world.app);
    await elsewhere(world, world.app, "/logout");
    for (const { page } of tabs) {
      await isSignedOut(page);
      assert.match(await page.$eval("#news", (news) => news.textContent ?? ""), /signed out/i);
    }
    // The login server still knows the user.
    const [first] = tabs;
    assert.ok(first);
    await press(first.page, "#sign-in");
    for (const { page } of tabs) await isSignedIn(page);
    await locks(tabs, 1, 3);
  });

  it("tells every tab of new tokens", async () => {
    // In the second half of its life a token is inside the early window.
    const stack = await cloakroomDev(["--access-token-ttl", "20"], { CLOAKROOM__SESSION__REFRESH_BEFORE: "1h" });
    try {
      const tabs = await fourTabs(world, stack.app);
      for (const { page } of tabs) {
        await page.evaluate(() => {
          new BroadcastChannel("cloakroom:").onmessage = ({ data }) => {
            if (data.name === "refreshed") document.body.dataset["left"] = data.data.access_token_expires_in;
          };
        });
      }
      const [first] = tabs;
      await until("there are new tokens", async () => {
        await elsewhere(world, stack.app, "/refresh");
        return first?.page.evaluate(() => document.body.dataset["left"] !== undefined) ?? false;
      });
      for (const { page } of tabs) {
        await holds(page, "the news", () => Number(document.body.dataset["left"]) > 0);
        assert.equal(await page.evaluate(() => document.body.dataset["state"]), "in");
      }
    } finally {
      await stack.stop();
    }
  });

  it("warns before the session ends, and stays signed in on request, in all tabs", async () => {
    const stack = await cloakroomDev([], { CLOAKROOM__SESSION__IDLE_TIMEOUT: "30s" });
    try {
      const page = await openTab(world.context);
      await signIn(page, stack.app);
      const second = await openTab(world.context);
      await second.goto(stack.app);
      await isSignedIn(second);
      const isWarned = (/** @type {Page} */ tab) =>
        tab.$eval("#ending", (warning) => !(/** @type {HTMLElement} */ (warning).hidden));
      assert.equal(await isWarned(page), false);
      // Six seconds before the end.
      await until("both tabs warn", async () => await isWarned(page) && isWarned(second));
      assert.match(await page.$eval("#ending-title", (title) => title.textContent ?? ""), /ends in 0:0\d/);
      assert.match(await page.$eval("#ending-said", (said) => said.textContent ?? ""), /ends in \d seconds/);
      assert.deepEqual(await page.$$eval("#ending button:not([hidden])", (all) => all.map(({ id }) => id)), ["stay"]);
      await page.focus("#stay");
      await press(page, "#stay");
      await until("no tab warns", async () => !(await isWarned(page)) && !(await isWarned(second)));
      assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
      const { authenticated, idle_expires_in: left } = await session(second);
      assert.ok(authenticated && left > 20, `${left} seconds are left`);
    } finally {
      await stack.stop();
    }
  });

  it("warns before the absolute end, which only a new login helps", async () => {
    const settings = { CLOAKROOM__SESSION__MAX_AGE: "90s", CLOAKROOM__SESSION__IDLE_TIMEOUT: "90s" };
    const stack = await cloakroomDev([], settings);
    try {
      const page = await openTab(world.context);
      await signIn(page, stack.app);
      await shows(page, "#ending:not([hidden])");
      const buttons = await page.$$eval("#ending button:not([hidden])", (all) => all.map(({ id }) => id));
      assert.deepEqual(buttons, ["sign-in-again"]);
    } finally {
      await stack.stop();
    }
  });

  it("tells the other tabs of a logout in a browser without Web Locks", async () => {
    const tabs = [await watched(world), await watched(world)];
    for (const { page } of tabs) {
      await page.evaluateOnNewDocument(() => Object.defineProperty(navigator, "locks", { value: undefined }));
    }
    const [first, second] = tabs;
    assert.ok(first && second);
    await signIn(first.page, world.app);
    await second.page.goto(world.app);
    await isSignedIn(second.page);
    await press(first.page, "#sign-out");
    await isSignedOut(second.page);
    assert.deepEqual(tabs.map(({ streams }) => streams()), [0, 0]);
  });

  it("does without a server that has no events, and asks again one that has too many", async () => {
    for (const [status, more] of /** @type {const} */ ([[404, false], [503, true]])) {
      const { page, streams } = await watched(world);
      await page.setRequestInterception(true);
      page.on("request", (request) => {
        if (new URL(request.url()).pathname !== "/events") return void request.continue();
        const headers = { "cloakroom-error": "too_many_streams", "retry-after": "1" };
        void request.respond({ status, headers, body: "" });
      });
      if (status === 404) await signIn(page, world.app);
      else await page.goto(world.app);
      await isSignedIn(page);
      await until("it has asked", () => streams() >= (more ? 2 : 1));
      const answered = page.waitForResponse((response) => new URL(response.url()).pathname === "/session");
      await press(page, "#refresh");
      await answered;
      if (!more) assert.equal(streams(), 1, "there is nothing to ask");
      assert.equal(await page.evaluate(() => document.body.dataset["state"]), "in");
      await page.close();
    }
  });

  it("lets another tab listen when its page is left, and knows the truth when it comes back", async () => {
    const first = await watched(world);
    await signIn(first.page, world.app);
    await until("it listens", () => first.streams() === 1);
    const second = await watched(world);
    await second.page.goto(world.app);
    await isSignedIn(second.page);
    await first.page.goto(`${world.app}/icon.svg`);
    await until("the other tab listens", () => second.streams() === 1);
    await elsewhere(world, world.app, "/logout");
    await isSignedOut(second.page);
    await first.page.evaluate(() => setTimeout(() => history.back()));
    await isSignedOut(first.page);
  });
}

/**
 * Four tabs with one session, of which the first was there first.
 * @param {World} world
 * @param {string} app
 * @returns {Promise<Tab[]>}
 */
async function fourTabs(world, app) {
  const first = await watched(world);
  await signIn(first.page, app);
  await until("the first tab listens", () => first.streams() === 1);
  const tabs = [first];
  for (let count = 1; count < 4; count += 1) {
    const tab = await watched(world);
    await tab.page.goto(app);
    await isSignedIn(tab.page);
    tabs.push(tab);
  }
  await locks(tabs, 1, 3);
  return tabs;
}

/**
 * A tab whose requests for session events are counted.
 * @param {World} world
 * @returns {Promise<Tab>}
 */
async function watched(world) {
  const page = await openTab(world.context);
  let streams = 0;
  page.on("request", (request) => { if (new URL(request.url()).pathname === "/events") streams += 1; });
  return { page, streams: () => streams };
}

/**
 * Waits until so many tabs hold the lock, and so many wait for it.
 * @param {Tab[]} tabs
 * @param {number} held
 * @param {number} pending
 */
async function locks([tab], held, pending) {
  await until(`${held} listens, ${pending} wait`, async () => {
    const now = await tab?.page.evaluate(() => navigator.locks.query());
    return now?.held?.length === held && now.pending?.length === pending;
  });
}

/**
 * Posts with the same session from another profile: no tab of this one hears of it but by the server.
 * @param {World} world
 * @param {string} app
 * @param {string} path
 */
async function elsewhere(world, app, path) {
  const cookies = await appCookies(world.context, app);
  const other = await world.newContext();
  try {
    await other.setCookie(...cookies);
    const page = await openTab(other);
    await page.goto(`${app}/icon.svg`);
    const status = await page.evaluate(async (path) =>
      (await fetch(path, { method: "POST", headers: { "X-CSRF": "1" } })).status, path);
    assert.equal(status, 200);
  } finally {
    await other.close();
  }
}
