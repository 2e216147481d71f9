// cloakroom.js and the page's words, without a browser.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

import { CloakroomError, accepted, cloakroom, eventsIn } from "../web/cloakroom.js";
import { explain } from "../web/login-failures.js";

/**
 * What `accepted` makes of an answer.
 * @param {number} status
 * @param {Record<string, string>} [headers]
 * @returns {any}
 */
function failure(status, headers = {}) {
  try {
    accepted(new Response("", { status, headers }));
  } catch (error) {
    return error;
  }
  return assert.fail(`${status} was accepted`);
}

describe("cloakroom.js", () => {
  it("passes answers below 400 through", () => {
    const answer = new Response("", { status: 200 });
    assert.equal(accepted(answer), answer);
  });

  // proves: EL-01, EL-09
  it("tells every failure from every other", () => {
    const cases = /** @type {const} */ ([
      [401, "not_logged_in", "NotLoggedIn", "not_logged_in"],
      [401, "session_expired", "NotLoggedIn", "not_logged_in"],
      [401, "step_up_required", "StepUpRequired", "step_up"],
      [401, null, "ApiError", "api_unauthorized"],
      [403, "csrf_header_missing", "Forbidden", "forged"],
      [403, "forbidden_fetch_dest", "Forbidden", "not_allowed"],
      [403, null, "ApiError", "api_forbidden"],
      [503, "provider_unavailable", "Unavailable", "unavailable"],
      [503, null, "ApiError", "api_error"],
      [502, "upstream_unavailable", "UpstreamFailed", "upstream_failed"],
      [504, "upstream_timeout", "UpstreamFailed", "upstream_timeout"],
      [502, null, "ApiError", "api_error"],
      [413, "body_too_large", "CloakroomError", "rejected"],
      [500, null, "ApiError", "api_error"],
    ]);
    for (const [status, code, name, kind] of cases) {
      const error = failure(status, code ? { "cloakroom-error": code } : {});
      assert.deepEqual([error.name, error.kind, error.status], [name, kind, status], `${status} ${code}`);
      assert.equal(error instanceof CloakroomError, code !== null);
      if (code) assert.equal(error.code, code);
    }
  });

  it("names the login server that is wished for, and none by itself", () => {
    const channels = globalThis.BroadcastChannel;
    // A real one would keep this process alive.
    globalThis.BroadcastChannel = /** @type {any} */ (class {});
    const { loginUrl } = cloakroom({ base: "/auth/" });
    globalThis.BroadcastChannel = channels;
    assert.equal(loginUrl({ returnTo: "/a#b" }), "/auth/login?return_to=%2Fa%23b");
    const named = loginUrl({ returnTo: "/", provider: "partner", extra: { prompt: "login" } });
    assert.equal(named, "/auth/login?prompt=login&return_to=%2F&provider=partner");
  });

  it("reads Retry-After as seconds or as a date, and has a default", () => {
    const wait = (/** @type {string | undefined} */ value) =>
      failure(503, { "cloakroom-error": "provider_unavailable", ...(value ? { "retry-after": value } : {}) }).retryAfter;
    assert.equal(wait("7"), 7);
    assert.equal(wait("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert.ok(wait(new Date(Date.now() + 60_000).toUTCString()) > 50);
    assert.equal(wait("soon"), 5);
    assert.equal(wait(undefined), 5);
  });

  it("carries the request id of the failure", () => {
    assert.equal(failure(500, { "x-request-id": "01ABC" }).requestId, "01ABC");
    assert.equal(failure(500).requestId, null);
  });
});

describe("eventsIn", () => {
  it("reads events however the network cuts them, and passes over heartbeats and what it does not know", async () => {
    const text = 'event: open\ndata: {"a":1}\n\n:\n\ndata: nameless\n\nevent: refreshed\ndata: {"b":"é"}\n\nevent: torn\ndata: {}\n';
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 2, 7, bytes.length]) {
      let signs = 0;
      /** @type {Uint8Array[]} */
      const parts = [];
      for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
      const body = new ReadableStream({
        start(stream) {
          for (const part of parts) stream.enqueue(part);
          stream.close();
        },
      });
      const events = [];
      for await (const event of eventsIn(new Response(body), () => { signs += 1; })) events.push(event);
      assert.deepEqual(events, [{ name: "open", data: { a: 1 } }, { name: "refreshed", data: { b: "é" } }], `${size}`);
      assert.ok(signs > 0 && signs <= parts.length);
    }
  });
});

describe("the page's words", () => {
  it("explain every auth_error that the server has", async () => {
    const source = await readFile(new URL("../../src/edge/auth_error.rs", import.meta.url), "utf8");
    const rows = source.slice(source.indexOf("fn row("));
    const codes = [...rows.matchAll(/(?:=> \(|=> \{\s*\()\s*"([a-z_]+)",/g)].map((match) => match[1] ?? "");
    assert.ok(codes.length >= 9, `only ${codes.length} codes found`);
    const unknown = explain("no such code")[1];
    for (const code of codes) assert.notEqual(explain(code)[1], unknown, code);
    assert.equal(explain("__proto__")[1], unknown);
  });
});
