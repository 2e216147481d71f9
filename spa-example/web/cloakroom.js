// @ts-check
// The client of a Cloakroom token handler: everything a SPA needs to log in, call APIs and log out.
// It never holds a token, because none ever reaches the browser's JavaScript. Copy it; it has no dependencies.

/**
 * What `session()` answers. `claims` holds only what the server lists in `session.claims`; all times are seconds; `provider`
 * is there when the app has several, `authorization_details` where logins ask for such.
 * @typedef {{ authenticated: false }} SignedOut
 * @typedef {{ authenticated: true, claims: Record<string, unknown>, access_token_expires_in: number,
 *             session_expires_in: number, idle_expires_in: number, provider?: string,
 *             authorization_details?: { type: string, [name: string]: unknown }[] }} SignedIn
 * @typedef {SignedIn | SignedOut} Session
 */

/**
 * What ends soon, by itself. `idle`: `refresh()` keeps the user signed in. `session`, `access_token`: only a new login does.
 * @typedef {{ what: "idle" | "session" | "access_token", seconds: number }} Ending
 * What `watchSession` tells: the session, and what of it ends soon.
 * @typedef {SignedOut | SignedIn & { ending: Ending | null }} Watched
 */

/** @typedef {{ name: string, data: any }} SessionEvent an event of `GET /events` */

/**
 * Which of the failures it was; one value per thing that a user interface does differently.
 * @typedef {"not_logged_in" | "step_up" | "forged" | "not_allowed" | "unavailable" | "upstream_failed" | "upstream_timeout"
 *         | "rejected" | "api_unauthorized" | "api_forbidden" | "api_error" | "unreachable"} FailureKind
 */

/** A call that did not succeed. `instanceof` tells the families apart, `kind` tells the cases apart. */
export class CallError extends Error {
  /**
   * @param {FailureKind} kind
   * @param {string} message
   * @param {Response | null} response the answer; its body has not been read
   */
  constructor(kind, message, response) {
    super(message);
    this.name = new.target.name;
    this.kind = kind;
    this.response = response;
    /** The HTTP status; 0 when there was no answer. */
    this.status = response?.status ?? 0;
    /** Names this request in the server's logs. */
    this.requestId = response?.headers.get("x-request-id") ?? null;
  }
}

/** The token handler refused or failed; `code` is stable and listed in its documentation. */
export class CloakroomError extends CallError {
  /**
   * @param {FailureKind} kind
   * @param {string} message
   * @param {Response} response
   */
  constructor(kind, message, response) {
    super(kind, message, response);
    this.code = response.headers.get("cloakroom-error") ?? "";
  }
}

/** There is no session, or it has ended: show "sign in". */
export class NotLoggedIn extends CloakroomError {}

/** The API wants the user to sign in again, or in a stronger way: ask them, then `stepUp(error)`, then repeat the call. */
export class StepUpRequired extends CloakroomError {}

/** 403 by the token handler: `kind` is `forged` (CSRF defence) or `not_allowed`. Logging in again does not help. */
export class Forbidden extends CloakroomError {}

/** The authorization server or the session store is away: the session is kept, try again later. */
export class Unavailable extends CloakroomError {
  /**
   * @param {string} message
   * @param {Response} response
   */
  constructor(message, response) {
    super("unavailable", message, response);
    /** Seconds to wait before the next try. */
    this.retryAfter = retryAfter(response);
  }
}

/** The API behind the token handler is down (`upstream_failed`) or slow (`upstream_timeout`). */
export class UpstreamFailed extends CloakroomError {}

/** The API itself answered with a 4xx or 5xx: `api_unauthorized` is its 401, not a missing session. */
export class ApiError extends CallError {}

/** No answer at all: offline, or the server cannot be reached. */
export class Unreachable extends CallError {}

/**
 * @typedef {object} Options
 * @property {string} [base] `base_path` of the app where it is not `/`, e.g. `/auth`
 * @property {string} [csrfHeader] `guard.csrf_header` where it is not the default
 */

/**
 * The client of one app.
 * @param {Options} [options]
 */
