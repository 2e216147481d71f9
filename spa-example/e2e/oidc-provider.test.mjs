// The stack with a certified authorization server (npm oidc-provider) in place of the built-in one, in both browsers.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";

import { appCookies, ask, isSignedIn, isSignedOut, openTab, session, signIn, signOut } from "./actions.mjs";
import { PATIENCE, isWanted } from "./browsers.mjs";
import { lastingBrowser } from "./lasting-browser.mjs";
import { oidcProvider } from "./login-servers.mjs";
import { tabsStaySignedIn } from "./open-tabs.mjs";
import { freePort, rememberingApi } from "./other-sites.mjs";
import { holdsToken, record, tokensIn } from "./recorder.mjs";
import { sharedTests } from "./shared-tests.mjs";
import { cloakroomDev, run } from "./stack.mjs";
import { testsIn } from "./tests.mjs";
import { press, until } from "./waits.mjs";

const FIXTURE = fileURLToPath(new URL("../../tests/oidc-provider/", import.meta.url));
const SPY = new URL("./spy.mjs", import.meta.url).href;
const BROWSERS = /** @type {import("./browsers.mjs").BrowserName[]} */ (["chromium", "firefox"]);

/** The API that access tokens are made for, as JWTs; `null`: they are opaque. With JWTs the answers to logins are forms (form_post). */
const RESOURCES = [null, "https://api.example.com"];

for (const name of BROWSERS) {
  for (const resource of RESOURCES) {
    const kind = resource ? "JWT access tokens for a resource, answers by form_post" : "opaque access tokens";
    const title = `${name} with oidc-provider, ${kind}`;
    describe(title, { skip: !isWanted(name), timeout: 20 * PATIENCE }, () => tests(name, resource));
  }
}

/**
 * @param {import("./browsers.mjs").BrowserName} name
 * @param {string | null} resource
 */
function tests(name, resource) {
  const browser = lastingBrowser(name);
  /** @type {Awaited<ReturnType<typeof startAll>>} */
  let stack;
  /** @type {Parameters<typeof sharedTests>[0]} */
  const world = Object.assign(Object.create(null), { parallelTabs: 4, loginServer: oidcProvider });
  const it = testsIn(browser, world);
  world.it = it;

  before(async () => {
    stack = await startAll(resource);
    world.app = stack.app;
  });
  after(async () => {
    await stack?.stop();
    await browser.close();
  });

  sharedTests(world);

  // proves: CB-15, CK-04, LO-05
  it("signs in, calls and signs out, and no token of the run is in any answer", async () => {
    const page = await openTab(world.context);
    const seen = await record(page, name);
    const callsBefore = stack.api.calls.length;
    await signIn(page, stack.app, "alice", oidcProvider);
    assert.equal(await page.$eval("[data-claim=email]", (one) => one.textContent), "alice@example.com");
    assert.equal((await ask(page, "[data-call='/api/echo']")).kind, "good");
    const cookies = await appCookies(world.context, stack.app);
    await signOut(page, oidcProvider);

    const tokens = stack.tokens();
    const given = stack.api.calls.slice(callsBefore).map(({ token }) => token);
    assert.ok(given.length > 0, "the API got no token");
    for (const token of given) {
      assert.ok(tokens.includes(token), "the API got another token");
      assert.equal(audience(token), resource);
    }
    for (const kind of ["access_token", "refresh_token", "id_token"]) assert.ok(stack.kinds().has(kind), kind);
    const ours = (await seen.answers()).filter(({ url }) => url.startsWith(stack.app));
    assert.ok(ours.length > 10);
    assert.deepEqual(tokensIn(ours, tokens), []);
    for (const cookie of cookies) assert.equal(holdsToken(cookie.value, tokens), false, cookie.name);
    assert.deepEqual(await appCookies(world.context, stack.app), []);
  });

  // proves: RF-03, RF-06
  it("keeps two tabs signed in while their calls renew one-time refresh tokens", async () => {
    const page = await openTab(world.context);
    await signIn(page, stack.app, "bob", oidcProvider);
    const second = await openTab(world.context);
    await second.goto(stack.app);
    await isSignedIn(second);
    const before = stack.answers();
    // Tokens are renewed from half of their life on.
    await until("tokens were renewed three times", async () => {
      const statuses = (await Promise.all([callAtOnce(page), callAtOnce(second)])).flat();
      assert.deepEqual([...new Set(statuses)], [200]);
      return stack.answers() >= before + 3;
    });
    for (const tab of [page, second]) assert.equal((await session(tab)).authenticated, true);
  });

  // It takes half a minute, and what the access token looks like makes no difference.
  if (resource === null) {
    // proves: RF-02, RF-03, RF-06, RF-11
    it("never shows a login page in four tabs left open over many lives of the access token", async () => {
      await tabsStaySignedIn(world.context, stack);
    });
  }

  // proves: EL-06, LO-06, RF-05
  it("keeps the session while the authorization server is away, and can end it", async () => {
    const own = await startAll(resource, 12);
    try {
      await outage(world.context, own);
    } finally {
      await own.stop();
    }
  });
}

