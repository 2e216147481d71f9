// Waiting for, and acting on, a page that may be on its way through several redirects.
import assert from "node:assert/strict";

import { PATIENCE } from "./browsers.mjs";
import { isGone } from "./lasting-browser.mjs";

/** @typedef {import("./browsers.mjs").Page} Page */

/** How long to leave a page alone that is being replaced, milliseconds. */
const PAUSE = 50;

/** What puppeteer says, over both protocols, when the document that it asked has just been replaced by another. */
const REPLACED = [
  /execution context was destroyed/i,
  /cannot find context with specified id/i,
  /detached frame|frame (got )?detached|frame was detached/i,
  /inspected target navigated or closed/i,
  /target closed|session closed/i,
  /DiscardedBrowsingContextError|no such (frame|realm|handle|node)/i,
];

/**
 * What `attempt` gives, tried again for as long as the document under it is being replaced. Every other failure is
 * passed on at once. `attempt` must do no harm when it runs twice.
 * @template T
 * @param {Page} page
 * @param {string} what for the message
 * @param {(left: number) => Promise<T>} attempt gets the milliseconds that are left
 * @returns {Promise<T>}
 */
export async function acrossNavigations(page, what, attempt) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await attempt(Math.max(1, deadline - Date.now()));
    } catch (error) {
      // Its frames look detached for ever, like those of a page that is being replaced.
      if (isGone(page.browser())) throw new Error(`${what}: the browser is gone: ${error}`, { cause: error });
      if (page.isClosed() || !isReplaced(error) || Date.now() + PAUSE >= deadline) {
        throw new Error(`${what}: ${error} (the tab is at ${page.url()})`, { cause: error });
      }
      await pause();
    }
  }
}

/**
 * Waits until the tab shows an element, whatever page it takes to get there.
 * @param {Page} page
 * @param {string} selector
 */
export async function shows(page, selector) {
  await acrossNavigations(page, `waiting for ${selector}`, async (timeout) => {
    await page.waitForSelector(selector, { timeout });
  });
}

/**
 * Presses a button or link. The click is the page's own, so that a tab in the background does the same as one in front.
 * @param {Page} page
 * @param {string} selector
 */
export async function press(page, selector) {
  await acrossNavigations(page, `pressing ${selector}`, async (timeout) => {
    await page.waitForSelector(selector, { visible: true, timeout });
    // A press that leaves the page is answered before the page goes: no answer, no press.
    await page.$eval(selector, (element) => /** @type {HTMLElement} */ (element).click());
  });
}

/**
 * Types into a field; as with `press`, by script.
 * @param {Page} page
 * @param {string} selector
 * @param {string} text
 */
export async function fill(page, selector, text) {
  await acrossNavigations(page, `filling ${selector}`, async (timeout) => {
    await page.waitForSelector(selector, { visible: true, timeout });
    await page.$eval(selector, (field, value) => { /** @type {HTMLInputElement} */ (field).value = value; }, text);
  });
}

/**
 * Waits until a condition holds on whatever page the tab shows.
 * @param {Page} page
 * @param {string} what for the message
 * @param {() => unknown} condition runs in the page
 */
export async function holds(page, what, condition) {
  await acrossNavigations(page, what, async (timeout) => {
    await page.waitForFunction(condition, { timeout });
  });
}

/**
 * Asks until `condition` holds; for what the browser does not announce.
 * @param {string} what
 * @param {() => Promise<boolean> | boolean} condition
 */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `never happened: ${what}`);
    await pause();
  }
}

/** @param {unknown} error */
function isReplaced(error) {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { message, name } = cause;
    if (name === "TimeoutError") return false;
    if (REPLACED.some((saying) => saying.test(`${name} ${message}`))) return true;
  }
  return false;
}

function pause() {
  return new Promise((resolve) => { setTimeout(resolve, PAUSE); });
}
