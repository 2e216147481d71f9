// A browser for a whole file of tests. When it has died, whoever asks next gets a new one, and stderr says how it ended.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

import { PATIENCE, launch } from "./browsers.mjs";

/** @typedef {import("./browsers.mjs").Browser} Browser */
/** @typedef {import("./browsers.mjs").BrowserName} BrowserName */
/** @typedef {{ browser: Browser, lines: string[] }} Life */
/** @typedef {ReturnType<typeof lastingBrowser>} LastingBrowser */

/** How many of the last lines of its stderr are shown. */
const LAST_LINES = 40;

/** How long a process may go on when its connection is gone, milliseconds. */
const LAST_BREATH = 5_000;

/**
 * Nothing is launched before somebody asks.
 * @param {BrowserName} name
 */
export function lastingBrowser(name) {
  /** @type {Life | null} */
  let life = null;

  /** Whether the browser that `alive` gave has ended; if so, says how on stderr. */
  const hasDied = async () => {
    if (!life) return false;
    const state = await ask(life.browser);
    if (state === "answers") return false;
    const { browser, lines } = life;
    life = null;
    const how = await end(browser, state);
    const said = lines.length > 0 ? lines : ["it said nothing on stderr"];
    console.error([`!!! ${name} died: ${how}`, ...said].join("\n    "));
    return true;
  };

  return {
    name,
    hasDied,
    /** The browser, launched if there is none that lives. */
    async alive() {
      await hasDied();
      life ??= begin(await launch(name));
      return life.browser;
    },
    async close() {
      await life?.browser.close();
      life = null;
    },
  };
}

/**
 * Whether the process or the connection to it has ended, as far as is known at this moment.
 * @param {Browser} browser
 */
export function isGone(browser) {
  return !browser.connected || hasEnded(processOf(browser));
}

/**
 * Sends a signal to all processes of the browser.
 * @param {Browser} browser
 * @param {NodeJS.Signals} signal
 */
export function kill(browser, signal) {
  const { pid } = processOf(browser);
  // It leads a process group of its own.
  if (pid) process.kill(-pid, signal);
}

/**
 * @param {Browser} browser
 * @returns {Life}
 */
function begin(browser) {
  /** @type {string[]} */
  const lines = [];
  const { stderr } = processOf(browser);
  // The launcher reads it, too.
  if (stderr) {
    createInterface({ input: stderr }).on("line", (line) => {
      lines.push(line);
      if (lines.length > LAST_LINES) lines.shift();
    });
  }
  return { browser, lines };
}

/**
 * What a browser is known by: it does what it is asked. One that is about to crash does nothing until its connection
 * ends, and one that hangs does nothing at all.
 * @param {Browser} browser
 * @returns {Promise<"answers" | "gone" | "hangs">}
 */
async function ask(browser) {
  if (isGone(browser)) return "gone";
  // Not for its version, which the driver of Firefox knows by heart.
  const asked = browser.defaultBrowserContext().cookies()
    .then(() => /** @type {const} */ ("answers"), () => /** @type {const} */ ("gone"));
  return Promise.race([asked, wait(PATIENCE, /** @type {const} */ ("hangs"), { ref: false })]);
}

/**
 * Makes sure that the process has ended.
 * @param {Browser} browser
 * @param {"gone" | "hangs"} state
 * @returns {Promise<string>} how it did
 */
async function end(browser, state) {
  const child = processOf(browser);
  const ended = hasEnded(child) ? null : once(child, "exit");
  if (state === "gone") await Promise.race([ended, wait(LAST_BREATH, null, { ref: false })]);
  if (hasEnded(child)) return child.signalCode ? `killed by ${child.signalCode}` : `exit code ${child.exitCode}`;
  kill(browser, "SIGKILL");
  await ended;
  return state === "gone" ? "it ran on, but its connection was closed" : `it did nothing for ${PATIENCE} ms`;
}

/** @param {import("node:child_process").ChildProcess} child */
function hasEnded({ exitCode, signalCode }) {
  return exitCode !== null || signalCode !== null;
}

/** @param {Browser} browser */
function processOf(browser) {
  const child = browser.process();
  if (!child) throw new Error("these tests launch their browsers themselves");
  return child;
}
