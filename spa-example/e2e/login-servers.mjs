// How a user signs in and out at the login servers that the tests use.
import { acrossNavigations, fill, press, shows } from "./waits.mjs";

/** @typedef {import("./browsers.mjs").Page} Page */

/**
 * `asks` is an element of its login page; `answer` goes from there until it sends the browser back to the app; `signOut`
 * from its own page on.
 * @typedef {{
 *   asks: string,
 *   answer: (page: Page, user: string) => Promise<void>,
 *   signOut: (page: Page) => Promise<void>,
 * }} LoginServer
 */

/**
 * The one of `cloakroom dev`: one button per user, and no questions.
 * @type {LoginServer}
 */
export const builtIn = {
  asks: "button[name=user]",
  answer: (page, user) => press(page, `button[name=user][value=${user}]`),
  signOut: async () => {},
};

const CONSENT = "form input[name=prompt][value=consent]";

/**
 * The development pages of npm oidc-provider: any name, any password; it asks for consent once in a browser's session,
 * and before it signs out.
 * @type {LoginServer}
 */
export const oidcProvider = {
  asks: "input[name=login]",
  answer: async (page, user) => {
    await fill(page, "input[name=login]", user);
    await fill(page, "input[name=password]", "any");
    await press(page, "button[type=submit]");
    await shows(page, `${CONSENT}, [data-state=in]`);
    const asked = await acrossNavigations(page, "consent", async () => await page.$(CONSENT) !== null);
    if (asked) await press(page, "button[type=submit]");
  },
  signOut: (page) => press(page, "button[name=logout][value=yes]"),
};
