// `it` for tests in a browser: gives each a fresh profile, and a second try to one whose browser died under it.
import { it } from "node:test";

import { REPEATED } from "./repeats.mjs";

/** @typedef {import("./browsers.mjs").BrowserContext} BrowserContext */
/** @typedef {import("./lasting-browser.mjs").LastingBrowser} LastingBrowser */
/** @typedef {(title: string, body: () => Promise<void>) => void} It */

/**
 * A test that fails while its browser lives is never repeated: that is its result. A `body` whose browser dies runs
 * twice, with the same servers and in another profile.
 * @param {LastingBrowser} browser
 * @param {{ context: BrowserContext }} world gets a new context for each run of a test
 * @returns {It}
 */
export function testsIn(browser, world) {
  return (title, body) => {
    it(title, async (test) => {
      const first = await run(browser, world, body);
      if (first === null) return;
      console.error(`!!! "${title}" is run again, as its browser died: ${first.cause}`);
      test.diagnostic(`${REPEATED}${browser.name}, ${title}`);
      const second = await run(browser, world, body);
      if (second !== null) throw new Error(`${browser.name} died a second time`, second);
    });
  };
}

/**
 * Runs a test once.
 * @param {LastingBrowser} browser
 * @param {{ context: BrowserContext }} world
 * @param {() => Promise<void>} body
 * @returns {Promise<{ cause: unknown } | null>} what it threw, if its browser died
 * @throws what it threw, if its browser lives
 */
async function run(browser, world, body) {
  /** @type {BrowserContext | undefined} */
  let context;
  try {
    context = await (await browser.alive()).createBrowserContext();
    world.context = context;
    await body();
  } catch (cause) {
    if (await browser.hasDied()) return { cause };
    await context?.close().catch(() => {});
    throw cause;
  }
  await context.close().catch(async (/** @type {unknown} */ failure) => {
    // A test that has passed needs its browser no more.
    if (!(await browser.hasDied())) throw failure;
  });
  return null;
}