/**
 * @param {import("./browsers.mjs").BrowserContext} context
 * @param {Awaited<ReturnType<typeof startAll>>} stack
 */
async function outage(context, stack) {
  const page = await openTab(context);
  await signIn(page, stack.app, "alice", oidcProvider);
  await stack.issuerGoesAway();
  assert.equal((await session(page)).authenticated, true);
  assert.equal((await ask(page, "[data-call='/api/echo']")).kind, "good");
  const refresh = () => page.evaluate(async () => {
    const answer = await fetch("/refresh", { method: "POST", headers: { "X-CSRF": "1" } });
    return [answer.status, answer.headers.get("cloakroom-error"), answer.headers.has("retry-after")];
  });
  // It has nothing to ask while the token is in the first half of its life.
  await until("the outage shows", async () => (await refresh())[0] !== 200);
  assert.deepEqual(await refresh(), [503, "provider_unavailable", true]);
  assert.equal((await session(page)).authenticated, true);

  // The browser is sent to sign out there as well and finds nobody; here the session has ended first.
  await press(page, "#sign-out");
  await until("no cookie is left", async () => (await appCookies(context, stack.app)).length === 0);
  const second = await openTab(context);
  await second.goto(stack.app);
  await isSignedOut(second);
}

/**
 * Starts the authorization server, an API that remembers, and Cloakroom between them.
 * @param {string | null} resource
 * @param {number} [lifetime] of access tokens, seconds
 */
async function startAll(resource, lifetime = 4) {
  const secret = "not-a-secret-but-long-enough-for-a-test";
  const folder = await mkdtemp(join(tmpdir(), "cloakroom-e2e-oidc-"));
  await writeFile(join(folder, "client-secret"), secret);
  const port = await freePort();
  const app = `http://localhost:${port}`;
  if (!existsSync(join(FIXTURE, "node_modules"))) throw new Error(`run \`npm ci\` in ${FIXTURE}`);
  const settings = {
    client_id: "cloakroom-e2e",
    client_secret: secret,
    redirect_uri: `${app}/callback`,
    post_logout_redirect_uri: `${app}/logged-out`,
    rotate: true,
    resource,
    access_token_ttl: lifetime,
  };
  const issuer = await run(process.execPath, ["--import", SPY, join(FIXTURE, "server.mjs"), JSON.stringify(settings)]);
  const api = await rememberingApi();
  const options = ["--issuer", issuer.ready.issuer, "--client-id", settings.client_id,
    "--client-secret-file", join(folder, "client-secret"), "--port", String(port), "--api", api.url];
  const stack = await cloakroomDev(options, resource ? { CLOAKROOM__PROVIDER__RESPONSE_MODE: "form_post" } : {});
  const answers = () => issuer.log().split("\n")
    .filter((line) => line.startsWith("tokens ")).map((line) => JSON.parse(line.slice("tokens ".length)));
  return {
    app,
    api,
    lifetime,
    /** What the client has asked the authorization server. */
    calls: async () => (await fetch(`${issuer.ready.issuer}/test/calls`)).json(),
    refreshTokens: () => answers().flatMap(({ refresh_token: token }) => token ?? []),
    /** Every token that was ever handed out. */
    tokens: () => [...new Set(answers().flatMap(tokensOf))],
    /** How often tokens were handed out. */
    answers: () => answers().length,
    kinds: () => new Set(answers().flatMap((answer) => Object.keys(answer))),
    issuerGoesAway: issuer.stop,
    stop: async () => {
      await stack.stop();
      await issuer.stop();
      await api.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @param {Record<string, string>} answer */
function tokensOf(answer) {
  return ["access_token", "refresh_token", "id_token"].map((name) => answer[name] ?? "").filter(Boolean);
}

/**
 * Whom a token says that it is for; `null` when it says nothing.
 * @param {string} token
 * @returns {string | null}
 */
function audience(token) {
  const [, claims] = token.split(".");
  return claims ? JSON.parse(Buffer.from(claims, "base64url").toString()).aud : null;
}

/**
 * Five calls at the same time; the statuses of their answers.
 * @param {import("./browsers.mjs").Page} page
 */
function callAtOnce(page) {
  return page.evaluate(() => Promise.all(Array.from({ length: 5 }, async () =>
    (await fetch("/api/echo", { headers: { "X-CSRF": "1" } })).status)));
}