export function cloakroom({ base = "", csrfHeader = "X-CSRF" } = {}) {
  const root = base.replace(/\/$/, "");
  const name = `cloakroom:${root}`;
  const channel = new BroadcastChannel(name);

  /**
   * Where to send the browser to log in. The fragment is kept: it travels sealed in the login cookie.
   * @param {{ returnTo?: string, provider?: string, extra?: Record<string, string> }} [options]
   */
  function loginUrl({ returnTo = here(), provider, extra = {} } = {}) {
    const query = new URLSearchParams({ ...extra, return_to: returnTo });
    if (provider) query.set("provider", provider);
    return `${root}/login?${query}`;
  }

  /**
   * Leaves the page to log in and comes back to `returnTo` (path, query and fragment; default: this very place).
   * `provider` names one of the app's authorization servers; default: the first.
   * `extra` may hold what the server allows: `prompt`, `login_hint`, `ui_locales`.
   * @param {{ returnTo?: string, provider?: string, extra?: Record<string, string> }} [options]
   */
  function login(options) {
    location.assign(loginUrl(options));
  }

  /**
   * Leaves the page for the login that an API asks for and comes back to `returnTo`. What the user wanted is yours to remember:
   * repeat the call then. A login that is not good enough comes back with `auth_error=step_up_failed`.
   * @param {StepUpRequired} error
   * @param {{ returnTo?: string }} [options]
   * @throws {StepUpRequired} the same one, where the app does not allow such a login
   */
  async function stepUp(error, { returnTo = here() } = {}) {
    const { login_url: url } = await /** @type {Response} */ (error.response).json();
    if (!url) throw error;
    location.assign(`${url}&${new URLSearchParams({ return_to: returnTo })}`);
  }

  /**
   * `fetch` with the CSRF header. Resolves with 2xx and 3xx answers only.
   * @param {string | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   * @throws {CallError} which says what went wrong
   */
  async function apiFetch(input, init = {}) {
    const headers = new Headers(init.headers);
    headers.set(csrfHeader, "1");
    const response = await answered(fetch(input, { credentials: "same-origin", ...init, headers }));
    return accepted(response);
  }

  /**
   * POSTs `body` and reports how much has left, which `fetch` cannot. Fails like `apiFetch`.
   * @param {string} url
   * @param {Blob} body
   * @param {(part: number) => void} onProgress gets 0 to 1
   * @returns {Promise<Response>}
   */
  async function upload(url, body, onProgress) {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.responseType = "blob";
    request.setRequestHeader(csrfHeader, "1");
    request.upload.onprogress = (event) => onProgress(event.total ? event.loaded / event.total : 1);
    const finished = new Promise((resolve, reject) => {
      request.onload = () => resolve(responseOf(request));
      request.onerror = () => reject(new TypeError("the upload did not get through"));
    });
    request.send(body);
    return accepted(await answered(finished));
  }

  /**
   * Who is logged in, and for how long. Extends nothing, so it may be asked at any time.
   * @returns {Promise<Session>}
   */
  async function session() {
    return (await apiFetch(`${root}/session`, { cache: "no-store" })).json();
  }

  /**
   * Tells the server that the user is active: for "stay signed in", and for long work without API calls.
   * @returns {Promise<{ access_token_expires_in: number }>}
   */
  async function refresh() {
    const response = await apiFetch(`${root}/refresh`, { method: "POST" });
    channel.postMessage("extended");
    return response.json();
  }

  /**
   * Ends the session here and in the other tabs, then leaves the page to end it at the authorization server.
   * @returns {Promise<void>}
   */
  async function logout() {
    const response = await apiFetch(`${root}/logout`, { method: "POST" });
    const { logout_url } = await response.json();
    channel.postMessage("signed-out");
    location.assign(logout_url);
  }

  /**
   * Calls `listener` with the session now, whenever something becomes of it, in this tab, another one or at the server,
   * `warnBefore` seconds before it ends by itself, and whenever this tab is looked at again.
   * One tab of the browser listens to the server and tells the others; where that is not possible, each tab goes by its
   * clock. A session that cannot be asked for is passed as the error: it is not a logout.
   * @param {(state: Watched | CallError) => void} listener
   * @param {{ warnBefore?: number }} [options] at most a fifth of a short idle time
   * @returns {() => Promise<void>} asks again now
   */
  function watchSession(listener, { warnBefore = 120 } = {}) {
    const notice = noticeOf(warnBefore);
    /** @type {boolean | undefined} */
    let known;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let next;
    let askedLast = 0;
    const tell = (/** @type {Session} */ state) => {
      clearTimeout(next);
      if (!state.authenticated) return listener(state);
      const { ending, changesIn } = notice(state);
      next = setTimeout(look, changesIn);
      listener({ ...state, ending });
    };
    const look = async () => {
      const asked = ++askedLast;
      try {
        const state = await session();
        // Two questions may be under way: the later one has seen the newer cookies.
        if (asked !== askedLast) return;
        if (state.authenticated && known !== true) channel.postMessage("signed-in");
        known = state.authenticated;
        tell(state);
        if (known) events.listen();
        else events.stop();
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
        if (asked !== askedLast) return;
        clearTimeout(next);
        if (known) next = setTimeout(look, 30_000);
        listener(error);
      }
    };
    const heard = async (/** @type {SessionEvent} */ { name: event, data }) => {
      // Nobody is to take the place of the tab whose stream has just ended, before it is known whether there is a session.
      if (event === "logged-out") events.stop();
      if (event === "expiring" && data.what === "access_token") notice.tokenEnds(data.seconds_left);
      if (event !== "expiring") await arrival();
      await look();
    };
    const events = sessionEvents({
      name,
      open,
      heard: (event) => {
        channel.postMessage(event);
        // The end of the stream follows, and with it a look.
        if (event.name !== "logged-out") void heard(event);
      },
      stillSignedIn: async () => {
        await arrival();
        await look();
        return known !== false;
      },
    });
    channel.onmessage = ({ data }) => {
      if (typeof data === "object") void heard(data);
      else if (data === "extended") void look();
      // Tabs that know already stay quiet, or two of them would wake each other for ever.
      else if ((data === "signed-in") !== known) void look();
    };
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void look();
    });
    // A page that is kept for "back" must hold nothing: the browser would not keep it, and other tabs want to listen.
    addEventListener("pagehide", () => events.stop());
    // Restored, it shows what was true when it was left.
    addEventListener("pageshow", (event) => {
      if (event.persisted) void look();
    });
    void look();
    return look;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  function open(signal) {
    const headers = { Accept: "text/event-stream" };
    return apiFetch(`${root}/events`, { headers, cache: "no-store", signal });
  }

  return { login, loginUrl, stepUp, session, apiFetch, upload, refresh, logout, watchSession };
}

