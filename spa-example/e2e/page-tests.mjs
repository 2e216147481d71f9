// The example page itself: what it says for each kind of answer.
import assert from "node:assert/strict";

import { ask, isSignedIn, isSignedOut, openTab, signIn, startSignIn } from "./actions.mjs";
import { freePort } from "./other-sites.mjs";
import { cloakroomDev } from "./stack.mjs";
import { press, shows } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */

/** @param {World} world */
export function pageTests(world) {
  const { it } = world;

  // proves: PX-24, PX-25
  it("tells a missing session from the API's own answers", async () => {
    const page = await openTab(world.context);
    await page.goto(world.app);
    const refused = await ask(page, "[data-call='/api/echo']");
    assert.equal(refused.kind, "not_logged_in");
    assert.match(refused.facts, /Cloakroom-Error not_logged_in/);
    assert.equal((await ask(page, "[data-call='/public/hello']")).kind, "good");

    await signIn(page, world.app);
    const echo = await ask(page, "[data-call='/api/echo']");
    assert.equal(echo.kind, "good");
    assert.equal(JSON.parse(echo.body).claims.sub, "alice");
    assert.equal((await ask(page, "[data-call='/api/error']")).kind, "api_error");
    assert.equal((await ask(page, "[data-call='/api/forbidden']")).kind, "api_forbidden");
    assert.equal((await ask(page, "[data-call='/api/slow?ms=2000']")).kind, "good");
    assert.equal((await ask(page, "[data-call='/public/hello']")).kind, "good");
  });

  // proves: PX-19
  it("confirms who the user is when the API wants that, and repeats what the user wanted", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const refused = await ask(page, "#transfer");
    assert.equal(refused.kind, "step_up", refused.facts);
    assert.equal(JSON.parse(refused.body).acr_values, "confirmed");
    await press(page, "#confirm");
    await shows(page, "button[name=user]");
    assert.match(await page.title(), /Confirm that it is you/);
    await press(page, "button[name=user][value=alice]");
    await shows(page, "#answer[data-kind=good]");
    assert.match(await page.$eval("#answer-facts", (one) => one.textContent ?? ""), /POST \/api\/transfer · \d+ ms · 200/);
    assert.equal(page.url(), `${world.app}/#api`);
    // From now on this login is good enough, and nothing is repeated by itself.
    assert.equal((await ask(page, "#transfer")).kind, "good");
    await page.reload();
    await isSignedIn(page);
    assert.equal(await page.$eval("#answer-said", (one) => one.textContent), "Nothing asked yet.");
  });

  it("uploads with progress and downloads by a plain link", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    const upload = await ask(page, "#upload");
    assert.equal(upload.kind, "good", upload.said);
    assert.equal(JSON.parse(upload.body).bytes, 1_000_000);
    assert.equal(await page.$eval("#upload-progress", (bar) => /** @type {HTMLProgressElement} */ (bar).value), 1);

    const answered = page.waitForResponse((response) => response.url().endsWith("/report.csv"));
    await press(page, "#download");
    const download = await answered;
    assert.equal(download.status(), 200);
    assert.match(download.headers()["content-disposition"] ?? "", /^attachment/);
    await shows(page, "[data-state=in]");
  });

  // proves: CB-01, CB-05
  it("explains a sign-in that failed, and cleans the address", async () => {
    const page = await openTab(world.context);
    await page.goto(`${world.app}/callback?code=stolen&state=made-up&error_description=%3Cscript%3E`);
    await shows(page, "#auth-error:not([hidden])");
    assert.equal(page.url(), `${world.app}/`);
    const text = (/** @type {string} */ id) => page.$eval(id, (one) => one.textContent ?? "");
    assert.equal(await text("#auth-error-code"), "login_cookie_missing");
    assert.ok((await text("#auth-error-request")).length > 8);
    assert.ok((await text("#auth-error-text")).length > 20);
    await shows(page, "[data-state=out]");
    await press(page, "#auth-error-retry");
    await shows(page, "button[name=user]");
  });

  // proves: CB-05
  it("explains a sign-in that the user refused, and finishes one that the user allowed", async () => {
    const stack = await cloakroomDev(["--consent"]);
    try {
      const page = await openTab(world.context);
      await startSignIn(page, `${stack.app}/#proof`);
      await press(page, "button[name=user][value=bob]");
      await press(page, "button[name=consent][value=no]");
      await shows(page, "#auth-error:not([hidden])");
      assert.equal(await page.$eval("#auth-error-code", (one) => one.textContent), "login_denied");
      await isSignedOut(page);
      await press(page, "#auth-error-retry");
      await press(page, "button[name=consent][value=yes]");
      await isSignedIn(page);
      assert.equal(page.url(), `${stack.app}/#proof`);
    } finally {
      await stack.stop();
    }
  });

  it("says when the API is down, and the session goes on", async () => {
    const stack = await cloakroomDev(["--api", `http://127.0.0.1:${await freePort()}`]);
    try {
      const page = await openTab(world.context);
      await signIn(page, stack.app);
      const answer = await ask(page, "[data-call='/api/echo']");
      assert.equal(answer.kind, "upstream_failed");
      assert.match(answer.facts, /502 · Cloakroom-Error upstream_/);
      assert.equal(await page.evaluate(() => document.body.dataset["state"]), "in");
    } finally {
      await stack.stop();
    }
  });
}
