// The life of a session as a user sees it: signing in, several tabs, reloads, signing out.
import assert from "node:assert/strict";

import {
  appCookies, ask, chooseUser, isSignedIn, isSignedOut, openTab, session, signIn, signOut, startSignIn,
} from "./actions.mjs";
import { cloakroomDev } from "./stack.mjs";
import { press, shows, until } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */

/** @param {World} world */
export function sessionTests(world) {
  const { it } = world;

  // proves: ID-21
  it("signs in through the real pages and shows the listed claims", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    assert.match(await page.$eval("#ticket-title", (title) => title.textContent ?? ""), /^Welcome, \w+/);
    const names = await page.$$eval("[data-claim]", (all) => all.map((one) => one.getAttribute("data-claim")));
    assert.deepEqual(names.sort(), ["email", "name", "region", "sub"]);
    const shown = await page.$eval("[data-claim=sub]", (one) => one.textContent);
    assert.equal(shown, "alice");
    assert.equal(page.url(), `${world.app}/`);
    const { authenticated, ...times } = await session(page);
    assert.equal(authenticated, true);
    for (const name of ["access_token_expires_in", "session_expires_in", "idle_expires_in"]) {
      assert.ok(times[name] > 0, name);
    }
  });

  // proves: AR-14
  it("comes back to where the user was, query and fragment included", async () => {
    const page = await openTab(world.context);
    const place = `${world.app}/orders/7?view=full&tag=a%20b#notes/2`;
    await signIn(page, place, "bob");
    assert.equal(page.url(), place);
  });

  // proves: CB-10
  it("leaves no code in the history, and a callback that is called again does no harm", async () => {
    const page = await openTab(world.context);
    /** @type {{ url: string, status: number, headers: Record<string, string> }[]} */
    const callbacks = [];
    page.on("response", (response) => {
      if (new URL(response.url()).pathname === "/callback") {
        callbacks.push({ url: response.url(), status: response.status(), headers: response.headers() });
      }
    });
    await signIn(page, world.app);
    const [callback] = callbacks;
    assert.ok(callback, "the callback was not seen");
    assert.equal(callback.status, 303);
    assert.match(callback.headers["cache-control"] ?? "", /no-store/);
    assert.equal(callback.headers["referrer-policy"], "no-referrer");
    assert.doesNotMatch(callback.headers["location"] ?? "", /code=|state=/);
    assert.equal(await page.evaluate(() => document.referrer.includes("code=")), false);

    for (let round = 0; round < 2; round += 1) {
      await page.goto(callback.url);
      await isSignedIn(page);
      assert.equal(page.url(), `${world.app}/`);
    }
    const visited = await walkBack(page);
    assert.ok(visited.some((url) => url.startsWith(world.app)), `${visited}`);
    for (const url of visited) assert.doesNotMatch(url, /[?&]code=/);
    await page.goto(world.app);
    await isSignedIn(page);
  });

  // proves: LO-01, LO-02, CK-14
  it("signs out in every tab, and the browser keeps none of our cookies", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const second = await openTab(world.context);
    await second.goto(world.app);
    await isSignedIn(second);
    const copies = await appCookies(world.context, world.app);

    await signOut(page);
    await isSignedOut(second);
    assert.match(await second.$eval("#news", (news) => news.textContent ?? ""), /signed out/i);
    assert.equal((await ask(second, "[data-call='/api/echo']")).kind, "not_logged_in");
    await until("no cookie of ours is left", async () => (await appCookies(world.context, world.app)).length === 0);

    // Whoever copied the cookies before has nothing.
    await world.context.setCookie(...copies);
    assert.equal((await session(second)).authenticated, false);
  });

  it("signs in again as another user, and the tabs agree", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const first = await page.$eval("#peg-number", (one) => one.textContent);
    await signOut(page);
    await signIn(page, world.app, "bob");
    assert.equal(await page.$eval("[data-claim=sub]", (one) => one.textContent), "bob");
    assert.notEqual(await page.$eval("#peg-number", (one) => one.textContent), first);
  });

  it("stays signed in on request", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const answered = page.waitForResponse((response) => new URL(response.url()).pathname === "/refresh");
    await press(page, "#refresh");
    assert.equal((await answered).status(), 200);
    assert.equal((await session(page)).authenticated, true);
  });

  // proves: CK-12
  it("notices by itself that an idle session is over", async () => {
    const stack = await cloakroomDev([], { CLOAKROOM__SESSION__IDLE_TIMEOUT: "3s" });
    try {
      const page = await openTab(world.context);
      await signIn(page, stack.app);
      await isSignedOut(page);
      assert.equal((await session(page)).authenticated, false);
      // What the last login left for the loop watch ends by itself within a minute.
      const left = (await appCookies(world.context, stack.app)).filter(({ name }) => !name.endsWith("-trail"));
      assert.deepEqual(left, []);
    } finally {
      await stack.stop();
    }
  });

  // proves: AR-11, CB-01, CS-12
  it("lets nobody finish a sign-in that another browser began", async () => {
    const page = await openTab(world.context);
    await startSignIn(page, world.app);
    const other = await world.newContext();
    try {
      const victim = await openTab(other);
      await victim.goto(page.url());
      await press(victim, "button[name=user][value=bob]");
      await shows(victim, "#auth-error:not([hidden])");
      assert.equal(await victim.$eval("#auth-error-code", (one) => one.textContent), "login_cookie_missing");
      assert.equal((await session(victim)).authenticated, false);
    } finally {
      await other.close();
    }
    await chooseUser(page, "alice");
  });

  it("signs in the tenth user behind one address within a minute", async () => {
    const stack = await cloakroomDev();
    try {
      for (let user = 0; user < 10; user += 1) {
        const context = await world.newContext();
        try {
          const page = await openTab(context);
          const answer = await page.goto(`${stack.app}/login`);
          assert.equal(answer?.status(), 200, `user ${user + 1}: ${await page.title()}`);
          await chooseUser(page, "alice");
        } finally {
          await context.close();
        }
      }
    } finally {
      await stack.stop();
    }
  });
}

/**
 * Goes back through the whole history of the tab and tells the addresses on the way.
 * By script, as Firefox announces no navigation when it shows a kept page again.
 * @param {import("./browsers.mjs").Page} page
 */
async function walkBack(page) {
  const steps = await page.evaluate(() => history.length - 1);
  assert.ok(steps > 0, "there is no history");
  const urls = [];
  for (let step = 0; step < steps; step += 1) {
    await page.evaluate((mark) => {
      Reflect.set(window, "walked", mark);
      setTimeout(() => history.back());
    }, step);
    // A page that is being replaced cannot be asked: not there yet.
    const elsewhere = (/** @type {number} */ mark) => (Reflect.get(window, "walked") === mark ? "" : location.href);
    let url = "";
    await until(`step ${step} back`, async () => {
      url = await page.evaluate(elsewhere, step).catch(() => "");
      return url !== "";
    });
    urls.push(url);
  }
  return urls;
}
