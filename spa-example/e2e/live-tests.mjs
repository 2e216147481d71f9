// Live data in a real browser: event streams and WebSockets open from the app's own pages only, and end with the session.
import assert from "node:assert/strict";

import { openTab, session, signIn } from "./actions.mjs";
import { holds, shows } from "./waits.mjs";

/** @typedef {import("./suite.mjs").World} World */
/** @typedef {import("./browsers.mjs").Page} Page */

/** @param {World} world */
export function liveTests(world) {
  const { it } = world;

  // proves: CS-11, PX-15, PX-16
  it("opens a WebSocket from the app's page, and closes it with 4401 after a logout", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    await openSocket(page, world.app);
    await holds(page, "the echo", () => document.body.dataset["echo"] === "hello");
    await logOut(page);
    await holds(page, "the close", () => document.body.dataset["closed"] !== undefined);
    assert.equal(await page.evaluate(() => document.body.dataset["closed"]), "4401 session_ended");
    assert.equal((await session(page)).authenticated, false);

    await openSocket(page, world.app);
    await holds(page, "the refusal", () => document.body.dataset["closed"] !== undefined);
    assert.equal(await page.evaluate(() => document.body.dataset["closed"]), "1006 ");
  });

  // proves: PX-15, PX-16
  it("feeds an EventSource event by event, and ends it for good after a logout", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app);
    await page.evaluate(() => {
      const source = new EventSource("/api/events");
      source.onmessage = ({ data }) => {
        const { count, sub } = JSON.parse(data);
        Object.assign(document.body.dataset, { count, sub });
      };
      source.onerror = () => { document.body.dataset["ready"] = `${source.readyState}`; };
    });
    await holds(page, "three events", () => Number(document.body.dataset["count"]) >= 2);
    assert.equal(await page.evaluate(() => document.body.dataset["sub"]), "alice");
    assert.equal(await page.evaluate(() => document.body.dataset["ready"]), undefined);
    await logOut(page);
    // Asks again after the clean end, is told 401, and gives up: EventSource.CLOSED.
    await holds(page, "the end", () => document.body.dataset["ready"] === "2");
  });

  for (const [kind, host] of [["another site", "127.0.0.1"], ["a sibling host", "localhost"]]) {
    // proves: CS-11
    it(`opens no WebSocket for ${kind}`, async () => {
      const { context, remembering: { app, calls } } = world;
      const victim = await openTab(context);
      await signIn(victim, app);
      // Calls of the page itself may come at any time.
      const sockets = () => calls.filter(({ url }) => url === "/api/socket");
      const before = sockets().length;
      // The API of this stack takes no WebSockets, but it remembers who asked.
      await openSocket(victim, app);
      await holds(victim, "the refusal", () => document.body.dataset["closed"] !== undefined);
      assert.equal(sockets().length, before + 1, "the app's own page reaches the API");
      assert.notEqual(sockets().at(-1)?.token, "");

      const attacker = await openTab(context);
      await attacker.goto(`http://${host}:${world.hostile.port}/socket`);
      await shows(attacker, "[data-closed='1006']");
      assert.equal(sockets().length, before + 1);
      assert.equal((await session(victim)).authenticated, true);
    });
  }
}

/**
 * Opens a WebSocket from the page, says hello, and notes in the body what comes of it.
 * @param {Page} page
 * @param {string} app
 */
async function openSocket(page, app) {
  await page.evaluate((address) => {
    delete document.body.dataset["closed"];
    const socket = new WebSocket(address);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => { document.body.dataset["echo"] = data; };
    socket.onclose = ({ code, reason }) => { document.body.dataset["closed"] = `${code} ${reason}`; };
  }, `${app.replace(/^http/, "ws")}/api/socket`);
}

/**
 * Ends the session without leaving the page.
 * @param {Page} page
 */
async function logOut(page) {
  const status = await page.evaluate(async () =>
    (await fetch("/logout", { method: "POST", headers: { "X-CSRF": "1" } })).status);
  assert.equal(status, 200);
}
