// What holds with every login server: the session outlives a reload, several tabs sign in at once, and all that the
// browser keeps are cookies that no script reads.
import assert from "node:assert/strict";

import {
  appCookies, ask, chooseUser, isSignedIn, loginCookies, openTab, session, signIn, startSignIn,
} from "./actions.mjs";
import { holdsToken } from "./recorder.mjs";
import { shows } from "./waits.mjs";

/**
 * @param {import("./suite.mjs").Place & {
 *   parallelTabs: number,
 *   loginServer: import("./login-servers.mjs").LoginServer,
 * }} world
 */
export function sharedTests(world) {
  const { it } = world;

  it("keeps the session over a reload and in a second tab", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app, "alice", world.loginServer);
    await page.reload();
    await isSignedIn(page);
    const second = await openTab(world.context);
    await second.goto(world.app);
    await isSignedIn(second);
    assert.equal((await ask(second, "[data-call='/api/echo']")).kind, "good");
  });

  // proves: CK-15
  it("finishes parallel sign-ins in whatever order", async () => {
    const tabs = [];
    for (let count = 0; count < world.parallelTabs; count += 1) {
      const page = await openTab(world.context);
      await startSignIn(page, `${world.app}/?tab=${count}`, world.loginServer);
      tabs.push({ page, place: `${world.app}/?tab=${count}` });
    }
    assert.equal((await loginCookies(world.context, world.app)).length, world.parallelTabs);
    // Last first, then every other: nobody's turn is the order in which they began.
    const order = [...tabs.filter((_, index) => index % 2 === 1).reverse(), ...tabs.filter((_, index) => index % 2 === 0)];
    for (const { page, place } of order) {
      await chooseUser(page, "alice", world.loginServer);
      assert.equal(page.url(), place);
    }
    assert.deepEqual(await loginCookies(world.context, world.app), []);
    for (const { page } of tabs) assert.equal((await session(page)).authenticated, true);
  });

  // proves: CK-01, CK-02, CK-03
  it("sets cookies that no script reads and no other site causes to be sent", async () => {
    const page = await openTab(world.context);
    await startSignIn(page, world.app, world.loginServer);
    const login = await appCookies(world.context, world.app);
    assert.ok(login.length > 0, "no login cookie");
    for (const cookie of login) {
      assert.match(cookie.name, /^__Host-Http-.*-login-/);
      assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, "Lax", "/"]);
    }
    await chooseUser(page, "alice", world.loginServer);

    const cookies = await appCookies(world.context, world.app);
    const names = cookies.map(({ name }) => name);
    for (const part of ["-t.0", "-a", "-hint"]) assert.ok(names.some((name) => name.endsWith(part)), `${names}`);
    for (const cookie of cookies) {
      const isHint = cookie.name.endsWith("-hint");
      const sameSite = cookie.name.endsWith("-trail") ? "Lax" : "Strict";
      assert.match(cookie.name, isHint ? /^__Secure-/ : /^__Host-Http-/);
      assert.equal(cookie.path, isHint ? "/logout" : "/", cookie.name);
      assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite], [true, true, sameSite], cookie.name);
      assert.ok(!cookie.domain.startsWith("."), `${cookie.name} has a Domain`);
      assert.ok(cookie.name.length + cookie.value.length <= 4096, `${cookie.name} is too large`);
      assert.equal(holdsToken(cookie.value), false, cookie.name);
      assert.equal(holdsToken(Buffer.from(cookie.value, "base64url").toString("latin1")), false, cookie.name);
    }
  });

  // proves: CK-19
  it("keeps nothing in the browser's storage, and a script cannot read the cookies", async () => {
    const page = await openTab(world.context);
    await signIn(page, world.app, "alice", world.loginServer);
    const found = await page.evaluate(async () => ({
      cookies: document.cookie,
      local: Object.entries(localStorage),
      session: Object.entries(sessionStorage),
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
    }));
    assert.deepEqual(found, { cookies: "", local: [], session: [], databases: [], caches: [] });
    await shows(page, "#proof-verdict[data-found='0']");
  });
}
