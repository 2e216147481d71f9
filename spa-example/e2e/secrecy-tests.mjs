// What a script, an attacker's one included, can find in the browser.
import assert from "node:assert/strict";

import { appCookies, ask, isSignedOut, openTab, signIn } from "./actions.mjs";
import { holdsToken, record, tokensIn } from "./recorder.mjs";
import { press, shows } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */

/** @param {World} world */
export function secrecyTests(world) {
  const { it } = world;

  // proves: CK-03
  it("does not let a script plant or overwrite a cookie of ours", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const before = await appCookies(world.context, world.app);
    await page.evaluate((names) => {
      for (const name of names) document.cookie = `${name}=planted; Path=/; Secure; SameSite=Strict`;
    }, before.map(({ name }) => name).filter((name) => name.startsWith("__Host-Http-")));
    assert.deepEqual(await appCookies(world.context, world.app), before);
  });

  // proves: CB-15, CK-04, LO-05
  it("never lets a token into an answer, from the first page to the last", async () => {
    const page = await openTab(world.context);
    const seen = await record(page, world.browser);
    await signIn(page, world.remembering.app);
    await ask(page, "[data-call='/api/echo']");
    await ask(page, "[data-call='/api/error']");
    await press(page, "#refresh");
    await press(page, "#search");
    await shows(page, "#proof-verdict[data-found='0']");
    const cookies = await appCookies(world.context, world.remembering.app);
    const events = await firstEvents(page);
    await press(page, "#sign-out");
    await isSignedOut(page);

    const tokens = [...new Set(world.remembering.calls.map(({ token }) => token).filter(Boolean))];
    assert.ok(tokens.length > 0, "the API got no token");
    const all = await seen.answers();
    const ours = all.filter(({ url }) => url.startsWith(world.remembering.app));
    for (const path of ["/", "/session", "/callback", "/api/echo", "/refresh", "/logout", "/logout/continue"]) {
      assert.ok(ours.some(({ url }) => new URL(url).pathname === path), `${path} was not seen`);
    }
    // The stream of session events has no end to wait for: its words are searched as they come.
    const whole = ours.filter(({ url, status }) => status === 200 && new URL(url).pathname !== "/events");
    for (const { url } of whole) {
      assert.ok(ours.some((one) => one.url === url && one.body !== null), `the body of ${url} could not be searched`);
    }
    const setCookies = ours.filter(({ url, headers }) => url.includes("/callback?") && headers["set-cookie"]);
    assert.equal(setCookies.length, 1, "the search does not see Set-Cookie");
    assert.deepEqual(tokensIn(ours, tokens), []);
    assert.match(events, /^event: open\n/);
    assert.equal(holdsToken(events, tokens), false);
    for (const { name, value } of cookies) assert.equal(holdsToken(value, tokens), false, name);
    assert.deepEqual(seen.violations, []);
  });

  // proves: LO-05
  it("does not hand the logout's ID token to a script", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const got = await page.evaluate(async () => {
      const answer = await fetch("/logout", { method: "POST", headers: { "X-CSRF": "1" } });
      const { logout_url: next } = await answer.json();
      const followed = await fetch(next, { redirect: "manual" });
      return { next, status: followed.status, text: await followed.text(), headers: [...followed.headers] };
    });
    assert.equal(holdsToken(JSON.stringify(got)), false);
    assert.equal(got.status, 403);
  });
}

/**
 * What the stream of session events says first.
 * @param {import("./browsers.mjs").Page} page
 * @returns {Promise<string>}
 */
function firstEvents(page) {
  return page.evaluate(async () => {
    const stop = new AbortController();
    const response = await fetch("/events", { headers: { "X-CSRF": "1" }, signal: stop.signal });
    const { value } = await /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader().read();
    stop.abort();
    return new TextDecoder().decode(value);
  });
}