/**
 * Listens to the server in one tab of all that share `name`: a Web Lock elects it, and passes on when that tab goes.
 * @param {{
 *   name: string,
 *   open: (signal: AbortSignal) => Promise<Response>,
 *   heard: (event: SessionEvent) => void,
 *   stillSignedIn: () => Promise<boolean>,
 * }} parts `stillSignedIn` is asked whenever a stream has ended
 */
function sessionEvents({ name, open, heard, stillSignedIn }) {
  let stop = new AbortController();
  let listening = false;
  /** The server has no such endpoint. */
  let missing = false;

  /**
   * One stream, to its end.
   * @param {AbortSignal} signal
   */
  const follow = async (signal) => {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    try {
      const response = await open(AbortSignal.any([signal, silence.signal]));
      missing = !response.headers.get("content-type")?.startsWith("text/event-stream");
      if (missing) return;
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
      };
      for await (const event of eventsIn(response, alive)) {
        if (event.name !== "open") heard(event);
      }
    } finally {
      clearTimeout(timer);
    }
  };

  /**
   * Stream after stream, until there is no session or this tab is left.
   * @param {AbortSignal} signal
   */
  const lead = async (signal) => {
    for (let failures = 0; ; failures += 1) {
      const began = Date.now();
      let least = 0;
      let outage = false;
      try {
        await follow(signal);
      } catch (error) {
        missing = error instanceof CallError && error.status === 404;
        if (error instanceof Unavailable) least = error.retryAfter * 1000;
        outage = !(error instanceof NotLoggedIn);
      }
      if (signal.aborted || missing) return;
      if (!outage && !(await stillSignedIn())) return;
      if (Date.now() - began > SILENCE) failures = 0;
      // All browsers lose their streams when a server restarts: they must not come back at the same moment.
      const longest = Math.min(60_000, 1000 * 2 ** failures);
      await pause(least + longest * (0.5 + Math.random() / 2), signal);
      if (signal.aborted) return;
    }
  };

  return {
    /** Waits for its turn to listen, unless it does already. */
    listen() {
      if (listening || missing || !navigator.locks || !AbortSignal.any) return;
      listening = true;
      stop = new AbortController();
      const { signal } = stop;
      navigator.locks.request(`${name}:events`, { signal }, () => lead(signal))
        .catch((error) => {
          // Only that this tab was left before its turn came.
          if (!signal.aborted) throw error;
        })
        .finally(() => { if (stop.signal === signal) listening = false; });
    },
    stop() {
      listening = false;
      stop.abort();
    },
  };
}

/** The server says something every 25 s; after this many milliseconds without a word the connection is dead. */
const SILENCE = 60_000;

/**
 * The events of a stream as they come. Exported for the tests.
 * @param {Response} response
 * @param {() => void} [alive] called whenever something comes
 * @returns {AsyncGenerator<SessionEvent>}
 */
