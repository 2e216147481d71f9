// What other people's pages can do to a signed-in user: nothing.
import assert from "node:assert/strict";

import { appCookies, isSignedIn, loginCookies, openTab, session, signIn } from "./actions.mjs";
import { holds, press, shows } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */

/** @param {World} world */
export function crossSiteTests(world) {
  const { it } = world;

  for (const [kind, host, rows] of [["another site", "127.0.0.1", "AR-12"], ["a sibling host", "localhost", "CS-01"]]) {
    // proves: AR-12, CS-01, CS-04, CS-05, CK-02, LO-08
    it(`gives ${kind} neither an effect nor an answer (${rows})`, async () => {
      const { context, remembering: { app, calls } } = world;
      const victim = await openTab(context);
      await signIn(victim, app);
      await shows(victim, "#proof-verdict[data-found]");
      const before = await appCookies(context, app);
      const callsBefore = calls.length;

      const attacker = await openTab(context);
      /** @type {string[]} */
      const toProvider = [];
      attacker.on("request", (request) => {
        if (new URL(request.url()).pathname === "/authorize") toProvider.push(request.url());
      });
      await attacker.goto(`http://${host}:${world.hostile.port}/`);
      await shows(attacker, "[data-through=yes]");

      assert.equal(await attacker.$eval("body", (body) => body.dataset["readable"]), "");
      assert.deepEqual(await appCookies(context, app), before);
      assert.deepEqual(calls.slice(callsBefore), []);
      assert.deepEqual(toProvider, []);
      assert.equal((await session(victim)).authenticated, true);
    });
  }

  // proves: LO-08, CK-02
  it("refuses a form of another site that posts to /logout", async () => {
    const { context, remembering: { app } } = world;
    const victim = await openTab(context);
    await signIn(victim, app);
    const attacker = await openTab(context);
    await attacker.goto(`http://127.0.0.1:${world.hostile.port}/form`);
    const answered = attacker.waitForResponse((response) => response.url() === `${app}/logout`);
    await press(attacker, "#go button");
    assert.equal((await answered).status(), 403);
    assert.equal((await session(victim)).authenticated, true);
  });

  // proves: AR-12
  it("asks a visitor whom another site sent to /login, and goes on after the click", async () => {
    const { context, remembering: { app } } = world;
    const page = await openTab(context);
    await page.goto(`http://127.0.0.1:${world.hostile.port}/link`);
    await press(page, "#go");
    await holds(page, "the question", () => document.body.innerText.includes("Continue to sign in"));
    assert.equal(page.url(), `${app}/login?return_to=%2F`);
    assert.deepEqual(await loginCookies(context, app), []);
    await press(page, "a[href*='/login']");
    await press(page, "button[name=user][value=bob]");
    await isSignedIn(page);
  });
}
