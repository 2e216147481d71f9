// Starts and stops the programs under test. Each prints one line `ready {…}` when it can be used.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const REPOSITORY = join(HERE, "../..");
const PAGE = join(HERE, "../web");

/** Longest time a program may take to get ready, milliseconds. */
const READY_WITHIN = 30_000;

/** @typedef {{ ready: any, log: () => string, stop: () => Promise<void> }} Program */
/** @typedef {{ app: string, issuer: string, log: () => string, stop: () => Promise<void> }} Stack */

/**
 * Runs a program until `stop`.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<Program>}
 */
export async function run(command, args, env = process.env) {
  const child = spawn(command, args, { cwd: REPOSITORY, env, stdio: ["pipe", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk) => { log += chunk; });
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => { log += `${line}\n`; });
  const ended = once(child, "exit");
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await ended;
  };
  try {
    return { ready: await readyLine(child, lines), log: () => log, stop };
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${command}: ${error}\n${log}`);
  }
}

/**
 * What the program says in its line `ready {…}`.
 * @param {import("node:child_process").ChildProcess} child
 * @param {import("node:readline").Interface} lines
 * @returns {Promise<any>}
 */
function readyLine(child, lines) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not ready after ${READY_WITHIN} ms`)), READY_WITHIN);
    lines.on("line", (line) => {
      if (!line.startsWith("ready ")) return;
      clearTimeout(late);
      resolve(JSON.parse(line.slice("ready ".length)));
    });
    for (const event of ["error", "exit"]) {
      child.on(event, (cause) => {
        clearTimeout(late);
        reject(new Error(`${event}: ${cause}`));
      });
    }
  });
}

/**
 * Runs `cloakroom dev` on a free port with keys of its own.
 * @param {string[]} [args]
 * @param {Record<string, string>} [settings] as environment variables
 * @returns {Promise<Stack>}
 */
export async function cloakroomDev(args = [], settings = {}) {
  const binary = process.env["CLOAKROOM_BIN"] ?? join(REPOSITORY, "target/debug/cloakroom");
  if (!existsSync(binary)) {
    throw new Error(`there is no ${binary}: run \`cargo build\`, or set CLOAKROOM_BIN`);
  }
  const state = await mkdtemp(join(tmpdir(), "cloakroom-e2e-"));
  const options = args.includes("--spa") ? [] : ["--spa", PAGE];
  if (!args.includes("--port")) options.push("--port", "0");
  const forget = () => rm(state, { recursive: true, force: true });
  const env = { ...process.env, ...settings, XDG_STATE_HOME: state };
  const program = await run(binary, ["dev", ...options, ...args], env).catch(async (error) => {
    await forget();
    throw error;
  });
  const stop = async () => {
    await program.stop();
    await forget();
  };
  return { app: program.ready.app, issuer: program.ready.issuer, log: program.log, stop };
}
