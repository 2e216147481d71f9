// A browser that dies costs the test under it one try, and the others nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { PATIENCE, isWanted } from "./browsers.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const BROWSERS = /** @type {import("./browsers.mjs").BrowserName[]} */ (["chromium", "firefox"]);

for (const name of BROWSERS) {
  describe(`tests in a ${name} that dies`, { skip: !isWanted(name), timeout: 8 * PATIENCE }, () => {
    /** @type {Awaited<ReturnType<typeof runMortalTests>>} */
    let outcome;
    before(async () => { outcome = await runMortalTests(name); });

    it("are run once more, and pass in a new browser", () => {
      assert.deepEqual(outcome.of("dies once"), { runs: 2, passed: true });
      assert.deepEqual(outcome.of("passes after it"), { runs: 1, passed: true });
    });

    it("fail when the new one dies as well, and leave a browser to the next test", () => {
      assert.deepEqual(outcome.of("dies always"), { runs: 2, passed: false });
      assert.match(outcome.printed, new RegExp(`${name} died a second time`));
      assert.deepEqual(outcome.of("dies when it has passed"), { runs: 1, passed: true });
      assert.deepEqual(outcome.of("passes at last"), { runs: 1, passed: true });
    });

    it("are never run again when they fail by themselves", () => {
      assert.deepEqual(outcome.of("fails by itself"), { runs: 1, passed: false });
    });

    it("say how it died, and at the end which of them were run again", () => {
      assert.match(outcome.printed, new RegExp(`!!! ${name} died: killed by SIGKILL`));
      assert.match(outcome.printed, /!!! "dies once" is run again, as its browser died: .*the browser is gone/);
      assert.equal(outcome.closing, `2 tests were run again, as the browser had died:
  ${name}, dies once
  ${name}, dies always
`);
    });
  });
}

/** @param {import("./browsers.mjs").BrowserName} name */
async function runMortalTests(name) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // else it believes that it is a part of this run
  const options = ["--test", "--test-reporter=tap", "--test-reporter-destination=stdout",
    "--test-reporter=./repeats.mjs", "--test-reporter-destination=stderr", "mortal-tests.mjs"];
  const child = spawn(process.execPath, options, { cwd: HERE, env: { ...env, MORTAL: name }, stdio: ["ignore", "pipe", "pipe"] });
  const [printed, closing, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  assert.equal(code, 1, `${printed}\n${closing}`);
  return {
    printed,
    closing,
    /** @param {string} title */
    of: (title) => ({
      runs: printed.split("\n").filter((line) => line.endsWith(` of ${title}`)).length,
      passed: new RegExp(`^ *ok \\d+ - ${title}$`, "m").test(printed),
    }),
  };
}
