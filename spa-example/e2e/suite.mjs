// One suite for every browser: starts the stacks and the browser, gives each test a fresh profile.
import { after, before, describe } from "node:test";

import { PATIENCE, isWanted } from "./browsers.mjs";
import { crossSiteTests } from "./cross-site-tests.mjs";
import { eventsTests } from "./events-tests.mjs";
import { lastingBrowser } from "./lasting-browser.mjs";
import { liveTests } from "./live-tests.mjs";
import { builtIn } from "./login-servers.mjs";
import { hostilePage, rememberingApi } from "./other-sites.mjs";
import { pageTests } from "./page-tests.mjs";
import { secrecyTests } from "./secrecy-tests.mjs";
import { sessionTests } from "./session-tests.mjs";
import { sharedTests } from "./shared-tests.mjs";
import { cloakroomDev } from "./stack.mjs";
import { testsIn } from "./tests.mjs";

/** @typedef {import("./browsers.mjs").BrowserContext} BrowserContext */
/** @typedef {{ it: import("./tests.mjs").It, app: string, context: BrowserContext }} Place */

/**
 * What a test works with. `remembering` is a second stack, whose API is ours and remembers the tokens that it got.
 * @typedef {Place & {
 *   browser: import("./browsers.mjs").BrowserName,
 *   parallelTabs: number,
 *   loginServer: import("./login-servers.mjs").LoginServer,
 *   newContext: () => Promise<BrowserContext>,
 *   remembering: { app: string, calls: { method: string, url: string, token: string }[] },
 *   hostile: { port: number },
 * }} World
 */

/**
 * @param {import("./browsers.mjs").BrowserName} name
 * @param {{ parallelTabs: number }} options
 */
export function suite(name, { parallelTabs }) {
  describe(name, { skip: !isWanted(name), timeout: 20 * PATIENCE }, () => {
    /** @type {(() => Promise<unknown>)[]} */
    const cleanUp = [];
    const browser = lastingBrowser(name);
    cleanUp.push(browser.close);
    /** @type {World} */
    const world = Object.create(null);
    // One profile for both stacks: the names of their cookies keep them apart.
    world.it = testsIn(browser, world);

    before(async () => {
      const stack = await cloakroomDev();
      cleanUp.push(stack.stop);
      const api = await rememberingApi();
      cleanUp.push(api.stop);
      const remembering = await cloakroomDev(["--api", api.url]);
      cleanUp.push(remembering.stop);
      const hostile = await hostilePage(() => remembering.app);
      cleanUp.push(hostile.stop);
      Object.assign(world, {
        browser: name,
        app: stack.app,
        parallelTabs,
        loginServer: builtIn,
        newContext: () => world.context.browser().createBrowserContext(),
        remembering: { app: remembering.app, calls: api.calls },
        hostile,
      });
    });
    after(async () => {
      for (const stop of cleanUp.reverse()) await stop();
    });

    pageTests(world);
    sharedTests(world);
    sessionTests(world);
    secrecyTests(world);
    crossSiteTests(world);
    liveTests(world);
    eventsTests(world);
  });
}
