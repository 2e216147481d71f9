// Keeps what the browser received, to be searched for tokens afterwards.

/** @typedef {import("./browsers.mjs").Page} Page */
/** @typedef {{ url: string, status: number, headers: Record<string, string>, body: string | null }} Answer */

/** What may be a JSON Web Token: `{"` in base64url, and enough after it to read the first name of its header. */
const JWT = /eyJ[\w-]{13,}/g;
/** The header's beginning, decoded. Sealed cookies are random base64url: `eyJ` alone stands in one of a hundred. */
const JWT_HEADER = /^\{"[\w#]{2,20}"/;

/**
 * Records every answer that `page` gets from now on.
 * @param {Page} page
 * @param {import("./browsers.mjs").BrowserName} browser
 */
export async function record(page, browser) {
  /** @type {(Answer | Promise<Answer>)[]} */
  const kept = [];
  /** @type {string[]} */
  const violations = [];
  page.on("console", (message) => {
    if (/content.security.policy/i.test(message.text())) violations.push(message.text());
  });
  page.on("response", (response) => {
    const answer = { url: response.url(), status: response.status(), headers: response.headers(), body: null };
    // Chromium's driver drops a body as soon as its page goes away.
    if (browser === "chromium" || isStream(answer.headers["content-type"])) kept.push(answer);
    else kept.push(response.text().catch(() => null).then((body) => ({ ...answer, body })));
  });
  if (browser === "chromium") await keepBodies(page, (answer) => kept.push(answer));
  return {
    /** Every answer so far, bodies included. */
    answers: () => Promise.all(kept),
    /** What the page's policy stopped. */
    violations,
  };
}

/**
 * Whether a body of this type has no end that could be waited for.
 * @param {string | undefined} type
 */
function isStream(type) {
  return type?.startsWith("text/event-stream") ?? false;
}

/** Far more than a test receives, bytes. */
const ROOM = 50_000_000;

/**
 * Reads every body once it is complete, also when its page is gone by then. It only listens: Chromium crashes now and
 * then when a stream is broken off whose answer had been stopped on its way to the page (`Fetch.enable`).
 * @param {Page} page
 * @param {(answer: Promise<Answer>) => void} keep
 */
async function keepBodies(page, keep) {
  const devTools = await page.createCDPSession();
  await devTools.send("Network.enable");
  await devTools.send("Network.configureDurableMessages", { maxTotalBufferSize: ROOM, maxResourceBufferSize: ROOM });
  /** @type {Map<string, { url: string, status: number }>} */
  const begun = new Map();
  devTools.on("Network.responseReceived", ({ requestId, response: { url, status } }) => begun.set(requestId, { url, status }));
  devTools.on("Network.loadingFinished", ({ requestId }) => {
    const answer = begun.get(requestId);
    if (!answer) return;
    keep(devTools.send("Network.getResponseBody", { requestId }).then(
      ({ body, base64Encoded }) => Buffer.from(body, base64Encoded ? "base64" : "utf8").toString("latin1"),
      () => null,
    ).then((body) => ({ ...answer, headers: {}, body })));
  });
}

/**
 * The places in `answers` that hold something like a token, or one of the `known` ones.
 * The address that the logout sends the browser to is left out: the ID token in it goes to the login server only.
 * @param {Answer[]} answers
 * @param {string[]} known
 * @returns {string[]}
 */
export function tokensIn(answers, known = []) {
  const found = [];
  for (const { url, headers, body } of answers) {
    const isLogout = new URL(url).pathname === "/logout/continue";
    for (const [name, value] of Object.entries(headers)) {
      if (isLogout && name === "location") continue;
      if (holdsToken(value, known)) found.push(`${url}: header ${name}`);
    }
    if (body !== null && holdsToken(body, known)) found.push(`${url}: body`);
    if (holdsToken(url, known)) found.push(`address ${url}`);
  }
  return found;
}

/**
 * @param {string} text
 * @param {string[]} known
 */
export function holdsToken(text, known = []) {
  const isJwt = (/** @type {string} */ found) => JWT_HEADER.test(Buffer.from(found, "base64url").toString("latin1"));
  if ((text.match(JWT) ?? []).some(isJwt)) return true;
  return known.some((token) => forms(token).some((form) => text.includes(form)));
}

/**
 * A token as it is, and as base64 of a text that has it somewhere: there are three, by what stands before it. Their ends
 * are cut off, as these depend on the neighbours.
 * @param {string} token
 */
function forms(token) {
  const encoded = [0, 1, 2].map((before) => {
    const base64 = Buffer.from(" ".repeat(before) + token).toString("base64");
    return base64.slice(before === 0 ? 0 : 4, -4);
  });
  const forUrls = encoded.map((base64) => base64.replaceAll("+", "-").replaceAll("/", "_"));
  return [token, ...encoded, ...forUrls];
}
