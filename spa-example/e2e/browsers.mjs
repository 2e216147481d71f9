// Starts the browsers under test: Debian's own, driven by puppeteer-core.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import puppeteer from "puppeteer-core";

/** @typedef {"chromium" | "firefox"} BrowserName */
/** @typedef {import("puppeteer-core").Browser} Browser */
/** @typedef {import("puppeteer-core").BrowserContext} BrowserContext */
/** @typedef {import("puppeteer-core").Page} Page */

/** The programs to look for, per browser, and the variable that overrides them. */
const PROGRAMS = {
  chromium: { variable: "CHROMIUM", names: ["chromium", "chromium-browser", "google-chrome"] },
  firefox: { variable: "FIREFOX", names: ["firefox-esr", "firefox"] },
};

/** Longest wait for any condition, milliseconds: generous, as nothing waits longer than it has to. */
export const PATIENCE = 30_000;

/**
 * @param {BrowserName} name
 * @returns {Promise<Browser>}
 * @throws when the browser is not installed: a missing browser is a failed test, not a skipped one
 */
export async function launch(name) {
  // A browser that hangs is noticed, too: no single command takes that long.
  const common = { executablePath: find(name), headless: true, protocolTimeout: 2 * PATIENCE };
  if (name === "firefox") return puppeteer.launch({ ...common, browser: "firefox" });
  // Root may not use the sandbox; small containers have little /dev/shm.
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  return puppeteer.launch({ ...common, browser: "chrome", args });
}

/**
 * Whether the tests of this browser are wanted: `BROWSERS=chromium` runs one of the two.
 * @param {BrowserName} name
 */
export function isWanted(name) {
  const wanted = process.env["BROWSERS"];
  return !wanted || wanted.split(",").includes(name);
}

/** @param {BrowserName} name */
function find(name) {
  const { variable, names } = PROGRAMS[name];
  const candidates = process.env[variable]
    ? [process.env[variable]]
    : names.flatMap((program) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, program)));
  const found = candidates.find((candidate) => isProgram(candidate ?? ""));
  if (!found) {
    throw new Error(`${name} is missing: looked for ${names.join(", ")} on the PATH (or set ${variable})`);
  }
  return found;
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