export async function* eventsIn(response, alive = () => {}) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  try {
    for (let text = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      const blocks = (text + value).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(block) ?? [];
        if (name && data) yield { name, data: JSON.parse(data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Decides what is told of an end that comes near.
 * @param {number} warnBefore seconds
 */
function noticeOf(warnBefore) {
  let wholeIdle = 0;
  let tokenEndsAt = Infinity;
  /**
   * @param {SignedIn} state
   * @returns {{ ending: Ending | null, changesIn: number }} and the milliseconds until it is worth asking again
   */
  const notice = (state) => {
    wholeIdle = Math.max(wholeIdle, state.idle_expires_in);
    const token = (tokenEndsAt - Date.now()) / 1000;
    // Another login, or a refresh after all.
    if (state.access_token_expires_in > token + 5) tokenEndsAt = Infinity;
    // Where idle and absolute end are the same, only a new login helps: that one comes first.
    /** @type {(Ending & { before: number })[]} */
    const ends = [
      { what: "session", seconds: state.session_expires_in, before: warnBefore },
      { what: "idle", seconds: state.idle_expires_in, before: Math.min(warnBefore, Math.floor(wholeIdle / 5)) },
    ];
    if (token > 0 && token < Infinity) ends.push({ what: "access_token", seconds: Math.round(token), before: Infinity });
    const near = ends.filter(({ seconds, before }) => seconds <= before);
    const [first] = near.toSorted((one, other) => one.seconds - other.seconds);
    // Another tab may extend what is about to end.
    const waits = ends.map((end) => (near.includes(end) ? Math.min(end.seconds + 1, 15) : end.seconds - end.before));
    return {
      ending: first ? { what: first.what, seconds: first.seconds } : null,
      changesIn: Math.min(1000 * Math.min(...waits), 2 ** 31 - 1), // a longer timer would fire at once
    };
  };
  /** The access token ends then and cannot be renewed: the server says so. */
  notice.tokenEnds = (/** @type {number} */ seconds) => { tokenEndsAt = Date.now() + seconds * 1000; };
  return notice;
}

/** What caused an event, a login or a refresh, may still be on its way to this browser with new cookies. */
function arrival() {
  return pause(300 + 400 * Math.random());
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal] ends it early
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => resolve());
  });
}

/** This place within the app, fragment included. */
function here() {
  return location.pathname + location.search + location.hash;
}

/**
 * @param {Promise<Response>} pending
 * @returns {Promise<Response>}
 */
async function answered(pending) {
  try {
    return await pending;
  } catch (error) {
    if (error instanceof TypeError) throw new Unreachable("unreachable", "The server cannot be reached.", null);
    throw error; // an AbortError is the caller's own doing
  }
}

/**
 * The answer if it is a good one; throws what it means if not. Exported for the tests.
 * @param {Response} response
 * @returns {Response}
 */
export function accepted(response) {
  if (response.status < 400) return response;
  const code = response.headers.get("cloakroom-error");
  // Cloakroom strips this header from the API's answers, so nobody else can claim to be it.
  throw code === null ? apiError(response) : cloakroomError(response, code);
}

/**
 * @param {Response} response
 * @param {string} code
 */
function cloakroomError(response, code) {
  switch (response.status) {
    case 401:
      if (code === "step_up_required") {
        return new StepUpRequired("step_up", "Please confirm that it is you.", response);
      }
      return new NotLoggedIn("not_logged_in", "You are not signed in.", response);
    case 403:
      return code.startsWith("csrf_")
        ? new Forbidden("forged", "The request looked forged and was refused.", response)
        : new Forbidden("not_allowed", "The request is not allowed.", response);
    case 503:
      return new Unavailable("Signing in is not available right now.", response);
    case 502:
      return new UpstreamFailed("upstream_failed", "The API is down.", response);
    case 504:
      return new UpstreamFailed("upstream_timeout", "The API took too long.", response);
    default:
      return new CloakroomError("rejected", `The request was refused: ${code}.`, response);
  }
}

/** @param {Response} response */
function apiError(response) {
  switch (response.status) {
    case 401:
      return new ApiError("api_unauthorized", "The API does not accept the token.", response);
    case 403:
      return new ApiError("api_forbidden", "The API does not allow this user to do that.", response);
    default:
      return new ApiError("api_error", `The API answered with status ${response.status}.`, response);
  }
}

/**
 * Seconds from a `Retry-After` header, which holds seconds or a date; 5 when it holds neither.
 * @param {Response} response
 */
function retryAfter(response) {
  const value = response.headers.get("retry-after") ?? "";
  if (/^\d+$/.test(value)) return Number(value);
  const until = Date.parse(value);
  return Number.isNaN(until) ? 5 : Math.max(0, Math.ceil((until - Date.now()) / 1000));
}

/**
 * @param {XMLHttpRequest} request
 * @returns {Response}
 */
function responseOf(request) {
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().trim().split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  // These statuses forbid a body.
  const body = [204, 205, 304].includes(request.status) ? null : request.response;
  return new Response(body, { status: request.status, headers });
}
