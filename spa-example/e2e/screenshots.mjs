// Makes the pictures of the example page for the documentation.
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { ask, isSignedOut, openTab, signIn } from "./actions.mjs";
import { launch } from "./browsers.mjs";
import { cloakroomDev } from "./stack.mjs";
import { shows } from "./waits.mjs";

const IMAGES = fileURLToPath(new URL("../../docs/images/", import.meta.url));

await mkdir(IMAGES, { recursive: true });
const stack = await cloakroomDev();
const browser = await launch("chromium");
try {
  for (const scheme of ["light", "dark"]) {
    const page = await openTab(await browser.createBrowserContext());
    await page.setViewport({ width: 1200, height: 800 });
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ]);
    await page.goto(stack.app);
    await isSignedOut(page);
    await shoot(page, `signed-out-${scheme}`);
    await signIn(page, stack.app);
    await ask(page, "[data-call='/api/echo']");
    await shoot(page, `signed-in-${scheme}`);
  }
} finally {
  await browser.close();
  await stack.stop();
}

/**
 * @param {import("./browsers.mjs").Page} page
 * @param {string} name
 */
async function shoot(page, name) {
  await shows(page, "#proof-verdict[data-found]");
  await page.screenshot({ path: `${IMAGES}${name}.png` });
  console.log(`docs/images/${name}.png`);
}
