// Whether the example page can be read and used by everybody. In Chromium only: it is the page that is tested.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";

import { ask, isSignedIn, openTab, signIn } from "./actions.mjs";
import { PATIENCE, isWanted } from "./browsers.mjs";
import { lastingBrowser } from "./lasting-browser.mjs";
import { cloakroomDev } from "./stack.mjs";
import { testsIn } from "./tests.mjs";
import { shows } from "./waits.mjs";

/** WCAG 2.2, success criterion 1.4.3. */
const LEAST_CONTRAST = 4.5;

describe("the example page", { skip: !isWanted("chromium"), timeout: 5 * PATIENCE }, () => {
  const browser = lastingBrowser("chromium");
  /** @type {{ context: import("./browsers.mjs").BrowserContext }} */
  const world = Object.create(null);
  const it = testsIn(browser, world);
  /** @type {import("./stack.mjs").Stack} */
  let stack;

  before(async () => { stack = await cloakroomDev(); });
  after(async () => {
    await stack?.stop();
    await browser.close();
  });

  for (const scheme of ["light", "dark"]) {
    it(`has readable contrast everywhere, ${scheme}`, async () => {
      const page = await openTab(world.context);
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.goto(`${stack.app}/?auth_error=login_expired&request_id=1`);
      await shows(page, "#proof-verdict[data-found]");
      assert.deepEqual(await page.evaluate(weakTexts, LEAST_CONTRAST), []);
      await signIn(page, stack.app);
      await shows(page, "#proof-verdict[data-found]");
      assert.deepEqual(await page.evaluate(weakTexts, LEAST_CONTRAST), []);
    });
  }

  it("signs in and calls the API with the keyboard alone", async () => {
    const page = await openTab(world.context);
    await page.goto(stack.app);
    await shows(page, "[data-state=out]");
    await tabTo(page, "sign-in");
    await page.keyboard.press("Enter");
    await shows(page, "button[name=user]");
    await page.focus("button[name=user][value=alice]");
    await page.keyboard.press("Enter");
    await isSignedIn(page);
    await tabTo(page, "refresh");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await shows(page, "#answer[data-kind=good]");
  });

  it("names every control and has landmarks, one heading of the first level and a language", async () => {
    const page = await openTab(world.context);
    await signIn(page, stack.app);
    const tree = await page.accessibility.snapshot({ interestingOnly: false });
    const nodes = flatten(tree);
    const controls = nodes.filter(({ role }) => ["button", "link", "textbox", "progressbar"].includes(role));
    assert.ok(controls.length > 12, `only ${controls.length} controls`);
    assert.deepEqual(controls.filter(({ name }) => !name).map(({ role }) => role), []);
    for (const role of ["banner", "navigation", "main", "contentinfo"]) {
      assert.ok(nodes.some((node) => node.role === role), role);
    }
    assert.equal(await page.$$eval("h1", (all) => all.length), 1);
    assert.equal(await page.$eval("html", (root) => root.lang), "en");
  });

  for (const width of [320, 390, 768, 1200]) {
    it(`fits a window of ${width} pixels, also with a long answer of the API`, async () => {
      const page = await openTab(world.context);
      await page.setViewport({ width, height: 800 });
      await signIn(page, stack.app);
      await ask(page, "[data-call='/api/echo']");
      const tooWide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll(".half, .panel")]
        .filter((box) => box.scrollWidth > box.clientWidth)
        .map((box) => `${box.tagName} ${box.id}: ${box.scrollWidth} > ${box.clientWidth}`));
      assert.deepEqual(tooWide, []);
    });
  }
});

/**
 * Presses Tab until the element has the focus.
 * @param {import("./browsers.mjs").Page} page
 * @param {string} id
 */
async function tabTo(page, id) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.id) === id) return;
  }
  assert.fail(`#${id} is not reached by Tab`);
}

/**
 * @param {any} node
 * @returns {{ role: string, name: string }[]}
 */
function flatten(node) {
  return [{ role: node.role, name: node.name }, ...(node.children ?? []).flatMap(flatten)];
}

/**
 * Runs in the page: the texts whose contrast with what is behind them is below `least`.
 * @param {number} least
 */
function weakTexts(least) {
  const parts = (/** @type {string} */ color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (/** @type {number[]} */ rgb) => {
    const [red = 0, green = 0, blue = 0] = rgb.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (/** @type {Element | null} */ start) => {
    for (let element = start; element; element = element.parentElement) {
      const color = parts(getComputedStyle(element).backgroundColor);
      if ((color[3] ?? 1) > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent?.trim();
    if (!text || !element?.checkVisibility({ visibilityProperty: true })) continue;
    const [one, other] = [luminance(parts(getComputedStyle(element).color)), luminance(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < least) weak.push(`${contrast.toFixed(2)}: ${text}`);
  }
  return weak;
}
