// Tests that kill their browser, and what becomes of their neighbours. Run by lasting-browser.test.mjs, not by themselves:
// some of them are meant to fail.
import assert from "node:assert/strict";
import { after, describe } from "node:test";

import { openTab } from "./actions.mjs";
import { kill, lastingBrowser } from "./lasting-browser.mjs";
import { testsIn } from "./tests.mjs";
import { press } from "./waits.mjs";

const name = /** @type {import("./browsers.mjs").BrowserName} */ (process.env["MORTAL"]);

describe(name, () => {
  const browser = lastingBrowser(name);
  /** @type {{ context: import("./browsers.mjs").BrowserContext }} */
  const world = Object.create(null);
  const it = testsIn(browser, world);
  /** @type {Map<string, number>} */
  const runs = new Map();
  const begin = (/** @type {string} */ title) => {
    const run = (runs.get(title) ?? 0) + 1;
    runs.set(title, run);
    console.log(`run ${run} of ${title}`);
    return run;
  };
  after(() => browser.close());

  it("dies once", async () => {
    const run = begin("dies once");
    const page = await openTab(world.context);
    await page.setContent("<button onclick='document.title = `pressed`'>press</button>");
    if (run === 1) kill(world.context.browser(), "SIGKILL");
    await press(page, "button");
    assert.equal(await page.title(), "pressed");
  });

  it("passes after it", async () => {
    begin("passes after it");
    assert.equal(await (await openTab(world.context)).evaluate(() => 1 + 1), 2);
  });

  it("fails by itself", async () => {
    begin("fails by itself");
    await openTab(world.context);
    assert.equal(1 + 1, 3);
  });

  it("dies always", async () => {
    begin("dies always");
    const page = await openTab(world.context);
    kill(world.context.browser(), "SIGKILL");
    await press(page, "button");
  });

  it("dies when it has passed", async () => {
    begin("dies when it has passed");
    kill(world.context.browser(), "SIGKILL");
  });

  it("passes at last", async () => {
    begin("passes at last");
    assert.equal(await (await openTab(world.context)).evaluate(() => 1 + 1), 2);
  });
});
