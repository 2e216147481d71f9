// Servers of the tests' own: an API that remembers what it was given, and pages of people who wish the app ill.
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * @param {(request: import("node:http").IncomingMessage, response: import("node:http").ServerResponse) => void} handler
 * @returns {Promise<{ port: number, stop: () => Promise<void> }>}
 */
export async function serve(handler) {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const stop = async () => {
    server.closeAllConnections();
    server.close();
  };
  return { port, stop };
}

/** A port on which nobody listens at this moment. */
export async function freePort() {
  const { port, stop } = await serve(() => {});
  await stop();
  return port;
}

/** An API that remembers each request with its access token, and answers with a little JSON. */
export async function rememberingApi() {
  /** @type {{ method: string, url: string, token: string }[]} */
  const calls = [];
  const { port, stop } = await serve((request, response) => {
    const token = (request.headers.authorization ?? "").replace(/^Bearer /i, "");
    calls.push({ method: request.method ?? "", url: request.url ?? "", token });
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ path: request.url, authorized: token !== "" }));
  });
  return { url: `http://127.0.0.1:${port}`, calls, stop };
}

/**
 * A page that tries everything a page of another origin can do to the app, and says when it is through.
 * @param {() => string} app
 */
export async function hostilePage(app) {
  return serve((request, response) => {
    response.writeHead(200, { "content-type": "text/html" });
    const path = new URL(request.url ?? "/", "http://here").pathname;
    if (path === "/link") response.end(`<a id="go" href="${app()}/login?return_to=%2F">You have won</a>`);
    else if (path === "/form") response.end(topLevelForm(app()));
    else if (path === "/socket") response.end(`<!doctype html><title>hostile</title><body><script>(${hijack})("${app()}")</script>`);
    else response.end(`<!doctype html><title>hostile</title><body><script>(${attack})("${app()}")</script>`);
  });
}

/** @param {string} app */
function topLevelForm(app) {
  return `<form id="go" method="post" action="${app}/logout"><button>Claim your prize</button></form>`;
}

/**
 * Runs in the hostile page: opens a WebSocket, which brings the victim's cookies from the same site.
 * @param {string} app
 */
function hijack(app) {
  const socket = new WebSocket(`${app.replace(/^http/, "ws")}/api/socket`);
  socket.onopen = () => { document.body.dataset["opened"] = "yes"; };
  socket.onclose = ({ code }) => { document.body.dataset["closed"] = `${code}`; };
}

/**
 * Runs in the hostile page.
 * @param {string} app
 */
async function attack(app) {
  const paths = ["/login", "/login?prompt=none", "/session", "/refresh", "/logout", "/logout/continue", "/api/echo"];
  /** @type {string[]} */
  const readable = [];
  for (const path of paths) {
    for (const method of ["GET", "POST"]) {
      for (const headers of /** @type {Record<string, string>[]} */ ([{}, { "X-CSRF": "1" }])) {
        for (const mode of /** @type {RequestMode[]} */ (["cors", "no-cors"])) {
          try {
            const answer = await fetch(app + path, { method, headers, mode, credentials: "include", redirect: "manual" });
            if (answer.type !== "opaque" && answer.type !== "opaqueredirect") readable.push(`${method} ${path}`);
          } catch {
            // refused by the browser, as it should be
          }
        }
      }
    }
  }
  const loaded = (/** @type {HTMLElement} */ element) => new Promise((resolve) => {
    element.onload = element.onerror = resolve;
    document.body.append(element);
  });
  for (const path of paths) {
    const image = document.createElement("img");
    image.src = app + path;
    const script = document.createElement("script");
    script.src = app + path;
    const frame = document.createElement("iframe");
    frame.src = app + path;
    await Promise.all([loaded(image), loaded(script), loaded(frame)]);
    // A form that posts into a frame is the classic forged request.
    const target = document.createElement("iframe");
    target.name = `target${path}`;
    document.body.append(target);
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: app + path, target: target.name });
    document.body.append(form);
    const answered = new Promise((resolve) => { target.onload = resolve; });
    form.submit();
    await answered;
  }
  document.body.dataset["readable"] = readable.join(", ");
  document.body.dataset["through"] = "yes";
}
